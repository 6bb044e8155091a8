// Numbers, times and ages in the reader's language.
import { language, t } from './i18n';
import { store } from './store';

export const zone = store<string | undefined>(undefined); // device.timezone once known

const locale = () => ({ nb: 'nb-NO', nn: 'nn-NO', en: 'en-GB' })[language.get()];
const kept = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function cached<T extends Intl.NumberFormat | Intl.DateTimeFormat>(kind: string, make: () => T): T {
    const key = `${locale()} ${zone.get()} ${kind}`;
    if (!kept.has(key)) {
        kept.set(key, make());
    }
    return kept.get(key) as T;
}

export function number(value: number, decimals = 0): string {
    const format = cached(`n${decimals}`, () =>
        new Intl.NumberFormat(locale(), { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
    return format.format(value);
}

/** A time zone that this browser does not know is a reason to show its own, not to fail. */
function dateFormat(kind: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    return cached(kind, () => {
        try {
            return new Intl.DateTimeFormat(locale(), { ...options, timeZone: zone.get() });
        } catch {
            return new Intl.DateTimeFormat(locale(), options);
        }
    });
}

export const clock = (ms: number) => dateFormat('clock', { hour: '2-digit', minute: '2-digit' }).format(ms);
export const clockSeconds = (ms: number) => dateFormat('clock-s', { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(ms);
export const dateTime = (ms: number) => dateFormat('date-time', { dateStyle: 'medium', timeStyle: 'medium' }).format(ms);

/** "4 s", "3 min", "2 h", "5 d": short, for beside a value */
export function age(seconds: number): string {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) {
        return `${s} s`;
    }
    if (s < 3600) {
        return `${Math.floor(s / 60)} min`;
    }
    return s < 172800 ? `${Math.floor(s / 3600)} ${t('unit.hours')}` : `${Math.floor(s / 86400)} ${t('unit.days')}`;
}

/** "2 d 3 h 4 min" */
export function duration(seconds: number): string {
    const parts: [number, string][] = [
        [Math.floor(seconds / 86400), t('unit.days')],
        [Math.floor(seconds / 3600) % 24, t('unit.hours')],
        [Math.floor(seconds / 60) % 60, 'min'],
    ];
    const shown = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`);
    return shown.length > 0 ? shown.join(' ') : `${Math.floor(seconds)} s`;
}

/** Power as people read it: 987 W, 2.41 kW */
export function power(watts: number): { number: string; unit: string } {
    return Math.abs(watts) < 1000 ? { number: number(watts), unit: 'W' } : { number: number(watts / 1000, 2), unit: 'kW' };
}
