"""What a person meets who gives `bertkit finetune` something odd: one sentence, and nothing written."""

import errno
import json
import os
from pathlib import Path

import pytest

from bertkit.cli import main
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.folder import usual_out

GOOD = "".join(
    f"{'good' if i % 3 else 'bad'} film number {i},{'yes' if i % 3 else 'no'}\n" for i in range(31)
)
HEADER = "text,label\n"
FAST = [
    *("--model", "tiny", "--epochs", "1", "--steps", "2", "--max-length", "24", "--vocab-size", "90"),
    *("--set", "model.options.layers=1", "--set", "vocabulary.min_frequency=1", "--precision", "fp32"),
]


def finetune(folder: Path, *more: str, train: bytes | None = None, dev: bytes | None = None) -> int:
    """Run the command on the files given, or on good ones."""
    (folder / "train.csv").write_bytes((HEADER + GOOD).encode() if train is None else train)
    (folder / "dev.csv").write_bytes((HEADER + GOOD).encode() if dev is None else dev)
    files = ["--train", str(folder / "train.csv"), "--dev", str(folder / "dev.csv")]
    return main(["finetune", *files, "-o", str(folder / "run"), *FAST, *more])


BAD_FILES = {
    "empty": (b"", "train.csv"),
    "only a header": (HEADER.encode(), "train.csv"),
    "too few columns": ((HEADER + GOOD + "lonely\n").encode(), "train.csv, line 33"),
    "too many columns": ((HEADER + GOOD + "a,b,c\n").encode(), "train.csv, line 33"),
    "one class": ((HEADER + "a film,yes\nthe film,yes\n").encode(), "two classes"),
    "no such column": (("words,label\n" + GOOD).encode(), "has no column 'words'"),
    "unreadable bytes": ((HEADER + GOOD).encode() + b"caf\xe9 bar,yes\n", "train.csv, line 33"),
    "NUL": ((HEADER + GOOD).encode() + b"a\x00b,yes\n", "train.csv, line 33"),
    "empty text": ((HEADER + GOOD + " ,yes\n").encode(), "train.csv, line 33"),
    "empty label": ((HEADER + GOOD + "a film,\n").encode(), "train.csv, line 33"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_training_file_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, sentence = BAD_FILES[name]
    assert finetune(tmp_path, train=content) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune(tmp_path, "--dev", str(tmp_path / "nowhere.csv")) == 2
    assert "nowhere.csv" in capsys.readouterr().err
    assert finetune(tmp_path, "--dev", str(tmp_path)) == 2
    assert "folder" in capsys.readouterr().err


ODD_FILES = {
    "CRLF": (HEADER + GOOD).replace("\n", "\r\n").encode(),
    "BOM": b"\xef\xbb\xbf" + (HEADER + GOOD).encode(),
    "a line of 100,000 words": (HEADER + GOOD + "word " * 100_000 + ",yes\n").encode(),
    "nothing but unknown characters": (HEADER + GOOD + "𒀀 𒀁 𒀂,yes\n").encode(),
    "emoji": (HEADER + GOOD + "🎉🎉 what a film 👩‍👩‍👧,yes\n").encode(),
    "quoted lines": (HEADER + GOOD + '"two\nlines, one text",yes\n').encode(),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_an_odd_file_is_read_right(tmp_path: Path, name: str) -> None:
    # What is learnt from is odd, and so is what is scored: both must come through.
    assert finetune(tmp_path, train=ODD_FILES[name], dev=ODD_FILES[name]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["rows"] == 31 + (name not in ("CRLF", "BOM"))
    assert result["labels"] == ["no", "yes"]


def test_json_is_all_that_standard_output_gets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune(tmp_path, "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads((tmp_path / "run" / "result.json").read_text())
    assert "31 rows" in printed.err


def test_a_person_sees_what_runs_and_what_came_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(tmp_path) == 0
    printed = capsys.readouterr().out
    for words in ("31 rows to train on", "no 35.5%, yes 64.5%", "31 rows of dev also in train", "majority"):
        assert words in " ".join(printed.split())


def test_a_model_folder_without_vocabulary_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(tmp_path) == 0
    for name in ("vocab.txt", "tokenizer.json"):
        (tmp_path / "run" / "model" / name).unlink()
    capsys.readouterr()
    files = ["--train", str(tmp_path / "train.csv"), "--dev", str(tmp_path / "dev.csv")]
    assert main(["finetune", *files, "--model", str(tmp_path / "run"), "-o", str(tmp_path / "second")]) == 2
    assert "vocab.txt" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_a_failure_not_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert finetune(tmp_path) == 1
    assert os.strerror(number) in capsys.readouterr().err


def test_a_setting_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for setting, sentence in (
        ("clip=1", "SECTION.KEY=VALUE"),
        ("optimizer.clip=1", "Did you mean 'optimiser'"),
        ("optimiser.clipp=1", "Did you mean 'clip'"),
    ):
        assert finetune(tmp_path, "--set", setting) == 2
        assert sentence in capsys.readouterr().err


def test_the_steps_to_get_cola_are_listed_where_it_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["finetune", "cola", "-o", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "cola_public_1.1.zip" in error
    assert "BERTKIT_DATA" in error


def test_a_label_may_look_like_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (HEADER + GOOD).replace(",yes", ",[/b]").replace(",no", ",[red]").encode()
    assert finetune(tmp_path, train=rows, dev=rows) == 0
    assert "[/b] 64.5%, [red] 35.5%" in capsys.readouterr().out


def test_a_place_below_a_file_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune(tmp_path, "-o", str(tmp_path / "dev.csv" / "run")) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_run_without_a_name_is_called_after_what_it_learns_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/tickets").mkdir(parents=True)
    assert usual_out(Recipe().about("a/tickets.csv.gz")) == Path("runs/tickets-2")
    assert usual_out(PretrainRecipe().about(["a/*.txt"])) == Path("runs/run")
    for words, name in (
        (["finetune", "--set", "task.name=cola", "--model", "tiny", "--epochs", "1"], "cola"),
        (["pretrain", "texts/"], "texts"),
    ):
        assert main([*words, "--resume"]) == 2
        assert f"There is no run to resume at runs/{name}." in capsys.readouterr().err
