// The Modbus registers as a master sees them, raw and decoded, to copy into other programs.
import { useState } from 'preact/hooks';
import { api, type Register, type Status } from '../api';
import { number } from '../format';
import { maybe, t } from '../i18n';
import { useStore } from '../store';
import { snapshot } from '../live';
import { Button, Failed, Loading, Scroll, Take, usePoll } from '../ui';
import { csv, evcc, homeAssistant } from '../exports';

const manualMap = (r: Register) => r.address < 41000; // the manual's map; from 41001 the extension block

export function RegistersPage() {
    const { data, error, again } = usePoll(api.registers, 2500);
    const status = usePoll(api.status, 60000);
    const [words, setWords] = useState('');
    const [all, setAll] = useState(false);
    const [take, setTake] = useState<'csv' | 'evcc' | 'ha' | null>(null);
    useStore(snapshot);
    const wanted = words.trim().toLowerCase();
    const rows = (data?.registers ?? []).filter(
        (r) => r.type !== 'reserved' && (all || manualMap(r)) && (wanted === '' || `${r.address} ${r.name} ${meaning(r)}`.toLowerCase().includes(wanted)),
    );
    return (
        <>
            <h1>{t('page.registers')}</h1>
            <p class="soft">{t('registers.intro')}</p>
            <div class="toolbar">
                <div class="field inline">
                    <label for="filter">{t('registers.filter')}</label>
                    <input id="filter" type="search" value={words} onInput={(e) => setWords(e.currentTarget.value)} />
                </div>
                <div class="choice" role="group" aria-label={t('registers.which')}>
                    <button type="button" aria-pressed={!all} onClick={() => setAll(false)}>
                        {t('registers.manual')}
                    </button>
                    <button type="button" aria-pressed={all} onClick={() => setAll(true)}>
                        {t('registers.all')}
                    </button>
                </div>
                <div class="buttons">
                    <Button icon="copy" disabled={!data} onClick={() => setTake('csv')}>
                        CSV
                    </Button>
                    <Button icon="copy" disabled={!data} onClick={() => setTake('evcc')}>
                        evcc
                    </Button>
                    <Button icon="copy" disabled={!data} onClick={() => setTake('ha')}>
                        Home Assistant
                    </Button>
                </div>
            </div>
            {error && <Failed error={error} again={again} />}
            {!data && !error && <Loading />}
            {data && <Table rows={rows} />}
            {take && data && <Copy what={take} rows={data.registers} shown={rows} status={status.data} onClose={() => setTake(null)} />}
        </>
    );
}

function meaning(r: Register): string {
    return maybe(`reg.${r.name}`, r.meaning);
}

function decoded(r: Register): string {
    if (r.value === null) {
        return '–';
    }
    if (typeof r.value === 'string') {
        return r.value;
    }
    // years and numbers of devices are no quantities: no grouping
    return r.unit === '' ? String(r.value) : number(r.value, Number.isInteger(r.value) ? 0 : 3);
}

function Table({ rows }: { rows: Register[] }) {
    return (
        <Scroll label={t('registers.table')}>
            <table class="data registers" data-testid="registers">
                <caption class="hidden">{t('registers.table')}</caption>
                <thead>
                    <tr>
                        <th scope="col">{t('registers.register')}</th>
                        <th scope="col">{t('registers.meaning')}</th>
                        <th scope="col" class="right">
                            {t('registers.value')}
                        </th>
                        <th scope="col">{t('registers.raw')}</th>
                        <th scope="col">{t('registers.type')}</th>
                    </tr>
                </thead>
                <tbody>
                    {rows.map((r) => (
                        <tr key={r.address}>
                            <th scope="row">
                                {r.address}
                                {r.words > 1 && <span class="soft">–{String(r.address + r.words - 1).slice(-2)}</span>}
                            </th>
                            <td>
                                {meaning(r)}
                                {r.writable && <span class="tag">{t('registers.writable')}</span>}
                            </td>
                            <td class="right value">
                                {decoded(r)} <span class="unit">{r.unit}</span>
                            </td>
                            <td class="mono">{r.raw}</td>
                            <td class="mono soft">{r.type}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Scroll>
    );
}

function Copy({ what, rows, shown, status, onClose }: { what: 'csv' | 'evcc' | 'ha'; rows: Register[]; shown: Register[]; status: Status | null; onClose: () => void }) {
    const target = { host: location.hostname, port: status?.modbus_tcp.port ?? 502, number: status?.device_number ?? 0 };
    switch (what) {
        case 'csv':
            return <Take title="CSV" note={t('registers.csv_note')} name="registers.csv" text={csv(shown)} type="text/csv" onClose={onClose} />;
        case 'evcc':
            return <Take title="evcc.yaml" note={t('registers.evcc_note')} name="evcc.yaml" text={evcc(rows, target)} type="text/yaml" onClose={onClose} />;
        case 'ha':
            return <Take title="configuration.yaml" note={t('registers.ha_note')} name="han2x.yaml" text={homeAssistant(rows, target)} type="text/yaml" onClose={onClose} />;
    }
}
