"""Tables to examples, and what is refused on the way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bertkit.errors import UserError
from bertkit.tasks.examples import (
    Examples,
    Targets,
    contradictions,
    count_left_out,
    duplicates,
    leaks,
    notes,
    odd_rows,
)
from bertkit.tasks.load import load_examples
from bertkit.tasks.registry import get_task, task_from_files
from bertkit.tasks.task import Task

TRAIN = "text,label\nA cat.,b\nA dog.,a\nA  cat. ,a\n"
DEV = "text,label\nA bird.,a\nA dog.,b\na dog.,b\n"


def own(folder: Path, train: str = TRAIN, dev: str = DEV, label: str | None = "label") -> Task:
    (folder / "train.csv").write_text(train)
    (folder / "dev.csv").write_text(dev)
    return task_from_files(folder / "train.csv", folder / "dev.csv", text="text", label=label)


def test_labels_of_own_files_are_those_of_train_in_order(tmp_path: Path) -> None:
    task = own(tmp_path)
    train, labels = load_examples(task, "train")
    dev, same = load_examples(task, "dev", labels)
    assert labels == same == ("a", "b")
    assert (train.texts[2], train.known.values.tolist(), train.lines) == ("A  cat. ", [1, 0, 0], [2, 3, 4])
    assert (len(dev), dev.known.values.tolist(), dev.pairs, dev.path.name) == (3, [0, 1, 1], None, "dev.csv")


def test_whole_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    task = own(tmp_path, "text,label\na,10\nb,9\nc,1\n")
    assert load_examples(task, "train")[1] == ("1", "9", "10")


def test_labels_of_the_task_have_names(tmp_path: Path) -> None:
    for name in ("in_domain_train.tsv", "in_domain_dev.tsv"):
        (tmp_path / name).write_text('x\t1\t\tA "cat.\ny\t0\t*\tCat a.\n')
    examples, labels = load_examples(get_task("cola", tmp_path), "train")
    assert labels == ("unacceptable", "acceptable")
    assert (examples.texts, examples.known.values.tolist()) == (['A "cat.', "Cat a."], [1, 0])
    (tmp_path / "in_domain_dev.tsv").write_text("x\t1\t\tA cat.\nx\t2\t\tA cat.\n")
    with pytest.raises(UserError, match=r"in_domain_dev\.tsv, line 2: the label '2' is none of .*: 0, 1\."):
        load_examples(get_task("cola", tmp_path), "dev")


def test_pairs_stand_beside_their_texts(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("x\ty\t1\nv\tw\t0\n")
    task = task_from_files(tmp_path / "a.tsv", None, text=1, pair=2, label=3)
    examples, _ = load_examples(task, "train")
    assert (examples.texts, examples.pairs) == (["x", "v"], ["y", "w"])


def test_without_a_label_column_there_are_none(tmp_path: Path) -> None:
    examples, labels = load_examples(own(tmp_path, label=None), "train")
    assert (examples.targets, labels, len(examples)) == (None, (), 3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,label\nx,a\n ,b\n", r"line 3: the text is empty"),
        ("text,label\nx,a\ny, \n", r"line 3: the label is empty"),
        ("text,label\nx,a\ny,a\n", r"every row has the label 'a'; learning needs rows of two classes"),
        ("text,label\nx,a\ny\n", r"line 3: too few columns"),
        ("text,label\n", r"is empty or holds only a header"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(UserError, match=rf"train\.csv.*{problem}"):
        load_examples(own(tmp_path, train=content), "train")


def test_a_label_that_dev_has_and_train_lacks_is_named(tmp_path: Path) -> None:
    task = own(tmp_path, dev="text,label\nx,a\ny,c\n")
    with pytest.raises(
        UserError, match=r"dev\.csv, line 3: the label 'c' is not one of those trained on: a, b\."
    ):
        load_examples(task, "dev", load_examples(task, "train")[1])


def test_of_many_labels_a_sentence_names_some(tmp_path: Path) -> None:
    """As where numbers were meant to be learnt as such."""
    train = "text,label\n" + "".join(f"text,{i / 100}\n" for i in range(13))
    task = own(tmp_path, train, dev="text,label\nx,7.5\n")
    with pytest.raises(UserError, match=r": 0\.0, 0\.01, 0\.02, 0\.03, 0\.04 and 8 more\."):
        load_examples(task, "dev", load_examples(task, "train")[1])


def test_bad_rows_are_counted_at_once_and_can_be_left_out(tmp_path: Path) -> None:
    train = "text,label\n" + "good,a\nfine,b\n" + ",a\n" * 5 + "short\nwell,\n"
    task = own(tmp_path, train)
    problem = (
        r"train\.csv: 7 of 9 rows cannot be used: the text is empty \(5: lines 4, 5, 6, \.\.\.\); "
        r"too few columns \(1: line 9\); the label is empty \(1: line 10\)\. .*--skip-bad"
    )
    with pytest.raises(UserError, match=problem):
        load_examples(task, "train")
    rows, _ = load_examples(replace(task, skip_bad=True), "train")
    assert (rows.texts, rows.lines) == (["good", "fine"], [2, 3])
    assert [row.line for row in rows.left_out] == [4, 5, 6, 7, 8, 9, 10]
    (told,) = notes(rows.only([0]), rows.only([1]), rows.only([0, 1]))
    assert "7 of 11 rows are left out" in told, "those of test count"
    other = replace(rows, path=tmp_path / "x")
    (told,) = notes(rows, rows, replace(other, left_out=[]))
    assert "rows are left out: the text is empty (5: lines 4, 5, 6, ...); too few columns" in told
    assert count_left_out(rows, rows.only([0]), other, None) == 14


def test_labels_that_cannot_be_are_named_beside_a_few_that_can(tmp_path: Path) -> None:
    """Among 60 of them, whatever stands in the labels."""
    train = "text,label\n" + "".join(f"text {i},{i}\n" for i in range(60))
    dev = "text,label\nx,it's\nx,a b\nx,it's\nx,(c). d\nx,e\nx,f\nx,3\n"
    task = own(tmp_path, train, dev=dev)
    with pytest.raises(UserError) as error:
        load_examples(task, "dev", load_examples(task, "train")[1])
    assert str(error.value).partition(": ")[2] == (
        "6 of 7 rows cannot be used: the label \"it's\", 'a b', '(c). d' and 2 more is not one of those "
        "trained on: 0, 1, 2, 3, 4 and 55 more (6: lines 2, 3, 4, ...). "
        "Mend them, or leave them out with --skip-bad."
    )


def test_a_label_that_only_dev_has_is_a_class_that_grows(tmp_path: Path) -> None:
    task = own(tmp_path, "text,label\nx,b\ny,a\n", dev="text,label\nx,c\ny,a\n")
    _, names = load_examples(task, "train")
    dev, grown = load_examples(task, "dev", names, grows=True)
    assert (grown, dev.known.values.tolist()) == (("a", "b", "c"), [2, 0])
    with pytest.raises(UserError, match="line 2: the label 'c' is not one of those trained on"):
        load_examples(task, "dev", names)


def test_a_second_text_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,label\nx,,1\ny,z,0\n")
    task = task_from_files(tmp_path / "a.csv", None, text="a", pair="b", label="label")
    assert load_examples(task, "train")[0].pairs == ["", "z"]


def test_dev_may_have_one_class(tmp_path: Path) -> None:
    task = own(tmp_path, dev="text,label\nx,a\ny,a\n")
    assert load_examples(task, "dev", ("a", "b"))[0].known.values.tolist() == [0, 0]


def test_duplicates_and_leaks_do_not_mind_spaces(tmp_path: Path) -> None:
    task = own(tmp_path)
    train, labels = load_examples(task, "train")
    dev, _ = load_examples(task, "dev", labels)
    assert duplicates(train) == [2]
    assert duplicates(dev) == []
    assert leaks(train, dev) == [1]


def test_rows_that_contradict_each_other_are_named_all(tmp_path: Path) -> None:
    task = own(tmp_path, "text,label\nA cat.,b\nA dog.,a\nA  cat. ,a\nA dog.,a\n")
    train, labels = load_examples(task, "train")
    dev, _ = load_examples(task, "dev", labels)
    assert contradictions(train) == [0, 2]
    assert contradictions(dev) == []
    odd = odd_rows(train, dev)
    assert (odd.duplicates, odd.contradictions, odd.leaks) == ([2, 3], [0, 2], [1])


def test_a_pair_is_a_duplicate_only_as_a_whole() -> None:
    examples = Examples(["a", "a", "a"], ["b", "c", "b"], None, [1, 2, 3], Path("x"))
    assert duplicates(examples) == [2]


def test_cola_has_known_duplicates_and_leaks(shared_data: Path) -> None:
    task = get_task("cola", shared_data / "cola")
    train, labels = load_examples(task, "train")
    dev, _ = load_examples(task, "dev", labels)
    assert (len(train), len(dev), train.known.values.sum(), dev.known.values.sum()) == (
        8_551,
        527,
        6_023,
        365,
    )
    assert (len(duplicates(train)), len(leaks(train, dev))) == (19, 6)


def test_some_rows_of_ragged_targets_that_are_as_many_as_the_rows() -> None:
    targets = Targets(np.array([3, 5]), np.array([0, 2, 2]))
    some = targets.only([1, 0])
    assert [some.of(row).tolist() for row in range(2)] == [[], [3, 5]]
