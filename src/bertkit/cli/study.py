"""Answer a question by experiment: run recipes over seeds, and say what their results allow to say."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bertkit.errors import UserError

STUDIES = Path("recipes/studies")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("study", help=f"a study's TOML file, or the name of one in {STUDIES}")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="the study's folder, made or gone on with"
    )
    parser.add_argument("--seeds", type=int, default=0, help="seeds of every variant, instead of the study's")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time; each gets its share of the cores"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.KEY=VALUE",
        help="a recipe key of a stage, as pretrain.corpus.shards=SHARDS",
    )
    parser.add_argument("--again", action="store_true", help="try runs again that failed")
    parser.add_argument("--no-runs", action="store_true", help="run nothing; tell of what is done so far")
    parser.add_argument(
        "--json", action="store_true", help="print the result object alone on standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    from bertkit.cli.study_display import StudyDisplay
    from bertkit.recipe.study import Study
    from bertkit.study.study import run_study

    study = Study.from_toml(find_study(arguments.study))
    display = StudyDisplay(to_stderr=arguments.json)
    with display:
        result = run_study(
            study,
            arguments.out,
            settings=settings_by_stage(arguments.set, list(study.stages)),
            seeds=arguments.seeds,
            jobs=0 if arguments.no_runs else arguments.jobs,
            again=arguments.again,
            listener=display,
        )
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    return 1 if result["failed"] else 0


def find_study(name: str) -> Path:
    """The file of a study.

    Raises:
        UserError: there is none; those that there are are listed.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path
    # Beside the package where it runs from its sources.
    folders = [STUDIES, Path(__file__).resolve().parents[3] / STUDIES]
    for folder in folders:
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    known = sorted({path.stem for folder in folders for path in folder.glob("*.toml")})
    hint = f" Known: {', '.join(known)}." if known else ""
    raise UserError(f"There is no study {name!r}: give a TOML file, or a name in {STUDIES}.{hint}")


def settings_by_stage(settings: Sequence[str], stages: Sequence[str]) -> dict[str, list[str]]:
    """What follows each `--set STAGE.`; without a stage's name, the study must have one stage only."""
    found: dict[str, list[str]] = {}
    for text in settings:
        stage, dot, rest = text.partition(".")
        if not dot or stage not in stages:
            if len(stages) > 1:
                raise UserError(f"--set {text}: begin with the stage, one of {', '.join(stages)}.")
            stage, rest = stages[0], text
        found.setdefault(stage, []).append(rest)
    return found
