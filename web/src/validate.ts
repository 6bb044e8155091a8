// The settings' rules again, for use while typing. The gateway checks them once more and has the last word.
import { type SettingRow, type Value } from './api';
import { number } from './format';
import { type Key, maybe, t } from './i18n';

const octets = (text: string) => new TextEncoder().encode(text).length;

function isIpv4(text: string): boolean {
    const parts = text.split('.');
    return parts.length === 4 && parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) <= 255);
}

/** Host address with prefix length; the network's own and the broadcast address are no hosts. */
function isAddress(text: string): boolean {
    const [ip, bits, more] = text.split('/');
    if (more !== undefined || !isIpv4(ip) || !/^\d{1,2}$/.test(bits ?? '')) {
        return false;
    }
    const prefix = Number(bits);
    const value = ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    const hosts = 2 ** (32 - prefix);
    const place = value % hosts;
    return prefix >= 1 && prefix <= 32 && (prefix > 30 || (place !== 0 && place !== hosts - 1));
}

const words = (text: string) => text.split(' ').filter((word) => word !== '');

const checks: Record<string, (text: string) => boolean> = {
    source: (s) =>
        /^(auto|stdin|sim:(aidon|kaifa|kamstrup)|serial:\/dev\/.+|file:.+)$/.test(s) || /^tcp:\/\/(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}$/.test(s),
    listen: (s) => s === 'all' || isIpv4(s) || (s.includes(':') && /^[0-9a-fA-F:.]+$/.test(s)),
    topic: (s) => !/[+#\0]/.test(s) && !s.startsWith('/') && !s.endsWith('/') && !s.startsWith('$'),
    urls: (s) => words(s).every((url) => /^mqtts?:\/\/(\[[0-9a-fA-F:]+\]|[^\s:/@]+)(:\d{1,5})?\/?$/.test(url)),
    formats: (s) => words(s).length > 0 && words(s).every((word) => ['han2x', 'json', 'sparkplug'].includes(word)),
    address: isAddress,
    ipv4: (s) => s === '' || isIpv4(s),
    ipv4s: (s) => words(s).every(isIpv4),
    hostname: (s) => /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/.test(s),
    path: (s) => s === '' || s.startsWith('/'),
    gpio: (s) => s === '' || /^[A-Za-z0-9_-]+:\d{1,5}$/.test(s),
    name: (s) => !s.includes('/'),
    zone: (s) => /^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/.test(s),
    user: (s) => !s.includes(':'),
};

/** @return what is allowed, in the reader's language */
function rule(row: SettingRow): string {
    return maybe(`allowed.${row.check}`, row.allowed);
}

/** @return what is wrong with a value, in words; empty when nothing is */
export function wrong(row: SettingRow, value: Value): string {
    if (row.type === 'int') {
        const text = String(value).trim();
        const range = t('allowed.int', { min: number(row.min ?? 0), max: number(row.max ?? 0) });
        return /^-?\d{1,15}$/.test(text) && Number(text) >= (row.min ?? 0) && Number(text) <= (row.max ?? Infinity) ? '' : range;
    }
    if ((row.type !== 'text' && row.type !== 'secret') || value === null) {
        return '';
    }
    const text = String(value);
    if (text === '' && (row.min ?? 0) > 0) {
        return t('allowed.needed');
    }
    if (row.max !== null && octets(text) > row.max) {
        return t('allowed.length', { max: row.max });
    }
    const check = checks[row.check];
    return !check || text === '' || check(text) ? '' : rule(row);
}

/** Settings that ask for another one: section.key that must be filled when a yes/no is yes. */
export const needs: Record<string, { on: string; text: Key }> = {
    'mqtt.url': { on: 'enabled', text: 'needed.mqtt_url' },
    'modbus_rtu.device': { on: 'enabled', text: 'needed.rtu_device' },
};
