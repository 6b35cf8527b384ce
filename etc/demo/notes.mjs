// A small MCP server on the official SDK: notes kept in memory, as tools,
// resources and a prompt. Streamable HTTP with sessions on 127.0.0.1:$PORT.
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
	CallToolRequestSchema, CompleteRequestSchema, ErrorCode,
	GetPromptRequestSchema, ListPromptsRequestSchema,
	ListResourceTemplatesRequestSchema, ListResourcesRequestSchema,
	ListToolsRequestSchema, McpError, ReadResourceRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { serve } from './serve.mjs';

const page = Number(process.env.PAGE ?? 50);
const limit = 1000;
const notes = new Map([
	['1', { id: '1', title: 'Welcome',
	    text: 'These notes live in the memory of the demo server.' }],
	['2', { id: '2', title: 'Shopping', text: 'milk, bread, coffee' }],
]);
let lastId = 2;

const text = (value) => ({ content: [{ type: 'text', text: value }] });
const invalid = (why) => new McpError(ErrorCode.InvalidParams, why);
const uri = (note) => `notes://note/${note.id}`;

function find(query) {
	const q = String(query).toLowerCase();
	return [...notes.values()].filter((n) =>
	    `${n.title} ${n.text}`.toLowerCase().includes(q));
}

function add({ title, text: body }) {
	if (typeof title !== 'string' || typeof body !== 'string')
		throw invalid('title and text are strings');
	if (notes.size >= limit)
		return { ...text(`There is room for ${limit} notes.`),
		    isError: true };
	const note = { id: String(++lastId), title, text: body };
	notes.set(note.id, note);
	return { ...text(`Added note ${note.id}.`), structuredContent: note };
}

const note = {
	type: 'object',
	properties: { id: { type: 'string' }, title: { type: 'string' },
	    text: { type: 'string' } },
	required: ['id', 'title', 'text'],
};
const tools = [
	{
		def: {
			name: 'add', title: 'Add a note',
			description: 'Adds a note and returns it.',
			inputSchema: {
				type: 'object',
				properties: {
					title: { type: 'string' },
					text: { type: 'string' },
				},
				required: ['title', 'text'],
			},
			outputSchema: note,
			annotations: { readOnlyHint: false },
		},
		call: add,
	},
	{
		def: {
			name: 'list', title: 'List the notes',
			description: 'Lists the titles of all notes.',
			inputSchema: { type: 'object', properties: {} },
			annotations: { readOnlyHint: true },
		},
		call: () => text([...notes.values()]
		    .map((n) => `${n.id}: ${n.title}`).join('\n')),
	},
	{
		def: {
			name: 'search', title: 'Search the notes',
			description: 'Finds the notes that contain a text.',
			inputSchema: {
				type: 'object',
				properties: { query: { type: 'string' } },
				required: ['query'],
			},
			annotations: { readOnlyHint: true },
		},
		call: ({ query }) => ({
			content: find(query).map((n) => ({
				type: 'resource_link', uri: uri(n), name: n.title,
				mimeType: 'text/plain',
			})),
		}),
	},
];

const prompts = [{
	name: 'summarize',
	title: 'Summarize the notes',
	description: 'Asks for a summary of the notes about a topic.',
	arguments: [{ name: 'topic', description: 'what they are about',
	    required: true }],
}];

// One page of a list, and the cursor of the next.
function slice(all, key, cursor) {
	const at = cursor === undefined ? 0 : Number(cursor);
	if (!Number.isInteger(at) || at < 0 || at > all.length)
		throw invalid('unknown cursor');
	const more = at + page < all.length;
	return { [key]: all.slice(at, at + page),
	    ...(more && { nextCursor: String(at + page) }) };
}

function prompt({ name, arguments: args }) {
	if (name !== 'summarize')
		throw invalid(`no prompt ${name}`);
	const topic = args?.topic ?? '';
	return {
		description: prompts[0].description,
		messages: [
			{ role: 'user', content: { type: 'text',
			    text: `Summarize my notes about ${topic}.` } },
			...find(topic).map((n) => ({
				role: 'user',
				content: { type: 'resource', resource: {
				    uri: uri(n), mimeType: 'text/plain',
				    text: n.text } },
			})),
		],
	};
}

function server() {
	const s = new Server({ name: 'notes', title: 'Notes', version: '1.0.0' },
	    {
		capabilities: { tools: {}, resources: {}, prompts: {},
		    completions: {} },
		instructions: 'Keeps notes in memory for as long as it runs.',
	});
	const on = (schema, fn) => s.setRequestHandler(schema,
	    (r) => fn(r.params ?? {}));

	on(ListToolsRequestSchema, (p) =>
	    slice(tools.map((t) => t.def), 'tools', p.cursor));
	on(CallToolRequestSchema, ({ name, arguments: args }) => {
		const tool = tools.find((t) => t.def.name === name);
		if (tool === undefined)
			throw invalid(`no tool ${name}`);
		return tool.call(args ?? {});
	});
	on(ListResourcesRequestSchema, (p) => slice([...notes.values()].map(
	    (n) => ({ uri: uri(n), name: n.title, mimeType: 'text/plain',
		description: 'a note' })), 'resources', p.cursor));
	on(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [{
		uriTemplate: 'notes://note/{id}', name: 'note',
		description: 'a note by its number', mimeType: 'text/plain',
	}] }));
	on(ReadResourceRequestSchema, ({ uri: asked }) => {
		const n = [...notes.values()].find((x) => uri(x) === asked);
		if (n === undefined)
			throw new McpError(-32002, 'Resource not found',
			    { uri: asked });
		return { contents: [{ uri: asked, mimeType: 'text/plain',
		    text: n.text }] };
	});
	on(ListPromptsRequestSchema, (p) => slice(prompts, 'prompts', p.cursor));
	on(GetPromptRequestSchema, prompt);
	on(CompleteRequestSchema, ({ argument }) => {
		const values = [...notes.values()].map((n) => n.title).filter(
		    (t) => t.toLowerCase().startsWith(
			argument.value.toLowerCase()));
		return { completion: { values: values.slice(0, 100),
		    total: values.length, hasMore: values.length > 100 } };
	});
	return s;
}

serve('notes', server, () => ({
	enableJsonResponse: process.env.JSON_RESPONSES === '1',
}));
