"""What the demo is made of: its data, its recipes, and how its models are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit import api
from bertkit.checkpoint.atomic import replace_file
from bertkit.config.head import USUAL_KIND
from bertkit.data.corpus import CorpusReading
from bertkit.data.prepare import Options
from bertkit.demo import FRESH, PRETRAIN, PRETRAINED, Sizes
from bertkit.demo.grammar import Sentence, generate, minimal_pairs, plain_text
from bertkit.infer.model import load
from bertkit.infer.score import score, summarise_pairs
from bertkit.recipe import PretrainRecipe, Recipe, TaskRecipe
from bertkit.runs.result import answers_of_seeds
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.load import load_splits
from bertkit.tasks.metrics import middle, paired_samples, seeds_interval, wilson_interval
from bertkit.tasks.registry import find_task
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary import VocabularyOptions, learn

TEXT = "text.txt"
# What stands first is the model of both runs: the initialisation is in proportion to its small width, 0.02 is
# BERT's choice for a width of 768.
OPTIONS: dict[str, Any] = {
    "heads": 4,
    "max_positions": 64,
    "positions": "rotary",
    "hidden_dropout": 0.0,
    "initialiser_range": 0.08,
}
ACCURACY = KINDS[USUAL_KIND].metric("accuracy")

Bar = tuple[float, float, float]
"""A share of right answers and its 95 % interval."""


def write_data(folder: Path, sizes: Sizes, seed: int) -> tuple[list[str], list[Sentence]]:
    """Write text.txt, train.tsv and dev.tsv; the text, and the sentences to be scored on."""
    text, dev = plain_text(sizes.text, seed), generate("dev", sizes.dev, seed)
    check_unseen(text, dev)
    _write(folder / TEXT, text)
    for split, sentences in (("train", generate("train", sizes.labels, seed)), ("dev", dev)):
        lines = ["sentence\tlabel\tdependency\tnovelty"]
        lines += [f"{each.text}\t{each.label}\t{each.phenomenon}\t{each.novelty}" for each in sentences]
        _write(folder / f"{split}.tsv", lines)
    return text, dev


def check_unseen(text: Sequence[str], dev: Sequence[Sentence]) -> None:
    """Raise `RuntimeError` if a dev sentence stands in the text: then no score would be worth a thing."""
    seen = {sentence.casefold() for sentence in text}
    if known := [sentence.text for sentence in dev if sentence.text.casefold() in seen]:
        raise RuntimeError(f"{len(known)} dev sentences stand in the text, such as {known[0]!r}.")


def _write(path: Path, lines: Sequence[str]) -> None:
    with replace_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_vocabulary(folder: Path, text: Sequence[str], sizes: Sizes) -> Tokenizer:
    """Learn vocab.txt from the text."""
    tokens = learn(text, VocabularyOptions(size=sizes.vocabulary))
    _write(folder / "vocab.txt", tokens)
    return Tokenizer.from_vocabulary(tokens)


def write_shards(folder: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Cut the text into shards, each sentence a document, and return the report."""
    options = Options(heldout=0.02, sentences="lines", reading=CorpusReading(layout="lines"))
    return api.prepare([folder / TEXT], tokenizer, folder / "shards", options, workers=1, overwrite=True)


def pretrain_recipe(folder: Path, sizes: Sizes, seed: int) -> PretrainRecipe:
    """Masked tokens of single sentences: there is no next one."""
    changes: dict[str, dict[str, Any]] = {
        "corpus": {"shards": str(folder / "shards")},
        "model": {"start": "tiny", "options": OPTIONS},
        "objective": {"pairs": "none"},
        "batch": {"tokens": sizes.tokens, "length": 32},
        "optimiser": {"lr": 2e-3, "beta2": 0.98, "warmup": 0.05},
        "training": {"steps": sizes.steps, "evaluations": 4, "heldout_tokens": 8_192, "seed": seed},
    }
    return PretrainRecipe().with_changes(changes)


def finetune_recipe(folder: Path, sizes: Sizes, seed: int, *, pretrained: bool) -> Recipe:
    """The same for both models but for where their weights come from."""
    start: dict[str, dict[str, Any]] = {
        "model": {"start": "tiny", "options": OPTIONS},
        "vocabulary": {"file": str(folder / "vocab.txt")},
    }
    if pretrained:
        start = {"model": {"start": str(folder / PRETRAIN)}}
    changes: dict[str, dict[str, Any]] = {
        **start,
        "task": {**_files(folder), "metric": "accuracy"},
        "head": {"dropout": 0.0},
        "batch": {"max_length": 64, "sequences": sizes.sequences},
        "optimiser": {"lr": 1e-3},
        "training": {"epochs": sizes.epochs, "seed": seed, "seeds": sizes.seeds},
    }
    return Recipe().with_changes(changes)


def _files(folder: Path) -> dict[str, Any]:
    return {"train": str(folder / "train.tsv"), "dev": str(folder / "dev.tsv"), "text": "sentence"}


# ---- Comparing


def answers(run: Path, result: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
    """What each dev sentence adds to the metrics, of each seed of a fine-tuning run."""
    return [each.adds for each in answers_of_seeds(run, [each["seed"] for each in result["seeds"]])]


def compare(
    folder: Path, dev: Sequence[Sentence], fresh: Mapping[str, Any], pretrained: Mapping[str, Any]
) -> dict[str, Any]:
    """Shares of right answers, each `[share, low, high]`, and how much more the pretrained model has.

    Returns:
        `groups`: for "all", each novelty and each dependency, by who answers; `difference`: pretrained less
        fresh, with its interval.
    """
    given = {FRESH: answers(folder / FRESH, fresh), PRETRAINED: answers(folder / PRETRAINED, pretrained)}
    right = _ngram_right(folder)
    groups: dict[str, dict[str, Bar]] = {}
    for name, rows in groups_of(dev).items():
        hits = int(right[rows].sum())
        groups[name] = {"ngram": (hits / len(rows), *wilson_interval(hits, len(rows)))}
        for who, seeds in given.items():
            adds = [of_all[rows] for of_all in seeds]
            groups[name][who] = (ACCURACY.of(np.vstack(adds)), *seeds_interval(ACCURACY, adds))
    more, less = (ACCURACY.of(np.vstack(given[who])) for who in (PRETRAINED, FRESH))
    interval = middle(paired_samples(ACCURACY, given[PRETRAINED], given[FRESH], alike=False))
    return {"groups": groups, "difference": [more - less, *interval]}


def groups_of(dev: Sequence[Sentence]) -> dict[str, npt.NDArray[np.int64]]:
    """Rows of all sentences, of each novelty and of each dependency."""
    groups = {"all": np.arange(len(dev))}
    for attribute in ("novelty", "phenomenon"):
        values = np.array([getattr(sentence, attribute) for sentence in dev])
        groups |= {name: np.flatnonzero(values == name) for name in dict.fromkeys(values.tolist())}
    return groups


def _ngram_right(folder: Path) -> npt.NDArray[np.bool_]:
    """Whether the n-gram model of the labelled sentences is right, of each dev sentence."""
    task = find_task(TaskRecipe(**_files(folder)))
    rows, labels = load_splits(task)
    train, dev = rows["train"], rows["dev"]
    _, ngram = KINDS[task.kind].baselines
    right: npt.NDArray[np.bool_] = ngram.predict(train, dev, labels) == dev.known.values
    return right


def compare_twins(model: Path, dev: Sequence[Sentence]) -> dict[str, Any]:
    """How often the pretrained model, without a label, finds the acceptable twin the likelier one.

    Returns:
        `summarise_pairs` over all dependencies and novelties: both are groups.
    """
    pairs = minimal_pairs(dev)
    found = score(load(model).masked, [pair[twin] for twin in ("good", "bad") for pair in pairs])
    good, bad = found[: len(pairs)], found[len(pairs) :]
    result = summarise_pairs(good, bad, [pair["phenomenon"] for pair in pairs])
    by_novelty = summarise_pairs(good, bad, [sentence.novelty for sentence in dev[::2]])
    return {**result, "groups": result["groups"] | by_novelty["groups"]}
