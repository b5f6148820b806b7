"""What `import bertkit` offers: the words of the command line, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from bertkit.checkpoint.folder import convert as run_convert
from bertkit.config.model import Precision
from bertkit.data.journal import JOURNAL
from bertkit.data.prepare import Options as PrepareOptions
from bertkit.data.prepare import prepare as run_prepare
from bertkit.data.shards import is_shards
from bertkit.diagnose.compare import compare as run_compare
from bertkit.diagnose.compare_page import write_comparison
from bertkit.diagnose.doctor import is_about_a_run
from bertkit.diagnose.remedy import examine_recipe
from bertkit.diagnose.report import write_doctor_page, write_report
from bertkit.errors import UserError
from bertkit.health.preflight import SECONDS
from bertkit.infer.evaluate import evaluate as run_evaluate
from bertkit.infer.model import load
from bertkit.infer.rows import SILENT, Progress
from bertkit.recipe import BaseRecipe, PretrainRecipe, Recipe, TaskRecipe
from bertkit.recipe.base import Changes, find_toml
from bertkit.recipe.keywords import changes_of, with_last_word
from bertkit.recipe.parts import Phase
from bertkit.recipe.pretrain import kind_of_recipe, recipe_for_text
from bertkit.recipe.study import Study, settings_by_stage
from bertkit.runs.folder import RECIPE, has_begun, has_logged, is_finished, is_run, usual_out
from bertkit.runs.given import is_rows, names_of, rows_kept
from bertkit.show.outcome import Outcome
from bertkit.show.run_display import RunDisplay, watched
from bertkit.studies.folds import cross_validate as run_folds
from bertkit.studies.study import StudyListener, run_study
from bertkit.text.tokenizer import Tokenizer
from bertkit.train.listener import Listener
from bertkit.train.processes import ProcessLost, is_first, launcher
from bertkit.train.seedfolder import Stopped
from bertkit.train.start import train as run_training

AnyKind = Recipe | PretrainRecipe
AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)


def prepare(
    texts: Iterable[str | Path],
    tokenizer: Tokenizer | str | Path,
    out: str | Path,
    options: PrepareOptions | None = None,
    *,
    workers: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Cut text into tokens, and leave a folder of shards for `pretrain`: what `bertkit prepare` does.

    Arguments, result and errors are those of `bertkit.data.prepare.prepare`, but `tokenizer` may also be the
    path of a `vocab.txt` or of a folder with a tokenizer. More than one of the `workers` need the
    usual `if __name__ == "__main__":` in a program, wherever Python starts processes by importing it again.
    """
    if not isinstance(tokenizer, Tokenizer):
        path = Path(tokenizer)
        tokenizer = Tokenizer.from_folder(path) if path.is_dir() else Tokenizer.from_vocabulary(path)
    return run_prepare(texts, tokenizer, out, options, workers=workers, strict=strict, overwrite=overwrite)


def finetune(
    task: Any = "",
    *,
    train: Any = "",
    dev: Any = "",
    test: Any = "",
    model: str | Path = "",
    out: str | Path | None = None,
    recipe: Recipe | str | Path | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    listener: Listener | None = None,
    began: float | None = None,
    **options: Any,
) -> Outcome:
    """Train a classifier and leave a run folder with its report: what `bertkit finetune` does.

    Rows are the path of a file, or what a program holds: a data frame of pandas or polars, a table of Arrow,
    a `datasets.Dataset`, a list of dicts or of (text, label), or a dict of columns. What is in no file is
    kept as JSON lines in the run's folder, so that the run can be resumed, evaluated and examined.

    Args:
        task: a named task, or the rows to train on; empty for what `train` or the recipe says.
        train: the rows to train on.
        dev: the rows to score on, or a share of the others, as 0.2 or "20%".
        test: rows that choose nothing, for a last score: likewise.
        model: a preset, a model folder, a run, or a name as the hub has it; empty for the recipe's.
        out: the run folder to make; runs/NAME without, NAME being that of the task or file.
        recipe: a recipe, or the path or the name of one; the defaults without.
        changes: `{section: {key: value}}` over the recipe, such as `{"training": {"epochs": 5}}`.
        resume: continue the run at `out`, or train it on with more `epochs`, `steps`, `budget`, `patience`.
        overwrite: replace the run at `out`.
        progress: show how it goes on standard error; without a word if that is a terminal or a notebook.
        listener: told of everything as it happens, in the place of what is shown.
        began: when the time of a `budget` began, as `time.monotonic` counts; now, without.
        options: the other options of the command, or keys of the recipe: `text="message"`,
            `label="category"`, `epochs=3`, `lr=2e-5`, `batch=16`, `max_length=256`, `seeds=3`.

    Returns:
        The content of `result.json`, which shows its scores.

    Raises:
        UserError: bad data, options or output folder.
        KeyboardInterrupt: Ctrl-C; the run at `out` can be resumed.
    """
    if is_rows(task):
        task, train = "", task
    parts = {"train": train, "dev": dev, "test": test}

    def changed(given: Recipe | str | Path | None) -> Recipe:
        whole = _changed(Recipe.of(given), task, str(model), changes, options)
        return whole.with_changes({"task": names_of(parts)})

    folder, chosen = _placed(changed, recipe, out, resume, overwrite)
    with rows_kept(folder, parts, resume=resume, overwrite=overwrite) as paths:
        chosen = chosen.with_changes({"task": paths})
        return _train("finetune", chosen, folder, resume, overwrite, _shown(progress, listener), began)


def cross_validate(
    train: str | Path,
    *,
    folds: int = 5,
    out: str | Path | None = None,
    recipe: Recipe | str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Score every row of a file by a model that did not learn from it: what `finetune --folds` does.

    Args:
        train: the file.
        folds: how many models are trained, each on the rows of the other folds.
        out: the folder of their runs, fold-1 and so on.
        recipe: of each run.
        resume: make those that are not finished.
        overwrite: replace them.
        options: as `finetune` has them, `model` too.

    Returns:
        What `folds.json` in `out` then holds: see `studies.folds.pooled`.

    Raises:
        UserError: bad data, options or output folder.
    """
    own = {name: value for name, value in options.items() if name != "model"}
    about: list[Any] = [str(train), str(options.get("model", "")), None, own]
    folder, chosen = _placed(lambda given: _changed(Recipe.of(given), *about), recipe, out, resume, overwrite)

    def one(each: Recipe, place: Path, number: int) -> bool:
        if not (resume and is_finished(place)):
            _train("finetune", each, place, resume and has_begun(place), overwrite, _shown(None, None))
        return True

    found = run_folds(chosen, folder, folds, one)
    assert found is not None, "all runs were finished"
    return found


def pretrain(
    text: str | Path | Sequence[str | Path] = "",
    *,
    model: str | Path = "",
    out: str | Path | None = None,
    recipe: PretrainRecipe | str | Path | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    listener: Listener | None = None,
    began: float | None = None,
    **options: Any,
) -> Outcome:
    """Train an encoder on text and leave a run folder with its report: what `bertkit pretrain` does.

    `text` is a file, a folder or several of them, of which a vocabulary and shards are made and kept in the
    run; or a folder of shards that `prepare` made; empty for the recipe's. `model` may be a run or a model
    folder to go on with. Without a recipe text has that of `recipe_for_text`, and shards have the defaults.
    Options are such as `budget="1h"` or `steps=2000`. The other arguments, what is returned and what is
    raised are as those of `finetune`.
    """
    what = text_or_shards(text)

    def changed(given: PretrainRecipe | str | Path | None) -> PretrainRecipe:
        if given is None and isinstance(what, list):
            given = recipe_for_text(str(model))
        return _changed(PretrainRecipe.of(given), what, str(model), changes, options)

    folder, chosen = _placed(changed, recipe, out, resume, overwrite)
    return _train("pretrain", chosen, folder, resume, overwrite, _shown(progress, listener), began)


def text_or_shards(given: str | Path | Sequence[str | Path]) -> str | Path | list[str | Path]:
    """What to learn from: the one folder of shards, finished or not, or a list of texts; "" for nothing."""
    paths = [given] if isinstance(given, str | Path) else list(given)
    paths = [path for path in paths if str(path)]
    if len(paths) == 1 and (is_shards(Path(paths[0])) or (Path(paths[0]) / JOURNAL).is_file()):
        return paths[0]
    return paths or ""


def _changed(
    recipe: AnyRecipe,
    what: str | Path | list[str | Path],
    model: str,
    changes: Mapping[str, Mapping[str, Any]] | None,
    options: Mapping[str, Any] | None = None,
) -> AnyRecipe:
    start: Changes = {"model": {"start": model}} if model else {}
    started = recipe.about(what).with_changes(with_last_word(recipe, start))
    return started.with_changes(changes_of(recipe, options or {})).with_changes(changes or {})


def _placed(
    changed: Callable[[AnyRecipe | str | Path | None], AnyRecipe],
    recipe: AnyRecipe | str | Path | None,
    out: str | Path | None,
    resume: bool,
    overwrite: bool,
) -> tuple[Path, AnyRecipe]:
    """The run folder, and the recipe that was given, or that of the run to resume, `changed` as was asked."""
    if not out and launcher():
        raise UserError("Processes that torchrun started need the run folder: name it with out.")
    folder = Path(out) if out else usual_out(changed(recipe), resume=resume, overwrite=overwrite)
    goes_on = resume and recipe is None and is_run(folder)
    return folder, changed(folder / RECIPE if goes_on else recipe)


def _shown(progress: bool | None, listener: Listener | None) -> Listener | bool:
    """Who is told; or whether it is shown to people."""
    if listener is not None:
        return listener
    return is_first() and (watched() if progress is None else progress)


def _train(
    command: Phase,
    recipe: AnyKind,
    out: Path,
    resume: bool,
    overwrite: bool,
    told: Listener | bool,
    began: float | None = None,
) -> Outcome:
    """Train, and let the first process write the page."""
    with ExitStack() as shown:
        if isinstance(told, bool):
            told = shown.enter_context(RunDisplay(command, to_stderr=True, out=out)) if told else Listener()
        try:
            how: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "began": began}
            result = run_training(recipe, out, **how, listener=told, page=write_report)
        except (KeyboardInterrupt, Stopped, ProcessLost):
            # What there is of a pretraining is worth a look, unless it has not begun.
            if isinstance(recipe, PretrainRecipe) and is_first() and has_logged(out):
                write_report(out)
            raise
    if is_first():
        write_report(out)
    return Outcome(result, command, out)


def evaluate(
    model: str | Path,
    task: str | TaskRecipe,
    *,
    precision: Precision = "auto",
    window: int | None = None,
    stride: int | None = None,
    decode: str = "",
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Score a trained model beside baselines: what `bertkit evaluate` does.

    Args:
        model: a run or a model folder.
        task: a file of your own, read as the model's training rows were, or a named task; or, to read a file
            otherwise, `TaskRecipe(name="test.csv", text="sentence", label="label")`.
        precision: "fp32", "bf16", or "auto" for the faster that this processor has.
        window: of long texts, see `load`.
        stride: likewise.
        decode: of tags of words, likewise.
        progress: is told how far the rows have come.

    Returns:
        What `infer.evaluate.evaluate` returns.

    Raises:
        UserError: no such model or task, bad data, or labels that are not those of the model.
    """
    recipe = task if isinstance(task, TaskRecipe) else TaskRecipe(name=task)
    loaded = load(model, precision=precision, window=window, stride=stride, decode=decode)
    return run_evaluate(loaded.predictor, recipe, progress=progress)


def convert(model: str | Path, out: str | Path, *, to: str = "hf", overwrite: bool = False) -> dict[str, Any]:
    """Write a model in another format: what `bertkit convert` does.

    Args:
        model: anything that holds trained weights.
        out: the folder to make.
        to: "hf" for a folder that transformers opens, "google" for a TensorFlow checkpoint.
        overwrite: replace what is at `out`.

    Returns:
        What `bertkit convert --json` prints.

    Raises:
        UserError: no such model, or one that the format cannot say, or `out` exists.
    """
    return run_convert(str(model), Path(out), to=to, overwrite=overwrite)


def doctor(
    what: str | Path = "",
    *,
    model: str = "",
    recipe: AnyKind | str | Path | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Say why a run is, or is not, learning: what `bertkit doctor` does.

    Of a run, done or going on, its folder is read, and `RUN/doctor.html` written. Of a task or shards a few
    steps are made on copies of the model, and nothing is written.

    Args:
        what: a run folder, a named task, or a folder of shards; empty for the recipe's.
        model: a preset or a model folder; empty for the recipe's.
        recipe: of fine-tuning or of pretraining, or the path or the name of one; the defaults without.
        changes: `{section: {key: value}}` over the recipe, such as `{"optimiser": {"lr": 1e-4}}`.
        seconds: for the few steps that are made on copies of the model, at most.

    Returns:
        Of a run what `Examination.to_json` has, and `page`, the path of its page. Else `measures`,
        `findings`, the gravest first, and `again`, the command with all their changes; no findings mean that
        nothing is wrong as far as one can see before.

    Raises:
        UserError: bad data or options, or a run folder that cannot be read.
    """
    if is_about_a_run(what):
        if model or recipe or changes:
            raise UserError(
                f"{what} is a run, which has its recipe; leave out a model, a recipe and changes."
            )
        found, page = write_doctor_page(Path(what))
        return {**found.to_json(), "page": str(page) if page else None}
    given = Path(recipe) if isinstance(recipe, str) else recipe
    kind = kind_asked(what, given)
    chosen = given if isinstance(given, BaseRecipe) else kind.of(given)
    asked = _changed(chosen, what, model, changes)
    return examine_recipe(asked, seconds=seconds, file=given if isinstance(given, Path) else None)


def kind_asked(what: str | Path, recipe: AnyKind | Path | None) -> type[AnyKind]:
    """Whether a fine-tuning is asked about or a pretraining: the recipe says so, or else `what`.

    Raises:
        UserError: `what` are shards, and the recipe is one of fine-tuning, or it cannot be read.
    """
    shards = bool(what) and is_shards(Path(what))
    if recipe is None:
        return PretrainRecipe if shards else Recipe
    kind = kind_of_recipe(find_toml(recipe, "recipe")) if isinstance(recipe, Path) else type(recipe)
    if shards and kind is Recipe:
        name = recipe if isinstance(recipe, Path) else "the recipe"
        raise UserError(f"{what} is a folder of shards, and {name} is for fine-tuning.")
    return kind


def study(
    what: Study | str | Path,
    *,
    out: str | Path,
    settings: Sequence[str] = (),
    seeds: int = 0,
    jobs: int = 1,
    again: bool = False,
    listener: StudyListener | None = None,
) -> dict[str, Any]:
    """Answer a question by experiment: what `bertkit study` does.

    Each run is a process of its own, which imports this package and not the calling program.

    Args:
        what: a study, the path of its TOML file, or the name of one of bertkit's.
        out: the study's folder: made, or gone on with; what is done there is not done again.
        settings: `"STAGE.section.key=value"` each, as `--set` takes them.
        seeds: of every variant; 0 is as the study says.
        jobs: runs at a time; 0 runs nothing and tells of what is done so far.
        again: try those again that failed before.
        listener: told of everything as it happens; silent without.

    Returns:
        The content of the study's `result.json`; `failed` tells how many runs did, and each row why.

    Raises:
        UserError: no such study, a recipe that cannot be read, `out` is something else, or nothing is done.
        KeyboardInterrupt: Ctrl-C; the runs under way have saved, and the same call goes on.
    """
    chosen = what if isinstance(what, Study) else Study.from_toml(find_toml(what, "study"))
    return run_study(
        chosen,
        Path(out),
        settings=settings_by_stage(settings, list(chosen.stages)),
        seeds=seeds,
        jobs=jobs,
        again=again,
        listener=listener or StudyListener(),
    )


def compare(
    runs: Iterable[str | Path], *, out: str | Path | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Lay runs side by side: what `bertkit compare` does.

    Args:
        runs: two run folders or more; the others are compared with the first.
        out: the page to write, such as "compare.html"; none without.
        overwrite: replace the file at `out`.

    Returns:
        What `diagnose.compare.compare` returns.

    Raises:
        UserError: `out` is taken, fewer than two runs, or runs that cannot be compared.
    """
    page = None if out is None else Path(out)
    if page is not None and page.is_dir():
        raise UserError(f"{page} is a folder; -o names the page to write, such as {page / 'compare.html'}.")
    if page is not None and page.exists() and not overwrite:
        raise UserError(f"{page} exists; replace it with --overwrite, or name another file with -o.")
    found = run_compare([Path(run) for run in runs])
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_comparison(page, found)
    return found
