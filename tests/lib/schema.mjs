// SPDX-License-Identifier: Apache-2.0
/* JSON Schema 2020-12, as much of it as services/ingest/openapi.json uses. A keyword it does not know is an error, not a pass. */
const NOTES = new Set(['description', 'default', 'format', 'summary']);
const typeOf = (value) => value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
const fits = (value, type) => type === 'integer' ? Number.isInteger(value) : typeOf(value) === type;
const bytes = (text) => Buffer.byteLength(text);

const KEYWORDS = {
	$ref: (value, ref, at, s) => s.check(value, s.find(ref), at),
	type: (value, types, at) => [].concat(types).some((type) => fits(value, type)) ? [] : [`${at} is ${typeOf(value)}, not ${types}`],
	const: (value, wanted, at) => value === wanted ? [] : [`${at} is not ${wanted}`],
	enum: (value, wanted, at) => wanted.includes(value) ? [] : [`${at} is ${JSON.stringify(value)}, none of ${wanted}`],
	required: (value, names, at) => typeOf(value) !== 'object' ? [] : names.filter((name) => !(name in value)).map((name) => `${at}.${name} is missing`),
	properties: (value, schemas, at, s) => typeOf(value) !== 'object' ? []
		: Object.entries(schemas).flatMap(([name, schema]) => name in value ? s.check(value[name], schema, `${at}.${name}`) : []),
	additionalProperties: (value, allowed, at, s, schema) => allowed || typeOf(value) !== 'object' ? []
		: Object.keys(value).filter((name) => !(name in (schema.properties ?? {}))).map((name) => `${at}.${name} is not described`),
	minProperties: (value, least, at) => typeOf(value) !== 'object' || Object.keys(value).length >= least ? [] : [`${at} is empty`],
	items: (value, schema, at, s) => Array.isArray(value) ? value.flatMap((item, i) => s.check(item, schema, `${at}[${i}]`)) : [],
	minItems: (value, least, at) => !Array.isArray(value) || value.length >= least ? [] : [`${at} has fewer than ${least} items`],
	maxItems: (value, most, at) => !Array.isArray(value) || value.length <= most ? [] : [`${at} has more than ${most} items`],
	minLength: (value, least, at) => typeof value !== 'string' || bytes(value) >= least ? [] : [`${at} is too short`],
	maxLength: (value, most, at) => typeof value !== 'string' || bytes(value) <= most ? [] : [`${at} is too long`],
	pattern: (value, pattern, at) => typeof value !== 'string' || new RegExp(pattern, 'u').test(value) ? [] : [`${at} does not match ${pattern}`],
	minimum: (value, least, at) => typeof value !== 'number' || value >= least ? [] : [`${at} is less than ${least}`],
	maximum: (value, most, at) => typeof value !== 'number' || value <= most ? [] : [`${at} is greater than ${most}`],
	not: (value, schema, at, s) => s.check(value, schema, at).length ? [] : [`${at} is what it must not be`],
	anyOf: (value, schemas, at, s) => schemas.some((schema) => s.check(value, schema, at).length === 0) ? [] : [`${at} fits none of ${schemas.length} schemas`],
	oneOf: (value, schemas, at, s) => {
		const wrong = schemas.map((schema) => s.check(value, schema, at));
		const count = wrong.filter((errors) => errors.length === 0).length;
		return count === 1 ? [] : [`${at} fits ${count} of ${schemas.length} schemas: ${wrong.flat().join('; ')}`];
	},
};

export class Schemas {
	constructor(root) {
		this.root = root;
	}

	/* "#/components/schemas/Room" */
	find(ref) {
		const found = ref.slice(2).split('/').reduce((at, name) => at?.[name.replaceAll('~1', '/').replaceAll('~0', '~')], this.root);
		if (!ref.startsWith('#/') || found === undefined)
			throw new Error(`${ref} leads nowhere`);
		return found;
	}

	/* What is described here, or where it refers to. */
	resolve(node) {
		return node?.$ref ? this.resolve(this.find(node.$ref)) : node;
	}

	/* What is wrong with the value: [] when nothing is. */
	check(value, schema, at = 'it') {
		return Object.entries(schema).flatMap(([keyword, wanted]) => {
			if (NOTES.has(keyword))
				return [];
			if (!KEYWORDS[keyword])
				throw new Error(`the keyword ${keyword} is not known to tests/lib/schema.mjs`);
			return KEYWORDS[keyword](value, wanted, at, this, schema);
		});
	}
}
