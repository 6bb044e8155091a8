// Makes docs/img/now.png, the README's picture, from the stand-in: node test/picture.mjs.
import { startBrowser, ready } from './browser.mjs';
import { fresh, serve } from '../mock.mjs';

const state = fresh();
state.values.device.name = 'Cabin';
const server = await serve(state);
const { browser, end } = await startBrowser();
const inside = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/Oslo', viewport: { width: 940, height: 850 } });
const page = await inside.newPage();
await page.goto(server.url);
await page.getByLabel('User name').fill('bits');
await page.getByLabel('Password', { exact: true }).fill(state.password);
await page.getByRole('button', { name: 'Log in' }).click();
await ready(page);
await page.waitForTimeout(500);
await page.screenshot({ path: new URL('../../docs/img/now.png', import.meta.url).pathname });
await end();
server.close();
