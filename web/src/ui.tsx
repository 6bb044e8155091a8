// Parts that the pages share.
import { type ComponentChildren } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';
import { t, translated } from './i18n';
import { Icon, type IconName } from './icons';
import { store, useStore } from './store';

export function Card({ title, children, actions, class: more = '' }: { title?: string; children: ComponentChildren; actions?: ComponentChildren; class?: string }) {
    return (
        <section class={`card ${more}`}>
            {(title || actions) && (
                <div class="card-head">
                    {title && <h2>{title}</h2>}
                    {actions && <div class="actions">{actions}</div>}
                </div>
            )}
            {children}
        </section>
    );
}

export type Tone = 'info' | 'ok' | 'warn' | 'bad';

export function Notice({ tone, title, children, live }: { tone: Tone; title?: string; children?: ComponentChildren; live?: boolean }) {
    return (
        <div class={`notice ${tone}`} role={live ? (tone === 'bad' ? 'alert' : 'status') : undefined}>
            <Icon name={tone} />
            <div>
                {title && <strong>{title}</strong>}
                {children}
            </div>
        </div>
    );
}

export function Button({ children, onClick, kind = '', busy = false, disabled = false, icon, type = 'button', label }: {
    children?: ComponentChildren;
    onClick?: () => void;
    kind?: 'primary' | 'danger' | 'quiet' | '';
    busy?: boolean;
    disabled?: boolean;
    icon?: IconName;
    type?: 'button' | 'submit';
    label?: string;
}) {
    return (
        <button type={type} class={`button ${kind}`} onClick={onClick} disabled={disabled || busy} aria-label={label} title={label} aria-busy={busy}>
            {icon && <Icon name={icon} size={18} />}
            {children}
        </button>
    );
}

/** A modal window; the browser keeps the focus inside and closes it with Escape. */
export function Dialog({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
    const box = useRef<HTMLDialogElement>(null);
    const id = useId();
    // before the next key can come: Escape must find the dialog open
    useLayoutEffect(() => {
        const before = document.activeElement;
        const dialog = box.current;
        dialog?.showModal();
        return () => {
            dialog?.close(); // first: while it is open, nothing outside takes the focus
            if (before instanceof HTMLElement) {
                before.focus();
            }
        };
    }, []);
    return (
        <dialog ref={box} aria-labelledby={id} onClose={onClose} onCancel={onClose}>
            <h2 id={id}>{title}</h2>
            {children}
        </dialog>
    );
}

/** A wide table or text in a frame of its own, reachable by keyboard. */
export function Scroll({ label, children, tall }: { label: string; children: ComponentChildren; tall?: boolean }) {
    return (
        <div class={tall ? 'scroll tall' : 'scroll'} role="group" aria-label={label} tabIndex={0}>
            {children}
        </div>
    );
}

export function Facts({ rows, stacked }: { rows: [string, ComponentChildren][]; stacked?: boolean }) {
    return (
        <dl class={stacked ? 'facts stacked' : 'facts'}>
            {rows.map(([name, value]) => (
                <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}

const said = store<{ text: string; tone: Tone } | null>(null);
let sayTimer: ReturnType<typeof setTimeout> | undefined;

/** Tells shortly that something was done; screen readers hear it too. */
export function say(text: string, tone: Tone = 'ok') {
    clearTimeout(sayTimer);
    said.set({ text, tone });
    sayTimer = setTimeout(() => said.set(null), 6000);
}

export function Said() {
    const now = useStore(said);
    return (
        <div class="said" role="status">
            {now && (
                <div class={`said-text ${now.tone}`}>
                    <Icon name={now.tone} />
                    {now.text}
                </div>
            )}
        </div>
    );
}

/** @return milliseconds since 1970, renewed every `everyMs` */
export function useNow(everyMs = 1000): number {
    const [now, set] = useState(Date.now());
    useEffect(() => {
        const timer = setInterval(() => set(Date.now()), everyMs);
        return () => clearInterval(timer);
    }, [everyMs]);
    return now;
}

export interface Polled<T> {
    data: T | null;
    error: ApiError | null;
    at: number;
    again: () => void;
}

/** Asks `load` now and every `everyMs` while the page is in sight. */
export function usePoll<T>(load: () => Promise<T>, everyMs: number): Polled<T> {
    const [state, set] = useState<{ data: T | null; error: ApiError | null; at: number }>({ data: null, error: null, at: 0 });
    const [round, again] = useState(0);
    useEffect(() => {
        let gone = false;
        const ask = () => {
            if (document.visibilityState !== 'visible') {
                return;
            }
            load().then(
                (data) => !gone && set({ data, error: null, at: Date.now() }),
                (error) => !gone && set((old) => ({ ...old, error: asError(error) })),
            );
        };
        ask();
        const timer = setInterval(ask, everyMs);
        return () => {
            gone = true;
            clearInterval(timer);
        };
    }, [round]);
    return { ...state, again: () => again((n) => n + 1) };
}

export function asError(error: unknown): ApiError {
    return error instanceof ApiError ? error : new ApiError('failed', 0, String(error));
}

/** An error of the API in the reader's language. */
export function inWords(error: ApiError): string {
    switch (error.code) {
        case 'offline':
            return t('error.offline');
        case 'unauthorized':
            return t('error.unauthorized');
        case 'factory_password':
            return t('error.factory_password');
        case 'cross_site':
        case 'wrong_host':
            return t('error.foreign');
        case 'too_many_attempts':
            return t('error.too_many_attempts', { seconds: error.retryAfterS });
        case 'busy':
        case 'not_available':
            return t('error.busy');
        case 'invalid':
            return t('error.invalid');
        default:
            return error.said === null ? t('error.other', { message: error.message }) : translated(error.message, error.said, error.values);
    }
}

export function Failed({ error, again }: { error: ApiError; again?: () => void }) {
    return (
        <Notice tone="bad" title={t('error.title')} live>
            <p>{inWords(error)}</p>
            {again && <Button onClick={again}>{t('action.again')}</Button>}
        </Notice>
    );
}

export function Loading() {
    return (
        <p class="loading" role="status">
            {t('state.loading')}
        </p>
    );
}

export function saveFile(name: string, text: string, type: string) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** The clipboard is there on HTTPS only; without it the text is selected, ready for Ctrl-C. */
export async function copy(text: string, shown?: HTMLTextAreaElement | null): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        shown?.select();
        return shown ? document.execCommand('copy') : false;
    }
}

/** Text to take along: shown, copied, saved. */
export function Take({ title, note, name, text, type, onClose }: { title: string; note: string; name: string; text: string; type: string; onClose: () => void }) {
    const area = useRef<HTMLTextAreaElement>(null);
    return (
        <Dialog title={title} onClose={onClose}>
            <p>{note}</p>
            <textarea ref={area} class="code" readOnly rows={14} value={text} aria-label={title} spellcheck={false} />
            <div class="buttons">
                <Button kind="primary" icon="copy" onClick={async () => say((await copy(text, area.current)) ? t('state.copied') : t('state.select_and_copy'))}>
                    {t('action.copy')}
                </Button>
                <Button icon="download" onClick={() => saveFile(name, text, type)}>
                    {t('action.save_file')}
                </Button>
                <Button kind="quiet" onClick={onClose}>
                    {t('action.close')}
                </Button>
            </div>
        </Dialog>
    );
}

/** Asks before something is done. With `word`, it must be typed first. */
export function Confirm({ title, children, action, word, danger, onYes, onClose }: {
    title: string;
    children: ComponentChildren;
    action: string;
    word?: string;
    danger?: boolean;
    onYes: () => Promise<void>;
    onClose: () => void;
}) {
    const [typed, type] = useState('');
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState<ApiError | null>(null);
    const id = useId();
    const ready = word === undefined || typed.trim().toUpperCase() === word;
    const yes = async () => {
        setBusy(true);
        setError(null);
        try {
            await onYes();
            onClose();
        } catch (e) {
            setError(asError(e));
        }
        setBusy(false);
    };
    return (
        <Dialog title={title} onClose={onClose}>
            <form
                onSubmit={(e) => {
                    e.preventDefault();
                    if (ready) {
                        void yes();
                    }
                }}
            >
                {children}
                {word !== undefined && (
                    <div class="field">
                        <label for={id}>{t('confirm.type', { word })}</label>
                        <input id={id} value={typed} onInput={(e) => type(e.currentTarget.value)} autocomplete="off" autocapitalize="characters" spellcheck={false} />
                    </div>
                )}
                {error && <Failed error={error} />}
                <div class="buttons">
                    <Button type="submit" kind={danger ? 'danger' : 'primary'} busy={busy} disabled={!ready}>
                        {action}
                    </Button>
                    <Button kind="quiet" onClick={onClose}>
                        {t('action.cancel')}
                    </Button>
                </div>
            </form>
        </Dialog>
    );
}
