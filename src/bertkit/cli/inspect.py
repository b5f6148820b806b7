"""Say what a model is: sizes, head, labels, vocabulary, parameters by part, and where it came from."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections import Counter
from typing import Any

from bertkit.cli.arguments import CLEANING, add_shared
from bertkit.config.head import HEAD_KINDS, USUAL_KIND
from bertkit.errors import listed, shown
from bertkit.text.jsons import to_json

PRETRAINING = {
    "masked": "predicts masked tokens (`bertkit fill`, `bertkit score`)",
    "pair": "tells whether two segments belong together",
}

FORMAT_NAMES = {
    "hf": "config.json and weights, as transformers has them",
    "google": "a TensorFlow checkpoint of google-research/bert",
    "zip": "a zip archive, opened as it is",
}

LABELS_SHOWN = 50
# Names of tensors that a person reads one by one.
NAMES_SHOWN = 4
ENDINGS_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", help="a preset, a model folder, a run, hf:OWNER/NAME, or pkg:PACKAGE/FOLDER")
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Look and print."""
    from bertkit.infer.inspect import inspect

    found = inspect(arguments.model)
    if arguments.json:
        print(to_json(found))
    else:
        lines = _lines(found)
        width = max(map(len, lines)) + 2
        for name, text in lines.items():
            print(f"{name:<{width}}{text}".replace("\n", "\n" + " " * width))
    return 0


def _lines(found: dict[str, Any]) -> dict[str, str]:
    """What a person reads, a heading a line."""
    from bertkit.text.vocabulary_files import describe_cleaning

    config, counts = found["config"], found["parameters"]
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items() if part != "total" and count)
    lines = {
        "model": found["folder"] or f"preset {found['model']}, fresh weights",
        **({"format": FORMAT_NAMES[found["format"]]} if found["format"] else {}),
        "encoder": f"{config['layers']} layers of {config['hidden_size']}, {config['heads']} heads, "
        f"feed-forward {config['feedforward_size']:,} ({config['activation']})",
        "order": f"{config['positions']} positions, up to {config['max_positions']:,}; {config['norm']}-norm",
        "parameters": f"{counts['total']:,}: {parts}",
        "head": _head(found),
    }
    if found["labels"]:
        lines["labels"] = listed(found["labels"], most=LABELS_SHOWN)
    if vocabulary := found["vocabulary"]:
        lines["vocabulary"] = f"{vocabulary['size']:,} tokens, text " + describe_cleaning(
            vocabulary[name] for name in CLEANING.values()
        )
        if vocabulary["added"]:
            lines["added tokens"] = listed(vocabulary["added"])
        lines["fingerprint"] = vocabulary["fingerprint"]
    if told := _origin(found["origin"]):
        lines["trained"] = told
    if hub := found["origin"].get("hub"):
        lines["hub"] = f"{shown(hub['model'])}, commit {shown(hub['commit'])}"
    if origin := found["converted"]:
        lines["converted"] = f"from {shown(origin['from'])} ({shown(origin['format'])})"
    if sentence := found["sentence"]:
        lines["one vector"] = _sentence(sentence)
    if found["new"]:
        lines["new (to be trained)"] = ", ".join(found["new"])
    if found["unused"]:
        lines["not used"] = count_names(found["unused"])
    if found["ignored"]:
        lines["ignored"] = f"{count_names(found['ignored'])}: of its training"
    if found["stored"] not in ([], ["float32"]):
        lines["stored as"] = f"{', '.join(found['stored'])}; read as float32"
    if found["assumed"]:
        lines["assumed"] = "\n".join(found["assumed"])
    if found["missing"]:
        lines["missing"] = "\n".join(found["missing"])
    if found["files"]:
        lines["files"] = "\n".join(
            f"{shown(name)}  {show_bytes(size)}" for name, size in found["files"].items()
        )
    return lines


def _head(found: dict[str, Any]) -> str:
    head = found["head"]
    if found["pretraining"]:
        return "; ".join(PRETRAINING[name] for name in found["pretraining"])
    if head is None:
        return "none; `bertkit finetune` gives it one"
    hidden = f", a hidden layer of {head['hidden_size']}" if head["hidden_size"] else ""
    hidden += ", a layer with a norm" * head["transform"]
    several = tuple(head["layers"]) != (-1,)
    layers = f" of layers {list(head['layers'])} ({head['combine']})" if several else ""
    pooling = "" if HEAD_KINDS[head["kind"]].tokens else f", pooling {head['pooling']}"
    if head["kind"] == USUAL_KIND:
        return f"{len(found['labels'])} classes{pooling}{layers}{hidden}, {head['loss']}"
    return f"{HEAD_KINDS[head['kind']].does}{pooling}{layers}{hidden}"


def _sentence(sentence: dict[str, Any]) -> str:
    """How a folder of sentence-transformers makes a vector of a text."""
    told = [f"of a text: {' and '.join(sentence['modes'])} over its tokens"]
    told += ["of length 1"] * sentence["normalise"]
    if sentence["dimensions"]:
        told.append(f"of that the first {sentence['dimensions']:,} numbers")
    if sentence["max_length"]:
        told.append(f"texts up to {sentence['max_length']} tokens")
    if sentence["beyond"]:
        told.append(f"then {listed(sentence['beyond'])}, which bertkit does not compute")
    return ", ".join(told)


def _origin(origin: dict[str, Any]) -> str:
    """As much of it as the card tells."""
    told = [f"on {shown(origin['task'])}"] if origin.get("task") else []
    if recipe := origin.get("recipe"):
        told.append(f"from {shown(tomllib.loads(recipe)['model']['start'])}")
    if origin.get("score") is not None and origin.get("interval"):
        low, high = origin["interval"]
        told.append(f"{shown(_metric(origin))} {origin['score']:.3f} [{low:.3f}, {high:.3f}]")
    if origin.get("max_length"):
        window = origin.get("window")
        length = f"in windows of {window}" if window else f"up to {origin['max_length']}"
        told.append(f"texts {length} tokens")
    if origin.get("pad_to"):
        told.append(f"visible pads up to {origin['pad_to']}")
    if origin.get("temperature"):
        told.append(f"temperature {origin['temperature']:.2f}")
    return ", ".join(told)


def _metric(origin: dict[str, Any]) -> str:
    """What the score is called."""
    from bertkit.tasks.kinds import title

    return title(origin.get("metric") or "score", origin.get("positive") or "")


def count_names(names: list[str]) -> str:
    """`names` of tensors for people: those that end alike are counted, few are named."""
    if len(names) <= NAMES_SHOWN:
        return listed(names)
    endings = Counter(re.split(r"[/.]", name)[-1] for name in names).most_common()
    told = [f"{count:,} x {shown(name)}" if count > 1 else name for name, count in endings]
    return listed(told, most=ENDINGS_SHOWN)


def show_bytes(size: int) -> str:
    """`size` in the unit that people read."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"
