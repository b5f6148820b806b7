"""What a study runs: every variant, stage and seed as one recipe with a folder of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.study import Study

RUNS = "runs"


@dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes:
        kind: the command that makes it, pretrain or finetune.
        recipe: what it does.
        folder: where, absolute.
        needs: the folder of the run whose weights it starts from, if any.
    """

    kind: str
    recipe: Recipe | PretrainRecipe
    folder: Path
    needs: Path | None = None


@dataclass(frozen=True)
class Planned:
    """Which runs belong to a variant: for each stage one a seed, in order."""

    name: str
    after: str
    note: str
    runs: Mapping[str, tuple[Run, ...]]


def plan(
    study: Study, out: Path, *, settings: Mapping[str, Sequence[str]] | None = None, seeds: int = 0
) -> tuple[Planned, ...]:
    """All runs of a study in `out`.

    The folder of a run is named by what it does, not by its variant: variants whose recipes are equal share
    it, and a run whose recipe has not changed is not repeated when the study around it has.

    Args:
        study: the question.
        out: the study's folder.
        settings: for each stage what the user changes, each as `section.key=value`.
        seeds: seeds of every variant; 0 is as the study says.

    Raises:
        UserError: a recipe that cannot be read, has no such key, or chooses its own seeds.
    """
    planned = []
    for variant in study.variants:
        count = seeds or variant.seeds or study.seeds
        runs: dict[str, list[Run]] = {stage: [] for stage in study.stages}
        for seed in range(count):
            for stage, spec in study.stages.items():
                recipe = study.recipe_of(variant, stage, (settings or {}).get(stage, ()))
                recipe = _seeded(recipe, seed, f"variant {variant.name!r}, stage {stage!r}")
                needs = runs[spec.start][seed].folder if spec.start else None
                # Where the study lies is no part of what a run does: the name of the folder before is.
                named = recipe if needs is None else _starting_at(recipe, needs.name)
                folder = (out / RUNS / f"{stage}-{_key(named)}").absolute()
                recipe = recipe if needs is None else _starting_at(recipe, str(needs))
                runs[stage].append(Run(spec.kind, recipe, folder, needs))
        per_stage = {stage: tuple(of_stage) for stage, of_stage in runs.items()}
        planned.append(Planned(variant.name, variant.after, variant.note, per_stage))
    return tuple(planned)


def distinct(planned: Sequence[Planned]) -> list[Run]:
    """Every run once: the first seed of all variants, then the second, ..., so that answers come early."""
    most = max(len(runs) for variant in planned for runs in variant.runs.values())
    found: dict[Path, Run] = {}
    for seed in range(most):
        for variant in planned:
            for runs in variant.runs.values():
                for run in runs[seed : seed + 1]:
                    found.setdefault(run.folder, run)
    return list(found.values())


def _key(recipe: Recipe | PretrainRecipe) -> str:
    """A name for what a recipe does: of what is not a default, so that a new option does not change it."""
    default = asdict(type(recipe)())
    changed = {
        f"{section}.{key}": value
        for section, part in asdict(recipe).items()
        for key, value in part.items()
        if value != default[section][key]
    }
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:10]


def _seeded(recipe: Recipe | PretrainRecipe, seed: int, owner: str) -> Recipe | PretrainRecipe:
    given = recipe.training
    if given.seed or getattr(given, "seeds", 1) > 1:
        raise UserError(
            f"{owner}: the seeds are the study's; leave out training.seed and training.seeds, and give "
            "`seeds` in the study or --seeds."
        )
    return recipe.with_changes({"training": {"seed": seed}})


def _starting_at(recipe: Recipe | PretrainRecipe, start: str) -> Recipe | PretrainRecipe:
    return recipe.with_changes({"model": {"start": start}})
