"""What a file is: one answer for tables and for text, from its name and from its first bytes."""

from __future__ import annotations

import codecs
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bertkit.data.files import COMPRESSIONS, STANDARD_INPUT, first_bytes, mark_of
from bertkit.data.folders import FOLDERS, text_files
from bertkit.errors import UserError, check_pointer, listed

PLAIN = ".txt"
WORD_A_LINE = ".conll"
"""A word a line, with its tag: see `conll.read_conll`."""
FORMATS: dict[str, tuple[str, ...]] = {
    ".tsv": (".tsv", ".tab"),
    ".csv": (".csv",),
    ".jsonl": (".jsonl", ".ndjson"),
    ".json": (".json",),
    PLAIN: (PLAIN, ".text"),
    ".parquet": (".parquet", ".pq"),
    ".arrow": (".arrow", ".feather"),
    ".xlsx": (".xlsx", ".xlsm"),
    WORD_A_LINE: (WORD_A_LINE, ".conllu", ".conll2003", ".bio", ".iob", ".iob1", ".iob2", ".iobes", ".bmes"),
}
"""The formats of rows, and the endings of names that mean each, in capitals too."""
BINARY = (".parquet", ".arrow", ".xlsx")
"""Formats that are not lines of text: libraries read them, and no compression is put around them."""
BY_ROW = (".json", FOLDERS, *BINARY)
"""Formats whose rows have numbers of their own and not those of lines."""

_KEYS = {ending: key for key, endings in FORMATS.items() for ending in endings}
_UNPACK = "unpack it and name a file in it"
_EXTRACT = "extract its text first"
# Where a mark stands, the mark, and what has it: a key of FORMATS, or what it is and what to do.
_MARKS: tuple[tuple[int, bytes, str | tuple[str, str]], ...] = (
    (0, b"PAR1", ".parquet"),
    (0, b"ARROW1", ".arrow"),
    (257, b"ustar", ("a tar archive", _UNPACK)),
    (0, b"7z\xbc\xaf", ("a 7-Zip archive", _UNPACK)),
    (0, b"Rar!", ("a RAR archive", _UNPACK)),
    (0, b"%PDF", ("a PDF", _EXTRACT)),
    (0, b"{\\rtf", ("rich text (RTF)", _EXTRACT)),
    (0, b"\xd0\xcf\x11\xe0", ("a file of an old Excel or Word", "save it as .xlsx, CSV or plain text")),
    (0, b"SQLite format 3", ("an SQLite database", "export its table as CSV")),
    (0, b"\x93NUMPY", ("an array of NumPy", "write its texts to CSV or JSON lines")),
)
_MARKUP = (".html", ".htm", ".xhtml", ".xml")
_MARKUP_STARTS = ("<!doctype", "<html", "<?xml")
# An object that has a key, or a list of them.
_JSON = re.compile(r'(\[\s*)?\{\s*"[^"]*"\s*:')
_AS_LINES = "or say --format txt to take each line as a text"
# The files that the `datasets` library puts beside its tables.
_STATE, _SPLITS = "state.json", "dataset_dict.json"
BESIDE = (_STATE, _SPLITS, "dataset_info.json")


def format_of(path: Path, *, text: bool = False) -> str:
    """The key of `FORMATS` that tells how to read a file, or a folder that `datasets` saved.

    Args:
        path: the file.
        text: whether a name that tells nothing means plain text.

    Raises:
        UserError: it is nothing that can be read, or nobody can tell what it is; it says what to do.
    """
    if path == STANDARD_INPUT:
        return PLAIN
    if path.is_dir():
        return _format_of_folder(path)
    check_pointer(path)
    kind, compressed = _named(path)
    head = first_bytes(path) if path.is_file() else b""
    for at, mark, what in _MARKS:
        if head.startswith(mark, at):
            if isinstance(what, str):
                return what
            raise UserError(f"{path} is {what[0]}; {what[1]}.")
    if head.startswith(b"PK\3\4"):
        return _format_of_zip(path)
    if kind in BINARY and head and _is_text(head):
        raise UserError(f"{path} is text, no {kind} file: rename it to {path.stem}.csv, or as what it is.")
    if kind in BINARY and compressed:
        kind = ""
    elif kind not in BINARY:
        kind = _format_of_text(path, kind, head)
    if not kind and not text:
        raise UserError(
            f"{path}: the ending of the name does not tell the format of a table; say --format, or name it "
            f"{', '.join(FORMATS)}; only text may be compressed."
        )
    return kind or PLAIN


def no_rows(path: Path, *how: object) -> Iterator[Any]:
    """Raise `UserError`: a file with a word a line has no texts in rows."""
    raise UserError(
        f"{path} has a word a line, and no texts in rows: words with tags are a task of the kind 'tag'; of a "
        "table say what it is with --format."
    )


def is_known(path: Path) -> bool:
    """Whether the name of a file in a folder tells that it has rows or text."""
    return bool(_named(path)[0]) and path.name not in BESIDE


def counts_rows(path: str | Path) -> bool:
    """Whether messages about a file count its rows and not its lines."""
    path = Path(path)
    return _named(path)[0] in BY_ROW or (not path.suffix and path.is_dir())


def arrow_files(folder: Path) -> list[Path]:
    """The tables in a folder that `datasets` saved, in their order; none where it is no such folder.

    Raises:
        UserError: its list of them cannot be read.
    """
    if not (folder / _STATE).is_file():
        return []
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return [folder / Path(file["filename"]).name for file in state["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / _STATE} is not what `datasets` writes ({type(error).__name__})."
        ) from None


def _named(path: Path) -> tuple[str, bool]:
    """The key of `FORMATS` that the name tells, "" for none; and whether it tells a compression."""
    compressed = path.suffix.lower() in COMPRESSIONS
    ending = Path(path.stem).suffix if compressed else path.suffix
    return _KEYS.get(ending.lower(), ""), compressed


def _format_of_folder(path: Path) -> str:
    if (path / _STATE).is_file():
        return ".arrow"
    if (path / _SPLITS).is_file():
        splits = sorted(part.name for part in path.iterdir() if (part / _STATE).is_file())
        raise UserError(f"{path} has several splits; name one of its folders: {listed(splits)}.")
    if text_files(path):
        return FOLDERS
    raise UserError(f"{path} is a folder; name a file in it.")


def _is_text(head: bytes) -> bool:
    """Whether a file begins as text does."""
    decoder = codecs.getincrementaldecoder(mark_of(head) or "utf-8")()
    try:
        return not re.search("[\0-\x08\x0e-\x1f]", decoder.decode(head))
    except UnicodeDecodeError:
        return False


def _format_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names: Sequence[str] = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        names = ()
    if any(name.startswith("xl/") for name in names):
        return ".xlsx"
    what, way = ("a document of Word", _EXTRACT) if "word/document.xml" in names else ("a zip", _UNPACK)
    raise UserError(f"{path} is {what}; {way}.")


def _format_of_text(path: Path, kind: str, head: bytes) -> str:
    """`kind`, or what the first characters tell more truly."""
    encoding = mark_of(head) or "utf-8"
    start = head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    if kind == ".jsonl" and start.startswith("["):
        return ".json"
    if kind in (PLAIN, ""):
        suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
        if (not kind and suffixes & {*_MARKUP}) or start[:9].lower().startswith(_MARKUP_STARTS):
            raise UserError(f"{path} is HTML or XML; {_EXTRACT}, {_AS_LINES}.")
        if _JSON.match(start):
            raise UserError(f"{path} holds JSON; say --format jsonl or --format json, {_AS_LINES}.")
    return kind
