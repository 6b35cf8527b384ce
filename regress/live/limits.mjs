// limits.streams_per_user: what is refused, and what is not refused for it.
import { run, same, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';
import { Sse } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const LIMIT = 3;

const get = (mcp, last) => Sse.open(mcp.url, { headers: mcp.headers({
    accept: 'text/event-stream', ...(last && { 'last-event-id': last }) }) });

function refused(r, what) {
	same([r.status, Number(r.headers['retry-after']) > 0], [429, true], what);
}

async function streams(gw, token) {
	const open = () => new Mcp(gw.url, { token }).open();
	const clients = [];
	for (let i = 0; i < LIMIT; i++)
		clients.push(await open());
	const ears = await Promise.all(clients.map((c) => get(c)));
	same(ears.map((e) => e.status), Array(LIMIT).fill(200), 'streams');
	const more = await open();
	refused(await get(more), 'a stream too many');
	refused(await more.send({ jsonrpc: '2.0', id: 1, method: 'tools/call',
	    params: { name: 'talk_echo', arguments: {} } }), 'a call too many');

	// A client comes back: with its last event, and having lost it.
	await until('an event id', () => ears[0].last !== undefined);
	ears[0].close();
	const back = await get(clients[0], ears[0].last);
	same([back.status, back.stream], [200, true], 'resumed');
	const anew = await get(clients[1]);
	same(anew.status, 200, 'in the place of its own');
	await until('the older one to be ended', () => ears[1].ended === 'clean');
	refused(await get(more), 'still a stream too many');

	// Who says goodbye makes room.
	same(await clients[2].close(), 200, 'DELETE');
	same((await get(more)).status, 200, 'the room of an ended session');
}

run('limits', async () => {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: { workers: 1,
	    backends: { talk: { url: talker.url } },
	    limits: { streams_per_user: LIMIT } } });
	const token = (await Client.signIn(gw)).tokens.access_token;
	await test('streams_per_user', () => streams(gw, token));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
