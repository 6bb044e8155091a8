#!/usr/bin/python3
"""Keeps the corpora of the fuzz targets small and in the tree: tests/fuzz/corpus/TARGET.zip.

pack.py BUILD_DIR TARGET FOLDER…  minimises what is in the folders and the archive, writes the archive anew
pack.py --unpack TARGET FOLDER    puts the archive's files into FOLDER

One archive a target, since a few thousand files would drown the tree and each minimising renames many
of them. Names are libFuzzer's (SHA-1 of what is in the file); same files, same archive to the octet.
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

CORPUS = pathlib.Path(__file__).parent / "corpus"
FILES_MAX = 400
OCTETS_MAX = 600_000


def merge(program, out, folders, *options):
    out.mkdir()
    subprocess.run([program, "-merge=1", "-timeout=60", "-rss_limit_mb=2048", "-close_fd_mask=3", *options, out, *folders],
                   check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return {path.read_bytes() for path in out.iterdir()}


def small_first(inputs):
    return sorted(inputs, key=lambda data: (len(data), data))


def pick(edges, rest):
    """All that are needed to reach every edge, then those that reach one more often, smallest first."""
    chosen, octets = list(small_first(edges)), sum(map(len, edges))
    for data in small_first(rest - edges):
        if len(chosen) < FILES_MAX and octets + len(data) <= OCTETS_MAX:
            chosen.append(data)
            octets += len(data)
    return chosen


def write(target, inputs):
    CORPUS.mkdir(exist_ok=True)
    with zipfile.ZipFile(CORPUS / f"{target}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted((hashlib.sha1(data).hexdigest(), data) for data in inputs):
            info = zipfile.ZipInfo(name)  # of 1980: no clock in the archive
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data, compresslevel=9)


def unpack(target, folder):
    folder.mkdir(parents=True, exist_ok=True)
    path = CORPUS / f"{target}.zip"
    if path.exists():
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)


def pack(build, target, folders):
    with tempfile.TemporaryDirectory() as temp:
        temp = pathlib.Path(temp)
        unpack(target, temp / "old")
        folders = [temp / "old", *(f for f in folders if f.is_dir())]
        program = build / "tests" / "fuzz" / f"fuzz_{target}"
        rest = merge(program, temp / "rest", folders)
        edges = merge(program, temp / "edges", [temp / "rest"], "-use_counters=0")
        chosen = pick(edges, rest)
    write(target, chosen)
    print(f"{target}: {len(chosen)} of {len(rest)} inputs kept, {sum(map(len, chosen))} octets")


def main():
    if sys.argv[1] == "--unpack":
        unpack(sys.argv[2], pathlib.Path(sys.argv[3]))
    else:
        pack(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], [pathlib.Path(f).resolve() for f in sys.argv[3:]])


if __name__ == "__main__":
    main()
