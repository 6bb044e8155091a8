// A stand-in for the gateway's web server, for tests of the pages only: serves dist/ under the same
// Content-Security-Policy and answers the API in the shapes of openapi.json (test/shapes.mjs checks that).
// Settings and registers come from the program's own tables, so the forms are those of the real thing.
import { readFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const dist = new URL('dist/', import.meta.url);
const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const types = { js: 'text/javascript', css: 'text/css', html: 'text/html', svg: 'image/svg+xml', png: 'image/png', webmanifest: 'application/manifest+json' };

export const policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// settings: rows of settings.def

const kinds = { HX_SET_BOOL: 'bool', HX_SET_INT: 'int', HX_SET_ENUM: 'enum', HX_SET_TEXT: 'text', HX_SET_SECRET: 'secret' };
const words = [...readFileSync(new URL('../ports/linux/web_said.def', import.meta.url), 'utf8').matchAll(/^SAID\("([^"]+)",\s*"((?:[^"\\]|\\.)*)"\)/gm)].map((m) => ({
    code: m[1],
    like: new RegExp(`^${m[2].replace(/[.?()]/g, '\\$&').replaceAll('*', '(.+?)')}$`),
}));

/** What the program says in words, with its code. */
function said(key, text) {
    const row = words.find((w) => w.like.test(text));
    return { [key]: text, [`${key}_code`]: row?.code ?? null, [`${key}_values`]: row ? text.match(row.like).slice(1) : [] };
}

const sections = { meter: 'meter', modbus_tcp: 'modbus_tcp', modbus_rtu: 'modbus_rtu', mqtt: 'mqtt', web: 'web', network: 'network', device: 'none', io: 'restart' };

function typed(kind, text) {
    return kind === 'bool' ? text === 'yes' : kind === 'int' ? Number(text) : text;
}

export function schema() {
    const text = read('../core/include/hx/settings.def');
    const row = /HX_SETTING\(\w+, "(\w+)", "(\w+)", (\w+), (\d+), (\d+), "([^"]*)", "([^"]*)", HX_CHECK_(\w+),\s*"([^"]*)"\)/g;
    return [...text.matchAll(row)].map(([, section, key, set, min, max, def, choices, check, meaning]) => {
        const type = kinds[set];
        const bounded = type === 'int' || type === 'text' || type === 'secret';
        return {
            section,
            key,
            type,
            min: type === 'int' || type === 'text' ? Number(min) : null,
            max: bounded ? Number(max) : null,
            choices: type === 'enum' ? choices.split(' ') : null,
            default: type === 'secret' ? null : typed(type, def),
            meaning,
            allowed: 'what the table allows',
            secret: type === 'secret',
            check: check.toLowerCase(),
            effect: sections[section],
        };
    });
}

/// registers: rows of registers.md

function hex(value, words) {
    const wide = BigInt.asUintN(words * 16, BigInt(Math.round(value))).toString(16).padStart(words * 4, '0');
    return wide.match(/..../g).join(' ');
}

function registerRows() {
    const row = /^\| (\d{5})(?:-(\d{5}))? \| \d+ \| `(\w+)` \| (\w+) \| (.*?) \| (R|R\/W) \| (.*) \|$/gm;
    return [...read('../docs/en/registers.md').matchAll(row)].map(([, first, last, name, type, unit, access, meaning]) => ({
        address: Number(first),
        words: last ? Number(last) - Number(first) + 1 : 1,
        type,
        name,
        unit: unit.trim(),
        meaning,
        writable: access === 'R/W',
    }));
}

const units = { mA: 1000, '0.1 V': 10 };

function registers(live) {
    return registerRows().map((row) => {
        const field = live.fields[row.name];
        const value = row.name === 'scale' || row.name === 'scale_alias' ? live.scale : row.name === 'clock_year' ? 2026 : Math.floor((field?.value ?? 0) * (units[row.unit] ?? 1));
        const real = row.type === 'reserved' || row.type === 'float32' ? null : value;
        return { ...row, value: real, raw: hex(real ?? 0, row.words) };
    });
}

/// readings

function field(value, unit, decimals, more = {}) {
    const known = value !== null;
    return { value, unit, decimals, quality: known ? 'measured' : 'unknown', age_s: known ? 0.4 : null, not_measured: false, waits_for_hour: false, ...more };
}

/** A day at home in a few waves: no chance in it, so that pictures are the same each time. */
export function powerAt(second) {
    const wave = Math.sin(second / 340) * 420 + Math.sin(second / 47) * 90 + (Math.floor(second / 700) % 3 === 0 ? 1900 : 0);
    return Math.round(1450 + wave);
}

function readings(state) {
    const now = state.now();
    const sun = state.variant === 'export' ? 5200 : 0;
    const net = powerAt(now / 1000) - sun;
    const one = state.variant === 'one_phase';
    const fresh = state.variant === 'fresh';
    const missing = one ? { not_measured: true } : {};
    const amps = (share) => Math.round((Math.abs(net) * share) / 23) / 10;
    const energy = (value) => (fresh ? field(null, 'kWh', 2, { waits_for_hour: true }) : field(value, 'kWh', 2, { age_s: 1460 }));
    const reactive = (value) => ({ ...energy(value), unit: 'kVArh' });
    const estimated = (value, unit = 'kWh') => (fresh ? field(null, unit, 2) : field(value, unit, 2, { quality: 'estimated' }));
    const silent = state.variant === 'silent';
    return {
        time: new Date(now).toISOString(),
        uptime_s: 273840,
        telegrams: 109400 + state.sent,
        simulated: state.variant === 'simulated',
        scale: state.values.device.scale,
        link: silent ? 'silent' : 'good',
        link_text: silent ? 'nothing comes from the meter' : 'the meter sends good telegrams',
        last_good_age_s: silent ? null : 0.4,
        meter: silent
            ? { known: false, maker: '', id: '', type: '', version: '', phases: 'unknown', list: 0, clock: null, clock_age_s: null }
            : { known: true, maker: 'aidon', id: state.meterId, type: '6534', version: 'AIDON_V0001', phases: one ? '1' : '3tn', list: 2, clock: '2026-11-24T22:00:00', clock_age_s: 1460 },
        net_power: silent
            ? { value: null, unit: 'W', decimals: 0, quality: 'unknown', age_s: null, direction: 'unknown' }
            : { value: net, unit: 'W', decimals: 0, quality: 'measured', age_s: 0.4, direction: net > 0 ? 'import' : net < 0 ? 'export' : 'none' },
        fields: {
            active_power_import: field(silent ? null : Math.max(net, 0), 'W', 0),
            active_power_export: field(silent ? null : Math.max(-net, 0), 'W', 0),
            reactive_power_import: field(silent ? null : 220, 'VAr', 0),
            reactive_power_export: field(silent ? null : 0, 'VAr', 0),
            current_l1: field(silent ? null : amps(0.42), 'A', 1),
            current_l2: field(silent || one ? null : amps(0.31), 'A', 1, missing),
            current_l3: field(silent || one ? null : amps(0.27), 'A', 1, missing),
            voltage_l1: field(silent ? null : 233.1, 'V', 1),
            voltage_l2: field(silent || one ? null : 230.4, 'V', 1, missing),
            voltage_l3: field(silent || one ? null : 230.9, 'V', 1, missing),
            active_energy_import: energy(68422.31),
            active_energy_export: energy(1204.77),
            reactive_energy_import: reactive(5711.02),
            reactive_energy_export: reactive(332.4),
            active_energy_import_estimated: estimated(68423.05 + state.sent / 100),
            active_energy_export_estimated: estimated(1204.77),
            reactive_energy_import_estimated: estimated(5711.11, 'kVArh'),
            reactive_energy_export_estimated: estimated(332.4, 'kVArh'),
        },
        digital_input: false,
        temperature_c: 31.4,
    };
}

function recent(state) {
    const now = state.now();
    const ages = [];
    for (let age = 3597500; age > 0; age -= 2500) {
        ages.push(age);
    }
    const at = ages.map((age) => powerAt((now - age) / 1000) - (state.variant === 'export' ? 3000 + 2200 * Math.cos(age / 900000) : 0));
    return { count: ages.length, now_utc_ms: now, age_ms: ages, import: at.map((w) => Math.round(Math.max(w, 0))), export: at.map((w) => Math.round(Math.max(-w, 0))) };
}

function history(state, query) {
    const hours = Number(query.get('hours') ?? 1);
    const step = Number(query.get('step_s') ?? 10);
    const count = (hours * 3600) / step;
    const end = Math.floor(state.now() / 1000);
    const watts = Array.from({ length: count }, (_, i) => powerAt(end - (count - i) * step));
    const series = {};
    for (const kind of ['min', 'avg', 'max']) {
        series[`import_${kind}`] = watts;
        series[`export_${kind}`] = watts.map(() => 0);
    }
    for (const name of ['current', 'voltage']) {
        for (const phase of [1, 2, 3]) {
            series[`${name}_l${phase}`] = watts.map(() => (name === 'voltage' ? 231 : 3.2));
        }
    }
    return { step_s: step, count, end_utc_s: end, series };
}

/// the rest

const dropNames = ['head', 'hcs', 'flag', 'fcs', 'line', 'segment', 'llc', 'encrypted', 'axdr', 'layout', 'date', 'identity', 'energy'];

function status(state) {
    const live = readings(state);
    return {
        time: live.time,
        version: '0.1.0',
        uptime_s: live.uptime_s,
        starts: 7,
        device_number: 70388,
        name: state.values.device.name,
        hostname: state.values.network.hostname,
        factory_password: state.factory,
        read_only: state.factory,
        simulated: live.simulated,
        link: {
            verdict: live.link,
            text: live.link_text,
            last_byte_age_s: live.last_good_age_s,
            last_good_age_s: live.last_good_age_s,
            bytes: 21004331,
            telegrams: live.telegrams,
            lists: [live.telegrams - 27000, 26924, 76],
            line_errors: 3,
            drops: dropNames.map((reason) => ({ reason, text: reason, count: reason === 'fcs' ? 4 : 0 })),
        },
        modbus_tcp: {
            enabled: state.values.modbus_tcp.enabled,
            listening: true,
            port: state.values.modbus_tcp.port,
            clients: 2,
            limit: 64,
            accepted: 41,
            evicted: 0,
            broken: 1,
            peers: [
                { address: '192.168.1.20:51334', idle_s: 1 },
                { address: '192.168.1.31:40122', idle_s: 9 },
            ],
        },
        modbus_rtu: { enabled: false, device: '', open: false, answered: 0 },
        mqtt: { enabled: true, state: 'waiting', broker: 'mqtt://broker.home', ...said('error', 'refused: user name or password'), published: 20331, lost: 0 },
        web: { clients: 1, events: 1, http_port: 80, tls_port: 443, certificate_sha256: '7f'.repeat(32) },
        lights: { power: true, han: live.link === 'good' },
        gateways: state.gateways,
    };
}

const frame = readFileSync(new URL('test/telegram.hex', import.meta.url), 'utf8').replace(/\s/g, '');

function telegrams(state) {
    return Array.from({ length: 100 }, (_, i) => {
        const ok = i % 9 !== 4;
        return {
            number: 400 + state.sent - i,
            time: new Date(state.now() - i * 2500).toISOString(),
            age_s: i * 2.5,
            ok,
            reason: ok ? null : 'wrong checksum',
            reason_code: ok ? null : 'fcs',
            bytes: frame.length / 2,
            raw: frame,
            cut: false,
            list: ok ? 1 : null,
            // the reading of test/telegram.hex by hand: Aidon list 1, 0x0000139b W
            decoded: ok ? { manufacturer: 'aidon', list: 1, meter_id: null, active_power_import_w: 5019, meter_clock: null } : null,
        };
    });
}

function log(state, count) {
    return state.log.slice(0, count).map((entry, i) => ({ number: state.log.length - i, time: new Date(state.now() - i * 754000).toISOString(), ...entry }));
}

/// requests

class Refused extends Error {
    constructor(status, error, message, more = {}) {
        super(message);
        this.status = status;
        this.body = { error, message, ...more };
    }
}

function session(state, inside) {
    return {
        logged_in: inside,
        username: inside ? state.values.web.username : null,
        factory_password: inside ? state.factory : null,
        read_only: inside ? state.factory : null,
        name: inside ? state.values.device.name : null,
        language: state.values.device.language,
        version: inside ? '0.1.0' : null,
        tls: false,
        retry_after_s: 0,
    };
}

function settings(state) {
    return { settings: state.values, secrets_set: state.secrets, fixed: ['web.port'], file: '/etc/han2x/han2x.conf' };
}

function patch(state, body) {
    const rows = schema();
    const faults = [];
    const changed = [];
    for (const [section, keys] of Object.entries(body)) {
        for (const [key, value] of Object.entries(keys)) {
            const row = rows.find((r) => r.section === section && r.key === key);
            // one rule that the page does not know, so that a refusal can be seen
            if (!row || value === 'refused.example') {
                faults.push({ key: `${section}.${key}`, ...said('message', 'this machine has no such address'), allowed: row?.allowed ?? '' });
            } else {
                changed.push([row, value]);
            }
        }
    }
    if (faults.length > 0) {
        throw new Refused(422, 'invalid', 'values refused', { fields: faults });
    }
    for (const [row, value] of changed) {
        if (row.secret) {
            state.secrets = state.secrets.filter((name) => name !== `${row.section}.${row.key}`).concat(value === '' ? [] : [`${row.section}.${row.key}`]);
        } else {
            state.values[row.section][row.key] = value;
        }
    }
    return { changed: changed.map(([row]) => `${row.section}.${row.key}`), effects: [...new Set(changed.map(([row]) => row.effect))], settings: settings(state) };
}

function change(state) {
    if (state.factory) {
        throw new Refused(403, 'factory_password', 'change the password first');
    }
}

const answers = {
    'GET /live': (state) => readings(state),
    'GET /status': (state) => status(state),
    'GET /settings': (state) => settings(state),
    'GET /settings/schema': () => ({ settings: schema() }),
    'PATCH /settings': (state, body) => (change(state), patch(state, body)),
    'GET /registers': (state) => ({ registers: registers(readings(state)) }),
    'GET /telegrams': (state) => ({ telegrams: telegrams(state) }),
    'GET /history': (state, _, query) => history(state, query),
    'GET /history/recent': (state) => recent(state),
    'GET /log': (state, _, query) => ({ entries: log(state, Number(query.get('count') ?? 100)) }),
    'GET /network': (state) => ({ manage: true, pending: state.pending, remaining_s: state.pending ? 97 : 0, addresses: ['192.168.1.232'], hostname: 'han2x', old_address: '192.168.1.232', new_address: '192.168.1.232', ...said('error', '') }),
    'POST /network/confirm': (state) => ((state.pending = false), answers['GET /network'](state)),
    'POST /mqtt/test': (state, body) => (change(state), body.url === 'mqtt://good.example' ? { ok: true, broker: body.url, ...said('message', 'connected') } : { ok: false, broker: 'mqtt://broker.home', ...said('message', 'refused: user name or password') }),
    'POST /password': (state, body) => {
        if (body.current !== state.password) {
            throw new Refused(401, 'unauthorized', 'the password in use is another one');
        }
        state.password = body.password;
        state.values.web.username = body.username ?? state.values.web.username;
        state.factory = false;
        return session(state, true);
    },
    'GET /backup': (state) => ({ format: 'han2x-backup', version: 1, made: new Date(state.now()).toISOString(), program: '0.1.0', settings: state.values }),
    'POST /backup': (state) => (change(state), { ...answers['GET /backup'](state), secrets: { cipher: 'AES-256-GCM', kdf: 'PBKDF2-SHA256', iterations: 1, salt: 'AA==', nonce: 'AA==', data: 'AA==' } }),
    'PUT /backup': (state, body) => (change(state), patch(state, body.backup.settings)),
    'POST /restart': (state) => (change(state), { accepted: true, message: 'restarting' }),
    'POST /factory-reset': (state, body) => {
        change(state);
        if (body.confirm !== 'factory-reset') {
            throw new Refused(422, 'invalid', 'not confirmed');
        }
        state.resets++;
        return { accepted: true, message: 'resetting' };
    },
};

async function bodyOf(request) {
    let text = '';
    for await (const part of request) {
        text += part;
    }
    return text === '' ? {} : JSON.parse(text);
}

function send(response, code, body, headers = {}) {
    response.writeHead(code, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers });
    response.end(body === undefined ? undefined : JSON.stringify(body));
}

async function logIn(state, request, response) {
    const body = await bodyOf(request);
    state.failures = body.username === state.values.web.username && body.password === state.password ? 0 : state.failures + 1;
    if (state.failures > 5) {
        send(response, 429, { error: 'too_many_attempts', message: 'too many failed logins', retry_after_s: 2 });
    } else if (state.failures > 0) {
        send(response, 401, { error: 'unauthorized', message: 'wrong user name or password' });
    } else {
        send(response, 200, session(state, true), { 'Set-Cookie': 'han2x_session=mock; HttpOnly; SameSite=Strict; Path=/' });
    }
}

function events(state, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const push = () => {
        state.sent++;
        response.write(`event: live\ndata: ${JSON.stringify(readings(state))}\n\n`);
    };
    push();
    const timer = setInterval(push, state.paceMs);
    response.on('close', () => clearInterval(timer));
}

async function apiAnswer(state, request, response, url) {
    const path = url.pathname.replace('/api/v1', '');
    const inside = (request.headers.cookie ?? '').includes('han2x_session=mock');
    if (path === '/session' && request.method === 'POST') {
        await logIn(state, request, response);
    } else if (path === '/session' && request.method === 'DELETE') {
        send(response, 204, undefined, { 'Set-Cookie': 'han2x_session=; Max-Age=0; Path=/' });
    } else if (path === '/session') {
        send(response, 200, session(state, inside));
    } else if (!inside) {
        send(response, 401, { error: 'unauthorized', message: 'log in first' });
    } else if (path === '/events') {
        events(state, response);
    } else if (answers[`${request.method} ${path}`]) {
        const body = ['POST', 'PUT', 'PATCH'].includes(request.method) ? await bodyOf(request) : {};
        send(response, 200, answers[`${request.method} ${path}`](state, body, url.searchParams));
    } else {
        send(response, 404, { error: 'not_found', message: 'no such path' });
    }
}

function file(response, pathname) {
    const path = pathname === '/' ? 'index.html' : pathname.slice(1);
    if (path.includes('..') || !existsSync(new URL(path, dist))) {
        send(response, 404, { error: 'not_found', message: 'no such path' });
        return;
    }
    response.writeHead(200, { 'Content-Type': types[path.split('.').pop()], 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff' });
    response.end(readFileSync(new URL(path, dist)));
}

export function fresh() {
    const values = {};
    for (const row of schema()) {
        values[row.section] = { ...values[row.section], [row.key]: row.secret ? null : row.default };
    }
    values.device.name = 'Hytta';
    const entry = (kind, from, text) => ({ kind, from, ...said('text', text) });
    return {
        values,
        secrets: ['mqtt.password'],
        factory: false,
        password: 'mellomtre77',
        failures: 0,
        variant: 'normal',
        meterId: '7359992890000001',
        pending: false,
        sent: 0,
        resets: 0,
        gateways: [],
        paceMs: 2500,
        now: () => Date.now(),
        log: [
            entry('login', '192.168.1.20', 'user name and password accepted'),
            entry('modbus_write', '192.168.1.31:40122', 'scale factor written over Modbus TCP: 1.000'),
            entry('settings', '192.168.1.20', 'changed: mqtt.enabled mqtt.url'),
            entry('login_failed', '192.168.1.77', 'wrong user name or password'),
            entry('password', '192.168.1.20', 'password changed'),
            entry('start', '', 'han2x 0.1.0 started'),
        ],
    };
}

export const apiOf = (state, method, path, body = {}, query = '') => answers[`${method} ${path}`](state, body, new URLSearchParams(query));
export const sessionOf = session;

/** @return {Promise<{url: string, close: () => void}>} */
export function serve(state, port = 0) {
    const server = createServer((request, response) => {
        const url = new URL(request.url, 'http://mock');
        const work = url.pathname.startsWith('/api/') ? apiAnswer(state, request, response, url) : file(response, url.pathname);
        Promise.resolve(work).catch((error) => send(response, error.status ?? 500, error.body ?? { error: 'failed', message: String(error) }));
    });
    return new Promise((done) => {
        server.listen(port, '127.0.0.1', () => {
            const close = () => (server.close(), server.closeAllConnections());
            done({ url: `http://127.0.0.1:${server.address().port}`, close });
        });
    });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    const state = fresh();
    state.variant = process.argv[2] ?? 'normal';
    const { url } = await serve(state, 8099);
    console.log(`${url} (bits / ${state.password})`);
}
