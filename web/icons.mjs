// The app's icons, drawn by this script: a meter's pulse on a rounded square. No image files are kept.
import { deflateSync } from 'node:zlib';

const dark = [15, 61, 62];
const light = [236, 253, 245];
const spark = [94, 234, 212];
// the pulse, on a field of 100 x 100
const pulse = [
    [16, 56],
    [33, 56],
    [43, 28],
    [57, 74],
    [66, 47],
    [70, 56],
    [84, 56],
];

export function svg() {
    const points = pulse.map((p) => p.join(',')).join(' ');
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">' +
        `<rect width="100" height="100" rx="22" fill="rgb(${dark})"/>` +
        `<polyline points="${points}" fill="none" stroke="rgb(${light})" stroke-width="7" stroke-linecap="round" stroke-linejoin="round"/>` +
        `<circle cx="84" cy="56" r="6.5" fill="rgb(${spark})"/></svg>`
    );
}

function distanceToLine([px, py], [ax, ay], [bx, by]) {
    const [dx, dy] = [bx - ax, by - ay];
    const along = Math.max(0, Math.min(1, ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy)));
    return Math.hypot(px - ax - along * dx, py - ay - along * dy);
}

const cover = (distance, soft) => Math.max(0, Math.min(1, 0.5 - distance / soft));
const mix = (under, over, share) => under.map((u, i) => u + (over[i] - u) * share);

// One point of the picture: [r, g, b, a]. `radius` rounds the corners, `size` is the pulse's size.
function colour(point, radius, size, soft) {
    const [qx, qy] = point.map((c) => Math.abs(c - 50) - (50 - radius));
    const edge = Math.hypot(Math.max(qx, 0), Math.max(qy, 0)) + Math.min(Math.max(qx, qy), 0) - radius;
    const inner = point.map((c) => (c - 50) / size + 50);
    let line = Infinity;
    for (let i = 1; i < pulse.length; i++) {
        line = Math.min(line, distanceToLine(inner, pulse[i - 1], pulse[i]));
    }
    const dot = Math.hypot(inner[0] - 84, inner[1] - 56);
    const withLine = mix(dark, light, cover((line - 3.5) * size, soft));
    return [...mix(withLine, spark, cover((dot - 6.5) * size, soft)), radius < 0 ? 255 : 255 * cover(edge, soft)];
}

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) {
            crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    return ~crc >>> 0;
}

function chunk(name, data) {
    const body = Buffer.concat([Buffer.from(name), data]);
    const whole = Buffer.alloc(body.length + 8);
    whole.writeUInt32BE(data.length, 0);
    body.copy(whole, 4);
    whole.writeUInt32BE(crc32(body), body.length + 4);
    return whole;
}

// PNG, 8-bit RGBA (W3C PNG specification, clause 11)
function png(pixels, radius, size) {
    const rows = Buffer.alloc(pixels * (pixels * 4 + 1));
    for (let y = 0; y < pixels; y++) {
        for (let x = 0; x < pixels; x++) {
            const point = [((x + 0.5) * 100) / pixels, ((y + 0.5) * 100) / pixels];
            Buffer.from(colour(point, radius, size, 120 / pixels).map(Math.round)).copy(rows, y * (pixels * 4 + 1) + 1 + x * 4);
        }
    }
    const head = Buffer.alloc(13);
    head.writeUInt32BE(pixels, 0);
    head.writeUInt32BE(pixels, 4);
    head.set([8, 6, 0, 0, 0], 8);
    return Buffer.concat([
        Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
        chunk('IHDR', head),
        chunk('IDAT', deflateSync(rows, { level: 9 })),
        chunk('IEND', Buffer.alloc(0)),
    ]);
}

export function icons() {
    return {
        'icon.svg': svg(),
        'icon-192.png': png(192, 22, 1),
        'icon-512.png': png(512, 22, 1),
        // masks may cut away all outside the middle 80 % (W3C manifest, "maskable")
        'icon-maskable-512.png': png(512, -1, 0.72),
        'apple-touch-icon.png': png(180, -1, 0.85),
    };
}
