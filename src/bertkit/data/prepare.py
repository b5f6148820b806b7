"""Raw text to a folder of shards, and what is in it: `bertkit prepare`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from bertkit.data.corpus import CorpusReading, Mark, find_files, read_chunks, settle_layout
from bertkit.data.cutting import CutChunk, DocumentCutter, cut_all
from bertkit.data.files import STANDARD_INPUT
from bertkit.data.journal import JOURNAL, PROBLEMS, Journal, abandon, check_same, claim
from bertkit.data.shards import (
    COUNTS,
    MANIFEST,
    Documents,
    Gatherer,
    ShardEntry,
    Split,
    manifest_text,
    map_documents,
    write_bytes,
)
from bertkit.errors import UserError
from bertkit.text.sentences import Splitting
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.tokens import CUTTERS
from bertkit.version import __version__

PERCENTILES = (1, 10, 25, 50, 75, 90, 99, 100)
SAMPLES = 3
# A sample sentence is shown so far.
SAMPLE_TOKENS = 64

Counts = npt.NDArray[np.int64]
_SPLITS: tuple[Split, ...] = get_args(Split)


class Statistics:
    """Counts shards, one after the other, in memory that their number does not set."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._continues_V = tokenizer.continues_V
        self._words = 0
        self._totals = {split: dict.fromkeys(("documents", "sentences", "tokens"), 0) for split in _SPLITS}
        self._counts = {split: np.zeros(tokenizer.size, np.int64) for split in _SPLITS}
        # How many sentences and documents have so many tokens.
        self._sentences = np.zeros(1, np.int64)
        self._documents = np.zeros(1, np.int64)

    def add(self, split: Split, documents: Documents) -> None:
        """Count one shard."""
        counts = np.bincount(documents.ids, minlength=self._tokenizer.size)
        self._counts[split] += counts
        begins = counts[~self._continues_V] if documents.words is None else documents.words
        self._words += int(begins.sum())
        lengths = np.diff(documents.sentences)
        sizes = {"documents": len(documents), "sentences": len(lengths), "tokens": len(documents.ids)}
        for name, size in sizes.items():
            self._totals[split][name] += size
        self._sentences = _sum(self._sentences, np.bincount(lengths))
        self._documents = _sum(self._documents, np.bincount(documents.lengths))

    @property
    def counts(self) -> Counts:
        """How often each token stands in the training split, int64 [V]."""
        return self._counts["train"]

    def summary(self) -> dict[str, Any]:
        """Of all shards: totals, tokens a word, unknown share of the words, and lengths in tokens."""
        totals = {name: sum(self._totals[split][name] for split in _SPLITS) for name in self._totals["train"]}
        unknown = sum(int(counts[self._tokenizer.unk_id]) for counts in self._counts.values())
        return {
            **totals,
            "words": self._words,
            "tokens_per_word": round(totals["tokens"] / self._words, 4),
            "unknown": round(unknown / self._words, 6),
            "splits": self._totals,
            "sentence_lengths": _percentiles(self._sentences),
            "document_lengths": _percentiles(self._documents),
        }


def samples(documents: Documents, tokenizer: Tokenizer) -> list[str]:
    """Some sentences from all over the documents, as the model sees them: tokens with spaces between."""
    found = []
    count = len(documents.sentences) - 1
    for number in sorted({(2 * i + 1) * count // (2 * SAMPLES) for i in range(SAMPLES)}):
        begin, end = documents.sentences[number : number + 2]
        tokens = [tokenizer.vocabulary[i] for i in documents.ids[begin : min(end, begin + SAMPLE_TOKENS)]]
        found.append(" ".join(tokens) + (" ..." if end - begin > SAMPLE_TOKENS else ""))
    return found


def _sum(left: Counts, right: Counts) -> Counts:
    """Both histograms as one."""
    total = np.zeros(max(len(left), len(right)), np.int64)
    for part in (left, right):
        total[: len(part)] += part
    return total


def _percentiles(histogram: Counts) -> dict[str, int]:
    """The length that so many percent do not exceed."""
    below = np.cumsum(histogram)
    ranks = [max(1, -(-int(below[-1]) * percent // 100)) for percent in PERCENTILES]
    return {
        str(percent): int(np.searchsorted(below, rank))
        for percent, rank in zip(PERCENTILES, ranks, strict=True)
    }


SHARD_TOKENS = 2**20
PROBLEMS_SHOWN = 20
# A kill costs the work since the journal was last written.
SECONDS_BETWEEN_SAVES = 10.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What decides the shards, beside the text and the tokenizer.

    Attributes:
        heldout: share of the documents that are held out, chosen by a hash of their text.
        sentences: how a document is split, see `Splitting.parse`.
        reading: how documents are found in files.
        words: a segmenter of words, a key of `CUTTERS`; None for BERT's own.
        shard_tokens: of a shard, about.
    """

    heldout: float = 0.005
    sentences: str = "auto"
    reading: CorpusReading = field(default_factory=CorpusReading)
    words: str | None = None
    shard_tokens: int = SHARD_TOKENS

    def check(self) -> None:
        """Raise `UserError` unless all can be meant."""
        Splitting.parse(self.sentences)
        if not 0 <= self.heldout < 1:
            raise UserError(f"The share that is held out must be from 0 to below 1, not {self.heldout:g}.")
        if self.words is not None and self.words not in CUTTERS:
            raise UserError(f"There is no segmenter {self.words!r}; known are {', '.join(CUTTERS)}.")


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        bytes: of the files that are done, as they lie on the disk.
        total: of all files; 0 where standard input is among them.
        documents: taken so far.
        characters: read so far.
        problems: places so far that could not be read.
    """

    bytes: int
    total: int
    documents: int
    characters: int
    problems: int


class Listener(Protocol):
    """What a person sees of it."""

    def started(self, files: int, progress: Progress) -> None:
        """All was checked; `progress` is more than nothing where a half-done folder is continued."""

    def progressed(self, progress: Progress) -> None:
        """Some more documents are done."""

    def finished(self, result: dict[str, Any]) -> None:
        """The shards are complete."""


def prepare(
    texts: Iterable[str | Path],
    tokenizer: Tokenizer,
    out: str | Path,
    options: Options | None = None,
    *,
    workers: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Cut text into tokens, and leave a folder of shards, see `bertkit.data.shards`.

    A folder that an interrupted call left is continued by the same call, and the shards are then the same,
    byte by byte, as those of a call never interrupted. So are they for any number of workers.

    Args:
        texts: files, folders and patterns, see `bertkit.data.corpus.find_files`.
        tokenizer: that cuts the text; its files go into the folder.
        out: the folder.
        options: what decides the shards.
        workers: processes; None for as many as this process may use processors.
        strict: stop at the first thing that cannot be read.
        overwrite: replace the shards, finished or not, that are in the folder.
        listener: told of everything as it happens.

    Returns:
        What `manifest.json` says under `report`, and `shards` (the folder), `seconds` and `version`.

    Raises:
        UserError: bad options, text that is not there, a folder that holds something else, or a half-done
            one of other text or options.
        KeyboardInterrupt: Ctrl-C; the same call continues, unless standard input was read.
        OSError: the disk is full, for example; the same call continues.
    """
    if workers is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        workers = usable or 1
    preparation = _Preparation(texts, tokenizer, Path(out), options or Options(), strict, listener)
    return preparation.run(workers, overwrite)


class _Preparation:
    """One call of `prepare`."""

    def __init__(
        self,
        texts: Iterable[str | Path],
        tokenizer: Tokenizer,
        out: Path,
        options: Options,
        strict: bool,
        listener: Listener | None,
    ) -> None:
        options.check()
        texts = list(texts)
        self._files, self._others = find_files(texts)
        if not self._files:
            raise UserError("There is no text to prepare; name files, folders or patterns.")
        for path in self._files:
            options.reading.check(path)
        layout = settle_layout(texts, self._files, options.reading)
        options = replace(options, reading=replace(options.reading, layout=layout))
        self._tokenizer = tokenizer
        splitting = Splitting.parse(options.sentences)
        self._cutter = partial(DocumentCutter, tokenizer, splitting, options.words)
        # What is not installed is better found here than in every worker.
        self._cutter()
        self._out = out
        self._options = options
        self._strict = strict
        self._listener = listener
        piped = STANDARD_INPUT in self._files
        self._sizes = [0 if path == STANDARD_INPUT else path.stat().st_size for path in self._files]
        self._total = 0 if piped else sum(self._sizes)
        self._problems = 0
        self._seconds = 0.0

    def run(self, workers: int, overwrite: bool) -> dict[str, Any]:
        """Do it."""
        begin = time.perf_counter()
        claim(self._out, overwrite)
        with Journal(self._out) as journal:
            self._state = journal.load()
            self._problems = sum(1 for _ in journal.problems())
            plan = {"files": [str(path) for path in self._files], "options": self._plan()}
            before = journal.read("plan")
            if before is None:
                journal.save(self._state, {"plan": plan})
            else:
                check_same(self._out, before, plan, self._state)
            self._gatherers = {
                split: Gatherer(
                    self._out,
                    split,
                    self._tokenizer.size,
                    self._options.shard_tokens,
                    self._state.pending.get(split),
                    sum(entry.split == split for entry in self._state.entries),
                )
                for split in _SPLITS
            }
            if self._listener:
                self._listener.started(len(self._files), self._progress())
            self._read(journal, workers)
            report = self._finish(journal)
        (self._out / JOURNAL).unlink(missing_ok=True)
        result = {
            "shards": str(self._out),
            **report,
            "seconds": round(time.perf_counter() - begin, 3),
            "version": __version__,
        }
        if self._listener:
            self._listener.finished(result)
        return result

    def _plan(self) -> dict[str, Any]:
        """All that decides the shards beside the text."""
        tokenizer = self._tokenizer
        return {
            **asdict(self._options),
            "rules": Splitting.parse(self._options.sentences).rules,
            "vocabulary": tokenizer.fingerprint,
            "lowercase": tokenizer.lowercase,
            "strip_accents": tokenizer.strip_accents,
            "split_cjk": tokenizer.split_cjk,
            "version": __version__,
        }

    def _read(self, journal: Journal, workers: int) -> None:
        """All documents, into shards but for the last ones."""
        chunks = read_chunks(self._files, self._options.reading, self._state.position)
        saved = time.monotonic()
        # Whether journal and state are of one moment.
        whole = True
        try:
            for mark, cut in cut_all(chunks, self._cutter, workers):
                if self._strict and cut.problems:
                    raise UserError(cut.problems[0][1])
                whole = False
                self._take(journal, mark, cut)
                whole = True
                if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    self._save(journal)
                    saved = time.monotonic()
                if self._listener:
                    self._listener.progressed(self._progress())
        except BaseException:
            if whole:
                self._save(journal)
            raise

    def _take(self, journal: Journal, mark: Mark, cut: CutChunk) -> None:
        """Add what became of a chunk."""
        state = self._state
        new = journal.see(cut.digests)
        journal.note(sentence for _, sentence in cut.problems)
        documents = cut.documents.select(new)
        # The first bytes of a hash are a number that is as good as drawn from [0, 2**32).
        draws = np.ascontiguousarray(cut.digests[new, :4]).view(">u4").ravel()
        held = draws < self._options.heldout * 2**32
        state.entries += self._gatherers["train"].add(documents.select(~held))
        state.entries += self._gatherers["heldout"].add(documents.select(held))
        state.documents += len(documents)
        state.duplicates += int((~new).sum())
        state.dropped += cut.dropped
        state.characters += cut.characters
        state.vowel_signs += cut.vowel_signs
        state.position = mark.position
        state.files += mark.done
        self._problems += len(cut.problems)

    def _save(self, journal: Journal) -> None:
        self._state.pending = {split: g.pending for split, g in self._gatherers.items() if len(g)}
        journal.save(self._state)

    def _progress(self) -> Progress:
        state = self._state
        done = sum(self._sizes[: state.position.file]) + state.position.bytes
        return Progress(done, self._total, state.documents, state.characters, self._problems)

    def _finish(self, journal: Journal) -> dict[str, Any]:
        """The last shards, and all that lies beside them; the report."""
        for split in _SPLITS:
            self._state.entries += self._gatherers[split].flush()
        self._save(journal)
        entries = sorted(self._state.entries, key=lambda entry: (_SPLITS.index(entry.split), entry.file))
        self._check_some(entries)
        statistics = Statistics(self._tokenizer)
        for entry in entries:
            statistics.add(entry.split, map_documents(self._out, entry))
        report = {
            **statistics.summary(),
            "files": len(self._files),
            "passed_over": self._others,
            "layout": self._options.reading.layout,
            "characters": self._state.characters,
            "vowel_signs": self._state.vowel_signs,
            "duplicates": self._state.duplicates,
            "dropped": self._state.dropped,
            "problems": self._problems,
            "first_problems": list(islice(journal.problems(), PROBLEMS_SHOWN)),
            "samples": samples(map_documents(self._out, entries[0]), self._tokenizer),
        }
        self._tokenizer.save(self._out)
        np.save(self._out / COUNTS, statistics.counts)
        if self._problems:
            with (self._out / PROBLEMS).open("w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(f"{sentence}\n" for sentence in journal.problems())
        # Last of all, and whole or not at all: the manifest makes the folder one of shards.
        files = [asdict(entry) for entry in self._state.files]
        content = {"options": self._plan(), "files": files, "report": report}
        partial_file = self._out / f"{MANIFEST}.part"
        write_bytes(partial_file, manifest_text(entries, self._tokenizer, content).encode())
        partial_file.replace(self._out / MANIFEST)
        return report

    def _check_some(self, entries: Sequence[ShardEntry]) -> None:
        """Nothing to train on is a mistake; the folder is then left as it was found."""
        if any(entry.split == "train" for entry in entries):
            return
        abandon(self._out)
        if entries:
            raise UserError(
                f"All {self._state.documents} documents fell into the share that is held out; give more text "
                "or say --heldout 0."
            )
        raise UserError(
            f"There is no document with a word in {', '.join(map(str, self._files[:3]))}"
            f"{' and others' if len(self._files) > 3 else ''}; {self._problems} places could not be read."
        )
