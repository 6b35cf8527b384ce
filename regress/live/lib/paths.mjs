// Where things are. $OBJ is the build folder, as in the Makefile.
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const top = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const obj = resolve(top, process.env.OBJ ?? 'obj');
export const npm = process.env.MCPGW_NPM ?? `${obj}/npm`;
export const modules = `${npm}/node_modules`;
export const node = `${modules}/.bin/node`;
export const bin = process.env.MCPGW_BIN ?? obj;
export const live = `${top}/regress/live`;
export const demo = `${top}/etc/demo`;
export const hook = `${live}/lib/resolve.mjs`;
