// A gateway under test: a config in a temporary folder, free ports, and the
// promise that nothing of it is left when it has been stopped.
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	Child, descendants, freePort, ok, root, running, tmp, until,
} from './harness.mjs';
import { request } from './mcp.mjs';
import { bin } from './paths.mjs';

// Whom the not-root mode runs as when the tests run as root.
const NOBODY = 65534;

export const modes = root ? ['root', 'user'] : ['user'];

// Block YAML: maps one key a line, everything else as JSON, which is YAML.
function yaml(value, depth = 0) {
	const pad = '  '.repeat(depth);
	return Object.entries(value).filter(([, v]) => v !== undefined)
	    .map(([k, v]) => {
		const key = /^[A-Za-z_][\w-]*$/.test(k) ? k : JSON.stringify(k);
		const map = v !== null && typeof v === 'object' &&
		    !Array.isArray(v) && Object.keys(v).length > 0;
		return map ? `${pad}${key}:\n${yaml(v, depth + 1)}` :
		    `${pad}${key}: ${JSON.stringify(v)}\n`;
	}).join('');
}

export class Gateway {
	// mode: 'root' or 'user'. config: keys of mcpgwd.conf that are put over
	// the defaults (auth and limits are merged one level deep).
	static async make({ mode = modes[0], host = 'localhost', config = {} } = {})
	{
		const gw = new Gateway();
		gw.mode = mode;
		gw.dir = tmp();
		gw.port = await freePort();
		gw.base = `http://${host}:${gw.port}`;
		gw.url = `${gw.base}/mcp`;
		gw.password = randomBytes(9).toString('base64url');
		gw.conf = `${gw.dir}/mcpgwd.conf`;
		gw.config = {
			issuer: gw.base,
			listen: [{ address: `127.0.0.1:${gw.port}` }],
			workers: 2,
			state: `${gw.dir}/state`,
			control: `${gw.dir}/run/mcpgwd.sock`,
			...config,
			auth: { password: gw.password, ...config.auth },
			limits: {
				auth_failures_per_ip: '1000/m',
				register_per_ip: '10000/h',
				...config.limits,
			},
		};
		gw.drop = mode === 'user' && root;
		mkdirSync(`${gw.dir}/run`, { mode: 0o755 });
		if (gw.drop)
			for (const d of [gw.dir, `${gw.dir}/run`])
				chownSync(d, NOBODY, NOBODY);
		gw.write();
		return gw;
	}

	static async start(opts) {
		const gw = await Gateway.make(opts);
		await gw.start();
		return gw;
	}

	// Writes the config; text instead of gw.config where it is given.
	write(text = yaml(this.config)) {
		writeFileSync(this.conf, text, { mode: 0o600 });
		if (this.drop)
			chownSync(this.conf, NOBODY, NOBODY);
	}

	get #env() {
		return {
			PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: this.dir,
			XDG_STATE_HOME: `${this.dir}/xdg`,
			XDG_RUNTIME_DIR: `${this.dir}/run`,
			ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
			UBSAN_OPTIONS: 'print_stacktrace=1',
		};
	}

	get #as() {
		return this.drop ? { uid: NOBODY, gid: NOBODY } : {};
	}

	// Starts the daemon without waiting for it.
	// With gw.files no process of it may have more descriptors than that.
	launch(args = []) {
		const what = [`${bin}/mcpgwd`, '-d', '-f', this.conf, '-L', bin,
		    ...args];
		const [program, ...words] = this.files === undefined ? what :
		    ['/bin/sh', '-c', `ulimit -n ${this.files} && exec "$0" "$@"`,
			...what];
		this.child = new Child('mcpgwd', program, words,
		    { cwd: '/', env: this.#env, ...this.#as });
		return this.child;
	}

	// args: as for launch.
	async start({ ready = true, args } = {}) {
		this.launch(args);
		// Every worker must have said it, on a connection of its own.
		const said = new Set();
		await until('the gateway to be ready', async () => {
			if (!this.child.alive)
				return true;
			const r = await request(`${this.base}/health` +
			    (ready ? '?ready' : ''), { method: 'GET' });
			if (r.status === 200)
				said.add(r.headers['x-mcpgw-worker']);
			return said.size >= this.config.workers;
		}, process.env.SANITIZE ? 60_000 : 20_000).catch((e) => {
			throw new Error(`${e.message}: ${this.child.output.slice(-1500)}`);
		});
		ok(this.child.alive, `it ended: ${this.child.output}`);
		if (ready)
			await this.#backends();
	}

	// All of them, as mcpgwctl tells: a client that came earlier would see
	// less.
	async #backends() {
		const want = Object.keys(this.config.backends ?? {});
		await until('the backends to be up', async () => {
			const r = await this.ctl('show', 'backends');
			const up = r.out.split('\n').filter((l) => / up( |$)/.test(l));
			return want.every((b) => up.some((l) =>
			    l.split(/ +/).includes(b)));
		});
	}

	get output() {
		return this.child?.output ?? '';
	}

	processes() {
		return descendants(this.child.pid);
	}

	// Pids by role, as the processes call themselves.
	pids(role) {
		const title = { worker: /^worker: \d+$/,
		    keeper: /^worker: keeper$/, resolver: /^worker: resolver$/,
		    authd: /^authd: authorization$/,
		    hasher: /^authd: password hasher$/,
		    runner: /^runner: stdio servers$/ }[role];
		return this.processes().filter((p) => title.test(p.args[0]))
		    .map((p) => p.pid);
	}

	// The id that a worker puts into X-Mcpgw-Worker.
	workerId(pid) {
		return this.processes().find((p) => p.pid === pid)
		    .args[0].split(' ')[1];
	}

	// Those of all workers at one moment: the old ones of a reload may end
	// at any time.
	workerIds() {
		return this.processes().map((p) =>
		    p.args[0]?.match(/^worker: (\d+)$/)?.[1])
		    .filter((id) => id !== undefined);
	}

	// SIGTERM; everything it had started must be gone.
	async stop(grace = 8000) {
		const pids = this.child.alive ?
		    this.processes().map((p) => p.pid) : [];
		const t0 = Date.now();
		await this.child.stop(grace);
		const killed = Date.now() - t0 >= grace;
		await until('its processes to end',
		    () => !pids.some(running), 3000).catch(() => {
			const left = pids.filter(running);
			for (const pid of left)
				process.kill(pid, 'SIGKILL');
			throw new Error(`left behind: ${left.length} processes`);
		});
		ok(!killed, `mcpgwd did not end within ${grace} ms of SIGTERM`);
		// What a sanitizer or the sandbox ended was started again.
		const bad = this.output.match(new RegExp('.*(AddressSanitizer|' +
		    'runtime error: |\\(process \\d+\\) was killed by signal ' +
		    '(?!9\\b)).*'));
		ok(bad === null, bad?.[0]);
	}

	async restart() {
		await this.stop();
		await this.start();
	}

	// mcpgwctl: {status, out, err}
	ctl(...args) {
		return new Promise((done) => {
			execFile(`${bin}/mcpgwctl`, ['-s', this.config.control, ...args],
			    { env: this.#env, timeout: 30_000, ...this.#as },
			    (e, out, err) => done({
				status: e ? e.code ?? e.signal : 0, out, err,
			    }));
		});
	}

	async reload() {
		const r = await this.ctl('reload');
		ok(r.status === 0, `reload: ${r.out}${r.err}`);
	}
}
