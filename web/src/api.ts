// The API's shapes (openapi.json) and the calls to it.

/** Words of the program as codes: `<name>_code` and `<name>_values` beside the text in `<name>`. */
type Said<Name extends string> = Record<Name, string> & { [key in `${Name}_code`]: string | null } & { [key in `${Name}_values`]: string[] };

export type Quality = 'measured' | 'estimated' | 'held' | 'unknown';
export type Link = 'silent' | 'noise' | 'parity' | 'encrypted' | 'foreign' | 'good';
export type Effect = 'none' | 'meter' | 'modbus_tcp' | 'modbus_rtu' | 'mqtt' | 'web' | 'network' | 'restart';

export interface Session {
    logged_in: boolean;
    username: string | null;
    factory_password: boolean | null;
    read_only: boolean | null;
    name: string | null;
    language: 'auto' | 'nb' | 'nn' | 'en';
    version: string | null;
    tls: boolean;
    retry_after_s: number;
}

export interface Field {
    value: number | null;
    unit: string;
    decimals: number;
    quality: Quality;
    age_s: number | null;
    not_measured: boolean;
    waits_for_hour: boolean;
}

export const powerNames = ['active_power_import', 'active_power_export', 'reactive_power_import', 'reactive_power_export'] as const;
export const energyNames = ['active_energy_import', 'active_energy_export', 'reactive_energy_import', 'reactive_energy_export'] as const;
export type EnergyName = (typeof energyNames)[number];
export type FieldName =
    | (typeof powerNames)[number]
    | `current_l${1 | 2 | 3}`
    | `voltage_l${1 | 2 | 3}`
    | EnergyName
    | `${EnergyName}_estimated`;

export interface Live {
    time: string | null;
    uptime_s: number;
    telegrams: number;
    simulated: boolean;
    scale: number;
    link: Link;
    link_text: string;
    last_good_age_s: number | null;
    meter: {
        known: boolean;
        maker: string;
        id: string;
        type: string;
        version: string;
        phases: 'unknown' | '1' | '3it' | '3tn';
        list: number;
        clock: string | null;
        clock_age_s: number | null;
    };
    net_power: {
        value: number | null;
        unit: string;
        decimals: number;
        quality: Quality;
        age_s: number | null;
        direction: 'import' | 'export' | 'none' | 'unknown';
    };
    fields: Record<FieldName, Field>;
    digital_input: boolean | null;
    temperature_c: number | null;
}

export type Value = boolean | number | string | null;
export type Values = Record<string, Record<string, Value>>;

export interface Settings {
    settings: Values;
    secrets_set: string[];
    fixed: string[];
    file: string;
}

export interface SettingRow {
    section: string;
    key: string;
    type: 'bool' | 'int' | 'enum' | 'text' | 'secret';
    min: number | null;
    max: number | null;
    choices: string[] | null;
    default: Value;
    meaning: string;
    allowed: string;
    secret: boolean;
    check: string;
    effect: Effect;
}

export interface SettingsChanged {
    changed: string[];
    effects: Effect[];
    settings: Settings;
}

/** Another gateway on the network, found by its announcement. */
export interface Gateway {
    name: string;
    host: string;
    address: string;
    port: number;
    tls: boolean;
    maker: string;
}

export interface Status {
    time: string | null;
    version: string;
    uptime_s: number;
    starts: number;
    device_number: number;
    name: string;
    hostname: string;
    factory_password: boolean;
    read_only: boolean;
    simulated: boolean;
    link: {
        verdict: Link;
        text: string;
        last_byte_age_s: number | null;
        last_good_age_s: number | null;
        bytes: number;
        telegrams: number;
        lists: number[];
        line_errors: number;
        drops: { reason: string; text: string; count: number }[];
    };
    modbus_tcp: {
        enabled: boolean;
        listening: boolean;
        port: number;
        clients: number;
        limit: number;
        accepted: number;
        evicted: number;
        broken: number;
        peers: { address: string; idle_s: number }[];
    };
    modbus_rtu: { enabled: boolean; device: string; open: boolean; answered: number };
    mqtt: Said<'error'> & {
        enabled: boolean;
        state: 'off' | 'connecting' | 'connected' | 'waiting' | 'not_built';
        broker: string;
        published: number;
        lost: number;
    };
    web: { clients: number; events: number; http_port: number; tls_port: number; certificate_sha256: string | null };
    lights: { power: boolean; han: boolean };
    gateways: Gateway[];
}

export interface Register {
    address: number;
    words: number;
    type: 'u16' | 's16' | 'u32' | 's32' | 'u64' | 'float32' | 'text' | 'reserved';
    name: string;
    unit: string;
    meaning: string;
    writable: boolean;
    value: number | string | null;
    raw: string;
}

export interface Telegram {
    number: number;
    time: string | null;
    age_s: number;
    ok: boolean;
    reason: string | null;
    reason_code: string | null;
    bytes: number;
    raw: string;
    cut: boolean;
    list: number | null;
    decoded: Record<string, Value> | null;
}

export interface History {
    step_s: number;
    count: number;
    end_utc_s: number | null;
    series: Record<string, (number | null)[]>;
}

export interface HistoryRecent {
    count: number;
    now_utc_ms: number | null;
    age_ms: number[];
    import: (number | null)[];
    export: (number | null)[];
}

export type LogKind =
    | 'start' | 'login' | 'login_failed' | 'logout' | 'password' | 'settings' | 'modbus_write'
    | 'restart' | 'factory_reset' | 'backup' | 'restore' | 'network' | 'clock';

export interface LogEntry extends Said<'text'> {
    number: number;
    time: string | null;
    kind: LogKind;
    from: string;
}

export interface Network extends Said<'error'> {
    manage: boolean;
    pending: boolean;
    remaining_s: number;
    addresses: string[];
    hostname: string;
    old_address: string;
    new_address: string;
}

export interface MqttTest extends Said<'message'> {
    ok: boolean;
    broker: string;
}

export interface FieldFault extends Said<'message'> {
    key: string;
    allowed: string;
}

/** What went wrong: the API's Error, or `offline` when there was no answer at all. */
export class ApiError extends Error {
    constructor(
        readonly code: string,
        readonly status: number,
        message: string,
        readonly retryAfterS = 0,
        readonly fields: FieldFault[] = [],
        readonly said: string | null = null,
        readonly values: string[] = [],
    ) {
        super(message);
    }
}

let onUnauthorized = () => {};
/** @param listener called when the session has ended */
export function whenLoggedOut(listener: () => void) {
    onUnauthorized = listener;
}

async function fault(answer: Response): Promise<ApiError> {
    try {
        const body = await answer.json();
        return new ApiError(
            String(body.error),
            answer.status,
            String(body.message),
            Number(body.retry_after_s ?? 0),
            body.fields ?? [],
            body.message_code ?? null,
            body.message_values ?? [],
        );
    } catch {
        return new ApiError('failed', answer.status, `HTTP ${answer.status}`);
    }
}

const lookMs = 8000; // a gateway that has not answered by then cannot be reached
const changeMs = 30000; // longest answer: the MQTT test, 20 s

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), method === 'GET' ? lookMs : changeMs);
    let answer: Response;
    try {
        answer = await fetch(`/api/v1${path}`, {
            method,
            signal: stop.signal,
            credentials: 'same-origin',
            cache: 'no-store',
            // the page reacts to 401 itself; this header keeps browsers from asking for Basic login
            headers: { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
    } catch {
        throw new ApiError('offline', 0, 'no answer');
    } finally {
        clearTimeout(timer);
    }
    if (!answer.ok) {
        const error = await fault(answer);
        if (error.status === 401 && path !== '/session' && path !== '/password') {
            onUnauthorized();
        }
        throw error;
    }
    return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
}

export const api = {
    session: () => call<Session>('GET', '/session'),
    login: (username: string, password: string) => call<Session>('POST', '/session', { username, password }),
    logout: () => call<void>('DELETE', '/session'),
    password: (change: { current: string; password: string; username?: string }) => call<Session>('POST', '/password', change),
    live: () => call<Live>('GET', '/live'),
    settings: () => call<Settings>('GET', '/settings'),
    schema: () => call<{ settings: SettingRow[] }>('GET', '/settings/schema'),
    change: (values: Values) => call<SettingsChanged>('PATCH', '/settings', values),
    status: () => call<Status>('GET', '/status'),
    registers: () => call<{ registers: Register[] }>('GET', '/registers'),
    telegrams: () => call<{ telegrams: Telegram[] }>('GET', '/telegrams'),
    history: (hours: number, step: number) => call<History>('GET', `/history?hours=${hours}&step_s=${step}`),
    recent: () => call<HistoryRecent>('GET', '/history/recent'),
    log: (count: number) => call<{ entries: LogEntry[] }>('GET', `/log?count=${count}`),
    restart: () => call<{ message: string }>('POST', '/restart'),
    factoryReset: () => call<{ message: string }>('POST', '/factory-reset', { confirm: 'factory-reset' }),
    backup: (passphrase: string) => (passphrase === '' ? call<unknown>('GET', '/backup') : call<unknown>('POST', '/backup', { passphrase })),
    restore: (backup: unknown, passphrase: string) =>
        call<SettingsChanged>('PUT', '/backup', { backup, ...(passphrase === '' ? {} : { passphrase }) }),
    mqttTest: (values: Record<string, Value>) => call<MqttTest>('POST', '/mqtt/test', values),
    network: () => call<Network>('GET', '/network'),
    confirmNetwork: () => call<Network>('POST', '/network/confirm'),
};
