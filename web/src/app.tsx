// The frame around the pages: head, navigation, what must be known everywhere.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Network, type Session } from './api';
import { age, clockSeconds } from './format';
import { language, t } from './i18n';
import { Icon, type IconName, Mark } from './icons';
import { connected, login, logOut, snapshot } from './live';
import { route } from './router';
import { keep, useStore } from './store';
import { asError, Button, inWords, Notice, Said, say, useNow } from './ui';
import { LoginPage } from './pages/login';
import { NowPage } from './pages/now';
import { SettingsPage } from './pages/settings';
import { RegistersPage } from './pages/registers';
import { MeterPage } from './pages/meter';
import { SystemPage } from './pages/system';
import { SetupPage } from './pages/setup';

type PageName = 'now' | 'settings' | 'registers' | 'meter' | 'system';
const pages: { name: PageName; icon: IconName; view: (part: string) => preact.JSX.Element }[] = [
    { name: 'now', icon: 'now', view: () => <NowPage /> },
    { name: 'meter', icon: 'meter', view: () => <MeterPage /> },
    { name: 'registers', icon: 'registers', view: () => <RegistersPage /> },
    { name: 'settings', icon: 'settings', view: (part) => <SettingsPage part={part} /> },
    { name: 'system', icon: 'system', view: () => <SystemPage /> },
];

export function App() {
    const state = useStore(login);
    useStore(language);
    useTitle();
    return (
        <>
            {state.state === 'unknown' && <Waiting />}
            {state.state === 'out' && <LoginPage retryAfterS={state.retryAfterS} tls={state.tls} />}
            {state.state === 'in' && <Frame session={state.session} />}
            <Said />
        </>
    );
}

function Waiting() {
    return (
        <main class="waiting" aria-busy="true">
            <h1 class="hidden">Variflow</h1>
            <Mark size={64} />
            <p role="status">{t('state.loading')}</p>
        </main>
    );
}

function useTitle() {
    const { page } = useStore(route);
    const known = pages.find((p) => p.name === page);
    const title = t(`page.${known?.name ?? 'now'}`);
    useEffect(() => {
        document.title = `${title} – Variflow`;
    }, [title]);
}

function Frame({ session }: { session: Session }) {
    const { page, part } = useStore(route);
    const shown = pages.find((p) => p.name === page) ?? pages[0];
    const main = useRef<HTMLElement>(null);
    const first = useRef(true);
    const setup = page === 'setup';
    useEffect(() => {
        // an address of its own, so that it stays when its first step, the password, is done
        if (page === '' && session.factory_password === true && keep.get('setup') !== 'done') {
            location.replace('#/setup');
        }
    }, []);
    useEffect(() => {
        // a new page: the next Tab starts at its top, and screen readers read its heading
        if (!first.current) {
            main.current?.focus({ preventScroll: true });
        }
        first.current = false;
    }, [shown.name, setup]);
    return (
        <div class="frame">
            <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>
                {t('nav.skip')}
            </a>
            <header class="top">
                <Mark size={30} />
                <span class="top-name">{session.name || 'Variflow'}</span>
                <Pulse />
                <Button kind="quiet" icon="logout" label={t('login.log_out')} onClick={() => void logOut()} />
            </header>
            <nav class="nav" aria-label={t('nav.label')}>
                {pages.map((p) => (
                    <a key={p.name} href={`#/${p.name}`} aria-current={!setup && p === shown ? 'page' : undefined}>
                        <Icon name={p.icon} size={22} />
                        <span class="nav-long">{t(`page.${p.name}`)}</span>
                        <span class="nav-short">{p.name === 'settings' ? t('nav.settings') : t(`page.${p.name}`)}</span>
                    </a>
                ))}
            </nav>
            <main ref={main} id="main" tabIndex={-1}>
                <Banners session={session} />
                {setup ? <SetupPage session={session} /> : shown.view(part)}
            </main>
        </div>
    );
}

/** Whether values still come: a lamp and a word. */
function Pulse() {
    const now = useNow();
    const last = useStore(snapshot);
    const on = useStore(connected);
    const good = on && last !== null && last.live.link === 'good';
    const text = !on ? t('state.offline') : good ? t('state.live') : t('state.no_telegrams');
    const seconds = last === null || last.live.last_good_age_s === null ? null : last.live.last_good_age_s + (now - last.at) / 1000;
    return (
        <span class={`pulse ${good ? 'on' : 'off'}`}>
            <span class="lamp" />
            <span>{text}</span>
            {seconds !== null && <span class="pulse-age">{age(seconds)}</span>}
        </span>
    );
}

function Banners({ session }: { session: Session }) {
    const on = useStore(connected);
    const last = useStore(snapshot);
    return (
        <div class="banners">
            {!on && (
                <Notice tone="warn" title={t('banner.offline')} live>
                    <p>{last ? t('banner.offline_last', { time: clockSeconds(last.at) }) : t('banner.offline_none')}</p>
                </Notice>
            )}
            {session.factory_password && (
                <Notice tone="warn" title={t('banner.factory')}>
                    <p>
                        {session.read_only ? t('banner.factory_look') : t('banner.factory_open')} <a href="#/settings/account">{t('banner.factory_link')}</a>
                    </p>
                </Notice>
            )}
            {last?.live.simulated && (
                <Notice tone="info" title={t('banner.simulated')}>
                    <p>{t('banner.simulated_text')}</p>
                </Notice>
            )}
            <NetworkPending />
        </div>
    );
}

/** New network settings are kept only when somebody says that they work. */
function NetworkPending() {
    const [network, set] = useState<Network | null>(null);
    const { part } = useStore(route);
    const on = useStore(connected);
    useEffect(() => {
        const look = () => api.network().then(set, () => undefined);
        void look();
        const timer = setInterval(look, 10000);
        return () => clearInterval(timer);
    }, [on]);
    const confirm = async () => {
        try {
            set(await api.confirmNetwork());
            say(t('network.kept'));
        } catch (error) {
            say(inWords(asError(error)), 'bad');
        }
    };
    useEffect(() => {
        // the page went to the new address by itself and was logged in to there: it works
        if (network?.pending && part === 'moved') {
            void confirm();
        }
    }, [network?.pending]);
    if (!network?.pending) {
        return null;
    }
    return (
        <Notice tone="warn" title={t('network.pending')} live>
            <p>{t('network.pending_text', { seconds: network.remaining_s })}</p>
            <Button kind="primary" onClick={() => void confirm()}>
                {t('network.keep')}
            </Button>
        </Notice>
    );
}

