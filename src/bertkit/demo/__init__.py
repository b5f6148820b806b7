"""The whole life of a BERT on sentences that a grammar makes, offline."""

from __future__ import annotations

from dataclasses import dataclass

PRETRAIN, FRESH, PRETRAINED = "pretrain", "fresh", "pretrained"
"""Folders of the three runs."""
NOVELTIES = {"none": "nothing new", "words": "new words", "construction": "new construction"}


@dataclass(frozen=True)
class Sizes:
    """How much of everything; times go by these alone, so that results repeat.

    Attributes:
        text: sentences without labels.
        vocabulary: tokens at most.
        steps: of pretraining.
        tokens: of such a step.
        labels: sentences with labels, for both models.
        epochs: over them.
        sequences: of a batch of them.
        seeds: of both models.
        dev: sentences that both are scored on.
    """

    text: int = 50_000
    vocabulary: int = 800
    steps: int = 1_000
    tokens: int = 1_024
    labels: int = 400
    epochs: int = 8
    sequences: int = 16
    seeds: int = 3
    dev: int = 800
