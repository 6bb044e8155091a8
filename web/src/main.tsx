import 'uplot/dist/uPlot.min.css';
import './styles.css';
import { render } from 'preact';
import { App } from './app';
import { start } from './live';

render(<App />, document.getElementById('app') as HTMLElement);
void start();
// only where the page came over HTTPS (or from this machine) does a browser allow it
if ('serviceWorker' in navigator) {
    navigator.serviceWorker.register('/sw.js').catch(() => undefined);
}
