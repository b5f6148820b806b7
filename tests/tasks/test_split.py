from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertkit.data.tables import iterate_rows
from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe, share_of
from bertkit.tasks.examples import Examples, Targets, leaks
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.load import load_examples, load_splits
from bertkit.tasks.registry import find_task
from bertkit.tasks.regress import REGRESS
from bertkit.tasks.split import split_rows


def rows(texts: list[str], labels: list[int]) -> Examples:
    targets = Targets.single(np.array(labels))
    return Examples(texts, None, targets, list(range(2, len(texts) + 2)), Path("rows.csv"))


def test_each_label_gives_its_share_and_every_row_goes_to_one_split() -> None:
    labels = [0] * 70 + [1] * 20 + [2] * 10 + [3]
    examples = rows([f"text {number}" for number in range(101)], labels)
    parts = split_rows(examples, {"dev": 0.2, "test": 0.1}, np.array(labels), seed=0)
    assert sorted(row for part in parts.values() for row in part) == list(range(101))
    counts = {split: Counter(labels[row] for row in part) for split, part in parts.items()}
    assert counts["dev"] == {0: 14, 1: 4, 2: 2}
    assert counts["test"] == {0: 7, 1: 2, 2: 1}
    assert counts["train"][3] == 1
    assert parts["dev"] == sorted(parts["dev"])


def test_the_choice_hangs_on_the_seed_and_the_texts_and_not_on_their_order() -> None:
    texts = [f"text {number}" for number in range(60)]
    labels = [number % 3 for number in range(60)]

    def dev(order: list[int], seed: int) -> set[str]:
        examples = rows([texts[place] for place in order], [labels[place] for place in order])
        parts = split_rows(examples, {"dev": 0.25}, examples.known.values, seed=seed)
        return {examples.texts[row] for row in parts["dev"]}

    forwards = list(range(60))
    assert dev(forwards, 0) == dev(forwards[::-1], 0)
    assert dev(forwards, 0) != dev(forwards, 1)


def test_copies_but_for_case_and_spaces_stay_on_one_side() -> None:
    texts = [
        f"the  Text {number}" if copy else f"The text {number}" for number in range(50) for copy in (0, 1)
    ]
    examples = rows(texts, [0, 1] * 50)  # Each copy has another label.
    parts = split_rows(examples, {"dev": 0.3}, examples.known.values, seed=0)
    sides = [{text.lower().split()[-1] for text in examples.only(part).texts} for part in parts.values()]
    assert not sides[0] & sides[1]
    assert not leaks(examples.only(parts["train"]), examples.only(parts["dev"]))


def test_of_numbers_each_tenth_gives_its_share() -> None:
    values = np.linspace(0, 1, 100) ** 3
    found = REGRESS.strata(Targets.single(values))
    assert Counter(found.tolist()) == dict.fromkeys(range(10), 10)


def test_equal_numbers_are_set_aside_alike_whatever_their_order() -> None:
    found = REGRESS.strata(Targets.single(np.array([2.0, 1, 2, 2, 1, 3, 2, 2, 1, 2])))
    assert found.tolist() == [3, 0, 3, 3, 0, 9, 3, 3, 0, 3]


def test_too_few_rows_are_refused() -> None:
    examples = rows(["one", "two", "three", "four"], [0, 0, 1, 1])
    with pytest.raises(UserError, match="has 4 rows: too few to set 20% of each label aside for dev"):
        split_rows(examples, {"dev": 0.2}, examples.known.values, seed=0)


def test_a_task_reads_its_splits_from_one_file(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    lines = [f"text {number},{'ab'[number % 2]}\n" for number in range(40)]
    file.write_text("text,label\n" + "".join(lines))
    recipe = TaskRecipe(train=str(file), dev="25%", test="10%")
    parts = [load_examples(find_task(recipe), split)[0] for split in ("train", "dev", "test")]
    assert [len(part) for part in parts] == [26, 10, 4]
    assert sorted(line for part in parts for line in part.lines) == list(range(2, 42))
    assert all(part.texts[0] == f"text {part.lines[0] - 2}" for part in parts)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (TaskRecipe(train="a.csv", dev="60%", test="40%"), "dev 60%, test 40%: a share is of the rows"),
        (TaskRecipe(dev="20%"), "a share is of the rows of a training file"),
        (TaskRecipe(train="20%", dev="a.csv"), "a share is of the rows of a training file"),
        (TaskRecipe(train="a.csv", dev="100%"), "100% is no share"),
        (TaskRecipe(name="cola", test="a.csv"), "not both"),
    ],
)
def test_shares_that_cannot_be_are_refused(recipe: TaskRecipe, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        find_task(recipe)


def test_what_is_a_share() -> None:
    given = ("20%", "7.5 %", "dev.csv", "20", "")
    assert [share_of(text) for text in given] == [0.2, 0.075, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("dev", ["20%", "dev.csv"])
def test_all_splits_together_are_those_read_one_by_one_and_a_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dev: str
) -> None:
    lines = [f"text {number},{'ab'[number % 2]}\n" for number in range(40)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(lines))
    (tmp_path / "dev.csv").write_text("text,label\nanother,a\nunheard of,c\n")
    given = dev if dev.endswith("%") else str(tmp_path / dev)
    task = find_task(TaskRecipe(train=str(tmp_path / "train.csv"), dev=given, test="10%"))
    train, names = load_examples(task, "train")
    scored, names = load_examples(task, "dev", names, grows=True)
    alone = {"train": train, "dev": scored, "test": load_examples(task, "test", names)[0]}
    read: list[str] = []

    def reads(path: Path, *rest: Any, **how: Any) -> Any:
        read.append(path.name)
        return iterate_rows(path, *rest, **how)

    monkeypatch.setitem(KINDS, "classify", replace(KINDS["classify"], reads=reads))
    together, found = load_splits(task)
    assert found == names
    assert {split: rows.texts for split, rows in together.items()} == {
        split: rows.texts for split, rows in alone.items()
    }
    for split, each in together.items():
        np.testing.assert_array_equal(each.known.values, alone[split].known.values)
    assert read == (["train.csv"] if dev == "20%" else ["train.csv", "dev.csv"])
