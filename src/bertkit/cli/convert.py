"""Write a model in another format: a folder that transformers opens, or a TensorFlow checkpoint."""

from __future__ import annotations

import argparse

from bertkit.cli.arguments import add_shared
from bertkit.text.jsons import to_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", help="a model folder of any format, a zip archive of one, or a run")
    add("out", help="the folder to make")
    add(
        "--to",
        required=True,
        choices=("hf", "google"),
        help="hf: config.json and model.safetensors; google: a TensorFlow checkpoint with bert_config.json",
    )
    add_shared(parser, "--overwrite", "--json")


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say what was written and what was left out."""
    from bertkit import api
    from bertkit.cli.inspect import count_names, show_bytes

    result = api.convert(arguments.model, arguments.out, to=arguments.to, overwrite=arguments.overwrite)
    if arguments.json:
        print(to_json(result))
        return 0
    print(f"{result['model']} is written to {result['folder']}:")
    for name, size in result["files"].items():
        print(f"  {name}  {show_bytes(size)}")
    if result["left_out"]:
        print(
            f"Left out, for they are no part of the model that is written: {count_names(result['left_out'])}."
        )
    return 0
