// Power over time: import above the zero line, export below it. Drag to zoom, or use the buttons.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { clock, clockSeconds, number, zone } from './format';
import { t } from './i18n';
import { Button } from './ui';

export interface Series {
    at: number[]; // s since 1970, rising
    import: (number | null)[]; // W
    export: (number | null)[]; // W, above 0
    low?: (number | null)[]; // smallest and largest net power of each place
    high?: (number | null)[];
}

const gapS = 60; // the estimate does not bridge more either: a longer silence is shown as one

/** Breaks the line where nothing came. */
function withGaps(from: Series): uPlot.AlignedData {
    const at: number[] = [];
    const plus: (number | null)[] = [];
    const minus: (number | null)[] = [];
    from.at.forEach((second, i) => {
        if (i > 0 && second - from.at[i - 1] > Math.max(gapS, 2 * ((from.at[1] ?? 0) - from.at[0]))) {
            at.push(from.at[i - 1] + 1);
            plus.push(null);
            minus.push(null);
        }
        const out = from.export[i];
        at.push(second);
        plus.push(from.import[i]);
        minus.push(out === null ? null : -out);
    });
    return [at, plus, minus];
}

function colours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name: string) => style.getPropertyValue(name).trim();
    return { text: get('--soft'), grid: get('--line'), plus: get('--import'), plusFill: get('--import-fill'), minus: get('--export'), minusFill: get('--export-fill') };
}

const readable = (watts: number) => (Math.abs(watts) >= 1000 ? `${number(watts / 1000, 1)} kW` : `${number(watts)} W`);

function options(width: number, height: number, hover: (index: number | null) => void): uPlot.Options {
    const c = colours();
    const axis = { stroke: c.text, grid: { stroke: c.grid, width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
    return {
        width,
        height,
        padding: [8, 8, 0, 0],
        tzDate: (seconds) => {
            try {
                return uPlot.tzDate(new Date(seconds * 1000), zone.get() ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
            } catch {
                return new Date(seconds * 1000);
            }
        },
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: true }, points: { size: 7 }, y: false },
        scales: { y: { range: (_, low, high) => span(low, high) } },
        axes: [
            { ...axis, size: 28, space: 64, values: (_, ticks) => ticks.map((s, i) => (ticks.length > 1 && ticks[1] - ticks[0] < 60 ? clockSeconds(s * 1000) : i >= 0 ? clock(s * 1000) : '')) },
            { ...axis, size: 62, values: (_, ticks) => ticks.map((w) => (w === 0 ? '0' : readable(w))) },
        ],
        series: [
            {},
            { stroke: c.plus, fill: c.plusFill, width: 1.75, points: { show: false } },
            { stroke: c.minus, fill: c.minusFill, width: 1.75, points: { show: false } },
        ],
        hooks: { setCursor: [(u) => hover(u.cursor.idx ?? null)] },
    };
}

/** The zero line is always in sight; an empty plot has a scale too. */
function span(low: number | null, high: number | null): [number, number] {
    const bottom = Math.min(0, low ?? 0);
    const top = Math.max(0, high ?? 0);
    const room = Math.max(50, (top - bottom) * 0.08);
    return [bottom < 0 ? bottom - room : 0, top + room];
}

const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

export function PowerPlot({ series, label }: { series: Series; label: string }) {
    const box = useRef<HTMLDivElement>(null);
    const reading = useRef<HTMLParagraphElement>(null);
    const plot = useRef<uPlot | null>(null);
    const zoomed = useRef(false);
    const data = withGaps(series);
    const newest = useRef(data);
    newest.current = data;

    useEffect(() => {
        const place = box.current as HTMLDivElement;
        const hover = (index: number | null) => {
            const [at, plus, minus] = newest.current;
            if (reading.current) {
                const net = index === null || (plus[index] == null && minus[index] == null) ? null : (plus[index] ?? 0) + (minus[index] ?? 0);
                reading.current.textContent = index === null || net === null ? t('plot.hint') : `${clockSeconds(at[index] * 1000)}   ${readable(net)}`;
            }
        };
        const draw = () => {
            plot.current?.destroy();
            zoomed.current = false;
            plot.current = new uPlot(options(place.clientWidth, place.clientHeight, hover), newest.current, place);
            plot.current.over.addEventListener('mouseup', () => {
                zoomed.current = true;
            });
            plot.current.over.addEventListener('dblclick', () => {
                zoomed.current = false;
            });
            hover(null);
        };
        draw();
        const resize = new ResizeObserver(() => plot.current?.setSize({ width: place.clientWidth, height: place.clientHeight }));
        resize.observe(place);
        const scheme = matchMedia('(prefers-color-scheme: dark)');
        scheme.addEventListener('change', draw);
        return () => {
            resize.disconnect();
            scheme.removeEventListener('change', draw);
            plot.current?.destroy();
        };
    }, []);

    useEffect(() => {
        // a zoomed plot stays where the reader put it
        plot.current?.setData(data, !zoomed.current);
        if (zoomed.current) {
            plot.current?.redraw();
        }
    }, [series]);

    const move = (factor: number, shift: number) => {
        const u = plot.current;
        const at = newest.current[0];
        const { min, max } = u?.scales.x ?? {};
        if (!u || min == null || max == null || at.length < 2) {
            return;
        }
        const whole = [at[0], at[at.length - 1]];
        const width = Math.min((max - min) * factor, whole[1] - whole[0]);
        const middle = (min + max) / 2 + shift * width;
        const left = Math.min(Math.max(middle - width / 2, whole[0]), whole[1] - width);
        zoomed.current = width < whole[1] - whole[0];
        u.setScale('x', { min: left, max: left + width });
    };
    const reset = () => {
        zoomed.current = false;
        plot.current?.setData(newest.current, true);
    };
    const keys = (event: KeyboardEvent) => {
        const act: Record<string, () => void> = {
            '+': () => move(0.5, 0),
            '-': () => move(2, 0),
            ArrowLeft: () => move(1, -0.25),
            ArrowRight: () => move(1, 0.25),
            Home: reset,
        };
        if (act[event.key]) {
            event.preventDefault();
            act[event.key]();
        }
    };
    return (
        <div class={still() ? 'plot still' : 'plot'}>
            <div class="plot-head">
                <p class="plot-reading" ref={reading}>
                    {t('plot.hint')}
                </p>
                <div class="plot-tools" role="group" aria-label={t('plot.tools')}>
                    <Button kind="quiet" icon="earlier" label={t('plot.earlier')} onClick={() => move(1, -0.5)} />
                    <Button kind="quiet" icon="later" label={t('plot.later')} onClick={() => move(1, 0.5)} />
                    <Button kind="quiet" icon="zoomIn" label={t('plot.zoom_in')} onClick={() => move(0.5, 0)} />
                    <Button kind="quiet" icon="zoomOut" label={t('plot.zoom_out')} onClick={() => move(2, 0)} />
                    <Button kind="quiet" icon="whole" label={t('plot.whole')} onClick={reset} />
                </div>
            </div>
            <div class="plot-box" ref={box} role="img" aria-label={label} tabIndex={0} onKeyDown={keys} />
        </div>
    );
}
