// Must be true 6: what the kernel says of the living processes.
import { readFileSync } from 'node:fs';
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Mcp } from './lib/mcp.mjs';

const status = (pid) => Object.fromEntries(
    readFileSync(`/proc/${pid}/status`, 'utf8').split('\n')
    .map((l) => l.split(/:\s+/)));
const roles = ['worker', 'keeper', 'resolver', 'authd', 'hasher',
    'runner'];

run('jail', async () => {
	const backend = await echo();
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: {
			backends: { echo: { url: backend.url } },
			endpoints: { '/bare/mcp': { backends: ['echo'],
			    prefix: 'none', auth: 'none' } },
		} });
		// They have done their work once.
		await (await new Mcp(`${gw.base}/bare/mcp`).open())
		    .tool('echo', { nonce: 'x' });
		const uids = new Map();
		for (const role of roles)
			await test(`MBT-6 ${role} is confined (${mode})`, () => {
				const pids = gw.pids(role);
				ok(pids.length > 0, 'is there');
				for (const pid of pids) {
					const s = status(pid);
					same([s.NoNewPrivs, s.Seccomp, s.CapEff,
					    s.CapPrm], ['1', '2',
					    '0000000000000000',
					    '0000000000000000'], `${pid}`);
					const ids = new Set(s.Uid.split(/\s+/));
					same(ids.size, 1, 'one uid');
					uids.set(role, [...ids][0]);
					ok(uids.get(role) !== '0', 'not root');
				}
			});
		await test(`MBT-6 master has no_new_privs and its filter (${mode})`,
		    () => {
			const s = status(gw.child.pid);
			same([s.NoNewPrivs, s.Seccomp], ['1', '2'], 'master');
		});
		if (mode === 'root')
			await test('MBT-6 secrets and clients have different users',
			    () => ok(uids.get('authd') !== uids.get('worker') &&
			    uids.get('worker') === uids.get('keeper') &&
			    uids.get('authd') === uids.get('hasher') &&
			    uids.get('runner') !== uids.get('worker') &&
			    uids.get('runner') !== uids.get('authd'),
			    [...uids].join(' ')));
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
