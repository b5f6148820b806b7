"""The parts that pages are made of: a head, facts, figures, tables; a page needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from bertkit.checkpoint.atomic import replace_file
from bertkit.version import __version__

REPORT = "report.html"


def write_page(path: Path, title: str, parts: Iterable[str], version: str = __version__) -> Path:
    """Write a page and return its path.

    Args:
        path: the file.
        title: in the browser's tab, not escaped yet.
        parts: the body, as HTML; empty ones are left out.
        version: of the bertkit that made what the page tells of.
    """
    footer = f"<footer class=quiet>Made by bertkit {escape(version)}.</footer>"
    with replace_file(path) as temporary:
        temporary.write_text(page_text(title, [*parts, footer]), encoding="utf-8")
    return path


def page_text(title: str, parts: Iterable[str]) -> str:
    """A page as HTML; arguments as those of `write_page`."""
    template = Template(files("bertkit.diagnose").joinpath(REPORT).read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body="\n".join(filter(None, parts)))


def header(kind: str, name: str, level: str, verdict: str, lead: str = "") -> str:
    """What the page is about, and what came of it, in a word first; `level` is good, open or bad."""
    strong = f"<strong>{escape(lead)}</strong> " if lead else ""
    return (
        f"<header><p class=quiet>{escape(kind)}</p><h1>{escape(name)}</h1>"
        f"<p class='verdict {level}'>{strong}{escape(verdict)}</p></header>"
    )


def facts(values: Mapping[str, str], heading: str = "") -> str:
    """Names and values, a few in a row."""
    above = f"<h2>{escape(heading)}</h2>" if heading else ""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items()
    )
    return f"<section>{above}<dl>{items}</dl></section>"


def side(*sections: str) -> str:
    """Sections beside one another where the window is wide enough."""
    return f"<div class=side>{''.join(sections)}</div>" if any(sections) else ""


def stack(*sections: str) -> str:
    """Sections one below the other, as one of those that `side` has."""
    return f"<div class=stack>{''.join(sections)}</div>"


def key(colour: str, words: str, dashed: bool = False) -> str:
    """What a line of a figure is; `colour` is a name of the page's."""
    return f"<span><i{' class=dashed' * dashed} style='--key:var(--{colour})'></i>{escape(words)}</span>"


def key_shades(least: str, most: str) -> str:
    """What the shades of a heat map are, from the least to the most."""
    return f"<span>{escape(least)}<b class=shades></b>{escape(most)}</span>"


def note(words: str) -> str:
    """A remark below a figure."""
    return f"<span>{escape(words)}</span>"


def figure(heading: str, svg: str, keys: Iterable[str]) -> str:
    """A section with a picture and its keys."""
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(heading)}"', 1)
    return (
        f"<section><h2>{escape(heading)}</h2><figure>{svg}"
        f"<figcaption>{''.join(keys)}</figcaption></figure></section>"
    )


def table(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    numbers: Iterable[int] = (),
    name: str = "plain",
    caption: str = "",
    levels: Sequence[str] = (),
) -> str:
    """A table of texts that are escaped; columns `numbers` stand to the right, `levels` colour the last."""
    right = set(numbers)
    kinds = ["number" if column in right else "" for column in range(len(heads))]

    def row(tag: str, line: Sequence[str], kinds: Sequence[str]) -> str:
        cells = zip(kinds, line, strict=True)
        return "<tr>" + "".join(f"<{tag} class='{kind}'>{text}</{tag}>" for kind, text in cells) + "</tr>"

    body = "".join(
        row("td", line, [*kinds[:-1], levels[place]] if levels else kinds) for place, line in enumerate(lines)
    )
    # Below what may be pushed sideways, and so never wider than the page.
    below = f"<p class='below quiet'>{caption}</p>" if caption else ""
    return (
        f"<div class=scroll><table class={name}><thead>{row('th', heads, kinds)}</thead>"
        f"<tbody>{body}</tbody></table></div>{below}"
    )


def commands(heading: str, lines: Sequence[str]) -> str:
    """Commands to copy."""
    return f"<section><h2>{escape(heading)}</h2><pre>{escape(chr(10).join(lines))}</pre></section>"


def folded(summary: str, text: str) -> str:
    """A long text below its name, to be opened; nothing of an empty one."""
    if not text:
        return ""
    return (
        f"<section><details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details></section>"
    )
