"""Fine-tuning: from a recipe to a finished run folder."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_folder
from bertkit.errors import UserError
from bertkit.health.checks import check_before
from bertkit.model.precision import choose_precision, flush_denormals
from bertkit.recipe import Recipe
from bertkit.runs.findings import append_findings
from bertkit.runs.folder import RESULT, check_run, open_run
from bertkit.runs.records import write_json
from bertkit.runs.result import Answers, SeedResult
from bertkit.train.explain import explain_mistakes
from bertkit.train.feature_cache import RowSource
from bertkit.train.listener import Listener, Plan
from bertkit.train.planning import first_seed, make_plan
from bertkit.train.preflight import measure
from bertkit.train.prepare import Prepared, prepare
from bertkit.train.results import aggregate
from bertkit.train.seedrun import Shared
from bertkit.train.seeds import train_seed


def finetune(
    recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, listener: Listener
) -> dict[str, Any]:
    """Train one classifier a seed and leave a run folder at `out`.

    Args:
        recipe: what to do.
        out: the run folder to make.
        resume: continue the run that is there, with the same recipe.
        overwrite: replace what is there.
        listener: told of everything as it happens.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad data or options, a model whose loss is no number, or something stands at `out` (see
            `check_run`, `open_run`).
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    flush_denormals()
    began = time.perf_counter()
    check_run(out, recipe, resume=resume, overwrite=overwrite)
    prepared = prepare(recipe)
    precision = choose_precision(recipe.training.precision)
    seeds = [recipe.training.seed + index for index in range(recipe.training.seeds)]
    rows = RowSource(prepared, recipe.model, precision, listener)
    classifier = first_seed(prepared, recipe)
    # A run that goes on was looked at when it began.
    found = [] if resume else check_before(measure(prepared, recipe, classifier, precision))
    plan = make_plan(classifier, prepared, recipe, precision, rows)
    if plan.broke:
        raise UserError(
            f"{plan.broke} No update was made yet: the weights of {recipe.model.start} are broken. Give "
            "another --model."
        )
    del classifier
    open_run(out, recipe, resume=resume, fingerprint=prepared.fingerprint, inputs=prepared.inputs)
    append_findings(out, "preflight", 0, found)
    listener.planned(prepared.facts, plan)
    listener.found(found)
    shared = Shared(prepared, recipe, precision, plan.steps, rows, listener)
    results, answers = [], []
    for seed in seeds:
        folder = out if len(seeds) == 1 else out / f"seed-{seed}"
        folder.mkdir(exist_ok=True)
        if (done := SeedResult.read(folder)) is None:
            done = train_seed(shared, seed, folder)
        results.append(done)
        if (said := Answers.read(folder)) is None:
            raise UserError(f"{folder} has lost the answers of seed {seed}; make the run again.")
        answers.append(said)
    result = _finish(out, recipe, prepared, plan, results, answers, rows.seconds)
    result["wall_seconds"] = time.perf_counter() - began
    write_json(out / RESULT, result)
    listener.finished(result)
    return result


def _finish(
    out: Path,
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    seeds: list[SeedResult],
    answers: list[Answers],
    seconds_before: float,
) -> dict[str, Any]:
    """Put the best seed's model where the run's is, and say what was found; see `aggregate`."""
    result = aggregate(prepared, plan.parameters, plan.precision, seeds, answers, seconds_before)
    if len(seeds) > 1:
        with replace_folder(out / "model", overwrite=True) as temporary:
            shutil.copytree(out / f"seed-{result['best_seed']}" / "model", temporary, dirs_exist_ok=True)
    if result.get("calibration") is not None:
        result["calibration"]["kept"] = recipe.training.temperature
        best = next(found for found in seeds if found.seed == result["best_seed"])
        # A frozen encoder has seen each row once.
        pieces = int(prepared.train_sequences.lengths.sum()) if recipe.model.freeze else best.pieces
        explain_mistakes(out / "model", prepared, result["mistakes"], pieces)
    return result
