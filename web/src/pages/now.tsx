// What the meter says now: net power, phases, energies, the last hours.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { api, energyNames, type EnergyName, type Field, type History, type Live } from '../api';
import { age, clock, clockSeconds, number, power } from '../format';
import { t } from '../i18n';
import { Icon } from '../icons';
import { connected, type Point, points, type Snapshot, snapshot } from '../live';
import { useStore } from '../store';
import { Button, Card, Notice, saveFile, Scroll, useNow } from '../ui';
import { PowerPlot, type Series } from '../plot';

export function NowPage() {
    const last = useStore(snapshot);
    return (
        <>
            <h1 class="hidden">{t('page.now')}</h1>
            {last === null ? <Nothing /> : <Readings last={last} />}
        </>
    );
}

function Nothing() {
    const on = useStore(connected);
    return <Card>{on ? <p>{t('now.waiting')}</p> : <p>{t('state.loading')}</p>}</Card>;
}

function Readings({ last }: { last: Snapshot }) {
    const { live } = last;
    return (
        <>
            {live.link !== 'good' && (
                <Notice tone="warn" title={t(`verdict.${live.link}.title`)}>
                    <p>
                        {t(`verdict.${live.link}.text`)} <a href="#/meter">{t('now.what_to_check')}</a>
                    </p>
                </Notice>
            )}
            <div class="now-grid">
                <NetPower last={last} />
                <Phases live={live} />
                <PlotCard />
                <Energies last={last} />
                <MeterCard live={live} />
            </div>
        </>
    );
}

function NetPower({ last }: { last: Snapshot }) {
    const now = useNow();
    const { net_power: net } = last.live;
    const passed = (now - last.at) / 1000;
    const known = net.value !== null;
    const shown = power(Math.abs(net.value ?? 0));
    const old = net.age_s !== null && net.age_s + passed > 60;
    return (
        <section class={`card net ${net.direction} ${old ? 'old' : ''}`}>
            <h2>{t('now.net_power')}</h2>
            <p class="net-value" data-testid="net">
                {known ? (
                    <>
                        <span class="net-number">{shown.number}</span> <span class="net-unit">{shown.unit}</span>
                    </>
                ) : (
                    <span class="net-number none">–</span>
                )}
            </p>
            <p class="net-direction">
                <span class="chip">
                    <Icon name={net.direction === 'unknown' ? 'none' : net.direction} />
                    {t(`direction.${net.direction}`)}
                </span>
                <span class="soft">{net.age_s === null ? t('now.no_value') : t('now.ago', { age: age(net.age_s + passed) })}</span>
            </p>
            <SpokenPower live={last.live} />
            <Reactive live={last.live} />
        </section>
    );
}

function Reactive({ live }: { live: Live }) {
    const plus = live.fields.reactive_power_import;
    const minus = live.fields.reactive_power_export;
    if (plus.value === null && minus.value === null) {
        return null;
    }
    return (
        <p class="soft small">
            {t('now.reactive')} {plus.value === null ? '–' : number(plus.value, plus.decimals)} / {minus.value === null ? '–' : number(minus.value, minus.decimals)} VAr
        </p>
    );
}

const spokenEveryMs = 60000;

/** For screen readers: the power now and then, and a change of direction at once. */
function SpokenPower({ live }: { live: Live }) {
    const [spoken, speak] = useState({ text: '', at: 0, direction: '' });
    const { value, direction } = live.net_power;
    useEffect(() => {
        const now = Date.now();
        if (value !== null && (direction !== spoken.direction || now - spoken.at > spokenEveryMs)) {
            const shown = power(Math.abs(value));
            speak({ text: `${t(`direction.${direction}`)} ${shown.number} ${shown.unit}`, at: now, direction });
        }
    }, [value, direction]);
    return (
        <p class="hidden" aria-live="polite">
            {spoken.text}
        </p>
    );
}

function value(field: Field): string {
    return field.value === null ? '–' : number(field.value, field.decimals);
}

/** @return why a value is not there, in words */
function missing(field: Field): string {
    if (field.value !== null) {
        return '';
    }
    if (field.not_measured) {
        return t('now.not_measured');
    }
    return field.waits_for_hour ? t('now.waits_for_hour') : t('now.not_yet');
}

function Phases({ live }: { live: Live }) {
    const phases = [1, 2, 3] as const;
    const { fields } = live;
    const one = fields.current_l1.value !== null && fields.current_l2.not_measured && fields.current_l3.not_measured;
    return (
        <Card title={t('now.phases')}>
            <table class="phases">
                <thead>
                    <tr>
                        <th scope="col">{t('now.phase')}</th>
                        <th scope="col">{t('now.voltage')}</th>
                        <th scope="col">{t('now.current')}</th>
                    </tr>
                </thead>
                <tbody>
                    {phases.map((p) => (
                        <tr key={p}>
                            <th scope="row">L{p}</th>
                            <Reading field={fields[`voltage_l${p}`]} />
                            <Reading field={fields[`current_l${p}`]} />
                        </tr>
                    ))}
                </tbody>
            </table>
            {one && <Notice tone="info" title={t('now.only_l1')}>{t('now.only_l1_text')}</Notice>}
            {live.meter.phases === '3it' && fields.current_l2.not_measured && !one && <p class="soft small">{t('now.it_grid')}</p>}
        </Card>
    );
}

function Reading({ field }: { field: Field }) {
    const held = field.quality === 'held' ? 'old' : '';
    return (
        <td class={held}>
            {field.value === null ? (
                <span class="missing">{missing(field)}</span>
            ) : (
                <>
                    <span class="value">{value(field)}</span> <span class="unit">{field.unit}</span>
                </>
            )}
        </td>
    );
}

function Energies({ last }: { last: Snapshot }) {
    const { fields } = last.live;
    const waits = energyNames.some((name) => fields[name].waits_for_hour);
    const shown = energyNames.filter((name) => !fields[name].not_measured || fields[name].value !== null);
    return (
        <Card title={t('now.energies')}>
            {waits && <Notice tone="info" title={t('now.energy_waits')}>{t('now.energy_waits_text')}</Notice>}
            <ul class="energies">
                {shown.map((name) => (
                    <Energy key={name} name={name} measured={fields[name]} estimated={fields[`${name}_estimated`]} at={last.at} />
                ))}
            </ul>
            <p class="soft small">{t('now.energy_how')}</p>
        </Card>
    );
}

/** Two digits more than the meter's hourly total: what moves between the hours. */
function Energy({ name, measured, estimated, at }: { name: EnergyName; measured: Field; estimated: Field; at: number }) {
    const best = estimated.value !== null ? estimated : measured;
    return (
        <li>
            <span class="energy-name">{t(`field.${name}`)}</span>
            {best.value === null ? (
                <span class="missing">{missing(measured)}</span>
            ) : (
                <span>
                    <span class="value big">{number(best.value, best.decimals)}</span> <span class="unit">{best.unit}</span>
                </span>
            )}
            {measured.value !== null && (
                <span class="soft small">
                    <span>{t('now.last_hour', { value: number(measured.value, measured.decimals), unit: measured.unit })}</span>{' '}
                    {measured.age_s !== null && <span>· {clock(at - measured.age_s * 1000)}</span>}
                </span>
            )}
        </li>
    );
}

function MeterCard({ live }: { live: Live }) {
    const { meter } = live;
    return (
        <Card title={t('now.meter')}>
            {meter.known ? (
                <p class="meter-line">
                    <strong>{maker(meter.maker)}</strong> {meter.type}
                    <br />
                    <span class="soft">{meter.id}</span>
                    <br />
                    <span class="soft">{t(`phases.${meter.phases}`)}</span>
                </p>
            ) : (
                <p class="soft">{t('now.meter_unknown')}</p>
            )}
            {live.scale !== 1000 && <p>{t('now.scaled', { factor: number(live.scale / 1000, 3) })}</p>}
            {live.digital_input !== null && <p>{live.digital_input ? t('input.closed') : t('input.open')}</p>}
            {live.temperature_c !== null && <p>{t('now.temperature', { value: number(live.temperature_c, 1) })}</p>}
        </Card>
    );
}

export function maker(name: string): string {
    return name === '' ? t('maker.unknown') : name[0].toUpperCase() + name.slice(1);
}

type Range = 1 | 6 | 24;
const steps: Record<Range, number> = { 1: 10, 6: 60, 24: 300 };

function fromPoints(all: Point[]): Series {
    return { at: all.map((p) => p.at / 1000), import: all.map((p) => p.import), export: all.map((p) => p.export) };
}

function fromHistory(history: History): Series {
    const end = Date.now() / 1000; // the browser's clock, like the telegrams' ages
    const at = history.series.import_avg.map((_, i) => end - (history.count - i - 0.5) * history.step_s);
    return { at, import: history.series.import_avg, export: history.series.export_avg };
}

function PlotCard() {
    const [range, setRange] = useState<Range>(1);
    const [table, setTable] = useState(false);
    const [history, setHistory] = useState<History | null>(null);
    const recent = useStore(points);
    useEffect(() => {
        setHistory(null);
        if (range === 1) {
            return undefined;
        }
        const load = () => api.history(range, steps[range]).then(setHistory, () => undefined);
        void load();
        const timer = setInterval(load, steps[range] * 1000);
        return () => clearInterval(timer);
    }, [range]);
    const series = useMemo(() => (range === 1 || !history ? fromPoints(range === 1 ? recent : []) : fromHistory(history)), [range, history, recent]);
    const hours = ([1, 6, 24] as const).map((h) => (
        <button key={h} type="button" aria-pressed={h === range} onClick={() => setRange(h)}>
            {h} {t('unit.hours')}
        </button>
    ));
    return (
        <Card title={t('plot.title')} class="wide" actions={<div class="choice" role="group" aria-label={t('plot.range')}>{hours}</div>}>
            <p class="legend">
                <span class="key import" /> {t('direction.import')}
                <span class="key export" /> {t('direction.export')}
            </p>
            {table ? <PlotTable series={series} /> : <PowerPlot key={range} series={series} label={describe(series, range)} />}
            <div class="buttons">
                <Button kind="quiet" icon="registers" onClick={() => setTable(!table)}>
                    {table ? t('plot.as_plot') : t('plot.as_table')}
                </Button>
                <Button kind="quiet" icon="download" onClick={() => saveFile('power.csv', csv(series), 'text/csv')}>
                    CSV
                </Button>
            </div>
        </Card>
    );
}

/** The plot in one sentence, for those who do not see it. */
function describe(series: Series, hours: Range): string {
    const net = series.at.map((_, i) => (series.import[i] === null && series.export[i] === null ? null : (series.import[i] ?? 0) - (series.export[i] ?? 0)));
    const known = net.filter((w): w is number => w !== null);
    if (known.length === 0) {
        return t('plot.empty');
    }
    const [low, high] = [Math.min(...known), Math.max(...known)].map(power);
    return t('plot.describe', { hours, low: `${low.number} ${low.unit}`, high: `${high.number} ${high.unit}` });
}

function csv(series: Series): string {
    const rows = series.at.map((s, i) => `${new Date(s * 1000).toISOString()},${series.import[i] ?? ''},${series.export[i] ?? ''}`);
    return ['time,import_w,export_w', ...rows, ''].join('\n');
}

interface Minute {
    at: number;
    plus: number[];
    minus: number[];
}

/** One row a minute (or a place of the longer ranges), newest first. */
function rows(series: Series): Minute[] {
    const minutes = new Map<number, Minute>();
    series.at.forEach((second, i) => {
        const at = Math.floor(second / 60) * 60;
        const row = minutes.get(at) ?? { at, plus: [], minus: [] };
        if (series.import[i] !== null) {
            row.plus.push(series.import[i] as number);
        }
        if (series.export[i] !== null) {
            row.minus.push(series.export[i] as number);
        }
        minutes.set(at, row);
    });
    return [...minutes.values()].filter((m) => m.plus.length + m.minus.length > 0).sort((a, b) => b.at - a.at);
}

function PlotTable({ series }: { series: Series }) {
    const mean = (all: number[]) => (all.length === 0 ? '–' : number(all.reduce((a, b) => a + b, 0) / all.length));
    return (
        <Scroll label={t('plot.table')} tall>
            <table class="data">
                <caption class="hidden">{t('plot.table')}</caption>
                <thead>
                    <tr>
                        <th scope="col">{t('plot.time')}</th>
                        <th scope="col">{t('direction.import')}, W</th>
                        <th scope="col">{t('plot.highest')}, W</th>
                        <th scope="col">{t('direction.export')}, W</th>
                    </tr>
                </thead>
                <tbody>
                    {rows(series).map((m) => (
                        <tr key={m.at}>
                            <th scope="row">{clockSeconds(m.at * 1000)}</th>
                            <td>{mean(m.plus)}</td>
                            <td>{m.plus.length === 0 ? '–' : number(Math.max(...m.plus))}</td>
                            <td>{mean(m.minus)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Scroll>
    );
}
