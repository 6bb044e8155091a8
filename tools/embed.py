#!/usr/bin/env python3
"""Write a folder of web pages as a C table, compressed: embed.py FOLDER OUT.c"""
import gzip
import hashlib
import pathlib
import re
import sys

TYPES = {
    ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon", ".js": "text/javascript; charset=utf-8",
    ".json": "application/json", ".map": "application/json", ".png": "image/png",
    ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}
HASHED = re.compile(r"[-.][0-9A-Za-z_]{8,}\.[a-z0-9]+$")  # esbuild: name-HASH.js
LINE = 20


def text(value):
    return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')


def main(folder, out):
    folder = pathlib.Path(folder)
    rows, arrays = [], []
    for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        plain = path.read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        small = len(packed) < len(plain)
        data = packed if small else plain
        kind = TYPES.get(path.suffix)
        if kind is None:
            sys.exit("embed.py: %s: no content type for %s" % (path, path.suffix))
        lines = [",".join(map(str, data[i:i + LINE])) for i in range(0, len(data), LINE)]
        arrays.append("static const uint8_t file_%d[] = {\n%s};\n" % (number, ",\n".join(lines) or "0"))
        rows.append("    {%s, %s, %s, %s, %s, file_%d, %d},\n" % (
            text("/" + path.relative_to(folder).as_posix()), text(kind),
            text('"%s"' % hashlib.sha256(plain).hexdigest()[:16]),
            "true" if small else "false",
            "true" if HASHED.search(path.name) else "false", number, len(data)))
    pathlib.Path(out).write_text(
        '/* Made by tools/embed.py: do not edit. */\n#include "web_assets.h"\n\n%s\n'
        "const struct hx_web_asset hx_web_assets[] = {\n%s};\n"
        "const size_t hx_web_asset_count = sizeof hx_web_assets / sizeof *hx_web_assets;\n"
        % ("\n".join(arrays), "".join(rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
