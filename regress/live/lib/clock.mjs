// A folder of programs for Gateway.launch whose workers and keeper, or what is
// named, have clocks that a test can put forward.
import { execFileSync } from 'node:child_process';
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmp } from './harness.mjs';
import { bin, live } from './paths.mjs';

export class Clock {
	constructor(programs = ['worker']) {
		this.dir = tmp();
		chmodSync(this.dir, 0o755);
		this.seconds = this.wall = 0;
		this.ahead(0);
		execFileSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-O2',
		    '-D_GNU_SOURCE', '-o', `${this.dir}/clock.so`,
		    `${live}/fixture/clock.c`, '-ldl']);
		for (const f of ['worker', 'authd', 'runner', 'nanny'])
			if (programs.includes(f))
				writeFileSync(`${this.dir}/${f}`, `#!/bin/sh
export CLOCK=${this.dir}/ahead LD_PRELOAD=${this.dir}/clock.so
export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"
exec ${bin}/${f} "$@"
`, { mode: 0o755 });
			else
				symlinkSync(`${bin}/${f}`, `${this.dir}/${f}`);
	}

	// All of them, at once, by as many seconds more. Their wall clock is set:
	// wall seconds ahead of what it is.
	ahead(seconds, wall = this.wall) {
		this.seconds += seconds;
		this.wall = wall;
		const b = Buffer.alloc(4096);
		b.writeInt32LE(this.seconds);
		b.writeInt32LE(this.wall, 4);
		writeFileSync(`${this.dir}/ahead`, b, 
		    { flag: this.made ? 'r+' : 'w', mode: 0o644 });
		this.made = true;
	}
}
