// node --import this: bare imports of the tests come from $MCPGW_NPM
// (obj/npm), wherever the importing file lies.
import { registerHooks, builtinModules } from 'node:module';
import { pathToFileURL } from 'node:url';
import { npm } from './paths.mjs';

const home = pathToFileURL(`${npm}/package.json`).href;
const modules = pathToFileURL(`${npm}/node_modules/`).href;

registerHooks({
	resolve(spec, context, next) {
		const bare = !/^([./]|[a-z]+:)/.test(spec) &&
		    !builtinModules.includes(spec);
		if (bare && !context.parentURL?.startsWith(modules))
			context = { ...context, parentURL: home };
		return next(spec, context);
	},
});
