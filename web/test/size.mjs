// What a phone fetches: all files together, compressed, are at most 120 kB; and nothing in them
// names another host to load from or needs an inline script or style.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url);
const limit = 120 * 1024;
let failed = 0;
let total = 0;

function expect(what, good) {
    if (!good) {
        failed++;
        console.error(`FAIL size: ${what}`);
    }
}

const files = ['', 'assets/'].flatMap((folder) => readdirSync(new URL(folder, dist)).map((name) => folder + name)).filter((name) => statSync(new URL(name, dist)).isFile());
for (const name of files) {
    const bytes = readFileSync(new URL(name, dist));
    total += Math.min(bytes.length, gzipSync(bytes, { level: 9 }).length);
}
const page = readFileSync(new URL('index.html', dist), 'utf8');
const style = files.filter((f) => f.endsWith('.css')).map((f) => readFileSync(new URL(f, dist), 'utf8')).join('');
expect(`${total} bytes compressed, ${limit} allowed`, total > 0 && total <= limit);
expect('no other host in the page', !/(src|href)="(https?:)?\/\//.test(page));
expect('no inline script', !/<script(?![^>]*\bsrc=)/.test(page) && !/\son\w+=/.test(page));
expect('no inline style', !/<style|\sstyle=/.test(page));
expect('no other host in the style', !/url\(["']?(https?:)?\/\//.test(style) && !/@import/.test(style));
console.log(`size: ${(total / 1024).toFixed(1)} kB of 120, ${failed} failures`);
process.exit(failed === 0 ? 0 : 1);
