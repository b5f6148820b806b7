"""`bertkit score`: sentences and minimal pairs in, scores out."""

import json
from pathlib import Path

import pytest

import bertkit
from bertkit.cli import main

PAIRS = [
    ("the cat sat .", "the cats sat .", "number"),
    ("a dog ran", "a ran dog", "order"),
    ("a dog", "a  DOG", "number"),
]


@pytest.fixture
def run(tiny_masked_model: Path, capfd: pytest.CaptureFixture[str]):
    """Run the command in this process; returns code, standard output and standard error."""

    def run(*arguments: object, model: object = tiny_masked_model) -> tuple[int, str, str]:
        code = main(["score", str(model), *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def write_pairs(path: Path, good: str = "good", bad: str = "bad") -> Path:
    rows = [{good: one, bad: other, "field": group} for one, other, group in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_sentences(run, tiny_masked_model: Path, tmp_path: Path) -> None:
    texts = ["the cat sat .", "a\u2028dog", "old horse"]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    expected = bertkit.load(tiny_masked_model).score(texts)
    code, out, err = run(tmp_path / "a.txt")
    assert code == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == [f"{each['score']:.2f}" for each in expected]
    assert [row[1] for row in rows] == [f"{each['score'] / each['tokens']:.2f}" for each in expected]
    assert rows[1][2] == "a dog"
    summary, unknown = err.splitlines()
    assert summary.startswith("3 sentences of 8 tokens: perplexity ")
    assert unknown.startswith("bertkit: 1 tokens are [UNK]")
    code, out, _ = run(tmp_path / "a.txt", "--json")
    result = json.loads(out)
    assert (result["sentences"], result["tokens"], result["unknown"]) == (3, 8, 1)
    assert result["score"] == pytest.approx(sum(each["score"] for each in expected), abs=1e-4)
    assert [row["text"] for row in result["rows"]] == texts


def test_pairs_are_known_by_their_fields(run, tmp_path: Path) -> None:
    code, out, _ = run(write_pairs(tmp_path / "pairs.jsonl"), "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["pairs"], result["ties"]) == (3, 1)
    assert "groups" not in result
    code, out, _ = run(write_pairs(tmp_path / "pairs.jsonl"), "--column", "good", "--json")
    assert json.loads(out)["sentences"] == 3


def test_pairs_in_groups_and_each_with_its_scores(run, tiny_masked_model: Path, tmp_path: Path) -> None:
    file = write_pairs(tmp_path / "blimp.jsonl", "sentence_good", "sentence_bad")
    options = ("--good", "sentence_good", "--bad", "sentence_bad", "--group", "field")
    code, out, err = run(file, *options, "-o", tmp_path / "scores.jsonl")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == ["group", "number", "order", "all", "mean"]
    assert [line[1] for line in lines[1:4]] == ["2", "1", "3"]
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    model = bertkit.load(tiny_masked_model)
    for row, (good, bad, group) in zip(rows, PAIRS, strict=True):
        assert (row["good"], row["bad"], row["field"]) == (good, bad, group)
        found = [each["score"] for each in model.score([good, bad])]
        assert [row["good_score"], row["bad_score"]] == pytest.approx(found, abs=0.1)
        assert row["points"] == (0.5 if good == "a dog" else row["good_score"] > row["bad_score"])
    share = sum(row["points"] for row in rows) / 3
    assert lines[3][2] == f"{100 * share:.2f}"
    code, _, err = run(file, *options, "-o", tmp_path / "scores.jsonl")
    assert (code, "--overwrite" in err) == (2, True)


def test_several_files_and_standard_input(run, standard_input, tmp_path: Path) -> None:
    files = [write_pairs(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    assert json.loads(run(*files, "--json")[1])["pairs"] == 6
    standard_input(b"a dog\nthe cat\n")
    assert json.loads(run("--json")[1])["sentences"] == 2


def test_what_is_wrong_is_said_in_a_line(run, tiny_model: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    (tmp_path / "empty.txt").write_text("a dog\n\x00\n")
    (tmp_path / "blank.txt").write_text("a dog\n \n")
    (tmp_path / "long.txt").write_text("cat " * 15)
    wrong = {
        "there is no key 'kind'": run(pairs, "--group", "kind"),
        "--column is for sentences": run(pairs, "--good", "good", "--column", "good"),
        "line 2: column 1 holds a NUL byte": run(tmp_path / "empty.txt"),
        "line 2 has no token that could be scored": run(tmp_path / "blank.txt"),
        "line 1 has 17 tokens with the special ones": run(tmp_path / "long.txt"),
        "There is no file": run(tmp_path / "none.jsonl"),
        "no head for masked tokens": run(pairs, model=tiny_model),
    }
    for sentence, (code, _, err) in wrong.items():
        assert code == 2
        assert sentence in err
        assert err.count("\n") == 1
