// A recording proxy on loopback: passes everything as it came and keeps every
// JSON-RPC message, by direction.
import http from 'node:http';
import { freePort, later } from './harness.mjs';
import { passed } from './pin.mjs';

// The data of the events of a stream, as they come.
function events(emit) {
	let text = '';
	return (d) => {
		text += d;
		for (;;) {
			const at = text.indexOf('\n\n');
			if (at < 0)
				return;
			const data = text.slice(0, at).split('\n')
			    .filter((l) => l.startsWith('data:'))
			    .map((l) => l.slice(5).trim()).join('\n');
			text = text.slice(at + 2);
			if (data !== '')
				emit(data);
		}
	};
}

// {url, up, down}: up are the messages toward the target, down those from it,
// each [message, session id, HTTP status].
export async function tap(target) {
	const to = new URL(target);
	const up = [], down = [];
	const keep = (list, text, session, status) => {
		for (const m of [JSON.parse(text)].flat())
			list.push([m, session, status]);
	};
	const server = http.createServer((req, res) => {
		const parts = [];
		req.on('data', (d) => parts.push(d));
		req.on('end', () => {
			const body = Buffer.concat(parts);
			if (body.length > 0)
				keep(up, body.toString(),
				    req.headers['mcp-session-id']);
			const next = http.request({ host: to.hostname,
			    port: to.port, path: to.pathname, agent: false,
			    method: req.method, setHost: false,
			    headers: passed(req.rawHeaders) }, (r) => {
				const session = req.headers['mcp-session-id'] ??
				    r.headers['mcp-session-id'];
				const type = r.headers['content-type'] ?? '';
				const whole = [];
				const status = r.statusCode;
				const event = events((t) => keep(down, t, session,
				    status));
				res.writeHead(r.statusCode, passed(r.rawHeaders));
				res.flushHeaders();
				r.on('data', (d) => {
					if (type.startsWith('text/event-stream'))
						event(d.toString());
					else
						whole.push(d);
					res.write(d);
				});
				r.on('end', () => {
					if (whole.length > 0 && /json/.test(type))
						keep(down, Buffer.concat(whole).toString(),
						    session, status);
					res.end();
				});
				r.on('error', () => res.destroy());
			});
			next.on('error', () => res.destroy());
			res.on('close', () => next.destroy());
			next.end(body);
		});
	});
	const port = await freePort();
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => {
		server.closeAllConnections();
		return new Promise((r) => server.close(r));
	});
	return { url: `http://127.0.0.1:${port}${to.pathname}`, up, down };
}
