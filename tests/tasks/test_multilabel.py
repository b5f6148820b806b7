"""Rows with any number of labels: how files are read, what is learned and decided, and what is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bertkit.config.reading import Reading
from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe
from bertkit.tasks.examples import Examples, Targets, contradictions
from bertkit.tasks.kind import Scale, Wanted
from bertkit.tasks.load import load_examples, load_splits
from bertkit.tasks.multilabel import MULTILABEL
from bertkit.tasks.registry import find_task
from bertkit.tasks.task import Task
from bertkit.text.tokenizer import Tokenizer

NAMES = ("anger", "joy", "pride")
ROWS = 'text,labels\na,"joy,pride"\nb,\nc,joy\nd,anger\na,joy\n'


def own(folder: Path, train: str, dev: str = "text,labels\nx,joy\n", **given: str) -> Task:
    (folder / "train.csv").write_text(train)
    (folder / "dev.csv").write_text(dev)
    files = {"train": str(folder / "train.csv"), "dev": str(folder / "dev.csv")}
    return find_task(
        TaskRecipe(**{**files, "text": "text", "label": "labels", "kind": "multilabel", **given})
    )


def test_rows_are_read_with_their_labels_in_order(tmp_path: Path) -> None:
    task = own(tmp_path, ROWS)
    train, names = load_examples(task, "train")
    assert names == NAMES
    assert MULTILABEL.told(train.known, names) == [["joy", "pride"], [], ["joy"], ["anger"], ["joy"]]
    assert contradictions(train) == [0, 4]
    assert task.metric == "micro_f1"
    assert MULTILABEL.spread(train.known, names) == {
        "label_shares": {"anger": 0.2, "joy": 0.6, "pride": 0.2},
        "labels_a_row": 1.0,
        "rows_without_label": 1,
    }
    assert MULTILABEL.words(train.known, names)[1] == "anger 20.0%, joy 60.0%, pride 20.0%; 1.00 a row"


def test_a_column_for_each_label_keeps_their_order(tmp_path: Path) -> None:
    header = "text,pride,anger\n"
    task = own(tmp_path, f"{header}a,0,1\nb,0,0\n", f"{header}c,0,1\n", label="pride, anger")
    splits, names = load_splits(task)
    assert names == ("pride", "anger")
    assert [MULTILABEL.told(splits[part].known, names) for part in ("train", "dev")] == [
        [["anger"], []],
        [["anger"]],
    ]


def test_labels_of_dev_alone_are_known_and_later_ones_are_not(tmp_path: Path) -> None:
    task = own(tmp_path, ROWS, 'text,labels\nx,"joy,shame"\ny,\n')
    splits, names = load_splits(task)
    assert names == (*NAMES, "shame")
    assert MULTILABEL.told(splits["dev"].known, names) == [["joy", "shame"], []]
    with pytest.raises(
        UserError, match="line 2: the label 'shame' is not one of those trained on: anger, joy"
    ):
        load_examples(task, "dev", NAMES)


@pytest.mark.parametrize(
    ("cell", "said"), [("joy", "every row has the labels 'joy'"), ("", "every row has no label")]
)
def test_rows_that_are_all_alike_cannot_be_learned(tmp_path: Path, cell: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_examples(own(tmp_path, f"text,labels\na,{cell}\nb,{cell}\n"), "train")


def test_a_share_of_rows_is_set_aside_by_rarest_label(tmp_path: Path) -> None:
    rows = "".join(f"t{number},{'joy' if number % 2 else 'joy|pride'}\n" for number in range(40))
    (tmp_path / "train.csv").write_text(f"text,labels\n{rows}")
    asked = TaskRecipe(train=str(tmp_path / "train.csv"), dev="20%", label="labels", label_separator="|")
    splits, _ = load_splits(find_task(replace(asked, kind="multilabel")))
    assert np.bincount(splits["dev"].known.values).tolist() == [8, 4]


def rows_of(targets: Targets) -> Examples:
    texts = [f"t{number}" for number in range(len(targets))]
    return Examples(texts, None, targets, list(range(1, len(targets) + 1)), Path("rows.csv"))


SETS = Targets(np.array([1, 2, 1, 0]), np.array([0, 2, 2, 3, 4]))
LOGITS = np.array([[-1.0, 2.0, 0.5], [-3.0, -2.0, -1.0], [0.1, 0.2, -0.3], [1.0, 1.0, 1.0]], dtype=np.float32)


def test_the_loss_is_torchs_and_its_floor_is_that_of_the_prior() -> None:
    tokenizer = Tokenizer.from_vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "t"])
    encoded = MULTILABEL.encode(tokenizer, rows_of(SETS), Reading(max_length=9), NAMES)
    sets = torch.tensor([[0, 1, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=torch.float64)
    assert encoded.learned.values.tolist() == sets.tolist()
    expected = F.binary_cross_entropy_with_logits(torch.tensor(LOGITS).double(), sets, reduction="none").mean(
        1
    )
    np.testing.assert_allclose(MULTILABEL.losses(encoded, LOGITS, Scale()), expected, rtol=1e-12)
    floor = MULTILABEL.floor(encoded, Scale(), NAMES, None)
    shares = sets.mean(0).expand(4, 3).log() - (1 - sets.mean(0)).log()
    assert floor == pytest.approx(float(F.binary_cross_entropy_with_logits(shares, sets)))
    assert MULTILABEL.uniform(encoded, NAMES) == pytest.approx(np.log(2))


def test_a_head_begins_with_how_often_each_label_occurs() -> None:
    assert MULTILABEL.prior is not None
    found = MULTILABEL.prior(SETS, (*NAMES, "never"))
    # Half a row more of each kind, so that what never occurs has a logit.
    assert np.exp(found).tolist() == pytest.approx([1.5 / 3.5, 2.5 / 2.5, 1.5 / 3.5, 0.5 / 4.5])


def test_what_is_decided_on_dev_is_kept_by_label_and_scored_on_rows_that_it_did_not_see() -> None:
    random = np.random.default_rng(0)
    true = random.random((200, 3)) < [0.1, 0.3, 0.5]
    logits = (random.normal(size=true.shape) + 2 * true - 3).astype(np.float32)
    rows = rows_of(Targets(np.nonzero(true)[1], np.concatenate([[0], np.cumsum(true.sum(axis=1))])))
    scoring = MULTILABEL.scoring(NAMES, "")
    decision, predictions = MULTILABEL.decided(rows, logits, scoring)
    assert list(decision["thresholds"]) == list(NAMES)
    scores = {
        name: scoring.summary(rows, found)["score"]
        for name, found in (
            ("half", MULTILABEL.predict(rows, logits, NAMES, {})),
            ("unseen", predictions),
            ("seen", MULTILABEL.predict(rows, logits, NAMES, decision)),
        )
    }
    assert scores["half"] < scores["unseen"] <= scores["seen"]
    assert not MULTILABEL.one_answer(rows, predictions)
    assert MULTILABEL.one_answer(rows, np.full_like(predictions, -1.0))
    told = MULTILABEL.examine(rows, logits, scoring)["label_thresholds"]
    assert told["scores"][told["manner"]] == pytest.approx(scores["unseen"])
    logits[0, 0] = np.nan
    assert MULTILABEL.examine(rows, logits, scoring) == {"label_thresholds": None}


def test_the_rows_with_the_surest_wrong_labels_are_told() -> None:
    rows = rows_of(SETS)
    found = MULTILABEL.mistakes(rows, LOGITS, MULTILABEL.predict(rows, LOGITS, NAMES, {}), NAMES)
    assert [(each["line"], each["label"], each["predicted"], each["wrong"]) for each in found] == [
        (4, "anger", "anger, joy, pride", "joy"),
        (3, "joy", "anger, joy", "anger"),
    ]
    assert found[0]["probability"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_answers_and_what_stands_in_their_columns() -> None:
    rows = rows_of(SETS)
    predictions = MULTILABEL.predict(rows, LOGITS, NAMES, {"thresholds": {"joy": 0.9}})
    answers = MULTILABEL.answers(rows, LOGITS, predictions, NAMES)
    assert [answer["labels"] for answer in answers] == [["pride"], [], ["anger"], ["anger", "pride"]]
    assert list(answers[0]["probabilities"]) == list(NAMES)
    answer = {"labels": ["anger", "joy"], "probabilities": {"anger": 0.5, "joy": 0.75, "pride": 0.25}}
    for wanted, columns, cells in (
        (Wanted(), ["labels"], ["anger,joy"]),
        (Wanted(least=0.6), ["labels"], ["joy"]),
        (Wanted(least=0.8), ["labels"], [""]),
        (
            Wanted(top=2),
            ["labels", "label_1", "probability_1", "label_2", "probability_2"],
            ["anger,joy", "joy", 0.75, "anger", 0.5],
        ),
        (
            Wanted(every=True),
            ["labels", *(f"probability_of_{name}" for name in NAMES)],
            ["anger,joy", 0.5, 0.75, 0.25],
        ),
    ):
        assert list(MULTILABEL.columns(NAMES, wanted)) == columns
        assert MULTILABEL.cells(answer, wanted) == cells
    assert MULTILABEL.overview(["anger,joy", "", "joy", "joy"]) == {
        "joy": "3 (75.0%)",
        "anger": "1 (25.0%)",
        "no label": "1 (25.0%)",
    }


def test_class_weights_are_of_rows_with_one_label() -> None:
    with pytest.raises(UserError, match="one of several labels each; leave 'balanced' out"):
        MULTILABEL.weights("balanced", SETS, NAMES)
