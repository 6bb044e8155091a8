// Builds the pages into dist/: content-hashed script and style, shell, service worker, manifest,
// icons. The program that takes the files in compresses them; what that gives is told here.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync, constants } from 'node:zlib';
import { icons } from './icons.mjs';

const out = new URL('dist/', import.meta.url);
const options = {
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: ['es2020'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    absWorkingDir: new URL('.', import.meta.url).pathname,
};

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);
const files = []; // {path, bytes}

function add(path, bytes) {
    files.push({ path, bytes: Buffer.from(bytes) });
    return path;
}

const app = await build({ ...options, entryPoints: ['src/main.tsx'], outdir: 'dist' });
const part = (ending) => app.outputFiles.find((f) => f.path.endsWith(ending)).contents;
const script = add(`assets/app.${hash(part('.js'))}.js`, part('.js'));
const style = add(`assets/app.${hash(part('.css'))}.css`, part('.css'));

for (const [name, bytes] of Object.entries(icons())) {
    add(name, bytes);
}
add(
    'manifest.webmanifest',
    JSON.stringify({
        name: 'Variflow',
        short_name: 'Variflow',
        description: 'Power and energy from the electricity meter',
        id: '/',
        start_url: '/',
        scope: '/',
        display: 'standalone',
        background_color: '#f5f7f8',
        theme_color: '#f5f7f8',
        icons: [
            { src: '/icon.svg', sizes: 'any', type: 'image/svg+xml' },
            { src: '/icon-192.png', sizes: '192x192', type: 'image/png' },
            { src: '/icon-512.png', sizes: '512x512', type: 'image/png' },
            { src: '/icon-maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
    }),
);
const page = readFileSync(new URL('src/index.html', import.meta.url), 'utf8')
    .replace('{{script}}', `/${script}`)
    .replace('{{style}}', `/${style}`);
add('index.html', page);

const shell = ['/', ...files.filter((f) => f.path !== 'index.html').map((f) => `/${f.path}`)];
const worker = await build({
    ...options,
    format: 'iife',
    entryPoints: ['src/sw.ts'],
    outfile: 'dist/sw.js',
    define: {
        SHELL: JSON.stringify(shell),
        VERSION: JSON.stringify(hash(Buffer.concat(files.map((f) => f.bytes)))),
    },
});
add('sw.js', worker.outputFiles[0].contents);

rmSync(out, { recursive: true, force: true });
mkdirSync(new URL('assets/', out), { recursive: true });
let packed = 0;
for (const { path, bytes } of files) {
    writeFileSync(new URL(path, out), bytes);
    packed += Math.min(bytes.length, gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }).length);
}
console.log(`${files.length} files, ${(packed / 1024).toFixed(1)} kB compressed`);
