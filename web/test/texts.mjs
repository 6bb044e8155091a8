// Every text is there in three languages with the same {names}, every key that the pages and the
// program's tables ask for exists, and no text is unused.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { schema } from '../mock.mjs';

const source = new URL('../src/', import.meta.url);
const load = (language) => JSON.parse(readFileSync(new URL(`texts/${language}.json`, source), 'utf8'));
const texts = { nb: load('nb'), nn: load('nn'), en: load('en') };
const code = readdirSync(source, { recursive: true })
    .concat(readdirSync(new URL('pages/', source)).map((name) => `pages/${name}`))
    .filter((name, i, all) => /\.tsx?$/.test(name) && all.indexOf(name) === i)
    .map((name) => readFileSync(new URL(name, source), 'utf8'))
    .join('\n');

const names = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort();
const enumOf = (schemaPath) => schemaPath.reduce((at, step) => at[step], JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8')).components.schemas).enum;

// what the program says in words, a * for what varies; English needs no text of ours
const said = [...readFileSync(new URL('../../ports/linux/web_said.def', import.meta.url), 'utf8').matchAll(/^SAID\("([^"]+)",\s*"((?:[^"\\]|\\.)*)"\)/gm)].map((m) => [m[1], m[2]]);

// keys that the code makes out of values, with all that the values can be
const made = {
    'allowed.': [...readFileSync(new URL('../../core/include/hx/settings.def', import.meta.url), 'utf8').matchAll(/HX_CHECK_(\w+)/g)].map((m) => m[1].toLowerCase()).filter((c) => !['none', 'hash'].includes(c)),
    'verdict.': enumOf(['Live', 'properties', 'link']).flatMap((v) => [`${v}.title`, `${v}.text`]),
    'effect.': enumOf(['Setting', 'properties', 'effect']).filter((e) => e !== 'none'),
    'log.': enumOf(['LogEntry', 'properties', 'kind']),
    'mqtt_state.': enumOf(['Status', 'properties', 'mqtt', 'properties', 'state']),
    'direction.': enumOf(['Live', 'properties', 'net_power', 'properties', 'direction']),
    'phases.': enumOf(['Live', 'properties', 'meter', 'properties', 'phases']),
    'field.': ['active', 'reactive'].flatMap((kind) => [`${kind}_energy_import`, `${kind}_energy_export`]),
    'page.': ['now', 'meter', 'registers', 'settings', 'system'],
    'group.': ['account', 'device', 'network', 'modbus_tcp', 'modbus_rtu', 'mqtt', 'meter', 'hardware'],
    'intro.': ['network', 'modbus_tcp', 'modbus_rtu', 'mqtt', 'hardware'],
    'setup.': ['password', 'meter', 'network', 'outputs'],
    'language.': ['nb', 'nn', 'en'],
    // the names of the counters: rows "dropped_…" of the register table
    'drop.': [...readFileSync(new URL('../../docs/en/registers.md', import.meta.url), 'utf8').matchAll(/`dropped_(\w+)`/g)].map((m) => m[1]),
    // the manual's registers, those that hold something
    'reg.': [...readFileSync(new URL('../../docs/en/registers.md', import.meta.url), 'utf8').matchAll(/^\| 40\d{3}.*? `(\w+)` \| (?!reserved)/gm)].map((m) => m[1]),
    'choice.': [
        ...new Set(schema().flatMap((row) => (row.choices && row.key !== 'language' ? row.choices.filter((c) => !/^\d+$/.test(c)) : []))),
        ...['auto', 'nb', 'nn', 'en'].map((l) => `device.language.${l}`),
    ],
};
const hidden = ['web.username', 'web.password_hash', 'web.password_hash_file'];
const settings = schema().map((row) => `${row.section}.${row.key}`).filter((id) => !hidden.includes(id));
made['set.'] = settings;
made['help.'] = settings;

const wanted = new Set(Object.entries(made).flatMap(([start, ends]) => ends.map((end) => start + end)));
for (const [, key] of code.matchAll(/['`]([a-z_]+\.[a-z0-9_.]+)['`]/g)) {
    if (key in texts.nb) {
        wanted.add(key);
    }
}

let failed = 0;
function check(name, test) {
    try {
        test();
    } catch (error) {
        failed++;
        console.error(`FAIL texts: ${name}: ${error.message}`);
    }
}

check('some settings were found', () => assert.ok(settings.length > 50));
check('some words of the program were found', () => assert.ok(said.length > 100));
for (const language of ['nb', 'nn']) {
    const all = load(`said.${language}`);
    check(`said.${language} has the codes of web_said.def in the same order`, () => assert.deepEqual(Object.keys(all), said.map(([code]) => code)));
    for (const [code, words] of said) {
        const most = words.split('*').length - 1;
        check(`said.${language} ${code} fills in what varies and no more`, () => assert.ok(names(all[code] ?? '').every((n) => Number(n) < most)));
        check(`said.${language} ${code} has the names of nb`, () => assert.deepEqual(names(all[code]), names(load('said.nb')[code])));
    }
}
check('some drops were found', () => assert.equal(made['drop.'].length, 14));
for (const language of ['nn', 'en']) {
    check(`same keys in ${language} and in the same order`, () => assert.deepEqual(Object.keys(texts[language]), Object.keys(texts.nb)));
}
for (const [language, all] of Object.entries(texts)) {
    for (const [key, text] of Object.entries(all)) {
        check(`${language} ${key} is a text`, () => assert.ok(text.trim() === text && text !== ''));
        check(`${language} ${key} has the names of nb`, () => assert.deepEqual(names(text), names(texts.nb[key])));
    }
}
for (const key of wanted) {
    check(`${key} exists`, () => assert.ok(key in texts.nb));
}
for (const key of Object.keys(texts.nb)) {
    check(`${key} is used`, () => assert.ok(wanted.has(key)));
}
for (const [, key] of code.matchAll(/\bt\('([^']+)'/g)) {
    check(`t('${key}') exists`, () => assert.ok(key in texts.nb));
}
console.log(`texts: ${Object.keys(texts.nb).length} in 3 languages, ${failed} failures`);
process.exit(failed === 0 ? 0 : 1);
