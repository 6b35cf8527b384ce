// Must be true 3: 64 clients with the same ids and the same progress tokens,
// calls, questions, cancels, disconnects and resumes all at once. No message
// at the wrong client, none lost, none twice. ISO-1, ISO-2.
import { full, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { Sse, answer, asked, note } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const CLIENTS = 64;
const LANES = 2;
const CALLS = Number(process.env.CALLS ?? (full ? 100_000 : 5000));

const PROGRESS = note('notifications/progress');

class Client extends Mcp {
	open1(method, headers, message) {
		return Sse.open(this.url, { method, headers: this.headers(headers),
		    body: message && JSON.stringify(message) }).then((s) => {
			this.workers.add(s.worker);
			return s;
		});
	}

	begin(id, token, name, args) {
		return this.open1('POST', {}, { jsonrpc: '2.0', id,
		    method: 'tools/call', params: { name: `talk_${name}`,
			arguments: args, _meta: { progressToken: token } } });
	}

	resume(last) {
		return this.open1('GET', { accept: 'text/event-stream',
		    'last-event-id': last });
	}

	async tell(message) {
		const r = await request(this.url, { headers: this.headers(),
		    body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
		same(r.status, 202, 'posted');
	}
}

// Everything a call's streams brought must be the call's own; n: of its
// progress messages; result: what its answer must say, undefined for none.
function judge(x, streams, n, result) {
	const all = streams.flatMap((s) => s.messages);
	const steps = all.filter(PROGRESS);
	const answers = all.filter((m) => m.method === undefined);
	same(steps.map((m) => [m.params.progressToken, m.params.message]),
	    Array.from({ length: n }, (_, i) => [x.token,
		`${x.nonce}#${i + 1}`]), 'progress');
	same(answers.map((m) => [m.id, m.result?.content?.[0].text]),
	    result === undefined ? [] : [[x.id, result]], 'answers');
	ok(all.every((m) => PROGRESS(m) || m.method === undefined ||
	    m.params.message === x.nonce), 'another\'s question');
}

const kinds = {
	async echo(x) {
		const s = await x.client.begin(x.id, x.token, 'echo',
		    { nonce: x.nonce });
		await s.end();
		judge(x, [s], 0, JSON.stringify({ nonce: x.nonce }));
	},
	async steps(x) {
		const s = await x.client.begin(x.id, x.token, 'steps',
		    { nonce: x.nonce, n: 4, ms: 2 });
		await s.end();
		judge(x, [s], 4, x.nonce);
		same(s.ended, 'clean', 'end');
	},
	async question(x) {
		const s = await x.client.begin(x.id, x.token, 'ask',
		    { nonce: x.nonce, n: 2 });
		const got = [];
		for (let i = 0; i < 2; i++) {
			const q = await s.next(asked('elicitation/create'));
			same(q.params.message, x.nonce, 'question');
			const result = { action: 'accept',
			    content: { a: `${x.nonce}/${i}` } };
			got.push(result);
			await x.client.tell({ id: q.id, result });
		}
		await s.end();
		judge(x, [s], 0, JSON.stringify({ nonce: x.nonce, got }));
	},
	async cancel(x) {
		const begun = x.client.begin(x.id, x.token, 'steps',
		    { nonce: x.nonce, n: 1, ms: 5000 });
		const s = await begun;
		await s.next(PROGRESS);
		await x.client.tell({ method: 'notifications/cancelled',
		    params: { requestId: x.id } });
		await s.end();
		judge(x, [s], 1, undefined);
		await until('the cancel at the backend', () =>
		    x.talker.cancelled.includes(x.nonce), 5000);
	},
	async resume(x) {
		const s = await x.client.begin(x.id, x.token, 'steps',
		    { nonce: x.nonce, n: 6, ms: 8 });
		await s.next(PROGRESS);
		s.close();
		const streams = [s];
		for (let i = 0; i < 2; i++) {
			const r = await x.client.resume(streams.at(-1).last);
			streams.push(r);
			if (i === 0) {
				await until('a message, or the end', () =>
				    r.messages.length > 0 || r.ended, 10_000, 5);
				r.close();
			} else
				await r.end();
		}
		// The first and the second may have had it all.
		judge(x, streams, 6, x.nonce);
	},
	async leave(x) {
		const s = await x.client.begin(x.id, x.token, 'steps',
		    { nonce: x.nonce, n: 5, ms: 3 });
		await s.next(PROGRESS);
		s.close();
		same(s.messages.filter(PROGRESS).filter((m) =>
		    !m.params.message.startsWith(`${x.nonce}#`)), [], 'foreign');
	},
};
const mix = ['echo', 'echo', 'echo', 'echo', 'steps', 'steps', 'question',
    'cancel', 'resume', 'leave'];

run('mixed', async () => {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: {
		limits: { streams_per_user: 0 },
		backends: { talk: { url: talker.url, declare: ['elicitation'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const clients = await Promise.all(Array.from({ length: CLIENTS }, () =>
	    new Client(gw.url).open({ elicitation: {} })));
	// A quarter of them listen too: nothing is for them there.
	const quiet = await Promise.all(clients.filter((_, i) => i % 4 === 0)
	    .map((c) => c.open1('GET', { accept: 'text/event-stream' })));
	const bad = {}, done = {};
	const nonces = [];
	let calls = 0;
	await test(`ISO-1 ISO-2 ${CALLS} calls of ${CLIENTS} clients, mixed`,
	    async () => {
		const lane = async (client, who, l) => {
			for (let i = 0; calls < CALLS; i++) {
				calls++;
				const kind = mix[Math.floor(Math.random() * mix.length)];
				const x = { client, talker,
				    nonce: `${who}/${l}/${i}/${Math.random()}`,
				    id: i * LANES + l, token: l };
				nonces.push(x.nonce);
				try {
					await kinds[kind](x);
					done[kind] = (done[kind] ?? 0) + 1;
				} catch (e) {
					const k = `${kind}: ${e.message.replace(
					    /[\d./]{6,}/g, 'N').slice(0, 160)}`;
					bad[k] = (bad[k] ?? 0) + 1;
				}
			}
		};
		await Promise.all(clients.flatMap((c, who) =>
		    Array.from({ length: LANES }, (_, l) => lane(c, who, l))));
		same(bad, {}, `failed of ${calls}`);
		for (const kind of Object.keys(kinds))
			ok(done[kind] >= CALLS / 50, `${done[kind]} of ${kind}`);
		console.log(`# mixed: ${calls} calls, ${JSON.stringify(done)}`);
	}, { timeout: full ? 1_500_000 : 180_000 });
	await test('ISO-2 each call reached the backend once', async () => {
		await sleep(200);
		const counts = nonces.map((n) => talker.runs.get(n) ?? 0);
		same(counts.filter((n) => n !== 1).length, 0,
		    `not once, of ${counts.length}`);
	});
	await test('ISO-2 nothing came on the streams of those who listen',
	    async () => {
		same(quiet.flatMap((s) => s.messages), [], 'messages');
		ok(quiet.every((s) => s.ended === undefined), 'all open');
		const seen = new Set(clients.flatMap((c) => [...c.workers]));
		same(seen.size, 2, 'workers');
		for (const s of quiet)
			s.close();
	});
	await test('ISO-1 and nothing is left open', async () => {
		await until('the calls to end', async () => {
			const r = await gw.ctl('show', 'workers');
			return r.status === 0;
		});
		const one = await clients[0].tool('talk_echo', { nonce: 'last' });
		ok(!one.isError, JSON.stringify(one));
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
