"""Pretraining beside transformers, in turns in one process, on real text of mixed lengths.

Both sides make the same updates of the same sequences with the same masks and the same optimiser, without
dropout, in bf16 where it is native. Ours is the loop of `bertkit pretrain`, which cuts and masks the text as
it goes. Theirs is at its best: what it reads is ready, sequences of like length go together and are padded to
the longest of their part, attention is PyTorch's fused one, AdamW is one fused kernel. Each side computes
a step at once or in parts, whichever is faster here. Their head computes the logits of all tokens, ours those
of the masked.

Tokens a second are those of the text; pads do not count. The share of the rate of matrix products is of the
arithmetic that a step needs (`bertkit.model.work`), for both sides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from bertkit.config.model import ModelConfig, preset
from bertkit.data.corpus import read_texts
from bertkit.data.prepare import Options, prepare
from bertkit.model.compute import Compute, flush_denormals, gemm_rate
from bertkit.model.optimisers import build_optimiser
from bertkit.model.pretraining import PretrainingBatch
from bertkit.model.work import training_flops
from bertkit.recipe import PretrainRecipe
from bertkit.text.tokenizer import Tokenizer
from bertkit.train.listener import Listener
from bertkit.train.loop import run_steps
from bertkit.train.masked import as_batch, score
from bertkit.train.processes import ALONE
from bertkit.train.start import source_of
from common import VOCABULARY, corpus, emit, emit_machine, interleaved, seconds

LENGTH = 128
HELDOUT = 0.01
CHARACTERS = 2_000_000  # of text for the speeds, of which a block uses a part
RATE = 5e-4
WARMUP = 200  # steps of the race
SLICE = 30.0  # seconds of a turn in the race
STEPS_GROUPED = 16  # whose sequences transformers groups by length in the race
# A step at once (0) or in parts: of so many tokens, of so many sequences.
PARTS = {"bertkit": (0, 1_024), "transformers": (0, 8)}
IGNORED = -100  # what transformers calls a place without a target


@dataclass(frozen=True)
class Block:
    """What is timed of one size of model: so many steps of about so many tokens."""

    steps: int
    tokens: int


SIZES = {"mini": Block(4, 4_096), "small": Block(2, 4_096), "base": Block(2, 2_048)}


@dataclass(frozen=True)
class Setting:
    """What both sides are to do."""

    size: str
    shards: Path
    pairs: str

    def recipe(self, at_once: int = 0) -> PretrainRecipe:
        """As a recipe of a run."""
        return PretrainRecipe().with_changes(
            {
                "corpus": {"shards": str(self.shards)},
                "model": {"start": self.size, "options": {"hidden_dropout": 0.0}},
                "objective": {"pairs": self.pairs},
                "batch": {"tokens": SIZES[self.size].tokens, "length": LENGTH, "at_once": at_once},
                "optimiser": {"lr": RATE},
                "training": {"heldout_tokens": 16_384, "steps": 1_000},
            }
        )


class Ours:
    """Our side: the model, the optimiser and the loop of a run."""

    def __init__(self, setting: Setting, at_once: int) -> None:
        recipe = setting.recipe(at_once)
        self.source = source_of(recipe, ALONE, Listener())
        self.objective = self.source.objective(0)
        self.optimiser = build_optimiser(self.objective.model, recipe.optimiser)
        self.clip = recipe.optimiser.clip
        self.step = 0

    def train(self, rate: Callable[[int], float | None]) -> None:
        """Make updates until `rate` has none for the next step."""

        def done(record: Any) -> bool:
            self.step = record.step
            return False

        run_steps(
            self.objective.model,
            self.objective,
            self.optimiser,
            rate=rate,
            clip=self.clip,
            start=self.step,
            seed=0,
            compute=Compute.choose("auto"),
            after_step=done,
        )

    def block(self, steps: int) -> None:
        """The same updates at each call, but for the weights."""
        self.step = 0
        self.train(lambda step: RATE if step < steps else None)

    def heldout_loss(self) -> float:
        """Loss of the held-out masked tokens."""
        return score(self.objective.model, self.source.heldout.parts, Compute.choose("auto"))["mlm_loss"]


@dataclass(frozen=True)
class Row:
    """One sequence of S tokens, not padded yet; `pair` is its label as in `PretrainingBatch`."""

    ids_S: torch.Tensor
    segments_S: torch.Tensor
    labels_S: torch.Tensor
    pair: int | None


Part = dict[str, torch.Tensor]  # the arguments of a model of transformers


def rows_of(batch: PretrainingBatch) -> list[Row]:
    """The sequences of a packed batch."""
    labels_T = torch.full_like(batch.inputs.ids_T, IGNORED)
    labels_T[batch.masked_M] = batch.targets_M
    packed = (batch.inputs.ids_T, batch.inputs.segments_T, labels_T)
    pairs = [None] * len(batch.inputs.lengths) if batch.pairs_B is None else batch.pairs_B.tolist()
    parts = [each.split(batch.inputs.lengths) for each in packed]
    return [Row(*each) for each in zip(*parts, pairs, strict=True)]


def padded(rows: Sequence[Row]) -> Part:
    """Rows side by side; without a mask where there are no pads."""
    part = {
        "input_ids": pad_sequence([row.ids_S for row in rows], batch_first=True),
        "token_type_ids": pad_sequence([row.segments_S for row in rows], batch_first=True),
        "labels": pad_sequence([row.labels_S for row in rows], batch_first=True, padding_value=IGNORED),
    }
    if len({len(row.ids_S) for row in rows}) > 1:
        ones = [torch.ones_like(row.ids_S) for row in rows]
        part["attention_mask"] = pad_sequence(ones, batch_first=True)
    if rows[0].pair is not None:
        part["next_sentence_label"] = torch.tensor([row.pair for row in rows])
    return part


def grouped(batches: Sequence[PretrainingBatch], at_once: int) -> list[list[Part]]:
    """As many steps, in random order, of the same sequences: those of like length together, in parts."""
    rows = sorted((row for batch in batches for row in rows_of(batch)), key=lambda row: len(row.ids_S))
    steps = np.array_split(np.arange(len(rows)), len(batches))
    found = []
    for index in np.random.default_rng(0).permutation(len(steps)):
        places = steps[index]
        size = at_once or len(places)
        parts = [places[begin : begin + size] for begin in range(0, len(places), size)]
        found.append([padded([rows[place] for place in part]) for part in parts])
    return found


class Theirs:
    """The side of transformers: the same sequences, grouped beforehand."""

    def __init__(self, setting: Setting, at_once: int) -> None:
        recipe = setting.recipe()
        self.source = source_of(recipe, ALONE, Listener())
        self.objective = self.source.objective(0)
        self.model = their_model(preset(setting.size), setting.pairs)
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        self.clip = recipe.optimiser.clip
        self.at_once = at_once
        self.step = 0
        self.ready: list[list[Part]] = []

    def prepare(self, steps: int) -> None:
        """Have the sequences of the next steps ready."""
        masks = (self.objective.masks(self.step + index) for index in range(steps))
        self.ready = grouped([as_batch(each) for each in masks], self.at_once)

    def update(self, parts: list[Part], rate: float) -> None:
        """One update; the losses of its parts are weighted by their targets."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        targets = [int((part["labels"] != IGNORED).sum()) for part in parts]
        self.model.train()
        for part, count in zip(parts, targets, strict=True):
            with Compute.choose("auto").autocast():
                loss = self.model(**part).loss * (count / sum(targets))
            loss.backward()
            loss.item()
        nn.utils.clip_grad_norm_(list(self.model.parameters()), self.clip, foreach=True)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def block(self) -> None:
        """The updates that are ready, the same at each call, but for the weights."""
        for parts in self.ready:
            self.update(parts, RATE)

    def heldout_loss(self) -> float:
        """Loss of the held-out masked tokens."""
        assert self.source.heldout is not None
        loss, targets = 0.0, 0
        self.model.eval()
        with torch.inference_mode(), Compute.choose("auto").autocast():
            for batch in (part.batch for part in self.source.heldout.parts):
                for part in grouped([batch], 8)[0]:
                    labels = part.pop("labels").flatten()
                    part.pop("next_sentence_label", None)
                    logits = self.model(**part)[0].float().flatten(0, 1)
                    loss += F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
                    targets += int((labels != IGNORED).sum())
        return loss / targets


def their_model(config: ModelConfig, pairs: str) -> Any:
    """A model of that size of transformers, with fresh weights."""
    from transformers import BertConfig, BertForMaskedLM, BertForPreTraining

    settings = BertConfig(
        vocab_size=config.vocabulary_size,
        num_hidden_layers=config.layers,
        hidden_size=config.hidden_size,
        num_attention_heads=config.heads,
        intermediate_size=config.feedforward_size,
        max_position_embeddings=config.max_positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
    return BertForMaskedLM(settings) if pairs == "none" else BertForPreTraining(settings)


def fastest(ways: dict[int, Callable[[], object]]) -> tuple[int, Callable[[], object]]:
    """Which way to cut a step is the fastest, each tried twice, and what runs it."""
    times = {way: min(seconds(run), seconds(run)) for way, run in ways.items()}
    best = min(times, key=lambda way: times[way])
    return best, ways[best]


def compare_speed(setting: Setting, rounds: int) -> dict[str, int]:
    """Emit the figures of one size; returns how each side cuts its steps."""
    block = SIZES[setting.size]
    ours = {at_once: Ours(setting, at_once) for at_once in PARTS["bertkit"]}
    theirs = {at_once: Theirs(setting, at_once) for at_once in PARTS["transformers"]}
    for side in theirs.values():
        side.prepare(block.steps)
    ways = {
        "bertkit": fastest({way: lambda side=side: side.block(block.steps) for way, side in ours.items()}),
        "transformers": fastest({way: side.block for way, side in theirs.items()}),
    }
    compute = Compute.choose("auto")
    rate = gemm_rate(compute, budget=1.0)
    times = interleaved({name: run for name, (_, run) in ways.items()}, rounds, warmups=0)

    batches = [as_batch(ours[0].objective.masks(step)) for step in range(block.steps)]
    lengths = np.concatenate([batch.inputs.lengths for batch in batches])
    flops = sum(
        training_flops(
            preset(setting.size), b.inputs.lengths, len(b.targets_M), pairs=setting.pairs != "none"
        )
        for b in batches
    )
    about = {"model": setting.size, "pairs": setting.pairs, "precision": compute.precision}
    about["mean_length"] = round(float(lengths.mean()), 1)
    for name, taken in times.items():
        detail = {**about, "system": name, "at_once": ways[name][0]}
        emit("pretrain", lengths.sum() / taken, "tokens/s", **detail)
        emit("pretrain", flops / taken / rate, "of the rate of matrix products", **detail)
    emit("pretrain", times["transformers"] / times["bertkit"], "times transformers", **about)
    emit("gemm", rate / 1e9, "GFLOP/s", precision=compute.precision)
    return {name: way for name, (way, _) in ways.items()}


def race(setting: Setting, minutes: float, at_once: dict[str, int]) -> None:
    """Emit how long we take to the held-out loss that transformers reaches in so many minutes, in turns.

    What is before the first step, the scoring, and what transformers reads are not timed.
    """
    ours, theirs = Ours(setting, at_once["bertkit"]), Theirs(setting, at_once["transformers"])
    our_seconds, curve, their_seconds = 0.0, [], 0.0
    ours.objective.masks(0)
    while their_seconds < 60 * minutes:
        begin = time.perf_counter()
        end = begin + SLICE
        ours.train(lambda step, end=end: warm(step) if time.perf_counter() < end else None)
        our_seconds += time.perf_counter() - begin
        curve.append((our_seconds, ours.heldout_loss()))
        turn = 0.0
        while turn < SLICE:
            if not theirs.ready:
                theirs.prepare(STEPS_GROUPED)
            turn += seconds(lambda: theirs.update(theirs.ready.pop(), warm(theirs.step)))
            theirs.step += 1
        their_seconds += turn
    target = theirs.heldout_loss()
    about = {"model": setting.size, "pairs": setting.pairs, "loss": round(target, 3)}
    emit("time to loss", their_seconds, "s", system="transformers", steps=theirs.step, **about)
    reached = next((taken for taken, loss in curve if loss <= target), None)
    if reached is None:
        about["loss_reached"] = round(curve[-1][1], 3)
    emit("time to loss", reached or our_seconds, "s", system="bertkit", reached=reached is not None, **about)


def warm(step: int) -> float:
    """The rate of a step of the race: it rises, and then stays."""
    return RATE * min(1.0, (step + 1) / WARMUP)


def sample(files: Sequence[Path], path: Path) -> Path:
    """Write some of the texts, of each file as many."""
    characters = 0
    with path.open("w", encoding="utf-8") as file:
        for texts in zip(*map(read_texts, files), strict=False):
            for text in texts:
                file.write(json.dumps({"text": text}) + "\n")
                characters += len(text)
            if characters > CHARACTERS:
                break
    return path


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--pairs", choices=("none", "nsp"), default="none")
    parser.add_argument(
        "--minutes-to-loss", type=float, default=0.0, metavar="MINUTES", help="also the race, so long"
    )
    arguments = parser.parse_args()
    files = corpus()
    flush_denormals()
    emit_machine()
    with tempfile.TemporaryDirectory() as temporary:
        shards = Path(temporary) / "shards"
        texts = files if arguments.minutes_to_loss else [sample(files, Path(temporary) / "sample.jsonl")]
        tokenizer = Tokenizer.from_vocabulary(VOCABULARY, lowercase=True)
        prepare(texts, tokenizer, shards, Options(heldout=HELDOUT))
        for size in arguments.sizes:
            setting = Setting(size, shards, arguments.pairs)
            at_once = compare_speed(setting, arguments.rounds)
            if arguments.minutes_to_loss:
                race(setting, arguments.minutes_to_loss, at_once)


if __name__ == "__main__":
    main()
