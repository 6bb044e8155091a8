// One round through the pages of a real gateway, as it comes from the factory with a simulated meter:
// node test/real.mjs URL. Ends with 0 when all was as it should be.
import assert from 'node:assert/strict';
import { accessible, fits, pages, ready, shot, startBrowser, until } from './browser.mjs';

const url = process.argv[2];
const own = 'granbar og kongler';
const { browser, end } = await startBrowser();
const inside = await browser.newContext({ locale: 'nb-NO', timezoneId: 'Europe/Oslo', viewport: { width: 390, height: 844 }, reducedMotion: 'reduce' });
const page = await inside.newPage();
const faults = [];
let expected = /^$/; // what may stand in the console just now
page.on('console', (m) => m.type() === 'error' && !expected.test(m.text()) && faults.push(m.text()));
page.on('pageerror', (e) => faults.push(String(e)));
page.on('request', (r) => !r.url().startsWith(url) && !r.url().startsWith('blob:') && faults.push(`request to ${r.url()}`));
const go = (path) => page.goto(`${url}/#/${path}`);

async function logIn(password) {
    await page.getByLabel('Brukernavn').fill('bits');
    await page.getByLabel('Passord', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Logg på' }).click();
}

await page.goto(`${url}/`);
expected = /401/;
await logIn('galt');
await page.getByText('Feil brukernavn eller passord.').waitFor();
expected = /^$/;
await page.waitForTimeout(1200);
await logIn('vari');
await page.getByRole('heading', { name: 'Kom i gang' }).waitFor();
await page.getByText('Fabrikkpassordet er i bruk').waitFor();
await page.getByLabel('Nåværende passord').fill('vari');
await page.getByLabel('Nytt passord', { exact: true }).fill(own);
await page.getByLabel('Nytt passord igjen').fill(own);
await page.getByRole('button', { name: 'Bytt passord' }).click();
await page.getByText('Passordet er byttet', { exact: true }).waitFor();
await page.getByText('Måleren sender riktige telegrammer').waitFor();

for (const path of pages) {
    await go(path);
    await ready(page);
    await page.getByText('Simulert måler').waitFor();
    await page.waitForTimeout(200);
    await fits(page, path);
    await accessible(page, path);
    await shot(page, `real-${path.replace('/', '-')}`);
}

await go('now');
const points = () => page.evaluate(() => document.querySelector('.pulse-age').textContent);
await until(page, () => /\d/.test(document.querySelector('[data-testid=net]')?.textContent ?? ''));
assert.match(await points(), /^\d s$/, 'values are new');

await go('settings/device');
const evil = 'Låven <b>&"';
await page.getByLabel('Navn', { exact: true }).fill(evil);
await page.getByRole('button', { name: 'Lagre', exact: true }).click();
await page.getByRole('banner').getByText(evil, { exact: true }).waitFor();
await page.reload();
await page.getByRole('banner').getByText(evil, { exact: true }).waitFor();

// each kind of telegram that the page draws comes from the program, not from a stand-in
await go('meter');
await page.getByRole('button', { name: 'Stans' }).click();
await page.locator('.telegram summary').first().click();
await page.locator('.tree').getByText('active_power_import_w').waitFor();

await go('system');
await page.getByText('Innstillinger endret').first().waitFor();
await page.getByText('Mislykket pålogging').first().waitFor();
await page.getByRole('button', { name: 'Logg av' }).click();
await page.getByRole('button', { name: 'Logg på' }).waitFor();

assert.deepEqual(faults, [], 'errors in the console');
await end();
console.log('real: all passed');
