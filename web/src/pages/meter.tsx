// The link to the meter: the verdict in words, what to check, counters, the newest telegrams.
import { useState } from 'preact/hooks';
import { api, type Link, type Status, type Telegram, type Value } from '../api';
import { age, clockSeconds, number } from '../format';
import { type Key, maybe, t } from '../i18n';
import { Button, Card, Facts, Failed, Loading, Notice, Scroll, type Tone, usePoll } from '../ui';
import { DeviceFace } from '../face';

const tones: Record<Link, Tone> = { silent: 'bad', noise: 'bad', parity: 'warn', encrypted: 'warn', foreign: 'warn', good: 'ok' };

// what to look at, in the order in which it is worth it
const checks: Record<Link, Key[]> = {
    silent: ['check.port_closed', 'check.cable', 'check.multimeter', 'check.adapter'],
    noise: ['check.parity', 'check.cable', 'check.adapter'],
    parity: ['check.parity'],
    encrypted: ['check.encrypted'],
    foreign: ['check.foreign'],
    good: [],
};

export function MeterPage() {
    const { data, error, again } = usePoll(api.status, 2500);
    return (
        <>
            <h1>{t('page.meter')}</h1>
            {error && <Failed error={error} again={again} />}
            {!data && !error && <Loading />}
            {data && (
                <div class="stack">
                    <Verdict status={data} />
                    <div class="two">
                        <Counters status={data} />
                        <Drops status={data} />
                    </div>
                </div>
            )}
            <Telegrams />
        </>
    );
}

export function Verdict({ status }: { status: Status }) {
    const { verdict, last_good_age_s: last } = status.link;
    const todo = checks[verdict];
    return (
        <Card title={t('meter.verdict')}>
            <div class="verdict">
                <Notice tone={tones[verdict]} title={t(`verdict.${verdict}.title`)}>
                    <p>{t(`verdict.${verdict}.text`)}</p>
                    {last !== null && verdict !== 'good' && <p>{t('meter.last_good', { age: age(last) })}</p>}
                </Notice>
                <DeviceFace lights={status.lights} />
            </div>
            {todo.length > 0 && (
                <>
                    <h3>{t('meter.check')}</h3>
                    <ol class="checks">
                        {todo.map((key) => (
                            <li key={key}>{t(key)}</li>
                        ))}
                    </ol>
                </>
            )}
        </Card>
    );
}

function Counters({ status }: { status: Status }) {
    const { link } = status;
    const [one = 0, two = 0, three = 0] = link.lists;
    return (
        <Card title={t('meter.counters')}>
            <Facts
                rows={[
                    [t('meter.telegrams'), number(link.telegrams)],
                    [t('meter.lists'), `${number(one)} / ${number(two)} / ${number(three)}`],
                    [t('meter.bytes'), number(link.bytes)],
                    [t('meter.line_errors'), number(link.line_errors)],
                    [t('meter.last_byte'), link.last_byte_age_s === null ? '–' : age(link.last_byte_age_s)],
                    [t('meter.last_telegram'), link.last_good_age_s === null ? '–' : age(link.last_good_age_s)],
                ]}
            />
        </Card>
    );
}

function Drops({ status }: { status: Status }) {
    const dropped = status.link.drops.filter((d) => d.count > 0);
    return (
        <Card title={t('meter.dropped')}>
            {dropped.length === 0 ? <p class="soft">{t('meter.dropped_none')}</p> : <Facts rows={dropped.map((d) => [maybe(`drop.${d.reason}`, d.text), number(d.count)])} />}
        </Card>
    );
}

function reason(telegram: Telegram): string {
    return maybe(`drop.${telegram.reason_code}`, telegram.reason ?? '');
}

function Telegrams() {
    const [paused, pause] = useState(false);
    const [onlyDropped, setOnlyDropped] = useState(false);
    const poll = usePoll(api.telegrams, 2500);
    const [held, hold] = useState<Telegram[] | null>(null);
    const all = (paused ? held : null) ?? poll.data?.telegrams ?? [];
    const shown = onlyDropped ? all.filter((telegram) => !telegram.ok) : all;
    const toggle = () => {
        hold(poll.data?.telegrams ?? null);
        pause(!paused);
    };
    return (
        <Card
            title={t('meter.newest')}
            actions={
                <>
                    <Button kind="quiet" onClick={toggle}>
                        {paused ? t('meter.go_on') : t('meter.pause')}
                    </Button>
                    <a class="button quiet" href="/api/v1/telegrams?format=raw" download="telegrams.bin">
                        {t('action.download')}
                    </a>
                </>
            }
        >
            <label class="check">
                <input type="checkbox" checked={onlyDropped} onChange={(e) => setOnlyDropped(e.currentTarget.checked)} /> {t('meter.only_dropped')}
            </label>
            {poll.error && <Failed error={poll.error} />}
            {shown.length === 0 && <p class="soft">{t('meter.none')}</p>}
            <div class="telegrams" role="group" aria-label={t('meter.newest')} tabIndex={0}>
                {shown.map((telegram) => (
                    <TelegramRow key={telegram.number} telegram={telegram} />
                ))}
            </div>
        </Card>
    );
}

function TelegramRow({ telegram }: { telegram: Telegram }) {
    const [open, setOpen] = useState(false);
    return (
        <details class={telegram.ok ? 'telegram' : 'telegram dropped'} onToggle={(e) => setOpen(e.currentTarget.open)}>
            <summary>
                <span class="telegram-number">{telegram.number}</span>
                <span>{telegram.time === null ? age(telegram.age_s) : clockSeconds(Date.parse(telegram.time))}</span>
                <span class="grow">{telegram.ok ? t('meter.list', { list: telegram.list ?? '?' }) : reason(telegram)}</span>
                <span class="soft">{t('meter.octets', { count: telegram.bytes })}</span>
            </summary>
            {open && (
                <div class="telegram-body">
                    {telegram.decoded && <Decoded values={telegram.decoded} />}
                    <Scroll label={t('meter.hex')}>
                        <pre class="mono">{hexLines(telegram.raw)}</pre>
                    </Scroll>
                    {telegram.cut && <p class="soft small">{t('meter.cut')}</p>}
                </div>
            )}
        </details>
    );
}

/** Sixteen octets a line, with the place of the first. */
function hexLines(raw: string): string {
    const octets = raw.replace(/\s/g, '').match(/../g) ?? [];
    const lines: string[] = [];
    for (let i = 0; i < octets.length; i += 16) {
        lines.push(`${i.toString(16).padStart(4, '0')}  ${octets.slice(i, i + 16).join(' ')}`);
    }
    return lines.join('\n');
}

// the decoded telegram as a tree: what it is about, then its values
const branches: [Key, RegExp][] = [
    ['tree.identity', /^(manufacturer|list|list_version|meter_id|meter_type)$/],
    ['tree.power', /_power_/],
    ['tree.phases', /^(current|voltage)_/],
    ['tree.energy', /_energy_/],
    ['tree.time', /^(meter_clock|apdu_datetime)$/],
];

function Decoded({ values }: { values: Record<string, Value> }) {
    const present = Object.entries(values).filter(([, value]) => value !== null);
    return (
        <ul class="tree">
            {branches.map(([title, names]) => {
                const leaves = present.filter(([name]) => names.test(name));
                return (
                    leaves.length > 0 && (
                        <li key={title}>
                            {t(title)}
                            <ul>
                                {leaves.map(([name, value]) => (
                                    <li key={name}>
                                        <span class="mono soft">{name}</span> <span class="value">{String(value)}</span>
                                    </li>
                                ))}
                            </ul>
                        </li>
                    )
                );
            })}
        </ul>
    );
}
