// Registers as other programs want them. Addresses come from the live table, never from here.
import { type Register } from './api';

export interface Target {
    host: string;
    port: number;
    number: number; // of the device, for names that must be unique
}

const pdu = (r: Register) => r.address - 40001; // manual: 4xxxx is the protocol's address + 40001

function cell(text: string): string {
    return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

export function csv(rows: Register[]): string {
    const lines = rows.map((r) =>
        [r.address, pdu(r), r.words, r.type, r.name, r.value ?? '', r.unit, r.raw, r.writable ? 'rw' : 'r', r.meaning].map((v) => cell(String(v))).join(','),
    );
    return ['register,address,words,type,name,value,unit,raw,access,meaning', ...lines, ''].join('\n');
}

const decode: Partial<Record<Register['type'], string>> = { u16: 'uint16', s16: 'int16', u32: 'uint32', s32: 'int32', float32: 'float32' };

function evccSource(rows: Register[], name: string, target: Target, scale: string, indent: string): string {
    const r = rows.find((row) => row.name === name);
    if (!r) {
        return '';
    }
    return [
        'source: modbus',
        `uri: ${target.host}:${target.port}`,
        'id: 1',
        'register:',
        `  address: ${pdu(r)}`,
        '  type: holding',
        `  decode: ${decode[r.type]}`,
        ...(scale === '' ? [] : [`scale: ${scale}`]),
    ]
        .map((line, i) => (i === 0 ? line : indent + line))
        .join('\n');
}

/** A grid meter for evcc: power, energy, currents, voltages. */
export function evcc(rows: Register[], target: Target): string {
    const list = (stem: string, scale: string) => [1, 2, 3].map((p) => `      - ${evccSource(rows, `${stem}_l${p}`, target, scale, '        ')}`).join('\n');
    return `meters:
  - name: grid
    type: custom
    power:
      source: calc
      add:
        - ${evccSource(rows, 'active_power_import', target, '', '          ')}
        - ${evccSource(rows, 'active_power_export', target, '-1', '          ')}
    energy:
      ${evccSource(rows, 'active_energy_import_estimated', target, '', '      ')}
    currents:
${list('current', '0.001')}
    voltages:
${list('voltage', '0.1')}
`;
}

interface Kind {
    device: string;
    state: string;
    unit: string;
    scale: number;
    precision: number;
}

// by the unit of the register's row
const kinds: Record<string, Kind> = {
    W: { device: 'power', state: 'measurement', unit: 'W', scale: 1, precision: 0 },
    VAr: { device: 'reactive_power', state: 'measurement', unit: 'var', scale: 1, precision: 0 },
    mA: { device: 'current', state: 'measurement', unit: 'A', scale: 0.001, precision: 2 },
    '0.1 V': { device: 'voltage', state: 'measurement', unit: 'V', scale: 0.1, precision: 1 },
    kWh: { device: 'energy', state: 'total_increasing', unit: 'kWh', scale: 1, precision: 0 },
};

/** Sensors of Home Assistant's modbus integration, for all that it has a class for. */
export function homeAssistant(rows: Register[], target: Target): string {
    const sensors = rows
        .filter((r) => r.address < 41000 && kinds[r.unit] && decode[r.type])
        .map((r) => {
            const kind = kinds[r.unit];
            return `      - name: "${r.name.replace(/_/g, ' ')}"
        unique_id: han2x_${target.number}_${r.name}
        slave: 1
        address: ${pdu(r)}
        input_type: holding
        data_type: ${decode[r.type]}
        scale: ${kind.scale}
        precision: ${kind.precision}
        unit_of_measurement: ${kind.unit}
        device_class: ${kind.device}
        state_class: ${kind.state}
        scan_interval: 10`;
        });
    return `modbus:
  - name: han2x
    type: tcp
    host: ${target.host}
    port: ${target.port}
    sensors:
${sensors.join('\n')}
`;
}
