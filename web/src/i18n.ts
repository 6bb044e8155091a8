// Texts in three languages; a key that is missing in one is an error at build time.
import en from './texts/en.json';
import nb from './texts/nb.json';
import nn from './texts/nn.json';
import saidNb from './texts/said.nb.json';
import saidNn from './texts/said.nn.json';
import { keep, store } from './store';

export type Key = keyof typeof nb;
export type Language = 'nb' | 'nn' | 'en';
export const languages: Language[] = ['nb', 'nn', 'en'];

const texts: Record<Language, Record<Key, string>> = { nb, nn, en };
export const language = store<Language>('nb');
let device: string = 'auto';

/** @return the best of our languages for a browser's wishes, English when it wishes none of them */
export function pick(wishes: readonly string[]): Language {
    for (const wish of wishes) {
        const short = wish.toLowerCase().split('-')[0];
        if (short === 'nn' || short === 'en') {
            return short;
        }
        if (['nb', 'no', 'da', 'sv'].includes(short)) {
            return 'nb';
        }
    }
    return 'en';
}

function choose() {
    const own = keep.get('language');
    const wanted = own !== null && own !== 'auto' ? own : device;
    const chosen = languages.find((l) => l === wanted) ?? pick(navigator.languages);
    document.documentElement.lang = chosen;
    if (chosen !== language.get()) {
        language.set(chosen);
    }
}

/** The device's language counts where this browser has none of its own. */
export function setDeviceLanguage(wanted: string) {
    device = wanted;
    choose();
}

/** @return this browser's own choice */
export function ownLanguage(): string {
    return keep.get('language') ?? 'auto';
}

export function setOwnLanguage(wanted: string) {
    keep.set('language', wanted);
    choose();
}

export type Params = Record<string, string | number>;

function fill(text: string, params: Params): string {
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? String(params[name]) : whole));
}

/** The text of `key`, its {names} filled in. */
export function t(key: Key, params?: Params): string {
    const text = texts[language.get()][key] ?? key;
    return params ? fill(text, params) : text;
}

/** The text of a key that the program's tables name, or `otherwise` for rows newer than the texts. */
export function maybe(key: string, otherwise: string): string {
    return (texts[language.get()] as Record<string, string>)[key] ?? otherwise;
}

const saids: Record<Language, Record<string, string>> = { nb: saidNb, nn: saidNn, en: {} };

/** What the program said, in the reader's language; its own words are English. */
export function translated(words: string, code: string | null, values: string[]): string {
    const text = code === null ? undefined : saids[language.get()][code];
    return text === undefined ? words : fill(text, Object.fromEntries(values.entries()));
}

choose();
