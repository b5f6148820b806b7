"""Rows with any number of labels: every way to write them, and every way in which they can be wrong."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from bertkit.data.tables import BadRow, Columns, Row
from bertkit.errors import UserError
from bertkit.tasks.examples import Examples
from bertkit.tasks.label_sets import dense, rarest, read_label_sets, set_notes, sets_of


def read_rows(path: Path, label: str | tuple[str, ...] = "labels", **how: Any) -> list[Row | BadRow]:
    parts = {key: how.pop(key) for key in ("text", "pair", "label_separator") if key in how}
    return list(read_label_sets(path, Columns(**{"text": "text", "label": label, **parts}), **how))


def read(path: Path, label: str | tuple[str, ...] = "labels", **how: Any) -> list[tuple[str, ...] | str]:
    """The labels of each row, or what is wrong with it."""
    return [row.label if isinstance(row, Row) else row.problem for row in read_rows(path, label, **how)]


def written(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "text\tlabels\nx\tjoy, pride\ny\t\nz\tjoy,,joy\n"),
        ("a.csv", 'text,labels\nx,"joy,pride"\ny,\nz,joy\n'),
        ("bom.csv", '\ufefftext,labels\r\nx,"joy,pride"\r\ny,\r\nz,joy\r\n'),
        ("lists.csv", 'text,labels\nx,"[""joy"", ""pride""]"\ny,[]\nz,"[""joy""]"\n'),
        ("python.csv", "text,labels\nx,\"['joy', 'pride']\"\ny,[]\nz,\"['joy',]\"\n"),
        ("bare.csv", 'text,labels\nx,"[joy, pride]"\ny,\nz,[joy]\n'),
        (
            "a.jsonl",
            '{"text":"x","labels":["joy","pride"]}\n{"text":"y","labels":[]}\n{"text":"z","labels":["joy"]}',
        ),
        (
            "null.jsonl",
            '{"text":"x","labels":["joy","pride"]}\n{"text":"y","labels":null}\n{"text":"z","labels":["joy"]}',
        ),
        (
            "text.jsonl",
            '{"text":"x","labels":"joy,pride"}\n{"text":"y","labels":""}\n{"text":"z","labels":"joy"}',
        ),
        (
            "a.json",
            '[{"text":"x","labels":["joy","pride"]},{"text":"y","labels":[]},{"text":"z","labels":["joy"]}]',
        ),
    ],
)
def test_labels_are_read_however_they_are_written(tmp_path: Path, name: str, content: str) -> None:
    assert read(written(tmp_path, name, content)) == [("joy", "pride"), (), ("joy",)]


def test_labels_in_parquet_are_lists(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["x", "y", "z"], "labels": [[3, 27], [], None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [("3", "27"), (), ()]


def test_another_separator_and_a_second_text(tmp_path: Path) -> None:
    file = written(tmp_path, "a.tsv", "text\tother\tlabels\nx\ty\ta, b|c\n")
    assert read_rows(file, pair="other", label_separator="|") == [Row(2, "x", "y", ("a, b", "c"))]


@pytest.mark.parametrize("columns", [("anger", "joy"), ("2", "3"), ("2", "joy")])
def test_columns_of_0_and_1_are_labels(tmp_path: Path, columns: tuple[str, ...]) -> None:
    file = written(tmp_path, "a.csv", "text,anger,joy\nx,1,0\ny,0.0,1.0\nz,false,True\nw,0,0\n")
    assert read(file, columns) == [("anger",), ("joy",), ("joy",), ()]


def test_columns_without_names_have_numbers(tmp_path: Path) -> None:
    file = written(tmp_path, "a.tsv", "x\t1\t0\ny\t0\t1\n")
    assert read(file, ("2", "3"), text="1", header=False) == [("column_2",), ("column_3",)]


def test_rows_to_be_answered_have_no_labels(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "text,labels\nx,a\n")
    (row,) = read_label_sets(file, Columns("text"), whole=True)
    assert (row.line, row.cells) == (2, {"text": "x", "labels": "a"})
    assert isinstance(row, Row)
    assert row.label is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.jsonl",
            '{"text":"x","labels":["a"]}\n{"text":"y","labels":"a"}',
            "line 2: 'a' is not a list of labels",
        ),
        (
            "a.jsonl",
            '{"text":"x","labels":"a"}\n{"text":"y","labels":["a"]}',
            r"line 2: \['a'\] is of type list",
        ),
        ("a.jsonl", '{"text":"x","labels":{"a":1}}', "line 1: {'a': 1} is of type dict"),
        ("a.jsonl", '{"text":"x","labels":["a",null]}', "line 1: None in the list of labels is neither"),
        ("a.jsonl", '{"text":"x","labels":["a"," "]}', "line 1: ' ' in the list of labels is neither"),
        ("a.jsonl", '{"text":"x","labels":[["a"]]}', r"line 1: \['a'\] in the list of labels is neither"),
        (
            "a.jsonl",
            '{"text":"x","labels":[0,1,1]}',
            r"line 1: the list of labels \[0, 1, 1\] says 0 or 1 of each",
        ),
        ("a.jsonl", '{"text":"x"}', "line 1: there is no key 'labels'"),
        ("a.csv", "text,labels\nx,['a']\ny,a\n", "line 3: 'a' is not a list of labels"),
        # What numpy writes: Python would make one label of the two.
        ("a.csv", "text,labels\nx,['a']\ny,['a' 'b']\n", r"line 3: .* is not a list of labels"),
        ("a.csv", "text,labels\nx,['a']\ny,['\\x']\n", "line 3: .* is not a list of labels that can be read"),
        ("a.csv", "text,labels\nx\n", "line 2: too few columns"),
    ],
)
def test_a_row_that_cannot_be_used_is_told(tmp_path: Path, name: str, content: str, said: str) -> None:
    rows = read_rows(written(tmp_path, name, content))
    bad = [row for row in rows if isinstance(row, BadRow)]
    assert len(bad) == 1
    with pytest.raises(UserError, match=said):
        raise UserError(bad[0].problem)


def test_votes_are_neither_0_nor_1(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "text,insult,obscene\nx,2.0,0\ny,1,\nz,1,0\n")
    first, second, third = read(file, ("insult", "obscene"))
    assert "line 2: column 'insult' has '2.0', where a column for one label has 0 or 1" in first
    assert "line 3: column 'obscene' has ''" in second
    assert third == ("insult",)


def test_a_column_that_is_not_there_is_missed(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "text,anger,joy\nx,1,0\n")
    with pytest.raises(UserError, match="has no column 'pride'"):
        read(file, ("anger", "pride"))


def test_sets_are_numbers_in_rising_order() -> None:
    targets = sets_of([("c", "a"), (), ("b",)], ("a", "b", "c"))
    assert [targets.of(row).tolist() for row in range(3)] == [[0, 2], [], [1]]
    assert dense(targets, 3).astype(int).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert dense(targets.only([1, 2]), 3).astype(int).tolist() == [[0, 0, 0], [0, 1, 0]]


def test_rows_are_dealt_out_by_their_rarest_label() -> None:
    targets = sets_of([("a", "b"), ("a",), (), ("a", "c"), ("c",)], ("a", "b", "c"))
    assert rarest(targets).tolist() == [1, 0, -1, 2, 2]


def test_what_is_odd_about_labels_is_said() -> None:
    names = ("a", "b")
    several = Examples(
        ["x", "y", "z"], None, sets_of([("a", "b"), (), ("a",)], names), [1, 2, 3], Path("t.csv")
    )
    assert list(set_notes(several, names)) == ["t.csv: 1 of 3 rows have no label, as examples of none"]
    assert list(set_notes(several.only([2]), names)) == [
        "t.csv: no row has two labels; if a cell holds several, say --label-separator"
    ]


def test_five_thousand_labels_are_read(tmp_path: Path) -> None:
    names = [f"l{number}" for number in range(5_000)]
    body = [f"t{number}\t{name},{names[number - 1]}" for number, name in enumerate(names)]
    file = written(tmp_path, "a.tsv", "text\tlabels\n" + "\n".join(body))
    found = dense(sets_of([row.label for row in read_rows(file) if isinstance(row, Row)], names), 5_000)
    assert (found.sum(axis=0) == 2).all()
