#!/usr/bin/python3
"""The documents lead somewhere, and the Norwegian pages say what the English ones say.

Checked in every *.md of the project:
  - a link to a file finds it, and its #part is a heading there
  - where a link's text is code, as in [`test_tls`](tests/e2e/test_mqtt.py), the file holds that text
  - each page of docs/en that no program writes has its page in docs/nb, and the other way round, with
    headings of the same depths, and as many code blocks and table rows, in the same order
  - a code block below "…](../recipes/NAME):" is that file
Links to other hosts are not followed: a check must pass without a network.
Usage: docs_links.py [FOLDER]; the exit code is 1 when something is wrong.
"""
import pathlib
import re
import sys

GENERATED = {"registers.md", "settings.md"}
ELSEWHERE = {"build", "node_modules", ".git"}
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)?)\)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^()\s]+)\)")


def pages(root):
    found = sorted(root.rglob("*.md"))
    return [p for p in found if not ELSEWHERE & set(p.relative_to(root).parts)]


def shape(text):
    """What is outside of code blocks, line by line, and the outline: '#' signs, 'code', 'row'."""
    prose, outline, fence = [], [], None
    for line in text.splitlines():
        mark = re.match(r"\s*(```+|~~~+)", line)
        if fence:
            if mark and line.strip() == fence:
                fence = None
            continue
        if mark:
            fence = mark.group(1)
            outline.append("code")
            continue
        prose.append(line)
        heading = re.match(r"(#+) ", line)
        if heading:
            outline.append(heading.group(1))
        elif line.startswith("|"):
            outline.append("row")
    return "\n".join(prose), outline


def slugs(path):
    """The parts of a page that can be linked to, named as GitHub and GitLab name them."""
    seen, found = {}, set()
    for line in shape(path.read_text("utf-8"))[0].splitlines():
        heading = re.match(r"#+ (.*)", line)
        if not heading:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(slug if slug not in seen else "%s-%d" % (slug, seen[slug]))
        seen[slug] = seen.get(slug, 0) + 1
    return found


def of_link(page, text, target):
    """What is wrong with one link, or None."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    name, _, part = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        return "there is no %s" % name
    if part and path.suffix == ".md" and part not in slugs(path):
        return "%s has no heading #%s" % (path.name, part)
    code = re.fullmatch(r"`([^`]+)`", text)
    if code and path.is_file() and code.group(1) not in str(path):
        if code.group(1) not in path.read_text("utf-8"):
            return "%s does not hold %s" % (name, code.group(1))
    return None


def links(root):
    for page in pages(root):
        prose = shape(page.read_text("utf-8"))[0]
        where = page.relative_to(root)
        found = [(m.group(1), m.group(2)) for m in LINK.finditer(prose)]
        found += [("", m.group(1)) for m in IMAGE.finditer(prose)]
        for text, target in found:
            wrong = of_link(page, " ".join(text.split()), target)
            if wrong:
                yield "%s: [%s](%s): %s" % (where, text, target, wrong)


def recipes(root):
    shown = re.compile(r"\]\((\.\./recipes/[^)]+)\)[^\n]*:\n\n```\w*\n(.*?)^```$", re.M | re.S)
    for page in pages(root):
        for name, block in shown.findall(page.read_text("utf-8")):
            if block != (page.parent / name).read_text("utf-8"):
                yield "%s: what is shown of %s is not what is in it" % (page.relative_to(root), name)


def pairs(root):
    english = {p.name for p in (root / "docs/en").glob("*.md")} - GENERATED
    norwegian = {p.name for p in (root / "docs/nb").glob("*.md")}
    for name in sorted(english ^ norwegian):
        yield "docs/%s/%s is missing" % ("nb" if name in english else "en", name)
    for name in sorted(english & norwegian):
        one, other = (shape((root / "docs" / lang / name).read_text("utf-8"))[1] for lang in ("en", "nb"))
        for i in range(max(len(one), len(other))):
            a, b = (x[i] if i < len(x) else "its end" for x in (one, other))
            if a != b:
                yield "docs/nb/%s: part %d is '%s', in docs/en it is '%s'" % (name, i + 1, b, a)
                break


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    root = root if root.is_dir() else root.parents[1]
    wrong = [*links(root), *recipes(root), *pairs(root)]
    print("\n".join(wrong) or "%d pages" % len(pages(root)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
