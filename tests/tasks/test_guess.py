import json
from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe
from bertkit.tasks.guess import complete

LONG = [f"a rather long text about the matter number {number}" for number in range(40)]


def table(folder: Path, columns: dict[str, list[str]], header: bool = True) -> str:
    lines = list(zip(*columns.values(), strict=True))
    rows = [tuple(columns)] * header + lines
    file = folder / "tickets.csv"
    file.write_text("".join(",".join(row) + "\n" for row in rows))
    return str(file)


def some(*cells: str) -> list[str]:
    return [cells[number % len(cells)] for number in range(40)]


IDS = [str(number) for number in range(40)]


@pytest.mark.parametrize(
    ("columns", "found", "said"),
    [
        (
            {"id": IDS, "message": LONG, "category": some("late", "broken", "fine")},
            ("message", "", "category", "classify"),
            "text = message, label = category (3 classes); others: --text, --label",
        ),
        # Names that are not usual: the cells tell.
        (
            {"nr": IDS, "was": LONG, "art": some("a", "b")},
            ("was", "", "art", "classify"),
            "text = was, label = art (2 classes); others: --text, --label",
        ),
        # Of several usual names that which says most, and of several texts one that is far longer.
        (
            {
                "title": some("x y", "y z", "z"),
                "body": LONG,
                "label": some("0", "1"),
                "score": some("3", "4"),
            },
            ("body", "", "label", "classify"),
            "text = body, label = label (2 classes; for numbers: --kind regress); others: --text, --label",
        ),
        (
            {"premise": LONG, "hypothesis": LONG[::-1], "label": some("yes", "no")},
            ("premise", "hypothesis", "label", "classify"),
            "text = premise, pair = hypothesis, label = label (2 classes); others: --text, --label",
        ),
        (
            {"text": LONG, "score": [f"{number / 8:.3f}" for number in range(40)]},
            ("text", "", "score", "regress"),
            "text = text, label = score (numbers; for classes: --kind classify); others: --text, --label",
        ),
        # Ambiguous numbers are taken for classes, and it is said.
        (
            {"text": LONG, "stars": some("1", "2", "3", "4", "5")},
            ("text", "", "stars", "classify"),
            "text = text, label = stars (5 classes; for numbers: --kind regress); others: --text, --label",
        ),
    ],
)
def test_columns_and_kind_are_guessed_and_said(
    tmp_path: Path, columns: dict[str, list[str]], found: tuple[str, ...], said: str
) -> None:
    task, told = complete(TaskRecipe(train=table(tmp_path, columns)))
    assert (task.text, task.pair, task.label, task.kind, task.header, told) == (*found, "yes", said)
    assert complete(task) == (task, "")


@pytest.mark.parametrize(
    ("columns", "label", "separator", "said"),
    [
        (
            {"text": LONG, "anger": some("0", "1"), "joy": some("1", "0", "0")},
            "anger,joy",
            ",",
            "text = text, label = anger,joy (2 columns of 0 and 1, one for each label); others: --text, "
            "--label",
        ),
        (
            {"text": LONG, "labels": some("joy|pride", "joy", "pride|anger", "anger", "")},
            "labels",
            "|",
            "text = text, label = labels (3 labels, several in a row, with '|' between them; else --kind "
            "classify); others: --text, --label",
        ),
        (
            {"text": LONG, "feels": some("joy;pride", "joy", "pride;joy")},
            "feels",
            ";",
            "text = text, label = feels (2 labels, several in a row, with ';' between them; else --kind "
            "classify); others: --text, --label",
        ),
        (
            {"text": LONG, "labels": some("[joy]", "[]", "['pride']")},
            "labels",
            ",",
            "text = text, label = labels (lists of labels); others: --text, --label",
        ),
    ],
)
def test_several_labels_of_a_row_are_guessed(
    tmp_path: Path, columns: dict[str, list[str]], label: str, separator: str, said: str
) -> None:
    task, told = complete(TaskRecipe(train=table(tmp_path, columns)))
    assert (task.text, task.label, task.kind, task.label_separator) == (
        "text",
        label,
        "multilabel",
        separator,
    )
    assert told == said
    assert complete(task) == (task, "")


def test_lists_in_json_are_guessed_and_what_separates_words_of_one_label_is_not(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"text": text, "tags": tags} for text, tags in zip(LONG, [["a", "b"], []] * 20, strict=True)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, told = complete(TaskRecipe(train=str(file)))
    assert (task.text, task.label, task.kind) == ("text", "tags", "multilabel")
    assert "label = tags (lists of labels)" in told
    file = tmp_path / "rows.tsv"
    cells = some("yes; surely", "yes; perhaps", "no")
    file.write_text(
        "text\tlabel\n" + "".join(f"{text}\t{cell}\n" for text, cell in zip(LONG, cells, strict=True))
    )
    assert complete(TaskRecipe(train=str(file)))[0].kind == "classify"


def test_columns_without_names_have_numbers(tmp_path: Path) -> None:
    file = table(tmp_path, {"t": LONG, "l": some("2", "0", "1")}, header=False)
    task, told = complete(TaskRecipe(train=file))
    assert (task.text, task.label, task.header) == ("1", "2", "no")
    assert told.startswith(
        "text = column 1, label = column 2 (3 classes; for numbers: --kind regress); others"
    )
    assert "the first line is taken for a row" in told


def test_what_is_given_stays(tmp_path: Path) -> None:
    file = table(tmp_path, {"a": LONG, "b": LONG[::-1], "c": some("0", "1"), "d": some("x", "y")})
    task, _ = complete(TaskRecipe(train=file, text="b", label="d"))
    assert (task.text, task.label, task.kind) == ("b", "d", "classify")
    task, _ = complete(TaskRecipe(train=file, text="2", label="3", header="yes", kind="regress"))
    assert (task.text, task.label, task.kind) == ("2", "3", "regress")


def test_a_number_stands_for_the_name_of_its_column(tmp_path: Path) -> None:
    columns = {"review": some("p", "q"), "comment": LONG, "x": [f"{number / 8:.3f}" for number in range(40)]}
    file = table(tmp_path, columns)
    task, _ = complete(TaskRecipe(train=file, label="1", header="yes"))
    assert (task.text, task.label, task.kind) == ("comment", "1", "classify")
    task, _ = complete(TaskRecipe(train=file, text="2", label="3", header="yes"))
    assert (task.text, task.label, task.kind) == ("2", "3", "regress")


def test_text_without_labels_is_for_pretraining(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some text.\nAnd more.\n")
    for given in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(UserError, match=rf"learn from text without labels: bertkit pretrain {given}$"):
            complete(TaskRecipe(train=str(given)))


def test_json_lines_tell_their_names(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"review": text, "sentiment": label} for text, label in zip(LONG, some("1", "0"), strict=True)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, _ = complete(TaskRecipe(train=str(file)))
    assert (task.text, task.label) == ("review", "sentiment")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"text": LONG, "team": some("a", "b"), "urgent": some("y", "n")},
            "label may be any of team, urgent",
        ),
        ({"was": LONG, "wie": LONG[::-1], "label": some("a", "b")}, "text may be any of was, wie. .*--text"),
        ({"text": [], "label": []}, "has no row with a text or a label"),
        ({"id": IDS, "text": LONG}, "label cannot be told; the columns are id, text. .*--label COLUMN"),
        (
            {"text": LONG, "label": LONG[::-1]},
            "'label' has 40 different cells in 40 rows: these are no labels",
        ),
    ],
)
def test_what_the_file_does_not_tell_is_asked(
    tmp_path: Path, columns: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        complete(TaskRecipe(train=table(tmp_path, columns)))
