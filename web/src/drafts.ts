// Settings as they stand, and what was typed but not yet saved. Kept while the pages change, so that
// neither an error nor a look at another page loses anything.
import { api, type ApiError, type Effect, type SettingRow, type Settings, type Value, type Values } from './api';
import { translated, t } from './i18n';
import { store } from './store';
import { needs, wrong } from './validate';

export interface Drafts {
    rows: SettingRow[];
    settings: Settings | null;
    typed: Record<string, Value>; // by section.key
    refused: Record<string, { value: Value; text: string }>; // by the gateway, for this value
    error: ApiError | null; // of the last load
}

export const drafts = store<Drafts>({ rows: [], settings: null, typed: {}, refused: {}, error: null });

export type Interruption = Exclude<Effect, 'none'>;

export const id = (row: SettingRow) => `${row.section}.${row.key}`;

function update(change: Partial<Drafts>) {
    drafts.set({ ...drafts.get(), ...change });
}

export async function loadSettings() {
    try {
        const [schema, settings] = await Promise.all([api.schema(), api.settings()]);
        update({ rows: schema.settings, settings, error: null });
    } catch (error) {
        update({ error: error as ApiError });
    }
}

export function saved(d: Drafts, row: SettingRow): Value {
    return d.settings?.settings[row.section]?.[row.key] ?? (row.secret ? '' : null);
}

export function shown(d: Drafts, row: SettingRow): Value {
    return id(row) in d.typed ? d.typed[id(row)] : saved(d, row);
}

export function type(row: SettingRow, value: Value) {
    const typed = { ...drafts.get().typed, [id(row)]: value };
    if (String(value) === String(saved(drafts.get(), row)) && !row.secret) {
        delete typed[id(row)];
    }
    update({ typed });
}

/** Typed into `rows` but not saved. */
export function changed(d: Drafts, rows: SettingRow[]): SettingRow[] {
    return rows.filter((row) => id(row) in d.typed);
}

export function discard(rows: SettingRow[]) {
    const typed = { ...drafts.get().typed };
    rows.forEach((row) => delete typed[id(row)]);
    update({ typed });
}

/** @return what is wrong with the value in sight, empty when nothing is */
export function fault(d: Drafts, row: SettingRow): string {
    const value = shown(d, row);
    const need = needs[id(row)];
    const asks = need && d.rows.find((r) => r.section === row.section && r.key === need.on);
    if (asks && shown(d, asks) === true && value === '') {
        return t(need.text);
    }
    const refused = d.refused[id(row)];
    if (refused && refused.value === value) {
        return refused.text;
    }
    return id(row) in d.typed ? wrong(row, value) : '';
}

function asValue(row: SettingRow, value: Value): Value {
    return row.type === 'int' ? Number(value) : value;
}

/** What the changed rows interrupt, each once. */
export function effects(rows: SettingRow[]): Interruption[] {
    return [...new Set(rows.map((row) => row.effect))].filter((effect): effect is Interruption => effect !== 'none');
}

/** Saves what was typed into `rows`: all of it or, when one is refused, nothing. */
export async function save(rows: SettingRow[]): Promise<Effect[]> {
    const d = drafts.get();
    const values: Values = {};
    changed(d, rows).forEach((row) => {
        values[row.section] = { ...values[row.section], [row.key]: asValue(row, d.typed[id(row)]) };
    });
    try {
        const answer = await api.change(values);
        discard(rows);
        update({ settings: answer.settings, refused: {} });
        return answer.effects;
    } catch (error) {
        const refused: Drafts['refused'] = {};
        (error as ApiError).fields?.forEach((field) => {
            refused[field.key] = { value: d.typed[field.key] ?? null, text: translated(field.message, field.message_code, field.message_values) };
        });
        update({ refused });
        throw error;
    }
}
