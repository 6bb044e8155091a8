// The stand-in answers in the shapes of openapi.json, so that what the pages are tested against is
// what the gateway says. Checks the part of JSON Schema that the description uses.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { apiOf, fresh, sessionOf } from '../mock.mjs';

const { paths, components } = JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8'));

const isType = {
    null: (v) => v === null,
    boolean: (v) => typeof v === 'boolean',
    integer: Number.isInteger,
    number: (v) => typeof v === 'number',
    string: (v) => typeof v === 'string',
    array: Array.isArray,
    object: (v) => typeof v === 'object' && v !== null && !Array.isArray(v),
};

function faults(schema, value, at) {
    const part = schema.$ref ? components.schemas[schema.$ref.split('/').pop()] : schema;
    const found = [];
    const types = part.type === undefined ? [] : [part.type].flat();
    if (types.length > 0 && !types.some((type) => isType[type](value))) {
        return [`${at}: ${JSON.stringify(value)} is no ${types}`];
    }
    if (part.enum && !part.enum.includes(value)) {
        found.push(`${at}: ${value} is none of ${part.enum}`);
    }
    if ('const' in part && part.const !== value) {
        found.push(`${at}: ${value} is not ${part.const}`);
    }
    if (Array.isArray(value)) {
        value.forEach((item, i) => found.push(...faults(part.items ?? {}, item, `${at}[${i}]`)));
    } else if (isType.object(value)) {
        (part.required ?? []).filter((name) => !(name in value)).forEach((name) => found.push(`${at}.${name} is missing`));
        for (const [name, item] of Object.entries(value)) {
            const known = part.properties?.[name] ?? part.additionalProperties;
            if (known === false) {
                found.push(`${at}.${name} is not in the description`);
            } else if (known && known !== true) {
                found.push(...faults(known, item, `${at}.${name}`));
            }
        }
    }
    return found;
}

const cases = [
    ['GET', '/live'],
    ['GET', '/status'],
    ['GET', '/settings'],
    ['GET', '/settings/schema'],
    ['PATCH', '/settings', { device: { scale: 2000 } }],
    ['GET', '/registers'],
    ['GET', '/telegrams'],
    ['GET', '/history'],
    ['GET', '/history/recent'],
    ['GET', '/log'],
    ['GET', '/network'],
    ['POST', '/network/confirm'],
    ['POST', '/mqtt/test', {}],
    ['POST', '/password', { current: 'mellomtre77', password: 'lengre-enn-foer' }],
    ['GET', '/backup'],
    ['POST', '/backup', { passphrase: 'hemmelig nok' }],
    ['POST', '/restart'],
    ['POST', '/factory-reset', { confirm: 'factory-reset' }],
];

let failed = 0;
function expect(name, found) {
    if (found.length > 0) {
        failed++;
        console.error(`FAIL shapes: ${name}:\n  ${found.slice(0, 8).join('\n  ')}`);
    }
}

// the validator itself: what is wrong must be found
assert.equal(faults({ type: 'object', properties: {}, required: ['a'], additionalProperties: false }, { b: 1 }, '').length, 2);
assert.equal(faults({ type: ['string', 'null'] }, 3, '').length, 1);

for (const variant of ['normal', 'one_phase', 'fresh', 'silent', 'export', 'simulated']) {
    for (const [method, path, body] of cases) {
        const state = { ...fresh(), variant };
        const answers = paths[`/api/v1${path}`][method.toLowerCase()].responses;
        const good = Object.entries(answers).find(([code]) => code < '300')[1];
        expect(`${variant} ${method} ${path}`, faults(good.content['application/json'].schema, apiOf(state, method, path, body), 'answer'));
    }
}
for (const inside of [true, false]) {
    expect(`session ${inside}`, faults({ $ref: '#/components/schemas/Session' }, sessionOf(fresh(), inside), 'session'));
}
console.log(`shapes: ${cases.length * 6 + 2} answers, ${failed} failures`);
process.exit(failed === 0 ? 0 : 1);
