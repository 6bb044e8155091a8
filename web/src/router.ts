// The page is in the address after #, so that every page has an address and works offline.
import { store } from './store';

export interface Route {
    page: string;
    part: string;
}

function read(): Route {
    const [page = '', part = ''] = location.hash.replace(/^#\/?/, '').split('/');
    return { page, part };
}

export const route = store<Route>(read());
addEventListener('hashchange', () => {
    route.set(read());
    scrollTo(0, 0);
});

export function go(path: string) {
    location.hash = `#/${path}`;
}
