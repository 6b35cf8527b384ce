// Connections to a backend are used again, by as many calls at a time as there
// may be: dialing costs more than the call.
import net from 'node:net';
import { freePort, later, ok, run, same, test } from './lib/harness.mjs';
import { echo } from './lib/backends.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';

const AT_ONCE = 128;
const ROUNDS = 4;
// The keeper asks too.
const OTHERS = 8;

// Passes bytes on and counts connections: {url, count()}.
async function counter(target) {
	let n = 0;
	const open = new Set();
	const server = net.createServer((a) => {
		n++;
		const b = net.connect(target.port, '127.0.0.1');
		for (const [from, to] of [[a, b], [b, a]]) {
			open.add(from);
			from.pipe(to);
			from.on('error', () => to.destroy());
			from.on('close', () => open.delete(from));
		}
	});
	const port = await freePort();
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => {
		for (const s of open)
			s.destroy();
		return new Promise((r) => server.close(r));
	});
	return { url: `http://127.0.0.1:${port}/mcp`, count: () => n };
}

await run('reuse', async () => {
	const to = await counter(await echo());
	const gw = await Gateway.start({ config: { workers: 1,
	    backends: { far: { url: to.url } },
	    endpoints: { '/mcp': { auth: 'none' } } } });
	const mcp = await new Mcp(gw.url).open();
	const round = () => Promise.all(Array.from({ length: AT_ONCE },
	    async () => same((await mcp.tool('far_slow', { ms: 200 }))
		.content[0].text, 'slow', 'the answer')));

	await test(`${AT_ONCE} calls at a time dial once`, async () => {
		await round();
		const first = to.count();
		ok(first >= AT_ONCE, `${first} connections: not all at a time`);
		for (let i = 0; i < ROUNDS; i++)
			await round();
		ok(to.count() - first <= OTHERS, `${to.count() - first} ` +
		    `connections more for ${ROUNDS * AT_ONCE} further calls`);
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
