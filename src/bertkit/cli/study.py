"""Answer a question by experiment: run recipes over seeds, and say what their results allow to say."""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli.arguments import add_shared
from bertkit.text.jsons import to_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("study", help="a study's TOML file, or the name of one of bertkit's, such as positions")
    add("-o", "--out", type=Path, required=True, help="the study's folder, made or gone on with")
    add("--seeds", type=int, default=0, help="seeds of every variant, instead of the study's")
    add("--jobs", type=int, default=1, help="runs at a time; each gets its share of the cores")
    add(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.KEY=VALUE",
        help="a recipe key of a stage, as pretrain.corpus.shards=SHARDS",
    )
    add("--again", action="store_true", help="try runs again that failed")
    add("--no-runs", action="store_true", help="run nothing; tell of what is done so far")
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    from bertkit import api
    from bertkit.show.run_display import StudyDisplay

    display = StudyDisplay(to_stderr=arguments.json)
    with display:
        result = api.study(
            arguments.study,
            out=arguments.out,
            settings=arguments.set,
            seeds=arguments.seeds,
            jobs=0 if arguments.no_runs else arguments.jobs,
            again=arguments.again,
            listener=display,
        )
    if arguments.json:
        print(to_json(result))
    return 1 if result["failed"] else 0
