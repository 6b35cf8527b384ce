// make run: what it prints is true, and Ctrl-C leaves nothing.
import { existsSync } from 'node:fs';
import net from 'node:net';
import { Child, descendants, freePort, ok, run, running, same, test, until }
    from './lib/harness.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';
import { demo, node, npm, obj } from './lib/paths.mjs';

const launch = (env) => new Child('demo', node, [`${demo}/run.mjs`], { env: {
	PATH: '/usr/sbin:/usr/bin:/sbin:/bin', OBJ: obj, MCPGW_NPM: npm, ...env,
} });

async function serves(signal) {
	const port = await freePort();
	const child = launch({ PORT: String(port) });
	const text = await until('the banner', () => {
		if (!child.alive)
			throw new Error(child.output);
		return child.output.includes('Ctrl-C stops') && child.output;
	}, 40_000);
	const base = `http://localhost:${port}`;
	const password = text.match(/password +(\S+)/)[1];
	ok(text.includes(`claude mcp add --transport http mcpgwd ${base}/mcp`),
	    'the line for Claude Code');
	ok(text.includes('make run ISSUER=https://'), 'how to get public');
	const c = await Client.signIn({ base, password });
	const mcp = await new Mcp(`${base}/mcp`,
	    { token: c.tokens.access_token }).open();
	const tools = (await mcp.list('tools/list', 'tools')).map((t) => t.name);
	for (const t of ['every_echo', 'every_get-sum', 'files_read_text_file',
	    'memory_read_graph', 'thinking_sequentialthinking'])
		ok(tools.includes(t), `${t} among ${tools}`);
	const hello = await mcp.tool('files_list_allowed_directories', {});
	ok(/files$/m.test(hello.content[0].text), JSON.stringify(hello));
	for (const url of text.match(/curl (http\S+)/g))
		same((await fetch(url.slice(5))).status, 200, url);
	const log = text.match(/The log is (\S+)\./)[1];
	const dir = log.replace(/\/[^/]*$/, '');
	ok(existsSync(log), log);
	const pids = descendants(child.pid).map((p) => p.pid);
	ok(pids.length >= 8, `${pids.length} processes`);
	child.signal(signal);
	await until('it to end', () => !child.alive, 12_000);
	same(child.status, 0, 'exit status');
	same(pids.filter(running), [], 'processes left');
	ok(!existsSync(dir), `${dir} is left`);
}

run('demo', async () => {
	await test('make run serves four servers; Ctrl-C stops it all', () =>
	    serves('SIGINT'), { timeout: 90_000 });
	await test('make run and SIGTERM', () => serves('SIGTERM'),
	    { timeout: 90_000 });
	await test('make run on a taken port says which to choose', async () => {
		const port = await freePort();
		const server = net.createServer();
		await new Promise((r) => server.listen(port, '127.0.0.1', r));
		const child = launch({ PORT: String(port) });
		await child.exited;
		server.close();
		same(child.status, 1, 'exit status');
		ok(child.output.includes(`port ${port} is taken`) &&
		    child.output.includes('PORT='), child.output);
	});
});
