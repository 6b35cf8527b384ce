// make run: what it prints is true, clients that know only that get all four
// servers, and Ctrl-C leaves nothing.
import { existsSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import {
	Child, alike, descendants, freePort, ok, run, running, same, test, tmp,
	until,
} from './lib/harness.mjs';
import { allow, launch as browse } from './lib/browser.mjs';
import {
	compareContents, compareLists, connectStdio, looked, signIn, steps,
} from './lib/sdk.mjs';
import { demo, modules, node, npm, obj } from './lib/paths.mjs';

// server-everything has more tools for a client that can do more.
const abilities = { sampling: {}, elicitation: { form: {}, url: {} } };
const HELLO = 'This file is yours to change.\n';

const launch = (env) => new Child('demo', node, [`${demo}/run.mjs`], { env: {
	PATH: '/usr/sbin:/usr/bin:/sbin:/bin', OBJ: obj, MCPGW_NPM: npm, ...env,
} });

// The four servers, run by the client itself.
async function direct(kind) {
	const dir = tmp();
	writeFileSync(`${dir}/hello.txt`, HELLO);
	const of = (name, ...args) => connectStdio(kind, {
		command: node, cwd: dir,
		args: [`${modules}/@modelcontextprotocol/${name}/dist/index.js`,
		    ...args],
		env: { MEMORY_FILE_PATH: `${dir}/memory.jsonl` },
	}, abilities);
	const [every, files, memory, thinking] = await Promise.all([
		of('server-everything', 'stdio'), of('server-filesystem', dir),
		of('server-memory'), of('server-sequential-thinking')]);
	const servers = await looked({ every, files, memory, thinking });
	return { dir, servers };
}

const entity = { name: 'Ada', entityType: 'person', observations: ['wrote'] };

// What each server is asked for, and what must be in the answer.
const calls = (dir) => [
	['every', 'echo', { message: 'héllo' }, /héllo/],
	['every', 'get-sum', { a: 20, b: 22 }, /42/],
	['every', 'get-tiny-image', {}, /image\/png/],
	['files', 'read_text_file', { path: `${dir}/hello.txt` }, /yours/],
	['files', 'list_directory', { path: dir }, /hello\.txt/],
	['memory', 'create_entities', { entities: [entity] }, /Ada/],
	['memory', 'read_graph', {}, /Ada/],
	['thinking', 'sequentialthinking', { thought: 'so', thoughtNumber: 1,
	    totalThoughts: 1, nextThoughtNeeded: false }, /thoughtNumber/],
];

// One tool after the other, here and there.
async function compareCalls(client, servers, from, to) {
	const theirs = calls(to);
	for (const [i, [server, name, args, says]] of calls(from).entries()) {
		const want = await servers[server].client.callTool({ name,
		    arguments: args });
		ok(!want.isError && says.test(JSON.stringify(want)),
		    `${name}: ${JSON.stringify(want)}`);
		const got = await client.callTool({ name: `${server}_${name}`,
		    arguments: theirs[i][2] });
		alike(JSON.parse(JSON.stringify(got).replaceAll(to, from)), want,
		    `${server}_${name}`);
	}
}

async function use(kind, url, password, browser) {
	const { client, seen } = await signIn(kind, url, (at) =>
	    allow(browser, at, password), { capabilities: abilities });
	steps(seen);
	const { dir, servers } = await direct(kind);
	await compareLists(client, servers);
	ok(await compareContents(client, servers) >= 13,
	    'few resources and prompts');
	const allowed = await client.callTool({
	    name: 'files_list_allowed_directories', arguments: {} });
	const [files] = allowed.content[0].text.match(/^\/.*files$/m);
	await compareCalls(client, servers, dir, files);
	await Promise.all([client, ...Object.values(servers)
	    .map((s) => s.client)].map((c) => c.close()));
}

async function serves(signal, kind, browser) {
	const port = await freePort();
	const child = launch({ PORT: String(port) });
	const text = await until('the banner', () => {
		if (!child.alive)
			throw new Error(child.output);
		return child.output.includes('Ctrl-C stops') && child.output;
	}, 40_000);
	const url = text.match(/address +(\S+)/)[1];
	const password = text.match(/password +(\S+)/)[1];
	same(url, `http://localhost:${port}/mcp`, 'address');
	ok(text.includes(`claude mcp add --transport http mcpgwd ${url}\n`),
	    'the line for Claude Code');
	ok(text.includes('make run ISSUER=https://'), 'how to get public');
	await use(kind, url, password, browser);
	const curl = text.match(/curl (http\S+)/g);
	same(curl.length, 2, 'documents to look at');
	for (const line of curl)
		same((await fetch(line.slice(5))).status, 200, line);
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
	const browser = await browse();
	for (const [signal, kind] of [['SIGINT', 'SDK 1.x'],
	    ['SIGTERM', 'SDK 2.x'], ['SIGHUP', 'SDK 2.x auto']])
		await test(`MBT-1 make run serves four servers to ${kind}; ${
		    signal} stops it all`, () => serves(signal, kind, browser),
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
