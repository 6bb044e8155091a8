// Log in. The factory's name and password are in the manual, so they are no secret here either.
import { useEffect, useState } from 'preact/hooks';
import { type ApiError } from '../api';
import { language, languages, setOwnLanguage, t } from '../i18n';
import { Mark } from '../icons';
import { logIn } from '../live';
import { useStore } from '../store';
import { asError, Button, inWords, Notice } from '../ui';

export function LoginPage({ retryAfterS, tls }: { retryAfterS: number; tls: boolean }) {
    const [username, setUsername] = useState('');
    const [password, setPassword] = useState('');
    const [shown, show] = useState(false);
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const [wait, setWait] = useState(retryAfterS);
    useEffect(() => {
        if (wait > 0) {
            const timer = setTimeout(() => setWait(wait - 1), 1000);
            return () => clearTimeout(timer);
        }
        return undefined;
    }, [wait]);
    const submit = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        setError(null);
        try {
            await logIn(username, password);
        } catch (e) {
            const fault = asError(e);
            setError(fault);
            setWait(fault.retryAfterS);
            setBusy(false);
        }
    };
    return (
        <main class="login">
            <div class="login-box">
                <Mark size={56} />
                <h1>Variflow</h1>
                <p class="soft">{t('login.subtitle')}</p>
                <form onSubmit={submit}>
                    <div class="field">
                        <label for="username">{t('login.username')}</label>
                        <input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required value={username} onInput={(e) => setUsername(e.currentTarget.value)} />
                    </div>
                    <div class="field">
                        <label for="password">{t('login.password')}</label>
                        <div class="with-button">
                            <input id="password" name="password" {...({ type: shown ? 'text' : 'password' } as { type: 'password' })} autocomplete="current-password" autocapitalize="none" spellcheck={false} required value={password} onInput={(e) => setPassword(e.currentTarget.value)} />
                            <button type="button" class="button quiet" aria-pressed={shown} onClick={() => show(!shown)}>
                                {t('login.show')}
                            </button>
                        </div>
                    </div>
                    <div aria-live="assertive">
                        {wait > 0 ? (
                            <Notice tone="bad">{t('error.too_many_attempts', { seconds: wait })}</Notice>
                        ) : (
                            error && <Notice tone="bad">{error.code === 'unauthorized' ? t('login.wrong') : inWords(error)}</Notice>
                        )}
                    </div>
                    <Button type="submit" kind="primary" busy={busy} disabled={wait > 0}>
                        {t('login.log_in')}
                    </Button>
                </form>
                <details>
                    <summary>{t('login.first_time')}</summary>
                    <p>{t('login.first_time_text')}</p>
                </details>
                {!tls && <p class="soft small">{t('login.plain')}</p>}
                <LanguageLinks />
            </div>
        </main>
    );
}

function LanguageLinks() {
    const current = useStore(language);
    return (
        <div class="languages" role="group" aria-label={t('language.label')}>
            {languages.map((l) => (
                <button key={l} type="button" lang={l} aria-pressed={l === current} onClick={() => setOwnLanguage(l)}>
                    {t(`language.${l}`)}
                </button>
            ))}
        </div>
    );
}
