"""The command: files in, a file of vectors out, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

import bertkit
from bertkit.cli import main
from bertkit.infer import embed, rows

LINES = ["the cat sat.", "a dog 🙂", "the old red dog ran on the mat on the mat", "mat"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_bytes("\r\n".join([*LINES, ""]).encode())
    return path


def test_npy_in_order_and_in_blocks(
    tiny_model: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    out = tmp_path / "v.npy"
    monkeypatch.setattr(embed, "ROWS_AT_ONCE", 3)
    options = ["--layers", "-2", "-1", "--combine", "concat", "--normalise", "--precision", "fp32"]
    assert main(["embed", str(tiny_model), str(texts), "-o", str(out), *options, "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["rows"], result["width"], result["truncated"]) == (4, 24, 0)
    assert "cut" not in printed.err
    model = bertkit.load(tiny_model, precision="fp32")
    expected = model.embed(LINES, layers=[-2, -1], combine="concat", normalise=True)
    found = np.load(out, mmap_mode="r")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    texts.write_text("the cat " * 9, encoding="utf-8")
    assert main(["embed", str(tiny_model), str(texts), "-o", str(out), "--overwrite"]) == 0
    assert "1 texts were cut to 13 tokens" in capsys.readouterr().err
    assert np.load(out).shape == (1, 12)


def test_parquet_of_texts_and_of_words(tiny_model: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    command = ["embed", str(tiny_model), str(texts), "-o", str(out), "--precision", "fp32"]
    assert main([*command, "--window", "12"]) == 0
    table = pyarrow.parquet.read_table(out).to_pydict()
    model = bertkit.load(tiny_model, precision="fp32", window=12)
    assert (table["line"], table["text"], table["error"]) == ([1, 2, 3, 4], LINES, [None] * 4)
    np.testing.assert_allclose(table["vector"], model.embed(LINES), atol=1e-5)
    assert main([*command, "--window", "12", "--pooling", "words", "--overwrite"]) == 0
    table = pyarrow.parquet.read_table(out).to_pydict()
    for row, found in enumerate(model.embed(LINES, pooling="words")):
        assert table["words"][row] == found.words
        spans = zip(table["starts"][row], table["ends"][row], strict=True)
        assert [LINES[row][start:end] for start, end in spans] == found.words
        np.testing.assert_allclose(table["vectors"][row], found.vectors, atol=1e-5)


def test_rows_that_cannot_be_read_keep_their_place(tiny_model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"t": "a cat"}\n{"t": " "}\nnot json\n{"t": "the dog"}\n')
    for name in ("v.npy", "v.parquet"):
        assert main(["embed", str(tiny_model), str(path), "--text", "t", "-o", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert "rows.jsonl, line 2: the text is empty" in said
        assert "2 of 4 rows have no vector:" in said
    assert np.isnan(np.load(tmp_path / "v.npy")).all(axis=1).tolist() == [False, True, True, False]
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet").to_pydict()
    assert [vector is None for vector in table["vector"]] == [False, True, True, False]
    assert "line 3" in table["error"][2]


def test_standard_input_of_unknown_length(tiny_model: Path, tmp_path: Path, standard_input, capsys) -> None:
    out = tmp_path / "v.npy"
    standard_input(b"the cat sat\n" * 1_234)
    assert main(["embed", str(tiny_model), "-o", str(out)]) == 0
    assert "1,234 rows of 12" in capsys.readouterr().err
    assert np.load(out).shape == (1_234, 12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["OUT", "v.csv"], "the ending tells the format"),
        (["OUT", "v.npy", "--pooling", "words"], "name it .parquet"),
        (["OUT", "nowhere/v.npy"], "There is no folder"),
        (["OUT", "there.npy"], "say --overwrite"),
        (["OUT", "v.npy", "--layers", "9"], "no layer 9"),
        (["OUT", "v.npy", "--text", "7"], "has no column 7"),
        (["OUT", "v.npy", "--window", "40"], "32 positions"),
        (["OUT", "v.npy", "--stride", "4"], "say with window how long they are"),
    ],
)
def test_mistakes(
    tiny_model: Path, texts: Path, tmp_path: Path, capsys, change: list[str], sentence: str
) -> None:
    (tmp_path / "there.npy").write_text("mine")
    _, name, *options = change
    command = ["embed", str(tiny_model), str(texts), "-o", str(tmp_path / name), *options]
    assert main(command) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.txt", "there.npy"]
    assert (tmp_path / "there.npy").read_text() == "mine"


def test_models_and_files_that_are_none(tiny_model: Path, tmp_path: Path, capsys) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    out = ["-o", str(tmp_path / "v.npy")]
    for command, sentence in (
        (["mini", str(empty)], "preset"),
        ([str(tiny_model), str(empty)], "is empty"),
        ([str(tiny_model), str(tmp_path / "no.txt")], "There is no file"),
    ):
        assert main(["embed", *command, *out]) == 2
        assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


def test_ctrl_c_leaves_no_half_file(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.npy"
    command = [sys.executable, "-m", "bertkit", "embed", str(tiny_model), "-o", str(out)]
    # Whoever runs the tests in the background may have them ignore it.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=listen)
    assert process.stdin is not None
    process.stdin.write(b"the cat sat\n" * (rows.ROWS_AT_ONCE + 5))
    process.stdin.flush()
    deadline = time.monotonic() + 120
    # The temporary file beside the target has its first block.
    while not any(path.stat().st_size > 1_000 for path in tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert list(tmp_path.iterdir()) == []
