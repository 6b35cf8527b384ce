// What the gateway is measured in alone: its memory, and how fast it is there.
import { answered, hold, http, launch, make, mcpgwd, sinks } from './parts.mjs';
import { pairs, run } from './http.mjs';
import { processes, rss, settled } from './proc.mjs';
import { descendants } from '../live/lib/harness.mjs';
import { median, row } from './table.mjs';

const STREAMS = 4000;

export async function memory() {
	const back = await sinks(10);
	const ours = await mcpgwd({ backends: http(back.urls) });
	const [worker] = ours.gw.pids('worker');
	const idle = await settled(() => rss(worker));
	let most = 0;
	await run(ours, { clients: 256,
	    during: () => { most = Math.max(most, rss(worker)); } });
	row('worker, idle, 10 backends of 20 tools', { unit: 'MiB',
	    ours: idle / 1024, must: 8, aim: 6 });
	row('worker, 256 busy connections', { unit: 'MiB', ours: most / 1024,
	    must: 16, aim: 10 });
	await ours.stop();
	await back.stop();
	await streams();
}

// All processes of the gateway, with idle streams and without.
async function streams() {
	const back = await sinks(1);
	const ours = await mcpgwd({ backends: http(back.urls), pinned: false });
	const all = () => [ours.pid, ...descendants(ours.pid).map((p) => p.pid)]
	    .reduce((n, p) => n + rss(p), 0);
	const before = await settled(all);
	const more = await hold(ours, STREAMS,
	    async () => await settled(all) - before);
	row('memory per idle client stream', { unit: 'KiB',
	    ours: more / STREAMS, must: 6, aim: 2 });
	await ours.stop();
	await back.stop();
}

export async function startup() {
	const back = await sinks(1);
	const backends = http(back.urls);
	const first = async (opts) => {
		const took = [];
		for (let i = 0; i < pairs; i++) {
			const gw = await make({ config: { backends } });
			const t0 = process.hrtime.bigint();
			launch(gw);
			took.push(await answered([`127.0.0.1:${gw.port}/mcp`],
			    { t0, ...opts }));
			await gw.stop();
		}
		return median(took);
	};
	row('ready after start: initialize', { unit: 'ms', must: 50, aim: 20,
	    ours: await first({ only: true }) });
	row('the same: a call of a tool', { unit: 'ms',
	    ours: await first({ tool: 'b0_echo' }) });
	await back.stop();

	const slow = await sinks(50, ['-d', '50']);
	const ours = await mcpgwd({ backends: http(slow.urls) });
	const list = [];
	for (let i = 0; i < pairs; i++)
		list.push(await run(ours, { mode: 'init', clients: 1,
		    seconds: 0.5 }));
	row('initialize, 50 backends that take 50 ms, p50', { unit: 'ms',
	    ours: median(list.map((r) => r.p50)) / 1000, must: 60, aim: 1 });
	row('initialize, the same, p99', { unit: 'ms',
	    ours: median(list.map((r) => r.p99)) / 1000 });
	row('processes of a gateway with 1 worker',
	    { ours: processes(ours.pid) });
	await ours.stop();
	await slow.stop();
}
