"""What a power cut can leave of files, from the log of fs_shim.c.

The model, harsher than any file system in use:
- What was written and not synced may be missing, whole, zeros of the same length, or there up to a
  512-octet border; each write by itself.
- What was done to a folder (a new name, a rename, a removal) and not followed by a sync of that
  folder may be lost, each operation by itself, whatever happened to those before and after it and
  to the data of the files. A sync of a new file does not keep its name. One operation is whole or
  not done: a rename never loses both names.
- What was synced stays.
Folders themselves stay: the state folder is made once."""

import itertools
import os
import random

SECTOR = 512
BORDERS = 6  # of one write that are looked at, at most


class File:
    def __init__(self, durable=b""):
        self.durable = durable
        self.pending = []  # ("write", offset, octets) or ("trunc", length), not synced

    def sync(self):
        data = self.durable
        for op in self.pending:
            data = done(data, op)
        self.durable, self.pending = data, []


def done(data, op):
    """Octets after one operation."""
    if op[0] == "trunc":
        return data[:op[1]] + bytes(max(0, op[1] - len(data)))
    _, at, new = op
    data = data + bytes(max(0, at - len(data)))
    return data[:at] + new + data[at + len(new):]


def outcomes(op, rng):
    """What may have become of an operation that was not synced; None: nothing."""
    if op[0] == "trunc":
        return [op, None]
    _, at, new = op
    borders = range(at // SECTOR * SECTOR + SECTOR, at + len(new), SECTOR)
    borders = list(borders) if len(borders) <= BORDERS else sorted(rng.sample(list(borders), BORDERS))
    return ([op, None, ("write", at, bytes(len(new)))]
            + [("write", at, new[:border - at]) for border in borders])


class Disk:
    def __init__(self, files):
        """files: {path: octets}, all of it long on the disk."""
        self.names = {path: File(data) for path, data in files.items()}  # as a look at it shows
        self.durable = dict(self.names)
        self.pending = []  # (folder, {name: File or None}) in order, not synced
        self.fds = {}

    def change(self, path, names):
        self.pending.append((os.path.dirname(path), names))
        for name, file in names.items():
            if file is None:
                self.names.pop(name, None)
            else:
                self.names[name] = file

    def apply(self, op):
        """One line of the log. @return True when the disk, or what is kept of it, is another."""
        kind, *a = op
        if kind == "open":
            fd, path, created, truncated = a
            if created == "1":
                self.change(path, {path: File()})
            self.fds[fd] = self.names[path]
            if truncated == "1":
                self.names[path].pending.append(("trunc", 0))
            return created == "1" or truncated == "1"
        if kind == "dir":
            self.fds[a[0]] = a[1].rstrip("/")
        elif kind == "close":
            self.fds.pop(a[0], None)
        elif kind == "write":
            self.fds[a[0]].pending.append(("write", int(a[1]), bytes.fromhex(a[2])))
            return True
        elif kind == "trunc":
            self.fds[a[0]].pending.append(("trunc", int(a[1])))
            return True
        elif kind == "sync":
            return self.sync(self.fds[a[0]])
        elif kind == "rename":
            if a[0] in self.names:  # else a folder, which these scenes do not move
                self.change(a[1], {a[0]: None, a[1]: self.names[a[0]]})
            return True
        elif kind == "exchange":
            self.change(a[1], {a[0]: self.names[a[1]], a[1]: self.names[a[0]]})
            return True
        elif kind == "link":
            self.change(a[1], {a[1]: self.names[a[0]]})
            return True
        elif kind == "unlink":
            self.change(a[0], {a[0]: None})
            return True
        elif kind == "mkdir":
            return False
        else:
            raise ValueError("the model does not know: " + " ".join(op))
        return False

    def sync(self, what):
        if isinstance(what, File):
            what.sync()
            return True
        for folder, names in self.pending:
            if folder == what:
                merge(self.durable, names)
        self.pending = [p for p in self.pending if p[0] != what]
        return True

    def now(self):
        """What a process that is killed leaves: {path: octets}."""
        return {path: whole(file) for path, file in self.names.items()}

    def cuts(self, limit, rng):
        """States that a power cut may leave now, and whether these are all of them."""
        kept = list(itertools.product((True, False), repeat=min(len(self.pending), 12)))
        sampled = len(self.pending) > 12
        states, total = [], 0
        for keep in kept:
            names = dict(self.durable)
            for (_, change), yes in zip(self.pending, keep + (True,) * len(self.pending)):
                if yes:
                    merge(names, change)
            open_files = [(p, [outcomes(op, rng) for op in f.pending])
                          for p, f in names.items() if f.pending]
            choices = [ways for _, file in open_files for ways in file]
            count = 1
            for ways in choices:
                count *= len(ways)
            total += count
            states.append((names, open_files, choices, count))
        share = max(1, limit // len(states))
        out = []
        for names, open_files, choices, count in states:
            if total <= limit or count <= share:
                picks = itertools.product(*choices)
            else:
                sampled = True
                picks = [[ways[0] for ways in choices], [ways[1] for ways in choices]]
                picks += [[rng.choice(ways) for ways in choices] for _ in range(share)]
            out += [build(names, open_files, pick) for pick in picks]
        if len(out) > limit:
            sampled = True
            out = out[:1] + rng.sample(out, limit)
        return out, not sampled


def whole(file):
    data = file.durable
    for op in file.pending:
        data = done(data, op)
    return data


def merge(names, change):
    for name, file in change.items():
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def build(names, open_files, pick):
    state = {path: file.durable for path, file in names.items() if not file.pending}
    pick = iter(pick)
    for path, ops in open_files:
        data = names[path].durable
        for _ in ops:
            op = next(pick)
            data = done(data, op) if op is not None else data
        state[path] = data
    return state


def read_log(path):
    return [tuple(line.split("\t")) for line in path.read_text().splitlines()]


def seeded(text):
    return random.Random(text)
