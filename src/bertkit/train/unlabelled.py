"""The objective of a run over text: masked tokens restored, and pairs of segments told apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertkit.checkpoint.folder import write_model_folder
from bertkit.checkpoint.locate import find_model, hub_card
from bertkit.config.model import changed_preset
from bertkit.config.terms import MASKED
from bertkit.data.masking import realised
from bertkit.data.shards import open_shards
from bertkit.data.steps import Identity, Masks, Windows, take
from bertkit.errors import UserError
from bertkit.health.look import Looked, look_at, rows_to_look_at
from bertkit.health.watch import Evaluation, Setting
from bertkit.model.compute import Compute, gemm_rate
from bertkit.model.encoder import Encoder
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer
from bertkit.model.terms import Sums, pretraining_loss
from bertkit.model.work import training_flops
from bertkit.recipe import PretrainRecipe
from bertkit.runs.restarts import Restart, changed
from bertkit.runs.result import PretrainedSeed
from bertkit.tasks.metrics import mean_interval
from bertkit.train.corpus import check_used
from bertkit.train.listener import Listener, UnlabelledPlan
from bertkit.train.masked import Part, as_batch, held_out, parts_of, score, unigram_entropy
from bertkit.train.objective import Evaluated, Manner, Progress, Source
from bertkit.train.prepare import read_start
from bertkit.train.processes import Processes
from bertkit.train.schedule import ByLog, BySteps, Schedule
from bertkit.version import __version__


class Restoring:
    """One seed's objective: the mean over a step's masked tokens, plus the mean over its pairs.

    Args:
        source: the text.
        recipe: with what the restarts changed, and the seed.
        model: with which it begins, after the restarts.
        windows: make the steps of the usual length.
        long_windows: make those of the long one, from the step `long_from` on; None without.
        restarts: the attempts before this one.
        trial: it is not going to be watched.

    Attributes:
        long_from: the step from which sequences are long; None: not yet.
        unigram: loss in nats of who knows token frequencies.
    """

    def __init__(
        self,
        source: Unlabelled,
        recipe: PretrainRecipe,
        model: Pretrainer,
        windows: Windows,
        long_windows: Windows | None,
        restarts: Sequence[Restart] = (),
        *,
        trial: bool = False,
    ) -> None:
        self.model: nn.Module = model
        self.sums = Sums(source.peak)
        self.long_from: int | None = None
        self._pretrainer = model
        self._source = source
        self._recipe = recipe
        self._windows = windows
        self._long_windows = long_windows
        self._restarts = restarts
        heldout = source.heldout
        masks = heldout.masks if heldout else self.masks(0)
        self.unigram = unigram_entropy(source.shards.counts, masks.masked.targets_M)
        watched = source.processes.first and recipe.training.watch_every >= 0 and not trial
        self.manner = self._manner(_probe(model, masks, source.compute) if watched else None)

    def _manner(self, probe: Callable[[], Looked] | None) -> Manner:
        source, training = self._source, self._recipe.training
        uniform = math.log(source.shards.tokenizer.size)
        schedule: Schedule | None = source.replay
        steps = training.steps if source.replay is None else len(source.replay)
        if training.steps:
            schedule = BySteps(steps, self._recipe.optimiser)
        return Manner(
            setting=Setting(
                phase="pretrain",
                optimiser=self._recipe.optimiser,
                model=self._pretrainer.encoder.config,
                trained=source.start is not None,
                baseline_loss=self.unigram,
                uniform=uniform,
                spike=training.spike,
            ),
            schedule=schedule,
            steps=steps,
            keeps_best=False,
            evaluations=training.evaluations,
            checkpoints=training.keep,
            loss=MASKED.loss,
            floors={"unigram": self.unigram, "uniform": uniform},
            probe=probe,
            batch_of=lambda step: asdict(self.identity(step)),
        )

    def masks(self, step: int) -> Masks:
        """All sequences of a step, whichever process computes them."""
        windows, own_step = self._place(step)
        return windows.masks(own_step)

    def identity(self, step: int) -> Identity:
        """Of which text a step is made."""
        windows, own_step = self._place(step)
        return windows.identity(own_step)

    def _place(self, step: int) -> tuple[Windows, int]:
        if self.long_from is None or step < self.long_from:
            return self._windows, step
        assert self._long_windows is not None, "long sequences without windows of them"
        return self._long_windows, step - self.long_from

    def epochs(self, steps: int) -> float:
        """How often so many steps go through the text."""
        usual = steps if self.long_from is None else min(steps, self.long_from)
        epochs = usual / self._windows.steps_per_epoch
        if self._long_windows is not None:
            epochs += (steps - usual) / self._long_windows.steps_per_epoch
        return epochs

    def at(self, progress: Progress, fraction: float) -> str:
        """Sequences become long where the recipe's last share of the run begins."""
        self.long_from = progress.long_from
        batch = self._recipe.batch
        if self.long_from is not None or not batch.long_share or fraction < 1 - batch.long_share:
            return ""
        self.long_from = progress.long_from = progress.step
        return f"sequences of up to {batch.long_length} from step {progress.step + 1}"

    def batches(self, step: int) -> list[Part]:
        """The micro-batches of a step, of this process."""
        masks = self.masks(step)
        self.sums.shares = realised(masks.masked, self._source.shards.tokenizer.mask_id).shares()
        return parts_of(masks, self._recipe.batch.at_once, self._source.processes)

    def loss(self, model: nn.Module, batch: Part) -> torch.Tensor:
        """The micro-batch's share of the step's loss; the sums go on."""
        assert isinstance(model, Pretrainer)
        if not len(batch.batch.targets_M) and model.pair is None:
            # All its whole words are too long to be masked: nothing to learn, but a loss all the same.
            return 0.0 * model.masked.bias.sum()
        self.sums.flops += training_flops(
            model.encoder.config,
            batch.batch.inputs.lengths,
            len(batch.batch.targets_M),
            pairs=model.pair is not None,
        )
        return pretraining_loss(model, batch.batch, self.sums, batch.counts)

    def evaluate(self, progress: Progress) -> Evaluated | None:
        """Score the held-out text; without any, see at the last step's that the model is whole."""
        source, heldout, step = self._source, self._source.heldout, progress.step
        self.long_from = progress.long_from
        if heldout is None and not step:
            return None
        parts = heldout.parts if heldout else self.batches(step - 1)
        found = score(self._pretrainer, parts, source.compute, source.processes)
        loss = found.get(MASKED.loss, 0.0)
        if heldout is None and math.isfinite(loss):
            loss = progress.smoothed
        watched = Evaluation(step=step, train_loss=progress.smoothed, loss=loss)
        return Evaluated(figures=found if heldout else {}, watched=watched, value=-loss)

    def write(self, folder: Path, progress: Progress) -> None:
        """Write the model as it is now."""
        source, model = self._source, self._pretrainer
        card = {
            "kind": "pretraining",
            "steps": progress.step,
            "tokens": progress.tokens,
            "heldout": progress.last,
            "corpus": source.shards.fingerprint,
            "recipe": self._recipe.to_toml(),
            **hub_card(source.start),
            "restarts": [asdict(restart) for restart in self._restarts],
        }
        write_model_folder(
            folder / "model",
            model.encoder,
            None,
            source.shards.tokenizer,
            card,
            overwrite=True,
            masked=model.masked,
            pair=model.pair,
        )

    def result(self, progress: Progress) -> PretrainedSeed:
        """What came of the seed."""
        source, shards, model = self._source, self._source.shards, self._pretrainer
        self.long_from = progress.long_from
        values = {
            "kind": "pretraining",
            "model": self._recipe.model.start,
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "vocabulary_size": model.encoder.config.vocabulary_size,
            "corpus": {
                "tokens": sum(entry.tokens for entry in shards.of("train")),
                "fingerprint": shards.fingerprint,
            },
            "steps": progress.step,
            "tokens": progress.tokens,
            "epochs": self.epochs(progress.step),
            "seconds": progress.wall,
            "tokens_per_second": progress.tokens / progress.wall,
            "train_loss": progress.watch["smoothed"],
            "train_mlm_loss": progress.smoothed,
            "heldout": progress.last or None,
            "before": progress.first or None,
            "floors": dict(self.manner.floors),
            "through_at": progress.watch["through_at"],
            "long_from": progress.long_from,
            "restarts": [asdict(restart) for restart in self._restarts],
            "processes": source.processes.count,
            "precision": source.compute.precision,
            "version": __version__,
        }
        return PretrainedSeed(self._recipe.training.seed, values)


def _probe(model: Pretrainer, masks: Masks, compute: Compute) -> Callable[[], Looked] | None:
    """A look at a few of some sequences: held-out text, or, without it, the first step's."""
    rows = rows_to_look_at(masks.sequences.lengths)
    if len(rows) < 2:
        return None
    batch = as_batch(take(masks, rows))
    if not len(batch.targets_M):
        return None
    return lambda: look_at(model, batch, compute=compute)


class Unlabelled(Source):
    """The text of a run, which all its seeds share; see `Source`.

    Attributes:
        shards: the text.
        start: the model folder with whose weights it begins; None for fresh ones.
        heldout: what is scored; None where there is none.
        peak: GEMM rate of all processes together, FLOP/s, once it was planned; 0 before.

    Raises:
        UserError: no or damaged shards, held-out text that is too short, a log that cannot be replayed.
    """

    recipe: PretrainRecipe

    def __init__(
        self, recipe: PretrainRecipe, processes: Processes, compute: Compute, listener: Listener
    ) -> None:
        if not recipe.corpus.shards:
            raise UserError(
                "Say what to learn from: files or folders of text, or a folder of shards, which `bertkit "
                "prepare TEXT...` makes."
            )
        self.recipe = recipe
        self.processes = processes
        self.compute = compute
        self.listener = listener
        self.peak = 0.0
        self.shards = open_shards(Path(recipe.corpus.shards))
        if processes.first:
            self.shards.verify()
        self.fingerprint = self.shards.fingerprint
        self.start = find_model(recipe.model.start)
        check_used(recipe, self.start)
        replay = Path(recipe.training.replay) if recipe.training.replay else None
        self.inputs = [self.shards.folder, *(path for path in (self.start, replay) if path)]
        self.heldout = held_out(recipe, self.shards, processes)
        self.replay = ByLog(replay) if replay else None
        self._windows: dict[tuple[int, int], Windows] = {}

    def objective(self, seed: int, restarts: Sequence[Restart] = (), *, trial: bool = False) -> Restoring:
        """What a seed learns after `restarts`.

        Raises:
            UserError: an unknown preset or option, a vocabulary that is not the shards', sequences that are
                longer than the model's positions, a run that nothing ends.
        """
        recipe = changed(self.recipe, restarts).with_changes({"training": {"seed": seed}})
        torch.manual_seed(seed)
        model = self._fresh() if self.start is None else self._continued(self.start)
        _check_steps(recipe, model)
        batch = recipe.batch
        usual = self._windows_of(seed, batch.length)
        long = self._windows_of(seed, batch.long_length) if batch.long_share else None
        return Restoring(self, recipe, model, usual, long, restarts, trial=trial)

    def _windows_of(self, seed: int, length: int) -> Windows:
        """Steps of that length; kept, for what they read of the text serves every attempt at a seed."""
        if (seed, length) not in self._windows:
            self._windows = {key: windows for key, windows in self._windows.items() if key[0] == seed}
            self._windows[seed, length] = Windows(
                self.shards,
                "train",
                self.recipe.objective,
                tokens=self.recipe.batch.tokens,
                length=length,
                seed=seed,
            )
        return self._windows[seed, length]

    def _fresh(self) -> Pretrainer:
        """Fresh weights; the pooler learns only with pairs, but is there for what is fine-tuned later."""
        options = {**self.recipe.model.options, "vocabulary_size": self.shards.tokenizer.size}
        encoder = Encoder(changed_preset(self.recipe.model.start, options))
        return _with_heads(self.recipe, encoder, None, None)

    def _continued(self, start: Path) -> Pretrainer:
        """The model of a folder; `notes` say which of its parts the folder had nothing for."""
        name = self.recipe.model.start
        folder = read_start(start, self.recipe.model)
        if folder.tokenizer.fingerprint != self.shards.tokenizer.fingerprint:
            raise UserError(
                f"The vocabulary of {name} is not the one that cut {self.recipe.corpus.shards}; prepare "
                f"the text with it: `bertkit prepare TEXT... --model {name} -o SHARDS`."
            )
        model = _with_heads(self.recipe, folder.encoder, folder.masked, folder.pair)
        new = [] if folder.masked else ["the head of masked tokens"]
        if model.pair is not None:
            new += [] if folder.pair else ["the head of pairs"]
            new += list(folder.new)
        self.notes = [f"{name} has no {', no '.join(new)}: fresh weights."] if new else []
        return model

    def plan(self, objective: Restoring) -> UnlabelledPlan:
        """What the run will be; here the processor's speed is measured."""
        self.peak = self.processes.total(gemm_rate(self.compute))
        shards, floors = self.shards, objective.manner.floors
        model = objective.model
        assert isinstance(model, Pretrainer)
        return UnlabelledPlan(
            corpus=str(shards.folder),
            documents=sum(entry.documents for entry in shards.entries),
            train_tokens=sum(entry.tokens for entry in shards.of("train")),
            heldout_tokens=sum(entry.tokens for entry in shards.of("heldout")),
            heldout_scored=self.heldout.tokens if self.heldout else 0,
            model=self.recipe.model.start,
            parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            encoder=model.encoder.config,
            precision=self.compute.precision,
            processes=self.processes.count,
            gemm_rate=self.peak,
            unigram=floors["unigram"],
            uniform=floors["uniform"],
            seeds=self.recipe.training.seeds,
        )

    def outcome(self, folder: Path) -> PretrainedSeed | None:
        """What came of the seed in `folder` if it is done."""
        return PretrainedSeed.read(folder)

    def aggregate(self, out: Path, outcomes: list[PretrainedSeed], plan: UnlabelledPlan) -> dict[str, Any]:
        """The content of `result.json`: that of the only seed, or of the best one with what all came to.

        Of several seeds `heldout_loss` is the mean of their held-out losses (of their training losses,
        without held-out text), and `interval` Student's of it.
        """
        if len(outcomes) == 1:
            return outcomes[0].values
        losses = [outcome.loss for outcome in outcomes]
        best = outcomes[losses.index(min(losses))]
        return {
            **best.values,
            "heldout_loss": statistics.mean(losses),
            "interval": mean_interval(losses),
            "deviation": statistics.stdev(losses),
            "seeds": [outcome.summary() for outcome in outcomes],
            "best_seed": best.seed,
            "seconds": sum(outcome.values["seconds"] for outcome in outcomes),
        }


def _check_steps(recipe: PretrainRecipe, model: Pretrainer) -> None:
    """Refuse steps that the model cannot make, that teach it nothing, or that nothing ends."""
    longest, positions = recipe.batch.longest, model.encoder.config.max_positions
    if longest > positions:
        raise UserError(
            f"Sequences of {longest} tokens are beyond the {positions} positions of the model; set --length "
            "lower, or model.options.max_positions higher."
        )
    if recipe.optimiser.lr == 0:
        raise UserError("optimiser: lr must be above 0, or nothing is learnt.")
    training = recipe.training
    if not (training.steps or training.budget or training.replay):
        raise UserError("Say how long to train: --budget 1h, or --steps N.")


def _with_heads(
    recipe: PretrainRecipe, encoder: Encoder, masked: MaskedHead | None, pair: PairHead | None
) -> Pretrainer:
    config = encoder.config
    pairs = recipe.objective.pairs != "none"
    if pairs and encoder.pooler is None:
        raise UserError("The model has no pooler, which pairs are told apart by; use --pairs none.")
    if encoder.pooler is not None:
        encoder.pooler.requires_grad_(pairs)
    return Pretrainer(encoder, masked or MaskedHead(config), (pair or PairHead(config)) if pairs else None)
