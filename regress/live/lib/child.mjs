// Stdio backends of the tests: what runs them, and what is seen of their
// children from outside.
import { descendants } from './harness.mjs';
import { live, node, npm } from './paths.mjs';

// Users that every Debian has and nobody else here runs as.
const users = ['games', 'mail', 'news', 'backup', 'list', 'irc', 'uucp', 'lp'];

// The fixture that does to its parent whatever a tool's name says.
export const child = `${live}/fixture/child.mjs`;

// The keys of a backend that runs this; each has a user of its own.
export function backend(mode, n, args, more = {}) {
	return { command: [node, ...args],
	    ...(mode === 'root' && { user: users[n] }),
	    read: [npm, live], env: { HOME: '$STATE' }, ...more };
}

export const say = async (mcp, name, args = {}) => {
	const r = await mcp.tool(name, args);
	return { text: r.content[0].text, error: r.isError === true };
};

// Every process below the gateway whose command line has this in it.
export const children = (gw, what) => gw.processes().filter((p) =>
    p.args.join(' ').includes(what) && !/^nanny/.test(p.args[0]));

// What mcpgwctl says of the children of a backend.
export async function rows(gw, name) {
	const r = await gw.ctl('-j', 'show', 'children', name);
	return JSON.parse(r.out);
}

// The only child of it, once it is up.
export async function up(gw, name) {
	const all = await rows(gw, name);
	return all.length === 1 && all[0].state === 'up' && all[0];
}

// A nanny and all that lives below it.
export const tree = (nanny) => [nanny, ...descendants(nanny).map((p) => p.pid)];
