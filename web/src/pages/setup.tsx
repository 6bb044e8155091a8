// First use: password, meter, network, outputs. Each step can be skipped.
import { useEffect, useState } from 'preact/hooks';
import { api, type Session } from '../api';
import { drafts, loadSettings } from '../drafts';
import { t } from '../i18n';
import { go } from '../router';
import { keep, useStore } from '../store';
import { Button, Card, Failed, Loading, Notice, usePoll } from '../ui';
import { Verdict } from './meter';
import { PasswordForm } from './password';
import { SettingsForm } from './settings';

const steps = ['password', 'meter', 'network', 'outputs'] as const;
const outputs = ['modbus_tcp.enabled', 'modbus_tcp.port', 'modbus_rtu.enabled', 'modbus_rtu.device', 'mqtt.enabled', 'mqtt.url', 'mqtt.username', 'mqtt.password'];
const network = ['network.mode', 'network.address', 'network.gateway', 'network.hostname'];

export function SetupPage({ session }: { session: Session }) {
    const [step, setStep] = useState(session.factory_password ? 0 : 1);
    useEffect(() => void loadSettings(), []);
    const end = () => {
        keep.set('setup', 'done');
        go('now');
    };
    const next = () => (step + 1 < steps.length ? setStep(step + 1) : end());
    return (
        <div class="setup">
            <h1>{t('setup.title')}</h1>
            <ol class="steps">
                {steps.map((name, i) => (
                    <li key={name} aria-current={i === step ? 'step' : undefined} class={i < step ? 'done' : ''}>
                        <button type="button" onClick={() => setStep(i)}>
                            <span class="step-number">{i + 1}</span> {t(`setup.${name}`)}
                        </button>
                    </li>
                ))}
            </ol>
            <div class="stack">
                {steps[step] === 'password' && <PasswordStep session={session} onDone={next} />}
                {steps[step] === 'meter' && <MeterStep />}
                {steps[step] === 'network' && <RowsStep title={t('setup.network')} intro={t('setup.network_text')} names={network} />}
                {steps[step] === 'outputs' && <RowsStep title={t('setup.outputs')} intro={t('setup.outputs_text')} names={outputs} />}
            </div>
            <div class="buttons setup-end">
                <Button kind="primary" onClick={next}>
                    {step + 1 < steps.length ? t('setup.next') : t('setup.finish')}
                </Button>
                {step > 0 && <Button onClick={() => setStep(step - 1)}>{t('setup.back')}</Button>}
                <Button kind="quiet" onClick={end}>
                    {t('setup.skip_all')}
                </Button>
            </div>
        </div>
    );
}

function PasswordStep({ session, onDone }: { session: Session; onDone: () => void }) {
    return session.factory_password ? (
        <>
            <Notice tone="info">{t('setup.password_text')}</Notice>
            <PasswordForm onDone={onDone} />
        </>
    ) : (
        <Card title={t('setup.password')}>
            <Notice tone="ok">{t('setup.password_done')}</Notice>
        </Card>
    );
}

function MeterStep() {
    const { data, error } = usePoll(api.status, 2500);
    return (
        <>
            {error && <Failed error={error} />}
            {!data && !error && <Loading />}
            {data && <Verdict status={data} />}
        </>
    );
}

function RowsStep({ title, intro, names }: { title: string; intro: string; names: string[] }) {
    const d = useStore(drafts);
    const rows = d.rows.filter((row) => names.includes(`${row.section}.${row.key}`));
    return d.settings ? <SettingsForm title={title} intro={intro} rows={rows} d={d} /> : <Loading />;
}
