// Streamable HTTP with sessions for a server on the official SDK, at /mcp on
// 127.0.0.1:$PORT.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { StreamableHTTPServerTransport } from
    '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';

const sessions = new Map();

function refuse(res, status, code, message) {
	res.writeHead(status, { 'content-type': 'application/json' });
	res.end(JSON.stringify({ jsonrpc: '2.0', id: null,
	    error: { code, message } }));
}

async function body(req) {
	const parts = [];
	let size = 0;
	for await (const part of req) {
		size += part.length;
		if (size > 4 << 20)
			return undefined;
		parts.push(part);
	}
	return JSON.parse(Buffer.concat(parts));
}

async function open(req, res, message, make, options) {
	const transport = new StreamableHTTPServerTransport({
		sessionIdGenerator: randomUUID, ...options(),
		onsessioninitialized: (id) => sessions.set(id, transport),
	});
	transport.onclose = () => sessions.delete(transport.sessionId);
	await make().connect(transport);
	await transport.handleRequest(req, res, message);
}

async function handle(req, res, make, options) {
	if (new URL(req.url, 'http://localhost').pathname !== '/mcp')
		return refuse(res, 404, -32000, 'Not found');
	const host = (req.headers.host ?? '').replace(/:\d+$/, '');
	const origin = req.headers.origin;
	const local = /^(localhost|127\.0\.0\.1|\[::1\])$/;
	if (!local.test(host) ||
	    (origin && !local.test(new URL(origin).hostname)))
		return refuse(res, 403, -32000, 'Forbidden');
	const id = req.headers['mcp-session-id'];
	if (id !== undefined && !sessions.has(id))
		return refuse(res, 404, -32001, 'Session not found');
	const transport = sessions.get(id);
	if (req.method !== 'POST')
		return transport === undefined ?
		    refuse(res, 400, -32000, 'Mcp-Session-Id missing') :
		    transport.handleRequest(req, res);
	let message;
	try {
		message = await body(req);
	} catch {
		return refuse(res, 400, -32700, 'Parse error');
	}
	if (message === undefined)
		return refuse(res, 413, -32000, 'Too large');
	if (transport !== undefined)
		return transport.handleRequest(req, res, message);
	if (isInitializeRequest(message))
		return open(req, res, message, make, options);
	return refuse(res, 400, -32000, 'Mcp-Session-Id missing');
}

// make() returns a new Server for a new session; options() the transport's.
export function serve(name, make, options = () => ({})) {
	const listener = http.createServer((req, res) => {
		handle(req, res, make, options).catch((e) => {
			console.error(`${name}: ${e.message}`);
			if (res.headersSent)
				res.destroy();
			else
				refuse(res, 500, -32603, 'Internal error');
		});
	});
	listener.on('error', (e) => {
		console.error(`${name}: ${e.message}`);
		process.exit(1);
	});
	listener.listen(Number(process.env.PORT ?? 3002), '127.0.0.1');
}
