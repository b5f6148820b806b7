"""A trained model over raw text: answers in the order of the input, and a place for every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.head import HEAD_KINDS
from bertkit.config.reading import Reading
from bertkit.data.packed import Sequences
from bertkit.data.tables import BadRow, Row
from bertkit.errors import UserError
from bertkit.infer.rows import (
    ROWS_AT_ONCE,
    SILENT,
    Progress,
    Tally,
    Texts,
    begin_block,
    checked_texts,
    checked_words,
    in_blocks,
)
from bertkit.model.bulk import head_outputs
from bertkit.model.compute import Compute
from bertkit.model.heads import Classifier
from bertkit.tasks.calibration import tempered
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples
from bertkit.tasks.kind import Decision
from bertkit.tasks.kinds import KINDS, kind_of_head

Answer = dict[str, Any]
"""`{"text"}`, with `"pair"` where there is one, and what `Kind.answers` says of it; or, in the place of a row
that cannot be answered, `{"line", "error"}`."""


class Predictor:
    """A model of a kind of task with its tokenizer, which reads texts as it was trained to.

    Attributes:
        name: what the user called the model.
        kind: what it was trained to answer.
        labels: names of the classes in their order, or of the numbers, or what else its kind has for names.
        card: what training noted about the model; empty for a folder that another program wrote.
        compute: where and in which number format.
        reading: how texts become sequences: as it was trained to, but for windows that were asked for.
        temperature: what its logits are divided by, so that its probabilities mean what they say; None where
            the folder keeps none (`training.temperature` of a recipe).
        decision: how predictions are made of outputs: see `Kind.decide`.
    """

    def __init__(
        self, folder: ModelFolder, name: str, compute: Compute, reading: Reading, decode: str = ""
    ) -> None:
        if folder.head is None:
            raise UserError(
                f"{name} has no trained head to label texts with, so it cannot answer: "
                f"fine-tune it first with `bertkit finetune TASK --model {name} -o RUN`."
            )
        kind = kind_of_head(folder.head.config)
        if kind is None:
            head = folder.head.config
            raise UserError(
                f"{name} has a head that {HEAD_KINDS[head.kind].does}, {len(head.labels)} of them, and at "
                f"most {KINDS[head.kind].most} is used so; from Python, "
                f"bertkit.load({name!r}).outputs(texts) gives what its head computes."
            )
        self.name = name
        self.kind = kind
        self.card = folder.card
        self.labels = folder.head.config.labels or tuple(self.card.get("labels") or ())
        self.decision: Decision = self.card.get("decision") or {}
        if not (self.card or decode) and kind.decodings:
            # What another program trained may have the letters of a scheme and not follow it, as IOB1.
            decode = kind.decodings[-1]
        if decode:
            if decode not in kind.decodings:
                known = f"only {' or '.join(kind.decodings)}" if kind.decodings else "none"
                raise UserError(
                    f"{name} has a head that {HEAD_KINDS[kind.name].does}, for which decode cannot be "
                    f"{decode!r} but {known}."
                )
            self.decision = {**self.decision, "decode": decode}
        self.compute = compute
        self.reading = reading
        self.temperature = _temperature(folder)
        self._tokenizer = folder.tokenizer
        self._classifier = Classifier(folder.encoder, folder.head)

    def predict(
        self, texts: Texts, pairs: Texts | None = None, more: Mapping[str, Sequence[Any]] | None = None
    ) -> list[Answer]:
        """Answer N texts, or N pairs of texts.

        Args:
            texts: the texts, or the first ones of the pairs. Every string has an answer, an empty one too. To
                a model that tags words a text may come as the list of its words.
            pairs: the second texts, as many.
            more: what else the kind of task asks of each row, by name: see `Examples.more`.

        Returns:
            For each, in the order given: `{"text", "pair", ...}`, see `Kind.answers`.

        Raises:
            UserError: an argument holds something else than strings, or `pairs` is not as long as `texts`.
        """
        if self.kind.takes_words and isinstance(texts, list | tuple) and not all(map(_is_text, texts)):
            words = checked_words(texts)
            texts, more = [" ".join(each) for each in words], {**(more or {}), "words": words}
        first, second = checked_texts(texts, pairs)
        given = {name: list(values) for name, values in (more or {}).items()}
        if wrong := next((name for name, values in given.items() if len(values) != len(first)), None):
            raise UserError(
                f"There are {len(first)} texts but {len(given[wrong])} {wrong}; each text needs one."
            )
        rows = Examples(first, second, None, [*range(1, len(first) + 1)], Path(), more=given)
        return self._answers(rows)[0]

    def encode(self, rows: Examples) -> Encoded:
        """Rows as the model was trained to read them.

        Raises:
            UserError: the model was trained on pairs and gets single texts, or the reverse.
        """
        trained_on_pairs = self.card.get("pairs")
        if trained_on_pairs is not None and len(rows) and trained_on_pairs != (rows.pairs is not None):
            raise UserError(
                f"{self.name} was trained on {'pairs of texts' if trained_on_pairs else 'single texts'}: "
                f"give it {'the second texts too' if trained_on_pairs else 'no second texts'}."
            )
        return self.kind.encode(self._tokenizer, rows, self.reading, self.labels)

    def outputs(
        self, encoded: Encoded, *, progress: Progress = SILENT, characters: int = 0
    ) -> npt.NDArray[np.floating[Any]]:
        """What the head says: see `head_outputs`; of classes `tempered` where there is a temperature.

        Args:
            encoded: N rows.
            progress: is told of them as one block, of so many `characters`.
            characters: of their texts.

        Raises:
            UserError: the weights make numbers that are none.
        """
        after = begin_block(progress, encoded.sequences, characters)
        outputs = head_outputs(self._classifier, encoded.units, compute=self.compute, after=after)
        if np.isnan(outputs).any():
            raise UserError(f"{self.name} answers with NaN: its weights are damaged; train it again.")
        return outputs if self.temperature is None else tempered(outputs, self.temperature)

    def predict_rows(
        self,
        rows: Iterable[Row | BadRow],
        tally: Tally,
        *,
        at_once: int = ROWS_AT_ONCE,
        progress: Progress = SILENT,
    ) -> Iterator[Answer]:
        """Answer rows in constant memory, each at its place; `tally` counts as they go by.

        Args:
            rows: all with a second text, or all without.
            tally: what to count in.
            at_once: rows to wait for before any is answered.
            progress: is told how far they have come.
        """
        for block in in_blocks(rows, at_once):
            answers: Iterator[Answer] = iter(())
            sequences = None
            if len(block.good):
                found, sequences = self._answers(block.good, progress=progress, characters=block.characters)
                answers = iter(found)
            block.answered(tally, sequences, progress)
            for row in block.rows:
                yield {"line": row.line, "error": row.problem} if isinstance(row, BadRow) else next(answers)

    def _answers(
        self, rows: Examples, *, progress: Progress = SILENT, characters: int = 0
    ) -> tuple[list[Answer], Sequences]:
        """What there is to say of each row, and the sequences that the rows were read as."""
        rows, kind = self.kind.complete(rows), self.kind
        encoded = self.encode(rows)
        outputs = kind.collect(encoded, self.outputs(encoded, progress=progress, characters=characters))
        predictions = kind.predict(rows, outputs, self.labels, self.decision)
        said = kind.answers(rows, outputs, predictions, self.labels)
        parts = [rows.texts, *([] if rows.pairs is None else [rows.pairs])]
        texts = (dict(zip(kind.shown, each, strict=False)) for each in zip(*parts, strict=True))
        found = [{**text, **answer} for text, answer in zip(texts, said, strict=True)]
        return found, encoded.sequences


def _is_text(text: object) -> bool:
    return isinstance(text, str)


def _temperature(folder: ModelFolder) -> float | None:
    found = folder.card.get("temperature")
    return None if found is None else float(found)
