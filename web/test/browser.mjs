// What the tests in a browser share.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const shots = new URL('../../build/screenshots/', import.meta.url).pathname;
mkdirSync(shots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const pages = ['now', 'meter', 'registers', 'settings/account', 'settings/device', 'settings/network', 'settings/modbus_tcp', 'settings/modbus_rtu', 'settings/mqtt', 'settings/meter', 'settings/hardware', 'system', 'setup'];

/** A browser with a profile of its own, gone with `end`. */
export async function startBrowser() {
    const profile = mkdtempSync(join(tmpdir(), 'han2x-ui-'));
    const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags, headless: true });
    const end = async () => {
        await context.close();
        rmSync(profile, { recursive: true, force: true });
    };
    return { browser: context.browser(), end };
}

export const shot = (page, name) => page.screenshot({ path: `${shots}${name}.png`, fullPage: true });

export async function accessible(page, where) {
    // evaluated, not inserted as a script: the policy forbids those
    await page.evaluate(axe);
    const result = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    const found = result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.any[0]?.message ?? ''}`).join(' | ')}`);
    assert.deepEqual(found, [], `axe on ${where}`);
    assert.ok(result.passes.length > 10, 'axe looked at something');
}

export async function fits(page, where) {
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(over, 0, `${where} is ${over} px too wide`);
}

/** Until `test` holds in the page. Not waitForFunction: that evaluates, which the policy forbids. */
export async function until(page, test, arg) {
    for (let tries = 0; tries < 150; tries++) {
        if (await page.evaluate(test, arg)) {
            return;
        }
        await page.waitForTimeout(100);
    }
    assert.fail(`never came true: ${test}`);
}

export async function ready(page) {
    await page.getByRole('main').waitFor();
    await until(page, () => !/Henter …|Hentar …|Loading …/.test(document.body.innerText));
}
