// MCP servers to stand behind the gateway. Each is {name, url, child}.
import { Child, freePort, root, until } from './harness.mjs';
import { demo, hook, live, modules, node, npm } from './paths.mjs';

const as = root ? { uid: 65534, gid: 65534 } : {};

async function start(name, args, env = {}, port = undefined) {
	port ??= await freePort();
	const child = new Child(name, node, args, {
		cwd: '/', ...as,
		env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent',
		    PORT: String(port), MCPGW_NPM: npm, ...env },
	});
	const url = `http://127.0.0.1:${port}/mcp`;
	await until(`${name} to answer`, async () => {
		if (!child.alive)
			throw new Error(`${name} ended: ${child.output}`);
		const r = await fetch(url);
		await r.body?.cancel();
		return r.status < 500;
	});
	return { name, url, port, child };
}

export const everything = (port) => start('everything',
    ['--require', `${demo}/loopback.cjs`,
	`${modules}/@modelcontextprotocol/server-everything/dist/index.js`,
	'streamableHttp'], {}, port);

export const notes = (env, port) => start('notes',
    ['--import', hook, `${demo}/notes.mjs`], env, port);

export const fixture = (env, port) => start('fixture',
    ['--import', hook, `${live}/fixture/everything.mjs`], env, port);

// Echoes what it is called with after a random delay; tells what it was sent.
export const echo = (env, port) => start('echo',
    [`${live}/fixture/echo.mjs`], env, port);
