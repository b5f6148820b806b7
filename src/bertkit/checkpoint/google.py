"""The checkpoints of google-research/bert: a bundle of TensorFlow's, `bert_config.json` and `vocab.txt`.

Names and shapes: modeling.py, run_pretraining.py, run_classifier.py and run_squad.py of google-research/bert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bertkit.checkpoint.architectures import CLASSIFIER, HEADS, MOST_LABELS, PRETRAINED
from bertkit.checkpoint.bundle import INDEX, Bundle, open_bundle, write_bundle
from bertkit.checkpoint.content import Content, write_json
from bertkit.checkpoint.hf import CONFIG_FILE as HF_CONFIG_FILE
from bertkit.checkpoint.hf import OLD_CONFIG_FILE as CONFIG_FILE
from bertkit.checkpoint.hf import WEIGHTS, first_file
from bertkit.checkpoint.layouts import not_bert, read_config
from bertkit.errors import UserError
from bertkit.text.jsons import read_json

LATEST_FILE = "checkpoint"
PREFIX = "bert_model.ckpt"

Kind = Mapping[str, tuple[str, bool]]
"""A module's parameters: Google's name, transformers' name, and whether one is the other's transpose."""

TABLE: Kind = {"": ("weight", False)}
NORM: Kind = {"/gamma": ("weight", False), "/beta": ("bias", False)}
DENSE: Kind = {"/kernel": ("weight", True), "/bias": ("bias", False)}
OUTPUT: Kind = {"output_weights": ("weight", False), "output_bias": ("bias", False)}

_LAYER, _THEIRS = "bert/encoder/layer_{}", "bert.encoder.layer.{}"
MODULES: tuple[tuple[str, str, Kind], ...] = (
    ("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings", TABLE),
    ("bert/embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings", TABLE),
    ("bert/embeddings/position_embeddings", "bert.embeddings.position_embeddings", TABLE),
    ("bert/embeddings/LayerNorm", "bert.embeddings.LayerNorm", NORM),
    *(
        (f"{_LAYER}/{name}", f"{_THEIRS}.{name.replace('/', '.')}", kind)
        for name, kind in {
            "attention/self/query": DENSE,
            "attention/self/key": DENSE,
            "attention/self/value": DENSE,
            "attention/output/dense": DENSE,
            "attention/output/LayerNorm": NORM,
            "intermediate/dense": DENSE,
            "output/dense": DENSE,
            "output/LayerNorm": NORM,
        }.items()
    ),
    ("bert/pooler/dense", "bert.pooler.dense", DENSE),
    ("cls/predictions/transform/dense", "cls.predictions.transform.dense", DENSE),
    ("cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm", NORM),
    ("cls/predictions/", "cls.predictions", {"output_bias": ("bias", False)}),
    ("cls/seq_relationship/", "cls.seq_relationship", OUTPUT),
    ("cls/squad/", "qa_outputs", OUTPUT),
    ("", "classifier", OUTPUT),
)
"""Module by module: what Google calls it, what transformers calls it, and its parameters."""

VARIABLES = {
    "masked": "cls/predictions/output_bias",
    "pair": "cls/seq_relationship/output_weights",
    "answer": "cls/squad/output_weights",
    "classifier": "output_weights",
}
"""The variables that tell which heads a checkpoint has."""

SLOTS = {
    *("adam_m", "adam_v", "lamb_m", "lamb_v", "Adam", "Adam_1", "Momentum"),
    *("AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1", "LAMBOptimizer", "LAMBOptimizer_1"),
}
"""What optimisers call their moments of a variable, after its name: BERT's own (optimization.py), LAMB's in
its ports to TensorFlow 1, and those of tf.train."""

COUNTS = {
    *("global_step", "beta1_power", "beta2_power"),
    *("loss_scale", "current_loss_scale", "good_steps", "bad_steps"),
}
"""What else a training keeps: of the step, of Adam, of mixed precision."""

SAYABLE = {
    HEADS["classify"],
    HEADS["answer"],
    *((architecture, None) for architecture in PRETRAINED.values()),
}
"""Architectures of transformers that Google's programs have too, and the `problem_type` of each."""

EPSILON = 1e-12
"""Of every layer norm in modeling.py; `bert_config.json` has no key for it."""


def is_google(folder: Path) -> bool:
    """Whether `folder` holds a TensorFlow checkpoint, and no weights that transformers would rather read."""
    return bool(_prefixes(folder)) and not first_file(folder, WEIGHTS).is_file()


def open_google(folder: Path) -> Content:
    """What the folder holds: the index alone says which heads.

    Raises:
        UserError: a file is missing or damaged, or the checkpoint has variables that are none of BERT's; on
            loading, likewise a data file.
    """
    prefix = _choose(folder)
    bundle = open_bundle(prefix)
    names = {name: _translate(bundle, name) for name in bundle.entries if not is_of_training(name)}
    bundle.check(names)
    file = first_file(folder, (CONFIG_FILE, HF_CONFIG_FILE))
    if not file.is_file():
        raise UserError(
            f"{folder} has the checkpoint {prefix.name} but no {CONFIG_FILE}: copy it there, with vocab.txt, "
            "from the model that was trained (run_classifier.py leaves both in the folder it started from)."
        )
    return Content(
        config=_read_config(file, bundle),
        config_file=file,
        weights_file=prefix.with_name(prefix.name + INDEX),
        load=lambda: {
            names[google][0]: tensor.t() if names[google][1] else tensor
            for google, tensor in bundle.read(names).items()
        },
        ignored=tuple(name for name in bundle.entries if name not in names),
    )


def write_google(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write the bundle, its `checkpoint` file and `bert_config.json` into `folder`.

    Raises:
        UserError: the format cannot say what the model is.
    """
    _check_sayable(config)
    bare = not any(name.startswith("bert.") for name in tensors)
    variables = {}
    for name, tensor in tensors.items():
        google, transposed = to_google(f"bert.{name}" if bare else name)
        variables[google] = tensor.t() if transposed else tensor
    write_bundle(folder / PREFIX, variables)
    lines = [f'{key}: "{PREFIX}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths")]
    (folder / LATEST_FILE).write_text("".join(lines), encoding="utf-8")
    unsaid = ("model_type", "architectures", "dtype", "layer_norm_eps")
    write_json(folder / CONFIG_FILE, {key: value for key, value in config.items() if key not in unsaid})


def is_of_training(name: str) -> bool:
    """Whether a variable is an optimiser's or a counter, and so of no model."""
    return name in COUNTS or name.rpartition("/")[2] in SLOTS


def from_google(name: str) -> tuple[str, bool] | None:
    """What transformers calls the variable `name`, and whether transposed; None if it is none of BERT's."""
    for google, theirs, kind in MODULES:
        for parameter, (their_parameter, transposed) in kind.items():
            pattern = re.escape(google + parameter).replace(r"\{\}", "([0-9]{1,9})")
            if found := re.fullmatch(pattern, name):
                return f"{theirs.format(*found.groups())}.{their_parameter}", transposed
    return None


def to_google(name: str) -> tuple[str, bool]:
    """The inverse of `from_google`.

    Raises:
        UserError: the format has no such variable.
    """
    module, _, parameter = name.rpartition(".")
    for google, theirs, kind in MODULES:
        pattern = re.escape(theirs).replace(r"\{\}", "([0-9]+)")
        if found := re.fullmatch(pattern, module):
            for google_parameter, (their_parameter, transposed) in kind.items():
                if their_parameter == parameter:
                    return google.format(*found.groups()) + google_parameter, transposed
    raise UserError(f"Google's format has no variable for {name}: write the model with --to hf.")


def _prefixes(folder: Path) -> list[Path]:
    """Of the bundles in the folder, by name; an index without data belongs to another program."""
    found = sorted(path.with_suffix("") for path in folder.glob(f"*{INDEX}") if path.is_file())
    return [prefix for prefix in found if "ckpt" in prefix.name or any(folder.glob(f"{prefix.name}.data-*"))]


def _choose(folder: Path) -> Path:
    """The only bundle in the folder, or the one that its `checkpoint` file names as the latest."""
    prefixes = _prefixes(folder)
    if len(prefixes) == 1:
        return prefixes[0]
    latest = folder / LATEST_FILE
    if latest.is_file() and latest.stat().st_size < 1 << 20:
        text = latest.read_text(encoding="utf-8", errors="replace")
        # Its folder is that of the machine that trained it, and means nothing.
        pattern = r'^model_checkpoint_path: *"(?:[^"\n]*[/\\])?([^"/\\\n]+)"'
        named = re.search(pattern, text, re.MULTILINE)
        for prefix in prefixes:
            if named and prefix.name == named[1]:
                return prefix
    raise UserError(
        f"{folder} has several checkpoints, {', '.join(prefix.name for prefix in prefixes)}, and no file "
        f"named {LATEST_FILE} that chooses one: leave one there."
    )


def _translate(bundle: Bundle, name: str) -> tuple[str, bool]:
    if theirs := from_google(name):
        if theirs[1] and len(bundle.entries[name].shape) != 2:
            raise UserError(f"{bundle.prefix}{INDEX}: {name} is no matrix.")
        return theirs
    if ".ATTRIBUTES" in name or name.startswith("_CHECKPOINTABLE"):
        raise UserError(
            f"{bundle.prefix}{INDEX} is a checkpoint of objects, as Keras and TensorFlow 2 write them; "
            "bertkit reads those of google-research/bert. Save the model with transformers' save_pretrained."
        )
    raise UserError(f"{bundle.prefix}{INDEX}: BERT has no variable named {name}.")


def _read_config(file: Path, bundle: Bundle) -> dict[str, Any]:
    """In the words of `config.json`: the architecture is told by the variables that are there."""
    config = read_json(file)
    has = {head for head, variable in VARIABLES.items() if variable in bundle.entries}
    if "answer" in has:
        architecture = HEADS["answer"][0]
    elif "classifier" in has:
        architecture = CLASSIFIER
        classes = sum(bundle.entries[VARIABLES["classifier"]].shape[:1])
        if classes > MOST_LABELS:
            raise UserError(f"{bundle.prefix}{INDEX} has a classifier of {classes:,} classes: it is damaged.")
        config.setdefault("id2label", {str(i): f"LABEL_{i}" for i in range(classes)})
    else:
        architecture = PRETRAINED["masked" in has, "pair" in has]
    return {"model_type": "bert", **config, "architectures": [architecture]}


def _check_sayable(config: Mapping[str, Any]) -> None:
    """Refuse what `bert_config.json` and modeling.py have no word for, with the reason."""
    reasons = []
    if config["model_type"] != "bert":
        beyond = not_bert(*read_config(dict(config), {}))
        reasons.append(f"modeling.py computes BERT, and the model has {', '.join(beyond)}")
    else:
        if config["layer_norm_eps"] != EPSILON:
            reasons.append(f"its layer norms add {EPSILON}, the model's {config['layer_norm_eps']}")
        number = config.get("problem_type") == "regression" and len(config["id2label"]) == 1
        if (config["architectures"][0], config.get("problem_type")) not in SAYABLE and not number:
            reasons.append(f"it has no head that is a {config['architectures'][0]}")
    if config.get("hidden_act") == "gelu_pytorch_tanh":
        reasons.append("it has one name for both gelus, which readers take for the exact one")
    if reasons:
        # What only bertkit computes, no other format says either.
        other = "" if config["model_type"] == "bertkit" else " Write it with --to hf."
        raise UserError(f"Google's format cannot say what this model is: {'; '.join(reasons)}.{other}")
