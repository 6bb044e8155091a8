// The gateway itself: what runs, who is connected, log, backup, restart, factory reset.
import { useId, useRef, useState } from 'preact/hooks';
import { api, type ApiError, type Gateway, type Status } from '../api';
import { age, dateTime, duration, number } from '../format';
import { t, translated } from '../i18n';
import { login } from '../live';
import { loadSettings } from '../drafts';
import { useStore } from '../store';
import { asError, Button, Card, Confirm, Facts, Failed, Loading, Notice, say, saveFile, Scroll, usePoll } from '../ui';
import { DeviceFace } from '../face';
import { QrCode } from '../qr';
import { OwnLanguage } from './settings';

export function SystemPage() {
    const { data, error, again } = usePoll(api.status, 5000);
    return (
        <>
            <h1>{t('page.system')}</h1>
            {error && <Failed error={error} again={again} />}
            {!data && !error && <Loading />}
            <div class="stack">
                {data && (
                    <div class="two">
                        <About status={data} />
                        <Address status={data} />
                        <Masters status={data} />
                        <Mqtt status={data} />
                    </div>
                )}
                <Log />
                <div class="two">
                    <Backup />
                    <Restore />
                </div>
                <Actions />
            </div>
        </>
    );
}

function About({ status }: { status: Status }) {
    return (
        <Card title={t('system.about')}>
            <div class="verdict">
                <Facts
                    rows={[
                        [t('system.version'), status.version],
                        [t('system.uptime'), duration(status.uptime_s)],
                        [t('system.starts'), number(status.starts)],
                        [t('system.clock'), status.time === null ? t('system.clock_unknown') : dateTime(Date.parse(status.time))],
                        [t('system.number'), String(status.device_number)],
                    ]}
                />
                <DeviceFace lights={status.lights} />
            </div>
            <OwnLanguage />
        </Card>
    );
}

function Address({ status }: { status: Status }) {
    const network = usePoll(api.network, 15000).data;
    const here = `${location.protocol}//${location.host}/`;
    const fingerprint = status.web.certificate_sha256?.match(/../g)?.join(' ').toUpperCase();
    return (
        <Card title={t('system.address')}>
            <div class="verdict">
                <Facts
                    stacked
                    rows={[
                        [t('system.this_page'), here],
                        [t('system.name'), `${status.hostname}.local`],
                        [t('system.addresses'), (network?.addresses ?? []).join(', ') || '–'],
                        [t('system.ports'), [status.web.http_port && `HTTP ${status.web.http_port}`, status.web.tls_port && `HTTPS ${status.web.tls_port}`].filter(Boolean).join(', ')],
                    ]}
                />
                <QrCode text={here} />
            </div>
            {fingerprint && (
                <p class="small">
                    {t('system.fingerprint')}
                    <br />
                    <span class="mono break">{fingerprint}</span>
                    <br />
                    <a href="/han2x.crt" download="han2x.crt">
                        {t('system.certificate')}
                    </a>
                </p>
            )}
            {network && network.error !== '' && (
                <Notice tone="warn">
                    <p>{translated(network.error, network.error_code, network.error_values)}</p>
                </Notice>
            )}
            {status.gateways.length > 0 && <Gateways gateways={status.gateways} />}
        </Card>
    );
}

function Gateways({ gateways }: { gateways: Gateway[] }) {
    return (
        <>
            <h3>{t('system.peers')}</h3>
            <ul class="peers">
                {gateways.map((g) => (
                    <li key={`${g.address} ${g.port}`}>
                        <a href={`${g.tls ? 'https' : 'http'}://${g.address.includes(':') ? `[${g.address}]` : g.address}:${g.port}/`}>{g.name || g.host}</a>{' '}
                        <span class="soft">{[g.address, g.maker].filter(Boolean).join(', ')}</span>
                    </li>
                ))}
            </ul>
        </>
    );
}

function Masters({ status }: { status: Status }) {
    const { modbus_tcp: tcp, modbus_rtu: rtu } = status;
    return (
        <Card title={t('system.masters')}>
            <p>
                Modbus TCP: {!tcp.enabled ? t('state.off') : tcp.listening ? t('system.tcp_on', { port: tcp.port, clients: tcp.clients, limit: tcp.limit }) : t('system.tcp_failed', { port: tcp.port })}
                <br />
                Modbus RTU: {!rtu.enabled ? t('state.off') : rtu.open ? t('system.rtu_on', { device: rtu.device, answered: number(rtu.answered) }) : t('system.rtu_failed', { device: rtu.device })}
            </p>
            {tcp.peers.length > 0 && (
                <Scroll label={t('system.masters')} tall>
                    <table class="data">
                        <thead>
                            <tr>
                                <th scope="col">{t('system.peer')}</th>
                                <th scope="col">{t('system.idle')}</th>
                            </tr>
                        </thead>
                        <tbody>
                            {tcp.peers.map((peer) => (
                                <tr key={peer.address}>
                                    <th scope="row">{peer.address}</th>
                                    <td>{age(peer.idle_s)}</td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </Scroll>
            )}
            <p class="soft small">{t('system.tcp_counts', { accepted: number(tcp.accepted), evicted: number(tcp.evicted), broken: number(tcp.broken) })}</p>
        </Card>
    );
}

function Mqtt({ status }: { status: Status }) {
    const { mqtt } = status;
    return (
        <Card title="MQTT">
            <Facts
                rows={[
                    [t('system.mqtt_state'), t(`mqtt_state.${mqtt.state}`)],
                    [t('system.broker'), mqtt.broker || '–'],
                    [t('system.published'), number(mqtt.published)],
                    [t('system.lost'), number(mqtt.lost)],
                ]}
            />
            {mqtt.error !== '' && mqtt.state !== 'connected' && (
                <Notice tone="warn" title={t('system.mqtt_error')}>
                    <p>{translated(mqtt.error, mqtt.error_code, mqtt.error_values)}</p>
                </Notice>
            )}
        </Card>
    );
}

function Log() {
    const [count, setCount] = useState(100);
    const { data, error, again } = usePoll(() => api.log(count), 10000);
    return (
        <Card title={t('system.log')}>
            <p class="soft">{t('system.log_intro')}</p>
            {error && <Failed error={error} again={again} />}
            <Scroll label={t('system.log')} tall>
                <table class="data log">
                    <thead>
                        <tr>
                            <th scope="col">{t('plot.time')}</th>
                            <th scope="col">{t('system.event')}</th>
                            <th scope="col">{t('system.from')}</th>
                        </tr>
                    </thead>
                    <tbody>
                        {(data?.entries ?? []).map((entry) => (
                            <tr key={entry.number}>
                                <td>{entry.time === null ? '–' : dateTime(Date.parse(entry.time))}</td>
                                <td>
                                    <strong>{t(`log.${entry.kind}`)}</strong>
                                    <br />
                                    <span class="soft">{translated(entry.text, entry.text_code, entry.text_values)}</span>
                                </td>
                                <td class="mono">{entry.from}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </Scroll>
            {count < 1000 && (
                <Button
                    kind="quiet"
                    onClick={() => {
                        setCount(1000);
                        again();
                    }}
                >
                    {t('system.log_all')}
                </Button>
            )}
        </Card>
    );
}

const passphraseMin = 8;

function Backup() {
    const state = useStore(login);
    const locked = state.state !== 'in' || state.session.read_only === true;
    const [passphrase, setPassphrase] = useState('');
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const short = passphrase !== '' && new TextEncoder().encode(passphrase).length < passphraseMin;
    const id = useId();
    const make = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        setError(null);
        try {
            const backup = await api.backup(passphrase);
            const day = new Date().toISOString().slice(0, 10);
            saveFile(`han2x-backup-${day}.json`, `${JSON.stringify(backup, null, 2)}\n`, 'application/json');
            setPassphrase('');
            say(t('backup.made'));
        } catch (e) {
            setError(asError(e));
        }
        setBusy(false);
    };
    return (
        <Card title={t('backup.title')}>
            <p class="soft">{t('backup.intro')}</p>
            <form onSubmit={make}>
                <div class="field">
                    <label for={id}>{t('backup.passphrase')}</label>
                    <input id={id} type="password" autocomplete="new-password" value={passphrase} disabled={locked} aria-describedby={`${id}-help`} aria-invalid={short} onInput={(e) => setPassphrase(e.currentTarget.value)} />
                    <div id={`${id}-help`} class="help">
                        <p>{t('backup.passphrase_help')}</p>
                        {short && <p class="wrong">{t('password.rule', { min: passphraseMin })}</p>}
                    </div>
                </div>
                {error && <Failed error={error} />}
                <Button type="submit" icon="download" busy={busy} disabled={short}>
                    {t('backup.make')}
                </Button>
            </form>
        </Card>
    );
}

function Restore() {
    const state = useStore(login);
    const locked = state.state !== 'in' || state.session.read_only === true;
    const file = useRef<HTMLInputElement>(null);
    const [backup, setBackup] = useState<{ secrets?: unknown; made?: string } | null>(null);
    const [passphrase, setPassphrase] = useState('');
    const [bad, setBad] = useState(false);
    const [asking, ask] = useState(false);
    const id = useId();
    const read = async () => {
        setBad(false);
        setBackup(null);
        try {
            const content = JSON.parse((await file.current?.files?.[0]?.text()) ?? '');
            if (content?.format !== 'han2x-backup') {
                throw new Error('another format');
            }
            setBackup(content);
        } catch {
            setBad(true);
        }
    };
    const restore = async () => {
        await api.restore(backup, passphrase);
        say(t('restore.done'));
        setPassphrase('');
        await loadSettings();
    };
    return (
        <Card title={t('restore.title')}>
            <p class="soft">{t('restore.intro')}</p>
            <div class="field">
                <label for={id}>{t('restore.file')}</label>
                <input id={id} ref={file} type="file" accept=".json,application/json" disabled={locked} onChange={() => void read()} />
            </div>
            {bad && <Notice tone="bad" live>{t('restore.bad')}</Notice>}
            {backup?.secrets !== undefined && (
                <div class="field">
                    <label for={`${id}-pass`}>{t('restore.passphrase')}</label>
                    <input id={`${id}-pass`} type="password" autocomplete="off" value={passphrase} onInput={(e) => setPassphrase(e.currentTarget.value)} />
                </div>
            )}
            <Button disabled={backup === null || locked} onClick={() => ask(true)}>
                {t('restore.restore')}
            </Button>
            {asking && (
                <Confirm title={t('restore.title')} action={t('restore.restore')} onYes={restore} onClose={() => ask(false)}>
                    <p>{t('restore.confirm', { made: backup?.made ? dateTime(Date.parse(backup.made)) : '–' })}</p>
                </Confirm>
            )}
        </Card>
    );
}

function Actions() {
    const state = useStore(login);
    const locked = state.state !== 'in' || state.session.read_only === true;
    const [asking, ask] = useState<'restart' | 'reset' | null>(null);
    return (
        <Card title={t('system.actions')} class="danger-zone">
            <div class="act">
                <div>
                    <h3>{t('restart.title')}</h3>
                    <p class="soft">{t('restart.text')}</p>
                </div>
                <Button disabled={locked} onClick={() => ask('restart')}>
                    {t('restart.title')}
                </Button>
            </div>
            <div class="act">
                <div>
                    <h3>{t('reset.title')}</h3>
                    <p class="soft">{t('reset.text')}</p>
                    <p class="soft">{t('reset.button')}</p>
                </div>
                <Button kind="danger" disabled={locked} onClick={() => ask('reset')}>
                    {t('reset.title')}
                </Button>
            </div>
            {locked && <p class="soft">{t('settings.locked')}</p>}
            {asking === 'restart' && (
                <Confirm
                    title={t('restart.title')}
                    action={t('restart.title')}
                    onYes={async () => {
                        await api.restart();
                        say(t('restart.begun'));
                    }}
                    onClose={() => ask(null)}
                >
                    <p>{t('restart.confirm')}</p>
                </Confirm>
            )}
            {asking === 'reset' && (
                <Confirm
                    title={t('reset.title')}
                    action={t('reset.action')}
                    word={t('reset.word')}
                    danger
                    onYes={async () => {
                        await api.factoryReset();
                        say(t('reset.begun'));
                    }}
                    onClose={() => ask(null)}
                >
                    <p>{t('reset.confirm')}</p>
                </Confirm>
            )}
        </Card>
    );
}
