// All settings, drawn from the program's own table.
import { type ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { api, type ApiError, type Effect, type MqttTest, type SettingRow, type Value } from '../api';
import { changed, discard, drafts, type Drafts, effects, fault, id, type Interruption, loadSettings, save, shown, type } from '../drafts';
import { number, zone } from '../format';
import { languages, maybe, ownLanguage, setDeviceLanguage, setOwnLanguage, t, translated } from '../i18n';
import { login, rename } from '../live';
import { useStore } from '../store';
import { asError, Button, Card, Dialog, Failed, inWords, Loading, Notice, say } from '../ui';
import { PasswordForm } from './password';

interface Group {
    name: 'device' | 'network' | 'modbus_tcp' | 'modbus_rtu' | 'mqtt' | 'account' | 'meter' | 'hardware';
    section: string;
}
const groups: Group[] = [
    { name: 'account', section: 'web' },
    { name: 'device', section: 'device' },
    { name: 'network', section: 'network' },
    { name: 'modbus_tcp', section: 'modbus_tcp' },
    { name: 'modbus_rtu', section: 'modbus_rtu' },
    { name: 'mqtt', section: 'mqtt' },
    { name: 'meter', section: 'meter' },
    { name: 'hardware', section: 'io' },
];

// the password has a form of its own, which asks for the old one
const elsewhere = new Set(['web.username', 'web.password_hash', 'web.password_hash_file']);
// what most people never touch
const rare = new Set([
    'network.manage', 'modbus_tcp.listen', 'modbus_tcp.max_clients', 'modbus_tcp.idle_timeout_s', 'modbus_rtu.rs485',
    'mqtt.format', 'mqtt.password_file', 'mqtt.ca_file', 'mqtt.client_cert', 'mqtt.client_key', 'mqtt.qos', 'mqtt.retain',
    'mqtt.homeassistant_prefix', 'web.listen', 'web.enabled', 'web.tls_cert', 'web.tls_key', 'web.factory_login',
]);

export function SettingsPage({ part }: { part: string }) {
    const d = useStore(drafts);
    useEffect(() => void loadSettings(), []);
    const group = groups.find((g) => g.name === part) ?? groups[0];
    const list = useRef<HTMLElement>(null);
    useEffect(() => {
        // on a phone the groups are one long row
        const chosen = list.current?.querySelector<HTMLElement>('[aria-current]');
        list.current?.scrollTo({ left: (chosen?.offsetLeft ?? 0) - 24 });
    }, [group]);
    return (
        <>
            <h1>{t('page.settings')}</h1>
            <div class="split">
                <nav ref={list} class="groups" aria-label={t('settings.groups')}>
                    {groups.map((g) => (
                        <a key={g.name} href={`#/settings/${g.name}`} aria-current={g === group ? 'page' : undefined}>
                            {t(`group.${g.name}`)}
                            {changed(d, rowsOf(d, g)).length > 0 && <span class="dot" role="img" aria-label={t('settings.unsaved')} />}
                        </a>
                    ))}
                </nav>
                <div class="stack">
                    {d.error && <Failed error={d.error} again={() => void loadSettings()} />}
                    {!d.settings && !d.error && <Loading />}
                    {group.name === 'account' && <PasswordForm />}
                    {d.settings && <SettingsGroup key={group.name} group={group} d={d} />}
                </div>
            </div>
        </>
    );
}

function rowsOf(d: Drafts, group: Group): SettingRow[] {
    return d.rows.filter((row) => row.section === group.section && !elsewhere.has(id(row)));
}

function SettingsGroup({ group, d }: { group: Group; d: Drafts }) {
    const rows = rowsOf(d, group);
    return (
        <SettingsForm title={t(group.name === 'account' ? 'settings.web' : `group.${group.name}`)} intro={maybe(`intro.${group.name}`, '')} rows={rows} d={d}>
            {group.name === 'mqtt' && <MqttTester rows={rows} d={d} />}
            {group.name === 'device' && <OwnLanguage />}
        </SettingsForm>
    );
}

/** A form over some rows, with its own save button. */
export function SettingsForm({ title, intro, rows, d, children }: { title: string; intro: string; rows: SettingRow[]; d: Drafts; children?: ComponentChildren }) {
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const [moved, setMoved] = useState<string | null>(null);
    const state = useStore(login);
    const locked = state.state !== 'in' || state.session.read_only === true;
    const mine = changed(d, rows);
    const faulty = rows.filter((row) => fault(d, row) !== '');
    const submit = async (event: Event) => {
        event.preventDefault();
        if (faulty.length > 0) {
            document.getElementById(`set-${id(faulty[0])}`)?.focus();
            return;
        }
        setBusy(true);
        setError(null);
        try {
            const interrupted = await save(rows);
            applied(mine, interrupted, setMoved);
        } catch (e) {
            setError(asError(e));
        }
        setBusy(false);
    };
    const usual = rows.filter((row) => !rare.has(id(row)));
    const more = rows.filter((row) => rare.has(id(row)));
    return (
        <Card title={title}>
            {intro !== '' && <p class="soft">{intro}</p>}
            {locked && <p class="soft">{t('settings.locked')}</p>}
            <form onSubmit={submit} noValidate>
                <fieldset disabled={locked} class="plain">
                    <legend class="hidden">{title}</legend>
                    {usual.map((row) => (
                        <SettingInput key={id(row)} row={row} d={d} />
                    ))}
                    {more.length > 0 && (
                        <details open={more.some((row) => fault(d, row) !== '') || undefined}>
                            <summary>{t('settings.more')}</summary>
                            {more.map((row) => (
                                <SettingInput key={id(row)} row={row} d={d} />
                            ))}
                        </details>
                    )}
                </fieldset>
                {children}
                {error && <SaveError error={error} />}
                {mine.length > 0 && (
                    <div class="save-bar">
                        <p role="status">
                            {mine.length === 1 ? t('settings.one_change') : t('settings.changes', { count: mine.length })} {interrupts(effects(mine))}
                            {faulty.length > 0 && <strong class="wrong"> {t('settings.fix_first')}</strong>}
                        </p>
                        <div class="buttons">
                            <Button type="submit" kind="primary" busy={busy}>
                                {t('action.save')}
                            </Button>
                            <Button kind="quiet" onClick={() => discard(rows)}>
                                {t('action.discard')}
                            </Button>
                        </div>
                    </div>
                )}
            </form>
            {moved !== null && <Moving to={moved} onClose={() => setMoved(null)} />}
        </Card>
    );
}

function SaveError({ error }: { error: ApiError }) {
    const elsewhereFaults = error.fields.filter((f) => !document.getElementById(`set-${f.key}`));
    return (
        <Notice tone="bad" title={t('settings.not_saved')} live>
            <p>{inWords(error)}</p>
            {elsewhereFaults.map((f) => (
                <p key={f.key}>
                    {f.key}: {translated(f.message, f.message_code, f.message_values)}
                </p>
            ))}
        </Notice>
    );
}

function interrupts(all: Interruption[]): string {
    return all.length === 0 ? t('settings.interrupts_nothing') : t('settings.interrupts', { what: all.map((e) => t(`effect.${e}`)).join(', ') });
}

/** What has to happen in this page after a change. */
function applied(rows: SettingRow[], interrupted: Effect[], moveTo: (address: string) => void) {
    say(t('settings.saved'));
    const now = drafts.get();
    const value = (key: string) => rows.some((row) => id(row) === key) && now.settings?.settings[key.split('.')[0]]?.[key.split('.')[1]];
    if (typeof value('device.timezone') === 'string') {
        zone.set(String(value('device.timezone')));
    }
    if (typeof value('device.name') === 'string') {
        rename(String(value('device.name')));
    }
    if (typeof value('device.language') === 'string') {
        setDeviceLanguage(String(value('device.language')));
    }
    if (interrupted.includes('network') && rows.some((row) => ['mode', 'address', 'hostname'].includes(row.key))) {
        const network = now.settings?.settings.network ?? {};
        moveTo(network.mode === 'dhcp' ? `${network.hostname}.local` : String(network.address).split('/')[0]);
    }
}

const moveAfterS = 10; // new network settings apply within 10 s (manual, "Problemløsing", 2)

/** The gateway gets another address: goes there by itself. */
function Moving({ to, onClose }: { to: string; onClose: () => void }) {
    const [left, setLeft] = useState(moveAfterS);
    const url = `${location.protocol}//${to}${location.port ? `:${location.port}` : ''}/#/now/moved`;
    useEffect(() => {
        const timer = setTimeout(() => (left > 1 ? setLeft(left - 1) : location.assign(url)), 1000);
        return () => clearTimeout(timer);
    }, [left]);
    return (
        <Dialog title={t('network.moving')} onClose={onClose}>
            <p>{t('network.moving_text', { address: to, seconds: left })}</p>
            <div class="buttons">
                <a class="button primary" href={url}>
                    {t('network.go_now')}
                </a>
                <Button kind="quiet" onClick={onClose}>
                    {t('network.stay')}
                </Button>
            </div>
        </Dialog>
    );
}

function label(row: SettingRow): string {
    return maybe(`set.${id(row)}`, row.key);
}

function SettingInput({ row, d }: { row: SettingRow; d: Drafts }) {
    const name = `set-${id(row)}`;
    const helpId = useId();
    const wrongText = fault(d, row);
    const fixed = d.settings?.fixed.includes(id(row)) ?? false;
    const common = {
        id: name,
        name: id(row),
        'aria-describedby': helpId,
        'aria-invalid': wrongText !== '',
        disabled: fixed,
    };
    return (
        <div class={`field ${row.type} ${id(row) in d.typed ? 'changed' : ''}`}>
            <label for={name}>{label(row)}</label>
            <Control row={row} d={d} common={common} />
            <div id={helpId} class="help">
                <p>{maybe(`help.${id(row)}`, row.meaning)}</p>
                {fixed && <p>{t('settings.fixed')}</p>}
                {wrongText !== '' && <p class="wrong">{wrongText}</p>}
                <Warning row={row} value={shown(d, row)} />
            </div>
        </div>
    );
}

interface Common {
    id: string;
    name: string;
    'aria-describedby': string;
    'aria-invalid': boolean;
    disabled: boolean;
}

function Control({ row, d, common }: { row: SettingRow; d: Drafts; common: Common }) {
    const value = shown(d, row);
    switch (row.type) {
        case 'bool':
            return <input {...common} type="checkbox" role="switch" checked={value === true} onChange={(e) => type(row, e.currentTarget.checked)} />;
        case 'enum':
            return (
                <select {...common} value={String(value)} onChange={(e) => type(row, e.currentTarget.value)}>
                    {(row.choices ?? []).map((choice) => (
                        <option key={choice} value={choice}>
                            {maybe(`choice.${id(row)}.${choice}`, maybe(`choice.${choice}`, choice))}
                        </option>
                    ))}
                </select>
            );
        case 'int':
            return <input {...common} type="text" inputMode="numeric" autocomplete="off" value={String(value ?? '')} onInput={(e) => type(row, e.currentTarget.value)} />;
        case 'secret':
            return <SecretInput row={row} d={d} common={common} />;
        case 'text':
            return <TextInput row={row} value={value} common={common} />;
    }
}

function TextInput({ row, value, common }: { row: SettingRow; value: Value; common: Common }) {
    const list = id(row) === 'device.timezone' ? zones() : [];
    return (
        <>
            <input {...common} type="text" autocomplete="off" autocapitalize="none" spellcheck={false} list={list.length > 0 ? `${common.id}-list` : undefined} value={String(value ?? '')} onInput={(e) => type(row, e.currentTarget.value)} />
            {list.length > 0 && (
                <datalist id={`${common.id}-list`}>
                    {list.map((name) => (
                        <option key={name} value={name} />
                    ))}
                </datalist>
            )}
        </>
    );
}

function zones(): string[] {
    const all = (Intl as unknown as { supportedValuesOf?: (what: string) => string[] }).supportedValuesOf;
    return all ? all('timeZone').filter((name) => name.startsWith('Europe/') || name.startsWith('Arctic/')) : [];
}

/** Secrets are never read back: empty leaves the one that is there. */
function SecretInput({ row, d, common }: { row: SettingRow; d: Drafts; common: Common }) {
    const isSet = d.settings?.secrets_set.includes(id(row)) ?? false;
    const typed = id(row) in d.typed;
    const removing = typed && d.typed[id(row)] === '';
    return (
        <div class="with-button">
            <input
                {...common}
                type="password"
                autocomplete="new-password"
                placeholder={removing ? t('settings.secret_removed') : isSet ? t('settings.secret_set') : ''}
                value={typed ? String(d.typed[id(row)]) : ''}
                onInput={(e) => (e.currentTarget.value === '' ? discard([row]) : type(row, e.currentTarget.value))}
            />
            {isSet && !removing && (
                <Button kind="quiet" disabled={common.disabled} onClick={() => type(row, '')}>
                    {t('action.remove')}
                </Button>
            )}
        </div>
    );
}

const scaleWarn = 1000000; // manual, "Skaleringsfaktor"

function Warning({ row, value }: { row: SettingRow; value: Value }) {
    if (id(row) === 'device.scale' && /^\d+$/.test(String(value))) {
        return (
            <>
                <p>{t('scale.means', { factor: number(Number(value) / 1000, 3) })}</p>
                {Number(value) > scaleWarn && <Notice tone="warn">{t('scale.warning')}</Notice>}
            </>
        );
    }
    if (id(row) === 'mqtt.url' && /(^|\/)(test\.mosquitto\.org|broker\.hivemq\.com|broker\.emqx\.io)/.test(String(value))) {
        return <Notice tone="warn">{t('mqtt.public_broker')}</Notice>;
    }
    return null;
}

/** Tries the broker as typed, saved or not. */
function MqttTester({ rows, d }: { rows: SettingRow[]; d: Drafts }) {
    const [busy, setBusy] = useState(false);
    const [result, setResult] = useState<MqttTest | null>(null);
    const [error, setError] = useState<ApiError | null>(null);
    const state = useStore(login);
    const test = async () => {
        setBusy(true);
        setError(null);
        setResult(null);
        const values: Record<string, Value> = {};
        changed(d, rows).forEach((row) => {
            values[row.key] = row.type === 'int' ? Number(shown(d, row)) : shown(d, row);
        });
        try {
            setResult(await api.mqttTest(values));
        } catch (e) {
            setError(asError(e));
        }
        setBusy(false);
    };
    return (
        <div class="tester">
            <Button busy={busy} disabled={state.state !== 'in' || state.session.read_only === true} onClick={() => void test()}>
                {busy ? t('mqtt.testing') : t('mqtt.test')}
            </Button>
            {result && (
                <Notice tone={result.ok ? 'ok' : 'bad'} title={result.ok ? t('mqtt.test_ok', { broker: result.broker }) : t('mqtt.test_failed')} live>
                    {!result.ok && (
                        <p>
                            {result.broker}: {translated(result.message, result.message_code, result.message_values)}
                        </p>
                    )}
                </Notice>
            )}
            {error && <Failed error={error} />}
        </div>
    );
}

/** The language of this browser alone; needs no right to change settings. */
export function OwnLanguage() {
    const name = useId();
    return (
        <div class="field">
            <label for={name}>{t('language.own')}</label>
            <select id={name} value={ownLanguage()} onChange={(e) => setOwnLanguage(e.currentTarget.value)}>
                <option value="auto">{t('language.as_device')}</option>
                {languages.map((l) => (
                    <option key={l} value={l} lang={l}>
                        {t(`language.${l}`)}
                    </option>
                ))}
            </select>
        </div>
    );
}

