// Bytes on a socket, and whatever comes back.
import net from 'node:net';

// Sends the pieces (with a pause between them when there are several) and
// reads until EOF or until nothing came for quiet ms. Returns
// {bytes, closed, reset}. end: half-close after sending.
export function exchange(port, pieces, { quiet = 400, host = '127.0.0.1',
    pause = 20, end = false, limit = 5000 } = {}) {
	return new Promise((resolve) => {
		const s = net.connect({ port, host, allowHalfOpen: true });
		const parts = [];
		let closed = false, reset = false, idle, sent = false;
		const done = () => {
			clearTimeout(idle);
			clearTimeout(last);
			s.destroy();
			resolve({ bytes: Buffer.concat(parts).toString('latin1'),
			    closed, reset });
		};
		const last = setTimeout(done, limit);
		const arm = () => {
			clearTimeout(idle);
			if (sent)
				idle = setTimeout(done, quiet);
		};
		s.on('data', (d) => { parts.push(d); arm(); });
		s.on('end', () => { closed = true; done(); });
		s.on('error', (e) => {
			closed = true;
			reset = ['ECONNRESET', 'EPIPE'].includes(e.code);
			done();
		});
		s.on('connect', async () => {
			for (const [i, p] of [pieces].flat().entries()) {
				if (i > 0)
					await new Promise((r) => setTimeout(r, pause));
				if (!s.destroyed && s.writable)
					s.write(typeof p === 'string' ?
					    Buffer.from(p, 'latin1') : p);
			}
			if (end)
				s.end();
			sent = true;
			arm();
		});
	});
}

// Splits a byte stream into responses by Content-Length and chunked coding.
export function responses(bytes) {
	const out = [];
	let rest = bytes;
	while (rest.length > 0) {
		const at = rest.indexOf('\r\n\r\n');
		if (!rest.startsWith('HTTP/1.') || at < 0)
			return [...out, { status: 0, junk: rest }];
		const [line, ...lines] = rest.slice(0, at).split('\r\n');
		const headers = {};
		for (const l of lines) {
			const c = l.indexOf(':');
			const k = l.slice(0, c).toLowerCase();
			const v = l.slice(c + 1).trim();
			headers[k] = k in headers ? `${headers[k]}, ${v}` : v;
		}
		const status = Number(line.split(' ')[1]);
		let p = at + 4, body = '';
		if (headers['transfer-encoding'] === 'chunked') {
			for (;;) {
				const e = rest.indexOf('\r\n', p);
				const n = parseInt(rest.slice(p, e), 16);
				body += rest.slice(e + 2, e + 2 + n);
				p = e + 2 + n + 2;
				if (!(n > 0))
					break;
			}
		} else if (status >= 200 && status !== 204 && status !== 304) {
			const n = Number(headers['content-length'] ?? 0);
			body = rest.slice(p, p + n);
			p += n;
		}
		out.push({ status, headers, body });
		rest = rest.slice(p);
	}
	return out;
}
