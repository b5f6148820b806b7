import gzip
import json
from pathlib import Path

import pytest

from bertkit.cli import main
from bertkit.text.tokenizer import Tokenizer

LINES = [
    f"The {adjective} {noun} sleeps." for adjective in ("small", "old", "Grüne") for noun in ("cat", "dog")
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES * 50), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["vocab", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_vocabulary_and_its_report(text: Path, capsys) -> None:
    out = text.parent / "new" / "vocab.txt"
    code, printed, errors = run(capsys, text, "--size", 40, "-o", out, "--json")
    assert code == 0
    result = json.loads(printed)
    assert result["size"] == result["asked"] == 40
    assert (result["texts"], result["words"], result["distinct_words"]) == (300, 1500, 8)
    assert result["held_out"]["texts"] == 3
    assert result["held_out"]["words"] == 15
    assert result["held_out"]["fertility"] >= 1
    assert result["held_out"]["unknown"] == 0
    assert result["fingerprint"] == Tokenizer.from_vocabulary(out).fingerprint
    assert "40 tokens" in errors
    assert "300 texts" in errors
    assert sorted(out.parent.iterdir()) == [out.with_name("tokenizer_config.json"), out]
    assert result["alphabet"] == {"found": 16, "kept": 16, "covered": 1.0}
    assert "in lower case, accents stripped" in errors


def test_all_texts_are_learned_from_held_out_or_not(text: Path, capsys) -> None:
    text.write_text("aa\n" * 2 + "bb\n")
    out = text.with_name("vocab.txt")
    assert run(capsys, text, "--size", 40, "-o", out, "--held-out", 3, "--min-frequency", 1)[0] == 0
    assert "bb" in out.read_text().splitlines()


def test_too_few_tokens_are_spoken_of(text: Path, capsys) -> None:
    out = text.with_name("vocab.txt")
    _, printed, _ = run(capsys, text, "--size", 990, "-o", out, "--algorithm", "topdown")
    assert "fewer than the 990 asked for: the thresholds of topdown" in printed
    _, printed, _ = run(capsys, text, "--size", 990, "-o", out, "--overwrite", "--held-out", 0)
    assert "fewer than the 990 asked for: the text has no more tokens" in printed
    assert "held out    nothing" in printed


def test_why_chinese_has_too_few_tokens(text: Path, capsys) -> None:
    text.write_text("\n".join(map(chr, range(0x4E00, 0x4E00 + 1_200))) * 2, encoding="utf-8")
    out = text.with_name("vocab.txt")
    more = ["--size", 4_000, "-o", out, "--held-out", 0, "--overwrite"]
    _, printed, _ = run(capsys, text, *more)
    assert "the text has 1,200 characters, and almost every word is one of them" in " ".join(printed.split())
    _, printed, _ = run(capsys, text, *more, "--alphabet", 1_000)
    assert "has 1,200 characters and the alphabet keeps 1,000 of them, 83" in " ".join(printed.split())


def test_case_accents_and_reserved_tokens(text: Path, capsys) -> None:
    out = text.with_name("vocab.txt")
    assert run(capsys, text, "--size", 99, "-o", out)[0] == 0
    assert "grune" in out.read_text().split()
    assert run(capsys, text, "--size", 99, "-o", out, "--overwrite", "--no-strip-accents")[0] == 0
    assert "grüne" in out.read_text().split()
    reserved = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"]
    code, _, _ = run(capsys, text, "--size", 99, "-o", out, "--overwrite", "--cased", "--reserved", *reserved)
    assert code == 0
    assert out.read_text().split()[:6] == reserved
    assert "Grüne" in out.read_text().split()


def test_several_files_of_several_formats(text: Path, capsys) -> None:
    more = text.with_name("more.jsonl.gz")
    more.write_bytes(gzip.compress(b"\n".join(json.dumps({"body": line}).encode() for line in LINES)))
    out = text.with_name("vocab.txt")
    code, printed, _ = run(capsys, text, more, "--field", "body", "--size", 99, "-o", out, "--json")
    assert code == 0
    assert json.loads(printed)["texts"] == 306


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size", "0"], "size must be a number of at least 1"),
        (["--size", "99", "--reserved", "[PAD]"], "reserved tokens lack"),
        (["--size", "7"], "has no room"),
        (["--size", "99", "missing.txt"], "no file missing.txt"),
    ],
)
def test_mistakes_end_with_one_sentence(text: Path, capsys, arguments: list[str], sentence: str) -> None:
    out = text.with_name("vocab.txt")
    size, value, *rest = arguments
    files = [argument for argument in rest if argument.endswith(".txt")]
    code, _, errors = run(
        capsys,
        text,
        *files,
        "-o",
        out,
        size,
        value,
        *(argument for argument in rest if argument not in files),
    )
    assert code == 2
    assert sentence in errors
    assert errors.count("\n") == 1
    assert not out.exists()


def test_nothing_is_overwritten_unasked(text: Path, capsys) -> None:
    out = text.with_name("vocab.txt")
    out.write_text("precious")
    code, _, errors = run(capsys, text, "--size", 99, "-o", out)
    assert (code, out.read_text()) == (2, "precious")
    assert "say --overwrite" in errors
    code, _, errors = run(capsys, text, "--size", 99, "-o", text.parent)
    assert code == 2
    assert "is a folder" in errors
    (text.parent / "de.tokenizer_config.json").write_text("{}")
    code, _, errors = run(capsys, text, "--size", 99, "-o", text.with_name("de.txt"))
    assert code == 2
    assert "de.tokenizer_config.json exists" in errors


def test_text_without_a_word(text: Path, capsys) -> None:
    text.write_text("")
    code, _, errors = run(capsys, text, "--size", 99, "-o", text.with_name("vocab.txt"))
    assert code == 2
    assert "no word" in errors


def test_a_folder_is_all_its_files(text: Path, capsys) -> None:
    (text.parent / "in" / "deep").mkdir(parents=True)
    text.rename(text.parent / "in" / "deep" / "b.txt")
    (text.parent / "in" / "a.jsonl").write_text('{"text": "The cat sleeps."}\n')
    code, printed, _ = run(capsys, text.parent / "in", "--size", 40, "-o", text, "--json")
    assert code == 0
    assert json.loads(printed)["texts"] == 301
