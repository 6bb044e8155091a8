// Small observable values, shared by the pages.
import { useLayoutEffect, useState } from 'preact/hooks';

export interface Store<T> {
    get(): T;
    set(value: T): void;
    subscribe(listener: () => void): () => void;
}

export function store<T>(first: T): Store<T> {
    let current = first;
    const listeners = new Set<() => void>();
    return {
        get: () => current,
        set(value) {
            current = value;
            [...listeners].forEach((listener) => listener());
        },
        subscribe(listener) {
            listeners.add(listener);
            return () => listeners.delete(listener);
        },
    };
}

export function useStore<T>(from: Store<T>): T {
    const [, redraw] = useState(0);
    const drawn = from.get();
    useLayoutEffect(() => {
        if (from.get() !== drawn) {
            redraw((n) => n + 1); // it changed between drawing and listening
        }
        return from.subscribe(() => redraw((n) => n + 1));
    }, [from]);
    return drawn;
}

/** Like localStorage, but a browser that has none or refuses costs only the memory. */
export const keep = {
    get(name: string): string | null {
        try {
            return localStorage.getItem(`han2x.${name}`);
        } catch {
            return null;
        }
    },
    set(name: string, value: string) {
        try {
            localStorage.setItem(`han2x.${name}`, value);
        } catch {
            // full or refused: nothing depends on it
        }
    },
    remove(name: string) {
        try {
            localStorage.removeItem(`han2x.${name}`);
        } catch {
            // as above
        }
    },
};
