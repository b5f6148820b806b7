"""`bertkit data check`: what a person and a program see of an audit, and its page."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertkit.cli import main
from bertkit.text.tokenizer import SPECIALS

LONG = "the committee met on tuesday to discuss the new budget for the northern schools"


@pytest.fixture
def vocabulary(tmp_path: Path) -> list[str]:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIALS, *"abcdefghijklmnopqrstuvwxyz", "the", "row"]) + "\n")
    return ["--vocab", str(path)]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Twenty rows of each label, and rows to score of which a fifth is in train and another nearly."""
    train = [f"row {number} tells of {'sun' if number % 2 else 'rain'},{number % 2}" for number in range(40)]
    train += [f"{LONG},1", f"a &amp; b {LONG} 2,0"]
    dev = ["row 3 tells of sun,1", f"{LONG} today,1", "new row,0", "other row,1", "last row,0"]
    paths = []
    for name, lines in (("train", train), ("dev", dev)):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["text,label", *lines]) + "\n")
        paths.append(str(path))
    return paths


def checked(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    main(["data", "check", *words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_program_gets_the_measures_and_the_findings(
    files: list[str], vocabulary: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked([*files, *vocabulary, "--max-length", "6"], capsys)
    assert (found["task"], found["kind"]) == ("train.csv", "classify")
    parts = found["measures"]["audit"]["parts"]
    assert (parts["train"]["rows"], parts["dev"]["rows"]) == (42, 5)
    assert parts["train"]["labels"] == {"0": 21, "1": 21}
    assert parts["dev"]["leaks"]["shown"][0]["other"] == "train, line 5"
    assert parts["dev"]["near_leaks"]["count"] == 1
    checks = {finding["check"]: finding["weight"] for finding in found["findings"]}
    assert (checks["leaks"], checks["near_leaks"], checks["truncated"]) == ("grave", "notable", "notable")
    assert "text_html" in checks
    assert found["measures"]["asked"]["max_length"] == 6


def test_a_person_gets_a_summary_that_fits(
    files: list[str],
    vocabulary: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "audit.html"
    assert main(["data", "check", "train.csv", "dev.csv", *vocabulary, "-o", str(page)]) == 3
    printed = capsys.readouterr().out
    assert "1 of 5 rows of dev (20.0%) stand in train too (lines 2)." in " ".join(printed.split())
    assert "dev: 1 of 5 stand in train, 1 nearly" in printed
    html = page.read_text("utf-8")
    assert "Rows that nearly stand in train: 1 of dev" in html
    assert "train, line 42, 92% alike" in html
    # A stranger's text is text.
    assert "a &amp;amp; b" in html
    assert main(["data", "check", "train.csv", *vocabulary, "-o", str(page)]) == 2
    assert "audit.html exists" in capsys.readouterr().err


def test_healthy_rows_exit_with_0(
    files: list[str], vocabulary: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "healthy.csv"
    letters = "abcdefghijklmnopqrstuvwxyz"
    rows = [f"{' '.join(letters[place : place + 3])},{place % 2}" for place in range(20)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    assert main(["data", "check", str(path), *vocabulary]) == 0
    assert "Nothing is wrong" in capsys.readouterr().out


def test_rows_that_cannot_be_used_are_counted_and_no_reason_to_stop(
    tmp_path: Path, vocabulary: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(
        b"text,label\na row,x\nother row,y\n,x\nno label,\ncaf\xe9 row,y\ntoo,many,cells\nlast,x\n"
    )
    found = checked([str(path), *vocabulary, "--text", "text", "--label", "label"], capsys)
    part = found["measures"]["audit"]["parts"]["train"]
    assert (part["rows"], part["left_out"]) == (3, 4)
    (left_out,) = (each["seen"] for each in found["findings"] if each["check"] == "left_out")
    assert "4 of 7 rows are left out" in left_out
    assert "the text is empty (1: line 4)" in left_out


def test_a_file_in_utf_16_and_one_without_labels(
    tmp_path: Path, vocabulary: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes("text\r\nthe row\r\nthe row\r\ngrüße\r\n".encode("utf-16"))
    found = checked([str(path), *vocabulary, "--text", "text", "--no-label"], capsys)
    part = found["measures"]["audit"]["parts"]["train"]
    assert (part["encoding"], part["rows"], part["labels"]) == ("UTF-16", 3, {})
    assert part["duplicates"]["count"] == 1
    assert found["measures"]["tokens"]["unknown_words"] == ["grüße"]


def test_tags_and_answers_are_looked_at_as_well(
    tmp_path: Path, vocabulary: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tags = tmp_path / "tags.conll"
    tags.write_text("the B-X\nrow O\nof I-X\n\nthe O\nrow O\nof O\n\nother B-X\nrow O\n")
    found = checked([str(tags), *vocabulary], capsys)
    assert found["kind"] == "tag"
    # The same words, tagged differently.
    assert found["measures"]["audit"]["parts"]["train"]["contradictions"]["count"] == 2
    (seen,) = (each["seen"] for each in found["findings"] if each["check"] == "read_otherwise")
    assert "1 tags of" in seen
    assert "I-X of 'of' in the sentence of line 1" in seen

    questions = tmp_path / "questions.jsonl"
    given = [[("row", 4)], [("of", 0)], [("row", 4), ("z", 0)]]
    rows = [
        {
            "id": str(number),
            "context": f"the row of {'abc'[number]}",
            "question": f"{'def'[number]}?",
            "answers": [{"text": text, "answer_start": start} for text, start in answers],
        }
        for number, answers in enumerate(given)
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = checked([str(questions), *vocabulary], capsys)
    (seen,) = (each["seen"] for each in found["findings"] if each["check"] == "read_otherwise")
    assert "1 answers stand elsewhere than the file says" in seen
    assert "1 answers do not stand in their texts" in seen


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing.csv"], "There is no file nothing.csv"),
        (["one.csv", "two.csv", "three.csv"], "three.csv is too much"),
        ([], "Say what to learn"),
        (["train.csv", "--model", "tiny"], "The preset 'tiny' has no vocabulary of its own"),
        (["train.csv", "--model", "tiny", "--vocab", "v.txt"], "Give either a model or a vocabulary"),
        (["train.csv", "--max-length", "2", "--vocab", "vocab.txt"], "max_length"),
        (["empty.csv"], "empty.csv has no row"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    words: list[str],
    sentence: str,
    files: list[str],
    vocabulary: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text("text,label\n")
    assert main(["data", "check", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_without_a_model_on_this_machine_no_tokens_are_counted(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bertkit.diagnose.audit.find_pretrained", lambda: None)
    found = checked(files, capsys)
    assert (found["measures"]["asked"], found["measures"]["audit"]["parts"]["train"]["tokens"]) == (None, {})
    assert found["told"][-1].startswith("no tokens are counted")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "dev", "leaks", "near"),
    [
        ("ag_news/train.csv.gz", "ag_news/dev-inside-train.csv.gz", 1_000, 7),
        ("cad_nli/dev.tsv", "snli_part/snli_1.0_dev-part1289.jsonl.gz", 25, 105),
        ("newsgroups20/train.jsonl.gz", "", 0, 104),
    ],
)
def test_real_sets(
    train: str, dev: str, leaks: int, near: int, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The leaks are those that whoever made the sets knows of."""
    files = [str(shared_data / name) for name in (train, dev) if name]
    vocab = str(shared_data / "vocab/bert-base-uncased-vocab.txt")
    parts = checked([*files, "--vocab", vocab], capsys)["measures"]["audit"]["parts"]
    assert parts["train"]["near_duplicates"]["count"] == near
    if dev:
        assert parts["dev"]["leaks"]["count"] == leaks
