// What is a message of a revision, by the official SDK's schemas; where there is
// a folder with REVISION.json of the specification, named by MCP_SCHEMA or
// beside the tree, by those too.
import { existsSync, readFileSync } from 'node:fs';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { clip, same } from './harness.mjs';

const names = {
	'initialize': 'Initialize', 'ping': 'Ping', 'tools/list': 'ListTools',
	'tools/call': 'CallTool', 'prompts/list': 'ListPrompts',
	'prompts/get': 'GetPrompt', 'resources/list': 'ListResources',
	'resources/templates/list': 'ListResourceTemplates',
	'resources/read': 'ReadResource', 'resources/subscribe': 'Subscribe',
	'resources/unsubscribe': 'Unsubscribe',
	'completion/complete': 'Complete', 'logging/setLevel': 'SetLevel',
	'elicitation/create': 'Elicit', 'roots/list': 'ListRoots',
	'sampling/createMessage': 'CreateMessage',
};
const empty = ['ping', 'resources/subscribe', 'resources/unsubscribe',
    'logging/setLevel'];
const notes = {
	'initialized': 'Initialized', 'cancelled': 'Cancelled',
	'progress': 'Progress', 'message': 'LoggingMessage',
	'resources/updated': 'ResourceUpdated',
	'resources/list_changed': 'ResourceListChanged',
	'tools/list_changed': 'ToolListChanged',
	'prompts/list_changed': 'PromptListChanged',
	'roots/list_changed': 'RootsListChanged',
	'elicitation/complete': 'ElicitationComplete',
};

// What a message is called; asked: the method of the request that it answers.
export function kind(m, asked) {
	if (m.method !== undefined)
		return m.id !== undefined ? `${names[m.method]}Request` :
		    `${notes[m.method.replace(/^notifications\//, '')]}Notification`;
	if (m.error !== undefined)
		return 'error';
	return empty.includes(asked) ? 'EmptyResult' : `${names[asked]}Result`;
}

const compiled = new Map();
let told = false; // that there are none

// A function that says what is wrong by the specification's own schema.
function official(revision) {
	const dir = process.env.MCP_SCHEMA ??
	    new URL('../../../../shared/ref/schema', import.meta.url).pathname;
	if (!existsSync(dir)) {
		if (!told)
			console.log(`# no schemas of the specification in ${
			    dir}: judged by those of the SDK only`);
		told = true;
		return () => undefined;
	}
	if (!compiled.has(revision)) {
		const schema = JSON.parse(readFileSync(`${dir}/${revision}.json`));
		const defs = schema.$defs ? '$defs' : 'definitions';
		const ajv = new (schema.$defs ? Ajv2020 : Ajv)({ strict: false });
		(formats.default ?? formats)(ajv);
		ajv.addSchema(schema, 'mcp');
		compiled.set(revision, (name, value) => {
			const fn = ajv.getSchema(`mcp#/${defs}/${name}`);
			if (fn === undefined)
				return `${revision} knows no ${name}`;
			return fn(value) ? undefined :
			    `${name}: ${ajv.errorsText(fn.errors)}`;
		});
	}
	return compiled.get(revision);
}

// An error with an HTTP status of its own may have no id: so the text of every
// revision, and the schema since 2025-11-25.
function framed(m, revision, status) {
	const bare = m.error !== undefined && m.id === undefined &&
	    status >= 400 && revision < '2025-11-25';
	return official(revision)('JSONRPCMessage', bare ? { ...m, id: 0 } : m);
}

// What is wrong with a message, or undefined. asked: the method of the request
// that it answers; status: the HTTP status it came with.
export function wrong(m, asked, revision, status) {
	const name = kind(m, asked);
	if (/undefined/.test(name))
		return `unknown: ${m.method ?? asked}`;
	const envelope = types.JSONRPCMessageSchema.safeParse(m);
	if (!envelope.success)
		return `envelope: ${envelope.error.message}`;
	const why = framed(m, revision, status);
	if (why !== undefined || name === 'error')
		return why;
	const value = m.method === undefined ? m.result : m;
	const schema = types[`${name}Schema`];
	const r = schema.safeParse(value);
	if (!r.success)
		return `${name}: ${r.error.message}`;
	return official(revision)(name, value);
}

// Judges messages as they come, so that none need be kept.
export class Schemas {
	seen = {}; // by revision and what they are called: how many
	#wrong = [];
	#n = 0;

	look(m, asked, revision, status) {
		const what = `${revision} ${kind(m, asked)}`;
		this.seen[what] = (this.seen[what] ?? 0) + 1;
		this.#n++;
		const why = wrong(m, asked, revision, status);
		if (why !== undefined)
			this.#wrong.push(`${revision}: ${why.replace(/\s+/g, ' ')}: ${
			    clip(JSON.stringify(m), 300)}`);
	}

	judge() {
		same(this.#wrong.slice(0, 5), [],
		    `${this.#wrong.length} wrong of ${this.#n}`);
	}
}
