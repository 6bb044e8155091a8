// User name and password of these pages.
import { useState } from 'preact/hooks';
import { api, type ApiError } from '../api';
import { translated, t } from '../i18n';
import { login, renew } from '../live';
import { useStore } from '../store';
import { asError, Button, Card, inWords, Notice, say } from '../ui';

const shortest = 8;
const factory = 'vari';

function faultOf(error: ApiError): string {
    const field = error.fields[0];
    return field ? translated(field.message, field.message_code, field.message_values) : inWords(error);
}

export function PasswordForm({ onDone }: { onDone?: () => void }) {
    const state = useStore(login);
    const name = state.state === 'in' ? (state.session.username ?? '') : '';
    const [current, setCurrent] = useState('');
    const [username, setUsername] = useState(name);
    const [password, setPassword] = useState('');
    const [again, setAgain] = useState('');
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const short = password !== '' && (new TextEncoder().encode(password).length < shortest || password === factory);
    const differ = again !== '' && again !== password;
    const badName = username === '' || username.includes(':');
    const ready = current !== '' && password !== '' && again === password && !short && !badName;
    const submit = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        setError(null);
        try {
            renew(await api.password({ current, password, ...(username === name ? {} : { username }) }));
            setCurrent('');
            setPassword('');
            setAgain('');
            say(t('password.changed'));
            onDone?.();
        } catch (e) {
            setError(asError(e));
        }
        setBusy(false);
    };
    return (
        <Card title={t('password.title')}>
            <p class="soft">{t('password.intro')}</p>
            <form onSubmit={submit}>
                <Input id="pw-user" label={t('login.username')} type="text" complete="username" value={username} on={setUsername} wrong={badName ? t('allowed.user') : ''} />
                <Input id="pw-current" label={t('password.current')} type="password" complete="current-password" value={current} on={setCurrent} wrong="" />
                <Input id="pw-new" label={t('password.new')} type="password" complete="new-password" value={password} on={setPassword} wrong={short ? t('password.short', { min: shortest }) : ''} help={t('password.rule', { min: shortest })} />
                <Input id="pw-again" label={t('password.again')} type="password" complete="new-password" value={again} on={setAgain} wrong={differ ? t('password.differ') : ''} />
                {error && <Notice tone="bad" live>{error.status === 401 ? t('password.wrong') : faultOf(error)}</Notice>}
                <div class="buttons">
                    <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
                        {t('password.change')}
                    </Button>
                </div>
            </form>
        </Card>
    );
}

function Input({ id, label, type, complete, value, on, wrong, help = '' }: {
    id: string;
    label: string;
    type: 'text' | 'password';
    complete: string;
    value: string;
    on: (text: string) => void;
    wrong: string;
    help?: string;
}) {
    return (
        <div class="field">
            <label for={id}>{label}</label>
            <input id={id} {...({ type } as { type: 'text' })} autocomplete={complete as 'username'} autocapitalize="none" spellcheck={false} value={value} aria-describedby={`${id}-help`} aria-invalid={wrong !== ''} onInput={(e) => on(e.currentTarget.value)} />
            <div id={`${id}-help`} class="help">
                {help !== '' && <p>{help}</p>}
                {wrong !== '' && <p class="wrong">{wrong}</p>}
            </div>
        </div>
    );
}
