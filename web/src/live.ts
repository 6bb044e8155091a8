// The running state: session, newest readings, the last hour of power, and whether they still come.
import { api, ApiError, type Live, type Session, whenLoggedOut } from './api';
import { setDeviceLanguage } from './i18n';
import { zone } from './format';
import { keep, store } from './store';

/** unknown until the gateway has answered once */
export type Login = { state: 'unknown' | 'out'; retryAfterS: number; tls: boolean } | { state: 'in'; session: Session };

export interface Snapshot {
    live: Live;
    at: number; // Date.now() when it came
}

export interface Point {
    at: number; // ms since 1970, this browser's clock
    import: number | null;
    export: number | null;
}

const hourMs = 3600000;
const slowMs = 2500; // by then the last state is better than an empty page

export const login = store<Login>({ state: 'unknown', retryAfterS: 0, tls: false });
export const snapshot = store<Snapshot | null>(null);
export const connected = store(false);
export const points = store<Point[]>([]);

let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;
let keptAt = 0;

/** Nothing may be changed: factory password, or no contact. */
export function readOnly(): boolean {
    const now = login.get();
    return now.state !== 'in' || now.session.read_only === true;
}

function take(live: Live) {
    const at = Date.now();
    snapshot.set({ live, at });
    connected.set(true);
    if (at - keptAt > 10000) {
        keptAt = at;
        keep.set('last', JSON.stringify({ live, at }));
    }
    const { active_power_import: plus, active_power_export: minus } = live.fields;
    const newest = points.get()[points.get().length - 1];
    const telegramAt = at - (live.net_power.age_s ?? 0) * 1000;
    // the stream also comes without a new telegram: one point for each
    if (live.net_power.age_s === null || (newest && telegramAt < newest.at + 500)) {
        return;
    }
    const kept = points.get().filter((p) => p.at > at - hourMs);
    points.set([...kept, { at: telegramAt, import: plus.value, export: minus.value }]);
}

/** Telegrams of the last hour, so that the plot is whole after a reload too. */
async function takeRecent() {
    const recent = await api.recent();
    const now = Date.now();
    points.set(
        recent.age_ms.map((age, i) => ({ at: now - age, import: recent.import[i], export: recent.export[i] })).filter((p) => p.at > now - hourMs),
    );
}

function listen() {
    source?.close();
    source = new EventSource('/api/v1/events');
    source.addEventListener('live', (event) => take(JSON.parse((event as MessageEvent<string>).data)));
    source.onerror = () => {
        connected.set(false);
        source?.close();
        clearTimeout(retry);
        retry = setTimeout(start, 3000);
    };
}

function accept(session: Session) {
    keep.set('session', JSON.stringify(session));
    setDeviceLanguage(session.language);
    login.set({ state: 'in', session });
}

function forget() {
    source?.close();
    clearTimeout(retry);
    keep.remove('session');
    keep.remove('last');
    snapshot.set(null);
    points.set([]);
    connected.set(false);
}

/** Without an answer the last state is shown, where this browser was logged in. */
function recall() {
    const session = keep.get('session');
    const last = keep.get('last');
    if (login.get().state !== 'in' && session !== null) {
        accept(JSON.parse(session));
    }
    if (snapshot.get() === null && last !== null) {
        snapshot.set(JSON.parse(last));
    }
}

async function enter() {
    listen();
    await Promise.all([
        takeRecent(),
        api.live().then(take),
        api.settings().then((all) => {
            zone.set(String(all.settings.device?.timezone ?? '') || undefined);
        }),
    ]);
}

/** Asks who is logged in and, when somebody is, begins to listen. Tries again by itself. */
export async function start() {
    clearTimeout(retry);
    const slow = setTimeout(recall, slowMs);
    try {
        const session = await api.session();
        setDeviceLanguage(session.language);
        if (!session.logged_in) {
            forget();
            login.set({ state: 'out', retryAfterS: session.retry_after_s, tls: session.tls });
            return;
        }
        accept(session);
        await enter();
    } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 401) {
            connected.set(false);
            recall();
            retry = setTimeout(start, 3000);
        }
    } finally {
        clearTimeout(slow);
    }
}

export async function logIn(username: string, password: string) {
    accept(await api.login(username, password));
    await enter().catch(() => undefined); // the stream reports what does not come
}

export async function logOut() {
    await api.logout().catch(() => undefined); // an ended session is what was wanted
    forget();
    login.set({ state: 'out', retryAfterS: 0, tls: location.protocol === 'https:' });
}

/** The device's name stands in the head of every page. */
export function rename(name: string) {
    const now = login.get();
    if (now.state === 'in') {
        accept({ ...now.session, name });
    }
}

/** After a change of password: the other sessions have ended, this one goes on with a new cookie. */
export function renew(session: Session) {
    accept(session);
    listen();
}

whenLoggedOut(() => {
    forget();
    login.set({ state: 'out', retryAfterS: 0, tls: location.protocol === 'https:' });
});
addEventListener('online', () => void start());
document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && login.get().state !== 'out' && !connected.get()) {
        void start();
    }
});
