// The pages in a real browser: every page, by its words and by axe-core, in light and dark, on a phone
// and on a desk. Against the stand-in; real.mjs does the same rounds with a real gateway.
// Pictures go to build/screenshots. Arguments choose tests by part of their name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fresh, powerAt, serve } from '../mock.mjs';
import { accessible, fits, pages, ready, shot, startBrowser, until } from './browser.mjs';

const password = 'mellomtre77';
const { browser: host, end } = await startBrowser();

/** A page of its own with its own gateway. Fails on errors in the console and on foreign hosts. */
async function open(options, run) {
    const { variant = 'normal', factory = false, logIn = true, gateways = [], language = 'nb-NO', pace = 400, ...context } = options;
    const state = { ...fresh(), variant, factory, gateways, paceMs: pace };
    if (factory) {
        state.password = 'vari';
    }
    if (options.change) {
        options.change(state);
    }
    const server = await serve(state);
    const inside = await host.newContext({ locale: language, timezoneId: 'Europe/Oslo', viewport: { width: 390, height: 844 }, reducedMotion: 'reduce', ...context });
    const page = await inside.newPage();
    const faults = [];
    page.on('console', (m) => m.type() === 'error' && faults.push(m.text()));
    page.on('pageerror', (e) => faults.push(String(e)));
    page.on('request', (r) => !r.url().startsWith(server.url) && !r.url().startsWith('blob:') && faults.push(`request to ${r.url()}`));
    const at = { page, state, server, inside, go: (path) => page.goto(`${server.url}/#/${path}`) };
    try {
        await page.goto(`${server.url}/`);
        if (logIn) {
            await page.getByLabel(/Brukernavn|Brukarnamn|User name/).fill('bits');
            await page.getByLabel(/^(Passord|Password)$/).fill(state.password);
            await page.getByRole('button', { name: /^(Logg på|Log in)$/ }).click();
            await page.getByRole('navigation').first().waitFor();
        }
        await run(at);
        const unexpected = faults.filter((text) => !(options.expect ?? /^$/).test(text));
        assert.deepEqual(unexpected, [], 'errors in the console');
    } finally {
        await inside.close();
        at.server.close();
    }
}

const tests = {
    async 'login: wrong, then right'() {
        await open({ logIn: false, expect: /401|429/ }, async ({ page }) => {
            await accessible(page, 'login');
            await shot(page, 'login-390-light');
            const name = page.getByLabel('Brukernavn');
            const word = page.getByLabel('Passord', { exact: true });
            const enter = page.getByRole('button', { name: 'Logg på' });
            await name.fill('bits');
            await word.fill('galt');
            await enter.click();
            await page.getByText('Feil brukernavn eller passord.').waitFor();
            assert.equal(await name.inputValue(), 'bits', 'nothing is lost on an error');
            for (let i = 0; i < 5; i++) {
                await enter.click();
                await page.waitForTimeout(60);
            }
            await page.getByText(/For mange feil forsøk. Prøv igjen om \d s/).waitFor();
            assert.ok(await enter.isDisabled(), 'waits with the gateway');
            await until(page, () => !document.querySelector('button[type=submit]').disabled);
        });
    },

    async 'log out ends the session and forgets what was kept'() {
        await open({}, async ({ page }) => {
            await page.getByTestId('net').getByText(/\d/).first().waitFor();
            await page.getByRole('button', { name: 'Logg av' }).click();
            await page.getByRole('button', { name: 'Logg på' }).waitFor();
            assert.deepEqual(await page.evaluate(() => Object.keys(localStorage).filter((k) => /last|session/.test(k))), []);
        });
    },

    async 'now: values, direction, phases, energies'() {
        let at = 0;
        await open({ change: (s) => { s.now = () => (at ||= Date.now()); } }, async ({ page }) => {
            const net = page.getByTestId('net');
            const watts = powerAt(at / 1000);
            const shown = watts < 1000 ? `${watts} W` : `${(watts / 1000).toFixed(2).replace('.', ',')} kW`;
            await until(page, (text) => document.querySelector('[data-testid=net]')?.innerText.replace(/\s+/g, ' ').trim() === text, shown);
            assert.ok(await net.isVisible());
            await page.getByRole('cell', { name: '233,1 V' }).waitFor();
            await page.getByText(/^68.423,\d\d$/).waitFor();
            await page.getByText('Aidon').waitFor();
        });
    },

    async 'now: export'() {
        await open({ variant: 'export' }, async ({ page }) => {
            await page.locator('.net .chip').getByText('Eksport').waitFor();
            await ready(page);
            await shot(page, 'now-390-export');
        });
    },

    async 'now: one phase only is explained (Q4)'() {
        await open({ variant: 'one_phase' }, async ({ page }) => {
            await page.getByText('Bare L1?').waitFor();
            assert.equal(await page.getByText('måles ikke av denne måleren').count(), 4);
        });
    },

    async 'now: energy that waits for the hour is explained (Q3)'() {
        await open({ variant: 'fresh' }, async ({ page }) => {
            await page.getByText('AMS-målerne sender energi bare hver hele time.', { exact: false }).waitFor();
            assert.equal(await page.getByText('kommer ved neste hele time').count(), 4);
            await accessible(page, 'fresh');
        });
    },

    async 'now: a simulated meter says so'() {
        await open({ variant: 'simulated' }, async ({ page }) => {
            await page.getByText('Simulert måler').waitFor();
        });
    },

    async 'now: values come live'() {
        await open({ pace: 150 }, async ({ page, state }) => {
            const energy = page.locator('.value.big').first();
            const first = await energy.innerText();
            await until(page, (text) => document.querySelector('.value.big').innerText !== text, first);
            // not "more than before": what was sent then may have been on its way to the page
            assert.ok(state.sent > 0);
            await page.getByText('Direkte').waitFor();
        });
    },

    async 'now: plot zooms, by key and by button, and is a table too'() {
        await open({ viewport: { width: 1280, height: 900 } }, async ({ page }) => {
            await page.locator('.u-over').waitFor();
            const plot = page.getByRole('img', { name: /Netto effekt de siste 1 t/ });
            const dark = () => page.evaluate(() => document.querySelector('.plot canvas').toDataURL());
            const whole = await dark();
            await plot.focus();
            await page.keyboard.press('+');
            await page.waitForTimeout(100);
            const zoomed = await dark();
            assert.notEqual(zoomed, whole, 'the key zooms');
            await page.getByRole('button', { name: 'Vis alt' }).click();
            await page.waitForTimeout(100);
            assert.notEqual(await dark(), zoomed, 'and back');
            const box = await page.locator('.u-over').boundingBox();
            await page.mouse.move(box.x + 100, box.y + 50);
            await page.mouse.down();
            await page.mouse.move(box.x + 300, box.y + 60, { steps: 4 });
            await page.mouse.up();
            await page.waitForTimeout(100);
            assert.notEqual(await dark(), whole, 'dragging zooms');
            await page.getByRole('button', { name: 'Vis som tabell' }).click();
            const rows = await page.getByRole('group', { name: 'Effekt minutt for minutt' }).getByRole('row').count();
            assert.ok(rows > 55 && rows < 65, `${rows} rows`);
            await accessible(page, 'table');
            await page.getByRole('button', { name: '24 t' }).click();
            await until(page, () => document.querySelectorAll('.scroll.tall tbody tr').length === 288);
        });
    },

    async 'settings: a change is saved, and told what it interrupts'() {
        await open({}, async ({ page, state, go }) => {
            await go('settings/modbus_tcp');
            const port = page.getByLabel('Port', { exact: true });
            await port.fill('70000');
            await page.getByText(/Et helt tall fra 1 til 65.535/).waitFor();
            assert.equal(await port.getAttribute('aria-invalid'), 'true');
            await page.getByRole('button', { name: 'Lagre', exact: true }).click();
            assert.equal(state.values.modbus_tcp.port, 502, 'nothing wrong is sent');
            await port.fill('1502');
            await page.getByText('Avbrytes et øyeblikk: Modbus TCP.').waitFor();
            await shot(page, 'settings-changed-390-light');
            await page.getByRole('button', { name: 'Lagre', exact: true }).click();
            await page.getByText('Lagret', { exact: true }).waitFor();
            assert.equal(state.values.modbus_tcp.port, 1502);
            await go('settings/device');
            await page.getByLabel('Navn', { exact: true }).fill('Låven');
            await page.getByRole('button', { name: 'Lagre', exact: true }).click();
            await page.getByRole('banner').getByText('Låven').waitFor();
        });
    },

    async 'settings: a refusal stands beside its field and loses nothing'() {
        await open({ expect: /422/ }, async ({ page, state, go }) => {
            await go('settings/device');
            await page.getByLabel('Navn', { exact: true }).fill('refused.example');
            await page.getByLabel('Skaleringsfaktor').fill('2000000');
            await page.getByText('Over 1 000 000 kan energien nå maksverdien', { exact: false }).waitFor();
            await page.getByRole('button', { name: 'Lagre', exact: true }).click();
            await page.getByText('Enheten har ikke denne adressen').waitFor();
            assert.equal(await page.getByLabel('Skaleringsfaktor').inputValue(), '2000000');
            assert.equal(state.values.device.scale, 1000);
            await go('settings/mqtt');
            await page.getByLabel('MQTT-URL').waitFor();
            await go('settings/device');
            assert.equal(await page.getByLabel('Skaleringsfaktor').inputValue(), '2000000', 'kept over a look elsewhere');
            await accessible(page, 'refused');
        });
    },

    async 'settings: MQTT needs an address, can be tried, its password is never shown'() {
        await open({}, async ({ page, state, go }) => {
            await go('settings/mqtt');
            await page.getByLabel('MQTT på').check();
            await page.getByText('Skriv adressen til megleren når MQTT er på.').waitFor();
            await page.getByLabel('MQTT-URL').fill('mqtt://test.mosquitto.org');
            await page.getByText('hele verden kan lese forbruket ditt', { exact: false }).waitFor();
            await page.getByRole('button', { name: 'Test forbindelsen' }).click();
            await page.getByText('Avvist: brukernavn eller passord').waitFor();
            await page.getByLabel('MQTT-URL').fill('mqtt://good.example');
            await page.getByRole('button', { name: 'Test forbindelsen' }).click();
            await page.getByText('Forbindelsen virker').waitFor();
            const secret = page.getByLabel('Passord', { exact: true });
            assert.equal(await secret.inputValue(), '');
            assert.equal(await secret.getAttribute('placeholder'), 'lagret, vises ikke');
            await page.getByRole('button', { name: 'Lagre', exact: true }).click();
            await page.getByText('Lagret', { exact: true }).waitFor();
            assert.deepEqual(state.secrets, ['mqtt.password'], 'an untouched secret stays');
        });
    },

    async 'settings: a new address is followed'() {
        await open({}, async ({ page, state, go }) => {
            await go('settings/network');
            await page.getByLabel('IP-adresse').fill('192.168.1.255/24');
            await page.getByText('IPv4-adresse med prefikslengde', { exact: false }).waitFor();
            await page.getByLabel('IP-adresse').fill('192.168.1.50/24');
            await page.getByRole('button', { name: 'Lagre', exact: true }).click();
            const there = page.getByRole('link', { name: 'Gå dit nå' });
            assert.match(await there.getAttribute('href'), /^http:\/\/192\.168\.1\.50(:\d+)?\/#\/now\/moved$/);
            await page.getByRole('button', { name: 'Bli her' }).click();
            state.pending = true;
            await go('now/moved');
            await page.reload();
            await page.getByText('De nye nettverksinnstillingene er beholdt').waitFor();
            assert.equal(state.pending, false, 'logged in at the new address: confirmed by itself');
        });
    },

    async 'account: the password is changed'() {
        await open({ expect: /401/ }, async ({ page, state, go }) => {
            await go('settings/account');
            const change = page.getByRole('button', { name: 'Bytt passord' });
            await page.getByLabel('Nåværende passord').fill('feil');
            await page.getByLabel('Nytt passord', { exact: true }).fill('kort');
            await page.getByText(/For kort/).waitFor();
            await page.getByLabel('Nytt passord', { exact: true }).fill('granbar og kongler');
            await page.getByLabel('Nytt passord igjen').fill('granbar og kongle');
            await page.getByText('De to passordene er ikke like.').waitFor();
            assert.ok(await change.isDisabled());
            await page.getByLabel('Nytt passord igjen').fill('granbar og kongler');
            await change.click();
            await page.getByText('Nåværende passord er feil.').waitFor();
            await page.getByLabel('Nåværende passord').fill(password);
            await change.click();
            await page.getByText('Passordet er byttet', { exact: true }).waitFor();
            assert.equal(state.password, 'granbar og kongler');
        });
    },

    async 'first use: assistant, banner, nothing but the password can be changed'() {
        await open({ factory: true }, async ({ page, state, go }) => {
            await page.getByRole('heading', { name: 'Kom i gang' }).waitFor();
            await page.getByText('Fabrikkpassordet er i bruk').waitFor();
            await ready(page);
            await shot(page, 'setup-390-light');
            await page.getByRole('button', { name: 'Neste' }).click();
            await page.getByText('Måleren sender riktige telegrammer').waitFor();
            await page.getByRole('button', { name: 'Hopp over alt' }).click();
            for (const path of pages) {
                await go(path);
                await page.getByText('Fabrikkpassordet er i bruk').waitFor();
            }
            await go('settings/modbus_tcp');
            assert.ok(await page.getByLabel('Port', { exact: true }).isDisabled());
            await go('system');
            await page.getByRole('heading', { name: 'Fabrikkinnstillinger' }).waitFor();
            assert.ok(await page.getByRole('button', { name: 'Fabrikkinnstillinger' }).isDisabled());
            await go('setup');
            await page.getByLabel('Nåværende passord').fill('vari');
            await page.getByLabel('Nytt passord', { exact: true }).fill('mitt eget passord');
            await page.getByLabel('Nytt passord igjen').fill('mitt eget passord');
            await page.getByRole('button', { name: 'Bytt passord' }).click();
            await page.getByText('Passordet er byttet', { exact: true }).waitFor();
            await page.getByText('Fabrikkpassordet er i bruk').waitFor({ state: 'detached' });
            assert.equal(state.factory, false);
        });
    },

    async 'registers: table, search, copies'() {
        await open({ viewport: { width: 1280, height: 900 } }, async ({ page, go }) => {
            await go('registers');
            const row = page.getByRole('row', { name: /40015/ });
            await row.waitFor();
            // 233.1 V is 2331 = 0x091b (manual, register 40015: V * 10, high word first)
            assert.match(await row.innerText(), /Spenning L1[\s\S]*2\s331[\s\S]*0000 091b/);
            await page.getByLabel('Søk').fill('strøm');
            assert.equal(await page.locator('[data-testid=registers] tbody tr').count(), 4);
            await page.getByLabel('Søk').fill('');
            await page.getByRole('button', { name: 'evcc' }).click();
            const yaml = await page.getByRole('textbox', { name: 'evcc.yaml' }).inputValue();
            assert.match(yaml, /uri: 127\.0\.0\.1:502[\s\S]*address: 2\n\s+type: holding\n\s+decode: uint32\n\s+scale: -1/);
            await page.getByRole('button', { name: 'Lukk' }).click();
            await page.getByRole('button', { name: 'Home Assistant' }).click();
            const ha = await page.getByRole('textbox', { name: 'configuration.yaml' }).inputValue();
            assert.match(ha, /address: 14\n\s+input_type: holding\n\s+data_type: uint32\n\s+scale: 0\.1\n/);
            await page.getByRole('button', { name: 'Lukk' }).click();
            await page.getByRole('button', { name: 'CSV' }).click();
            assert.match(await page.getByRole('textbox', { name: 'CSV' }).inputValue(), /^register,address,[\s\S]*\n40015,14,2,u32,voltage_l1,2331,0\.1 V,0000 091b,r,/);
            await accessible(page, 'copy');
        });
    },

    async 'meter: verdict with what to check'() {
        await open({ variant: 'silent' }, async ({ page, go }) => {
            await go('meter');
            await page.getByText('Ingenting kommer fra måleren').waitFor();
            await page.getByText('Er HAN-porten åpnet?', { exact: false }).waitFor();
            await page.getByText('25–30 V DC', { exact: false }).waitFor();
            await ready(page);
            await accessible(page, 'silent');
            await shot(page, 'meter-silent-390-light');
        });
    },

    async 'meter: telegrams as hex and as a tree, dropped ones with their reason'() {
        await open({}, async ({ page, go }) => {
            await go('meter');
            await page.getByRole('button', { name: 'Stans' }).click();
            await page.locator('.telegram summary').first().click();
            await page.getByText('7e a0 2a 41 08 83 13 04 13 e6 e7 00 0f 40 00 00').first().waitFor();
            await page.locator('.tree').getByText('5019').waitFor();
            await page.getByLabel('Bare forkastede').check();
            assert.equal(await page.locator('.telegram').count(), 11);
            await page.locator('.telegram').first().getByText('Feil sjekksum').waitFor();
            await accessible(page, 'telegrams');
        });
    },

    async 'system: masters, log, backup, restart'() {
        const gateways = [{ name: 'Låven', host: 'han2x-2', address: '192.168.1.233', port: 80, tls: false, maker: 'kaifa' }];
        await open({ gateways, viewport: { width: 1280, height: 900 } }, async ({ page, go }) => {
            await go('system');
            await page.getByText('192.168.1.20:51334').waitFor();
            await page.getByText('Skrevet over Modbus', { exact: true }).waitFor();
            await page.getByText('Skaleringsfaktoren ble skrevet over Modbus TCP: 1.000').waitFor();
            await page.getByRole('img', { name: /QR-kode/ }).waitFor();
            assert.equal(await page.getByRole('link', { name: 'Låven' }).getAttribute('href'), 'http://192.168.1.233:80/');
            const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Lag sikkerhetskopi' }).click()]);
            assert.match(download.suggestedFilename(), /^han2x-backup-\d{4}-\d\d-\d\d\.json$/);
            const saved = readFileSync(await download.path(), 'utf8');
            assert.equal(JSON.parse(saved).format, 'han2x-backup');
            await page.locator('input[type=file]').setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"format":"other"}') });
            await page.getByText('Dette er ingen sikkerhetskopi', { exact: false }).waitFor();
            await page.getByRole('button', { name: 'Start på nytt' }).click();
            await page.getByRole('dialog').getByRole('button', { name: 'Start på nytt' }).click();
            await page.getByText('Starter på nytt …').waitFor();
        });
    },

    async 'system: factory reset needs a typed word'() {
        await open({}, async ({ page, state, go }) => {
            await go('system');
            await page.getByRole('button', { name: 'Fabrikkinnstillinger' }).click();
            const dialog = page.getByRole('dialog');
            const wipe = dialog.getByRole('button', { name: 'Slett alt' });
            assert.ok(await wipe.isDisabled());
            await shot(page, 'reset-390-light');
            await accessible(page, 'reset');
            await dialog.getByRole('textbox').fill('slett');
            await dialog.getByRole('button', { name: 'Avbryt' }).click();
            assert.equal(state.resets, 0, 'cancelled');
            await page.getByRole('button', { name: 'Fabrikkinnstillinger' }).click();
            await page.keyboard.press('Escape');
            await dialog.waitFor({ state: 'detached' });
            await page.getByRole('button', { name: 'Fabrikkinnstillinger' }).click();
            await dialog.getByRole('textbox').fill('slett');
            await wipe.click();
            await page.getByText('Tilbakestiller til fabrikkinnstillinger …').waitFor();
            assert.equal(state.resets, 1);
        });
    },

    async 'names are text, never markup'() {
        const evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>';
        await open({ change: (s) => { s.values.device.name = evil; s.meterId = evil; s.values.mqtt.topic = evil; s.log[0].text = evil; } }, async ({ page, go }) => {
            for (const path of ['now', 'settings/mqtt', 'settings/device', 'system']) {
                await go(path);
                await ready(page);
                assert.equal(await page.locator('img[src=x]').count(), 0, path);
            }
        });
    },

    async 'languages: chosen by browser, changeable'() {
        for (const [language, text] of [['nb-NO', 'Effekt nå'], ['nn-NO', 'Effekt no'], ['en-US', 'Power now'], ['de-DE', 'Power now']]) {
            await open({ language }, async ({ page }) => {
                await page.getByRole('heading', { name: text }).waitFor();
            });
        }
        await open({ logIn: false }, async ({ page }) => {
            await page.getByRole('button', { name: 'English' }).click();
            await page.getByRole('button', { name: 'Log in' }).waitFor();
            assert.equal(await page.getAttribute('html', 'lang'), 'en');
            await page.reload();
            await page.getByRole('button', { name: 'Log in' }).waitFor();
        });
        await open({}, async ({ page, go }) => {
            await go('settings/device');
            await page.getByLabel('Språk i denne nettleseren').selectOption('nn');
            await page.getByRole('heading', { name: 'Innstillingar' }).waitFor();
        });
    },

    async 'offline: shell and last state with its age, then live again'() {
        // a service worker and its page ask for the same files: Chromium tells of what then fails
        await open({ expect: /Failed to fetch|ERR_|Failed to load/ }, async (at) => {
            const { page, state, server } = at;
            await page.getByTestId('net').getByText(/\d/).first().waitFor();
            await page.evaluate(() => navigator.serviceWorker.ready);
            server.close();
            await page.reload();
            await page.getByText('Ingen kontakt med enheten').waitFor();
            await page.getByText(/Du ser siste kjente tilstand, fra kl\. \d\d:\d\d:\d\d/).waitFor();
            await page.getByTestId('net').getByText(/\d/).first().waitFor();
            await shot(page, 'offline-390-light');
            await accessible(page, 'offline');
            at.server = await serve(state, Number(new URL(server.url).port));
            await page.getByText('Direkte').waitFor({ timeout: 15000 });
        });
    },

    async 'installable: manifest and icons'() {
        await open({ logIn: false }, async ({ page, server }) => {
            const manifest = await (await page.request.get(`${server.url}/manifest.webmanifest`)).json();
            assert.equal(manifest.name, 'Variflow');
            for (const icon of manifest.icons) {
                const answer = await page.request.get(server.url + icon.src);
                assert.equal(answer.status(), 200, icon.src);
                if (icon.type === 'image/png') {
                    // width stands in octets 16 to 19 (PNG, clause 11.2.2)
                    assert.equal(`${(await answer.body()).readUInt32BE(16)}x${(await answer.body()).readUInt32BE(20)}`, icon.sizes);
                }
            }
        });
    },

    async 'keyboard: skip link, focus in sight, dialog gives focus back'() {
        await open({}, async ({ page, go }) => {
            await go('system');
            await page.reload();
            await ready(page);
            await page.keyboard.press('Tab');
            assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
            await page.keyboard.press('Enter');
            assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
            const reset = page.getByRole('button', { name: 'Fabrikkinnstillinger' });
            await reset.focus();
            assert.notEqual(await reset.evaluate((e) => getComputedStyle(e).outlineStyle), 'none');
            await page.keyboard.press('Enter');
            await page.getByRole('dialog').waitFor();
            await page.keyboard.press('Escape');
            await page.getByRole('dialog').waitFor({ state: 'detached' });
            assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Fabrikkinnstillinger');
        });
    },
};

for (const [width, height] of [[320, 640], [390, 844], [1280, 900]]) {
    for (const colorScheme of ['light', 'dark']) {
        tests[`every page at ${width} px, ${colorScheme}: fits, axe`] = () =>
            open({ viewport: { width, height }, colorScheme }, async ({ page, go }) => {
                for (const path of pages) {
                    await go(path);
                    await ready(page);
                    await page.waitForTimeout(150);
                    await fits(page, path);
                    await shot(page, `${path.replace('/', '-')}-${width}-${colorScheme}`);
                    await accessible(page, `${path} ${width} ${colorScheme}`);
                }
            });
    }
}

let passed = 0;
let failed = 0;
const wanted = process.argv.slice(2);
for (const [name, test] of Object.entries(tests)) {
    if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) {
        continue;
    }
    try {
        await test();
        passed++;
    } catch (error) {
        failed++;
        console.error(`FAIL ui: ${name}: ${error.message}`);
    }
}
await end();
console.log(`ui: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
