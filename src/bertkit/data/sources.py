"""Where the named data sets come from: the rows of `sources.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bertkit.recipe import from_table


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file at an address, and what of it is kept.

    Attributes:
        url: the official address.
        digest: of the file's bytes, as "sha256:..." or "md5:..."; "" where none is known from elsewhere.
        keep: of an archive (zip, tar) a member, or a folder in it, whose name ends in "/", and what it is
            called in the folder of the data set. Of a file that is no archive the key is "".
    """

    url: str
    digest: str = ""
    keep: Mapping[str, str]

    @property
    def name(self) -> str:
        """Of the file, at its address."""
        return self.url.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set's origin.

    Attributes:
        folder: of its files, in `$BERTKIT_DATA` and in the cache.
        licence: as its authors state it.
        cite: the paper.
        downloads: what is fetched.
        maker: in `data.make.MAKERS`, what makes the tables out of the files that were fetched; "" where they
            are read as they are.
        manual: what only a person can do, where no address gives the files.
    """

    folder: str
    licence: str
    cite: str
    downloads: tuple[Download, ...] = ()
    maker: str = ""
    manual: str = ""

    def how_to_get(self, task: str) -> str:
        """Steps that put the files of a named task into `{folder}`, for a person to follow."""
        if self.manual:
            steps = f"{self.manual}; put the files into {{folder}}"
        else:
            addresses = " and ".join(part.url for part in self.downloads)
            it = "them" if len(self.downloads) > 1 else "it"
            by_hand = f"download {addresses} into a folder and take {it} from there: add --from FOLDER"
            steps = f"`bertkit data fetch {task}`; or {by_hand}"
        return f"{steps}; or set BERTKIT_DATA to a folder in which the files are in {self.folder}/."


@cache
def sources() -> Mapping[str, Source]:
    """All origins, by folder."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)
    return {folder: from_table(Source, {"folder": folder, **row}, "") for folder, row in rows.items()}
