// node --require this: every TCP listener of the program binds to 127.0.0.1,
// whatever it asks for. For servers that listen on all interfaces.
'use strict';
const net = require('node:net');

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
	const [first] = args;
	if (first !== null && typeof first === 'object') {
		if (first.port !== undefined && first.path === undefined)
			args[0] = { ...first, host: '127.0.0.1' };
		return listen.apply(this, args);
	}
	const path = typeof first === 'string' && !/^\d+$/.test(first);
	if (path)
		return listen.apply(this, args);
	const done = args.find((a) => typeof a === 'function');
	const port = typeof first === 'function' ? 0 : Number(first ?? 0);
	return listen.call(this, { port, host: '127.0.0.1' }, done);
};
