"""Text of somebody's own, made once into a vocabulary and shards that the run keeps in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertkit.checkpoint.folder import read_tokenizer
from bertkit.checkpoint.locate import find_model
from bertkit.data.corpus import CorpusReading, characters_in, find_files, read_chunks, settle_layout
from bertkit.data.cutting import texts_of
from bertkit.data.journal import PROBLEMS, Position
from bertkit.data.prepare import Options, Progress, prepare
from bertkit.data.shards import is_shards
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.runs.folder import CORPUS, check_outside, clear_run, keep_recipe
from bertkit.text.tokenizer import Tokenizer
from bertkit.train.listener import Listener
from bertkit.train.prepare import fresh_tokenizer
from bertkit.train.processes import Processes

HELDOUT_CHARACTERS = 200_000
"""Of text to hold out: a few hundred times the masked tokens that a difference of losses is seen on."""
LEAST_HELDOUT, MOST_HELDOUT = 0.005, 0.05
"""Shares of the documents to hold out, where nobody says."""
LITTLE_TEXT = 20_000_000
"""Characters that are read in seconds: in one process, and from the start again after an interruption."""


def check_used(recipe: PretrainRecipe, start: Path | None) -> None:
    """Refuse options of text that is cut already, and of a vocabulary where a model that is trained has one.

    Raises:
        UserError: there are some.
    """
    sections: tuple[str, ...] = ("vocabulary.", "corpus.")
    why = f"the text of {recipe.corpus.shards} is cut already"
    if recipe.corpus.texts:
        sections, why = ("vocabulary.",), f"{recipe.model.start} is trained, and has its own vocabulary"
        if start is None:
            return
    usual = PretrainRecipe().flat()
    vain = [key for key, value in recipe.flat().items() if key.startswith(sections) and value != usual[key]]
    if vain:
        raise UserError(f"{', '.join(vain)} would change nothing: {why}. Leave out what says it.")


@dataclass(frozen=True)
class OwnText:
    """The text that a recipe names.

    Attributes:
        recipe: with `corpus.texts`.
        files: that they are.
        start: the model folder whose vocabulary cuts it; None for one that is learned.
        reading: how documents are found in the files.
        characters: about, of all files.
    """

    recipe: PretrainRecipe
    files: Sequence[Path]
    start: Path | None
    reading: CorpusReading
    characters: int

    @classmethod
    def of(cls, recipe: PretrainRecipe) -> OwnText:
        """Find the files; nothing is read but their sizes.

        Raises:
            UserError: a file is not there, there is no such model, nothing says how long to train, or an
                option would change nothing.
        """
        training, corpus = recipe.training, recipe.corpus
        if not (training.steps or training.budget or training.replay):
            raise UserError("Say how long to train: --budget 1h, or --steps N.")
        files, _ = find_files(corpus.texts)
        reading = CorpusReading(layout=corpus.documents, column=corpus.column or None)
        for path in files:
            reading.check(path)
        reading = replace(reading, layout=settle_layout(corpus.texts, files, reading))
        start = find_model(recipe.model.start)
        check_used(recipe, start)
        return cls(recipe, files, start, reading, characters_in(files))

    def tokenizer(self) -> Tokenizer:
        """Of the model that the run goes on from, or with a vocabulary that is learned from the text."""
        if self.start is not None:
            return read_tokenizer(self.start)
        return fresh_tokenizer(self.recipe.vocabulary, self._texts(), self.characters)

    def _texts(self) -> Iterator[str]:
        for _, chunk in read_chunks(self.files, self.reading, Position()):
            # What cannot be read is counted when the text is cut.
            yield from texts_of(chunk, [])

    def make(self, folder: Path, listener: Listener) -> dict[str, Any]:
        """Learn the vocabulary, cut the text, and leave the shards in `folder`.

        Where no document fell among those that are held out, of the few that there are, the share is doubled.

        Returns:
            What `prepare` does, and `vocabulary_size`.
        """
        tokenizer = self.tokenizer()
        little = self.characters <= LITTLE_TEXT
        asked = self.recipe.corpus.heldout
        share = asked or min(MOST_HELDOUT, max(LEAST_HELDOUT, HELDOUT_CHARACTERS / max(self.characters, 1)))
        while True:
            result = prepare(
                self.recipe.corpus.texts,
                tokenizer,
                folder,
                Options(heldout=share, reading=self.reading),
                workers=1 if little else None,
                overwrite=little,
                listener=_Progress(listener),
            )
            held = result["splits"]["heldout"]["documents"]
            if held or asked or not little or share > 0.25 or result["documents"] < 2:
                return {**result, "vocabulary_size": tokenizer.size}
            share *= 2


def with_own_text(
    recipe: PretrainRecipe, out: Path, processes: Processes, listener: Listener, *, resume: bool
) -> PretrainRecipe:
    """The recipe with the shards of its texts, which the first process makes unless they are there.

    Args:
        recipe: with `corpus.texts`.
        out: the run folder, which was found free to make, replace or continue, and which is held.
        processes: of the run; the others wait.
        listener: told how far it is, and what it came to.
        resume: go on with what is at `out`, which may be half-made shards.

    Raises:
        UserError: a file is not there or has no text; nothing is left at `out` then, unless it was to go on.
    """
    folder = out / CORPUS

    def make() -> None:
        if resume and is_shards(folder):
            return
        own = OwnText.of(recipe)
        if not resume:
            check_outside([*own.files, *([own.start] if own.start else [])], out)
            clear_run(out)
            keep_recipe(out, recipe)
        try:
            listener.told(_before(own))
            listener.told(_after(own.make(folder, listener), folder))
        except UserError:
            if not resume:
                clear_run(out)
            raise

    processes.after_first(make)
    return recipe.with_changes({"corpus": {"shards": str(folder)}})


class _Progress:
    """Tells a run's listener what `prepare` tells its own."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def started(self, files: int, progress: Progress) -> None:
        """It begins."""

    def progressed(self, progress: Progress) -> None:
        """Some more text is cut."""
        self._listener.encoded("tokens of the text (bytes read)", progress.bytes, progress.total)

    def finished(self, result: dict[str, Any]) -> None:
        """All text is cut."""


_DOCUMENTS = {
    "files": "one document a file",
    "blank": "blank lines between documents",
    "lines": "one document a line",
}


def _before(own: OwnText) -> str:
    files = f"{len(own.files):,} file{'s' * (len(own.files) > 1)}"
    layout = _DOCUMENTS.get(own.reading.layout, "")
    start = own.recipe.model.start
    whose = f"the vocabulary of {start}" if own.start else "a vocabulary learned from it"
    amount = f"about {own.characters / 1e6:,.1f} million characters"
    return f"Text: {files}, {amount}{layout and f', {layout}'}; cut with {whose}."


def _after(result: dict[str, Any], folder: Path) -> str:
    held = result["splits"]["heldout"]
    bad = result["problems"]
    problems = f" {bad:,} places could not be read, see {folder / PROBLEMS}." if bad else ""
    return (
        f"Made {result['tokens']:,} tokens of a vocabulary of {result['vocabulary_size']:,} from "
        f"{result['documents']:,} documents, {held['documents']:,} of them held out; "
        f"{result['unknown']:.2%} of the words are [UNK]. Kept in {folder}.{problems}"
    )
