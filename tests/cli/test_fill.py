"""`bertkit fill`: texts in, candidates out."""

import json
from pathlib import Path

import pytest

import bertkit
from bertkit.cli import main


@pytest.fixture
def run(tiny_masked_model: Path, capfd: pytest.CaptureFixture[str]):
    """Run the command in this process; returns code, standard output and standard error."""

    def run(*arguments: object, model: object = tiny_masked_model) -> tuple[int, str, str]:
        code = main(["fill", str(model), *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def test_people_see_candidates_below_each_text(run) -> None:
    code, out, err = run("a [MASK] ran\t.", "[MASK] [MASK]", "--top", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert float(lines[1].split()[0]) >= float(lines[2].split()[0])
    assert lines[0] == "a [MASK] ran ."
    assert lines[3].startswith("  > a")
    assert [lines.index("  mask 1"), lines.index("  mask 2")] == [5, 8]
    assert len(lines) == 12


def test_json_is_what_python_gives(run, tiny_masked_model: Path) -> None:
    texts = ["a [MASK] ran .", "[MASK] [MASK]"]
    code, out, _ = run(*texts, "--json", "--top", 3)
    assert code == 0
    assert json.loads(out) == bertkit.load(tiny_masked_model).fill(texts, top=3)


def test_texts_of_files(run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a [MASK]\nthe [MASK] ran\n")
    (tmp_path / "b.jsonl").write_text('{"gap": "[MASK] sat"}\n')
    _, first, _ = run("--file", tmp_path / "a.txt", "--json")
    assert [row["text"] for row in json.loads(first)] == ["a [MASK]", "the [MASK] ran"]
    _, second, _ = run("--file", tmp_path / "b.jsonl", "--column", "gap", "--json")
    assert [row["text"] for row in json.loads(second)] == ["[MASK] sat"]


def test_texts_of_standard_input(run, standard_input) -> None:
    standard_input(b"a [MASK]\r\n[MASK]\n")
    code, out, _ = run("--json")
    assert code == 0
    assert [row["text"] for row in json.loads(out)] == ["a [MASK]", "[MASK]"]


def test_what_is_wrong_is_said_in_a_line(run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a [MASK]\na cat\n")
    wrong = {
        "Text 1 has no [MASK]: write": run("a cat"),
        f"{tmp_path / 'a.txt'}, line 2 has no [MASK]": run("--file", tmp_path / "a.txt"),
        f"is a file; to fill the texts in it say --file {tmp_path / 'a.txt'}": run(tmp_path / "a.txt"),
        "Give either texts or --file": run("[MASK]", "--file", tmp_path / "a.txt"),
        "--top must be at least 1": run("[MASK]", "--top", 0),
        "no head for masked tokens, but one that gives a text one label": run("[MASK]", model=tiny_model),
        "bertkit pretrain SHARDS --model tiny": run("[MASK]", model="tiny"),
    }
    for sentence, (code, _, err) in wrong.items():
        assert code == 2
        assert sentence in err
        assert err.count("\n") == 1
