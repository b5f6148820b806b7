"""Texts that are a file each, in a folder for each label: as IMDB and 20 Newsgroups are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bertkit.data.files import open_bytes, read_lines, undecoded

FOLDERS = ".folders"
"""What such a folder is among the formats of rows."""


def text_files(folder: Path) -> list[tuple[str, Path]]:
    """The label and the file of each text, in a folder that has nothing but folders of files; none of others.

    They are in the order of labels and of names, names that are numbers in their order.
    """
    parts = [part for part in folder.iterdir() if not part.name.startswith(".")]
    if len(parts) < 2 or not all(part.is_dir() for part in parts):
        return []
    files = [(part.name, file) for part in parts for file in part.iterdir()]
    if any(file.is_dir() for _, file in files):
        return []
    return sorted(files, key=lambda each: (each[0], len(each[1].stem), each[1].name))


def folder_records(folder: Path, encoding: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    """The number of each text from 1, and its text, label and file, or a sentence about a byte of it.

    Raises:
        UserError: a file cannot be read.
    """
    for number, (label, file) in enumerate(text_files(folder), 1):
        with open_bytes(file) as stream:
            text = "\n".join(line for _, line in read_lines(stream, str(file), encoding))
        problem = undecoded(text)
        told = {"text": text, "label": label, "file": file.name}
        yield number, f"{label}/{file.name}: {problem}" if problem else told
