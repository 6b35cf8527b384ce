// A folder of programs for Gateway.launch whose workers and keeper have a clock
// that a test can put forward.
import { execFileSync } from 'node:child_process';
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmp } from './harness.mjs';
import { bin, live } from './paths.mjs';

export class Clock {
	constructor() {
		this.dir = tmp();
		chmodSync(this.dir, 0o755);
		this.seconds = 0;
		this.ahead(0);
		execFileSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-O2',
		    '-D_GNU_SOURCE', '-o', `${this.dir}/clock.so`,
		    `${live}/fixture/clock.c`, '-ldl']);
		for (const f of ['authd', 'runner', 'nanny'])
			symlinkSync(`${bin}/${f}`, `${this.dir}/${f}`);
		writeFileSync(`${this.dir}/worker`, `#!/bin/sh
export CLOCK=${this.dir}/ahead LD_PRELOAD=${this.dir}/clock.so
export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"
exec ${bin}/worker "$@"
`, { mode: 0o755 });
	}

	// All of them, at once, by as many seconds more.
	ahead(seconds) {
		this.seconds += seconds;
		const b = Buffer.alloc(4096);
		b.writeInt32LE(this.seconds);
		writeFileSync(`${this.dir}/ahead`, b, 
		    { flag: this.made ? 'r+' : 'w', mode: 0o644 });
		this.made = true;
	}
}
