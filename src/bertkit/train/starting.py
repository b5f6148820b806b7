"""From a recipe to what a pretraining run needs before its first step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bertkit.checkpoint.locate import find_model
from bertkit.config.model import ModelConfig, changed_preset
from bertkit.data.shards import Shards, open_shards
from bertkit.data.steps import Masks, Windows
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.optimisers import Optimiser, build_optimiser
from bertkit.model.precision import Computing
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer
from bertkit.recipe import PretrainRecipe
from bertkit.recipe.pretrain import ObjectiveRecipe
from bertkit.train.listener import PretrainFacts
from bertkit.train.prepare import read_start
from bertkit.train.processes import Processes
from bertkit.train.restoring import Part, Restoring, parts_of, unigram_entropy
from bertkit.train.schedule import ByLog

HELDOUT_AT_ONCE = 4_096
"""Held-out pieces of a micro-batch: nothing is kept for a backward pass."""


@dataclass(frozen=True)
class Heldout:
    """Held-out text, always the same and always masked alike.

    Attributes:
        parts: this process's micro-batches.
        masks: all of it, as cut and masked.
        pieces: of all processes.
        unigram: see `unigram_entropy`.
    """

    parts: list[Part]
    masks: Masks
    pieces: int
    unigram: float


@dataclass(frozen=True)
class Start:
    """A run before its first step; `new` are the parts of a trained model that begin with fresh weights."""

    shards: Shards
    start: Path | None
    model: Pretrainer
    optimiser: Optimiser
    objective: Restoring
    heldout: Heldout | None
    unigram: float
    replay: ByLog | None
    new: tuple[str, ...]


def prepare_start(recipe: PretrainRecipe, processes: Processes) -> Start:
    """Open the shards, make or read the model, and lay out the steps.

    Raises:
        UserError: no or damaged shards, an unknown preset or option, a vocabulary that is not the shards',
            sequences that are longer than the model's positions.
    """
    if not recipe.corpus.shards:
        raise UserError("Say what to learn from: a folder of shards, which `bertkit prepare TEXT...` makes.")
    shards = open_shards(Path(recipe.corpus.shards))
    if processes.first:
        shards.verify()
    start = find_model(recipe.model.start)
    torch.manual_seed(recipe.training.seed)
    new: tuple[str, ...] = ()
    if start is None:
        model = _fresh(recipe, shards)
    else:
        model, new = _continued(recipe, shards, start)
    _check_steps(recipe, model)
    objective = Restoring(
        _windows(recipe, shards, recipe.batch.length),
        _windows(recipe, shards, recipe.batch.long_length) if recipe.batch.long_share else None,
        at_once=recipe.batch.at_once,
        mask_id=shards.tokenizer.mask_id,
        processes=processes,
    )
    heldout = _heldout(recipe, shards, processes)
    unigram = heldout.unigram if heldout else _train_unigram(objective, shards)
    return Start(
        shards=shards,
        start=start,
        model=model,
        optimiser=build_optimiser(model, recipe.optimiser),
        objective=objective,
        heldout=heldout,
        unigram=unigram,
        replay=ByLog(Path(recipe.training.replay)) if recipe.training.replay else None,
        new=new,
    )


def _check_steps(recipe: PretrainRecipe, model: Pretrainer) -> None:
    """Refuse steps that the model cannot make, that teach it nothing, or that nothing ends."""
    longest, positions = recipe.batch.longest, model.encoder.config.max_positions
    if longest > positions:
        raise UserError(
            f"Sequences of {longest} pieces are beyond the {positions} positions of the model; set --length "
            "lower, or model.options.max_positions higher."
        )
    if recipe.optimiser.lr == 0:
        raise UserError("optimiser: lr must be above 0, or nothing is learnt.")
    training = recipe.training
    if not (training.steps or training.budget or training.replay):
        raise UserError("Say how long to train: --budget 1h, or --steps N.")


def _windows(recipe: PretrainRecipe, shards: Shards, length: int) -> Windows:
    return Windows(
        shards,
        "train",
        recipe.objective,
        pieces=recipe.batch.pieces,
        length=length,
        seed=recipe.training.seed,
    )


def _fresh(recipe: PretrainRecipe, shards: Shards) -> Pretrainer:
    """Fresh weights; the pooler learns only with pairs, but is there for what is fine-tuned later."""
    config = changed_preset(
        recipe.model.start, {**recipe.model.options, "vocabulary_size": shards.tokenizer.size}
    )
    return _with_heads(recipe, Encoder(config), None, None)


def _continued(recipe: PretrainRecipe, shards: Shards, start: Path) -> tuple[Pretrainer, tuple[str, ...]]:
    """The model of a folder, and which of its parts the folder had nothing for."""
    folder = read_start(start, recipe.model)
    if folder.tokenizer.fingerprint != shards.tokenizer.fingerprint:
        raise UserError(
            f"The vocabulary of {recipe.model.start} is not the one that cut {recipe.corpus.shards}; prepare "
            f"the text with it: `bertkit prepare TEXT... --model {recipe.model.start} -o SHARDS`."
        )
    model = _with_heads(recipe, folder.encoder, folder.masked, folder.pair)
    new = [] if folder.masked else ["the head of masked pieces"]
    if model.pair is not None:
        new += [] if folder.pair else ["the head of pairs"]
        new += list(folder.new)
    return model, tuple(new)


def _with_heads(
    recipe: PretrainRecipe, encoder: Encoder, masked: MaskedHead | None, pair: PairHead | None
) -> Pretrainer:
    config: ModelConfig = encoder.config
    pairs = recipe.objective.pairs != "none"
    if pairs and encoder.pooler is None:
        raise UserError("The model has no pooler, which pairs are told apart by; use --pairs none.")
    if encoder.pooler is not None:
        encoder.pooler.requires_grad_(pairs)
    return Pretrainer(encoder, masked or MaskedHead(config), (pair or PairHead(config)) if pairs else None)


def _heldout(recipe: PretrainRecipe, shards: Shards, processes: Processes) -> Heldout | None:
    """About as many pieces of held-out text as the recipe says; None where there is none."""
    if not (shards.of("heldout") and recipe.training.heldout_pieces):
        return None
    documents = sum(entry.documents for entry in shards.of("heldout"))
    if recipe.objective.pairs == "nsp" and documents < 2:
        raise UserError(
            f"{shards.folder} has one held-out document, too few for next-sentence prediction; prepare the "
            "text with a larger --heldout, or use --pairs none."
        )
    masks = heldout_masks(shards, recipe.objective, recipe.training.heldout_pieces, recipe.batch.length)
    parts = parts_of(masks, max(recipe.batch.at_once, HELDOUT_AT_ONCE), processes)
    return Heldout(
        parts, masks, len(masks.sequences.ids), unigram_entropy(shards.counts, masks.masked.targets_M)
    )


def heldout_masks(shards: Shards, objective: ObjectiveRecipe, pieces: int, length: int) -> Masks:
    """About so many pieces of held-out text, of which there is some, cut and masked alike every time.

    Args:
        shards: the text.
        objective: how it is masked and paired; masks that a run repeats are made anew here.
        pieces: at most; all of it where there are fewer.
        length: pieces of a sequence.
    """
    there = sum(entry.pieces for entry in shards.of("heldout"))
    objective = replace(objective, fixed_masks=0)
    windows = Windows(shards, "heldout", objective, pieces=min(pieces, there), length=length, seed=0)
    return windows.masks(0)


def _train_unigram(objective: Restoring, shards: Shards) -> float:
    return unigram_entropy(shards.counts, objective.masks(0).masked.targets_M)


def facts_of(
    recipe: PretrainRecipe,
    start: Start,
    processes: Processes,
    precision: Computing,
    gemm_rate: float,
    step: int,
) -> PretrainFacts:
    """What a person should know before the run; `gemm_rate` is of all processes together, in FLOP/s."""
    shards = start.shards
    return PretrainFacts(
        corpus=str(shards.folder),
        documents=sum(entry.documents for entry in shards.entries),
        train_pieces=sum(entry.pieces for entry in shards.of("train")),
        heldout_pieces=sum(entry.pieces for entry in shards.of("heldout")),
        heldout_scored=start.heldout.pieces if start.heldout else 0,
        model=recipe.model.start,
        parameters=sum(p.numel() for p in start.model.parameters() if p.requires_grad),
        encoder=start.model.encoder.config,
        precision=precision,
        processes=processes.count,
        gemm_rate=gemm_rate,
        unigram=start.unigram,
        uniform=math.log(shards.tokenizer.size),
        step=step,
    )
