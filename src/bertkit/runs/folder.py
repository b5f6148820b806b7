"""The run folder: its files, who may make, continue or replace one, and what a folder is that is none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError
from bertkit.recipe import BaseRecipe
from bertkit.runs.lock import LOCK
from bertkit.runs.records import write_json

RECIPE = "recipe.toml"
METRICS = "metrics.jsonl"
RESULT = "result.json"
STOPPED = "stopped.json"
CORPUS = "corpus"
"""In the run folder: shards of text that the run was given as files."""
ROWS = "rows"
"""In the run folder: rows that the run was given from Python, and that were in no file."""
FINGERPRINT = "fingerprint.txt"
_HASH = re.compile(r"[0-9a-f]{12}")
_SEED = re.compile(r"seed-(\d+)")


def usual_out(recipe: BaseRecipe, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Where a run goes whose folder was not named: runs/NAME of what it learns from, then runs/NAME-2 ...

    The last of these that is there is resumed, and the first is replaced.
    """
    # Of a pattern there is left what is a name.
    plain = Path("runs") / (re.sub(r"[*?[\]]", "", Path(recipe.subject).name.partition(".")[0]) or "run")
    taken = plain
    for number in count(2):
        out = plain if number == 2 else plain.with_name(f"{plain.name}-{number - 1}")
        if not out.exists():
            break
        taken = out
    if overwrite:
        return plain
    return taken if resume else out


def _is_given(path: Path) -> bool:
    """Whether it may lie in the folder of a run that is not made yet: its lock, and its rows."""
    rows = path.name == ROWS and path.is_dir()
    return path.name == LOCK or (rows and all(_HASH.fullmatch(each.name) for each in path.iterdir()))


def check_free(out: Path, *, overwrite: bool) -> None:
    """See that a new run may be made at `out`; nothing is written.

    Raises:
        UserError: `out` exists and is not to be overwritten, or it is no run folder.
    """
    if out.exists() and (not out.is_dir() or not all(map(_is_given, out.iterdir()))):
        if not overwrite:
            raise UserError(f"{out} exists; continue it with --resume, or replace it with --overwrite.")
        if not (out / RECIPE).is_file():
            raise UserError(
                f"{out} is no run folder (it has no {RECIPE}), so it is not overwritten; remove it yourself."
            )


def make_run(out: Path, recipe: BaseRecipe, *, fingerprint: str, inputs: Sequence[Path]) -> None:
    """Make a run of the folder `out`, which `check_free` found free and is held.

    Args:
        out: the run folder.
        recipe: written into it.
        fingerprint: of the encoded data; a run goes on only over the data that it began with.
        inputs: files and folders that the run reads; those in `CORPUS` and `ROWS` of the run itself stay.

    Raises:
        UserError: replacing `out` would delete an input.
    """
    places = {name: (out / name).resolve() for name in (CORPUS, ROWS)}
    read = [path.resolve() for path in inputs]
    kept = [name for name, place in places.items() if any(path.is_relative_to(place) for path in read)]
    own = [path for path in inputs if any(path.resolve().is_relative_to(places[name]) for name in kept)]
    check_outside([path for path in inputs if path not in own], out)
    clear_run(out, *kept)
    if ROWS in kept:
        for old in places[ROWS].iterdir():  # Of a run that was replaced.
            if _HASH.fullmatch(old.name) and old not in {path.parent for path in read}:
                shutil.rmtree(old)
    (out / FINGERPRINT).write_text(fingerprint, encoding="utf-8")
    keep_recipe(out, recipe)


def check_outside(inputs: Iterable[Path], out: Path) -> None:
    """Raise `UserError` if replacing the run at `out` would delete one of the files and folders."""
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            raise UserError(f"{path} lies in {out}, which would be replaced; choose another folder with -o.")


def clear_run(out: Path, *kept: str) -> None:
    """Delete what is in a run folder that is held, but for what is named."""
    for old in out.iterdir():  # Not `out` itself: it may be a link, a mount point, or where somebody stands.
        if old.name in (LOCK, *kept):
            continue
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()


def keep_recipe(out: Path, recipe: BaseRecipe) -> None:
    """Write what the run does; a run without more has not begun."""
    with replace_file(out / RECIPE) as temporary:
        temporary.write_text(recipe.to_toml(), encoding="utf-8")


def stop_note(folder: Path) -> Path:
    """Where it stands why the run or the seed in a folder could not go on."""
    return folder / STOPPED


def note_stop(folder: Path, why: dict[str, Any]) -> None:
    """See `stop_note`."""
    write_json(stop_note(folder), why)


def forget_stop(folder: Path) -> None:
    """See `stop_note`: it goes on."""
    stop_note(folder).unlink(missing_ok=True)


def write_result(run: Path, result: dict[str, Any]) -> None:
    """Keep what came of a run: with this file it is finished."""
    write_json(run / RESULT, result)


def is_run(path: Path) -> bool:
    """Whether a run keeps its recipe there."""
    return (path / RECIPE).is_file()


def recipe_text(run: Path) -> str:
    """The recipe of a run as its file has it; "" where there is none."""
    return (run / RECIPE).read_text(encoding="utf-8") if is_run(run) else ""


def has_begun(run: Path) -> bool:
    """Whether there is a run that can be gone on with, or is finished."""
    return is_run(run) and (run / FINGERPRINT).is_file()


def is_finished(run: Path) -> bool:
    """Whether the run has come to its end."""
    return (run / RESULT).is_file()


def finished_runs(folder: Path) -> list[Path]:
    """Those among the folders in a folder."""
    return sorted(path.parent for path in folder.glob(f"*/{RESULT}"))


def check_is_run(run: Path) -> None:
    """See that `run` is a run folder.

    Raises:
        UserError: it is not; the sentence says what it is instead, and what to give.
    """
    try:
        if not run.exists():
            raise UserError(f"There is no run at {run}.")
        if not run.is_dir():
            raise UserError(
                f"{run} is a file; give the folder of a run, or name your own rows with --train and --dev."
            )
        names = {path.name for path in run.iterdir()}
    except OSError as error:
        raise UserError(f"{run} cannot be read ({error.strerror}).") from None
    if RECIPE in names:
        return
    what = f"{run} is no run folder: it has no {RECIPE}."
    if _SEED.fullmatch(run.resolve().name) and is_run(run.resolve().parent):
        raise UserError(f"{run} is one seed of a run; give the run, {run.parent}.")
    if "study.toml" in names:
        raise UserError(f"{what} It is a study's: `bertkit study` says what its runs came to.")
    if runs := sorted(name for name in names if is_run(run / name)):
        raise UserError(f"{what} There are runs in it: give one of {', '.join(runs[:5])}.")
    if "config.json" in names:
        raise UserError(f"{what} It is a model folder; give the run that made it.")
    raise UserError(f"{what} Give the folder that -o named.")


def seed_folder(out: Path, seed: int, seeds: int) -> Path:
    """Where one of so many seeds of the run at `out` leaves what it makes."""
    return out if seeds == 1 else out / f"seed-{seed}"


def seed_folders(run: Path) -> dict[int | None, Path]:
    """The folders of a run's seeds by seed; None stands for the only one, in the run itself."""
    if (run / METRICS).is_file():
        return {None: run}
    found = {int(match[1]): path for path in run.iterdir() if (match := _SEED.fullmatch(path.name))}
    return {seed: found[seed] for seed in sorted(found)}


def has_logged(run: Path) -> bool:
    """Whether there is anything to tell of a run."""
    return any(path.stat().st_size for path in _logs(run))


def last_logged(run: Path) -> float | None:
    """When a run has last written to its log, in seconds as `time.time` counts them; None: it has not."""
    return max((path.stat().st_mtime for path in _logs(run)), default=None)


def _logs(run: Path) -> list[Path]:
    folders = (run, *run.glob("seed-*"))
    return [folder / METRICS for folder in folders if (folder / METRICS).is_file()]
