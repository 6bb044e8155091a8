// Service worker: keeps the shell, so that the page opens while the gateway cannot be reached.
// Answers of the API are never kept here; the page itself keeps the last state and shows its age.
declare const SHELL: string[]; // paths, filled in by the build
declare const VERSION: string; // hash over all of them

interface WorkerEvent extends Event {
    waitUntil(work: Promise<unknown>): void;
}
interface WorkerFetch extends WorkerEvent {
    request: Request;
    respondWith(answer: Promise<Response>): void;
}
interface WorkerScope {
    addEventListener(kind: 'install' | 'activate', on: (event: WorkerEvent) => void): void;
    addEventListener(kind: 'fetch', on: (event: WorkerFetch) => void): void;
    skipWaiting(): Promise<void>;
    clients: { claim(): Promise<void> };
    location: Location;
}

const scope = self as unknown as WorkerScope;
const cacheName = `shell-${VERSION}`;
const patienceMs = 4000; // then the kept page is shown; a gateway on the same network answers in less

async function install() {
    const cache = await caches.open(cacheName);
    await cache.addAll(SHELL.map((path) => new Request(path, { cache: 'reload' })));
    await scope.skipWaiting();
}

async function activate() {
    const old = (await caches.keys()).filter((key) => key.startsWith('shell-') && key !== cacheName);
    await Promise.all(old.map((key) => caches.delete(key)));
    await scope.clients.claim();
}

async function page(request: Request): Promise<Response> {
    const kept = await caches.match('/', { cacheName });
    const late = new Promise<Response>((done) => {
        if (kept) {
            setTimeout(() => done(kept.clone()), patienceMs);
        }
    });
    const fresh = fetch(request).catch((error) => {
        if (kept) {
            return kept.clone();
        }
        throw error;
    });
    return Promise.race([fresh, late]);
}

async function asset(request: Request): Promise<Response> {
    return (await caches.match(request, { cacheName })) ?? fetch(request);
}

scope.addEventListener('install', (event) => event.waitUntil(install()));
scope.addEventListener('activate', (event) => event.waitUntil(activate()));
scope.addEventListener('fetch', (event) => {
    const { pathname, origin } = new URL(event.request.url);
    if (event.request.method !== 'GET' || origin !== scope.location.origin) {
        return;
    }
    if (pathname === '/') {
        event.respondWith(page(event.request));
    } else if (SHELL.includes(pathname)) {
        event.respondWith(asset(event.request));
    }
});
