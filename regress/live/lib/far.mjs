// A talker in a process of its own, which can be killed and started again at the
// same address.
import { Child, freePort, until } from './harness.mjs';
import { hook, live, node, npm } from './paths.mjs';

export class Far {
	// opts: of the talker.
	static async start(opts) {
		const f = new Far();
		f.port = await freePort();
		f.url = `http://127.0.0.1:${f.port}/mcp`;
		await f.run(opts);
		return f;
	}

	async run(opts = {}) {
		this.child = new Child('talker', node, ['--import', hook,
		    `${live}/fixture/talker.mjs`], {
			stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
			env: { PATH: '/usr/bin:/bin', MCPGW_NPM: npm,
			    PORT: String(this.port),
			    TALKER: JSON.stringify(opts) },
		});
		this.asked = new Map();
		this.wrote = 0; // the last number of which it has said so
		let ready = false;
		this.child.proc.on('message', (m) => {
			ready ||= m.ready;
			this.wrote = m.wrote ?? this.wrote;
			const { resolve, reject } = this.asked.get(m.n) ?? {};
			this.asked.delete(m.n);
			if (m.error !== undefined)
				reject(new Error(m.error));
			else
				resolve?.(m.result);
		});
		await until('the talker', () => {
			if (!this.child.alive)
				throw new Error(this.child.output);
			return ready;
		});
	}

	tell(what, ...args) {
		return new Promise((resolve, reject) => {
			this.next = (this.next ?? 0) + 1;
			this.asked.set(this.next, { resolve, reject });
			this.child.proc.send({ n: this.next, what, args });
		});
	}

	async kill() {
		this.child.signal('SIGKILL');
		await this.child.exited;
	}
}
