import json
from pathlib import Path

import pytest

from bertkit.cli import main
from bertkit.data import corpus, prepare
from bertkit.data.shards import open_shards
from bertkit.text.tokenizer import SPECIALS, Tokenizer

WORDS = ["the", "cat", "dog", "sat", "##s", ".", "The"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Two documents, one of them twice, beside a vocabulary."""
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, *WORDS]))
    path = tmp_path / "text.txt"
    path.write_text("The cat sat. The dogs sat.\nThe cat.\n\nA dog.\n\nA dog.\n")
    return path


def run(capsys: pytest.CaptureFixture[str], text: Path, *arguments: object) -> tuple[int, str, str]:
    options = ["--vocab", text.with_name("vocab.txt"), "-o", text.with_name("out"), "--workers", 1]
    code = main(["prepare", *map(str, [text, *options, *arguments])])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_report_for_people_and_one_for_programs(text: Path, capsys) -> None:
    code, printed, errors = run(capsys, text, "--heldout", "0%", "--json")
    assert code == 0
    result = json.loads(printed)
    assert (result["documents"], result["sentences"], result["tokens"]) == (2, 4, 15)
    assert result["samples"] == ["The cat sat .", "The cat .", "[UNK] dog ."]
    assert "7.1% of the words are [UNK]" in errors
    assert "2, of which 0 held out" in errors
    assert "1 duplicates, 0 without a word" in errors
    assert "[UNK] dog ." in errors
    code, printed, _ = run(capsys, text, "--heldout", "0", "--overwrite")
    assert code == 0
    assert "[UNK] dog ." in printed


def test_options_reach_the_shards(text: Path, capsys) -> None:
    code, _, _ = run(capsys, text, "--heldout", "0", "--cased", "--sentences", "lines")
    assert code == 0
    shards = open_shards(text.with_name("out"))
    assert not shards.tokenizer.lowercase
    assert (shards.of("train")[0].documents, shards.of("train")[0].sentences) == (2, 3)
    code, _, _ = run(capsys, text, "--heldout", "0", "--overwrite", "--documents", "lines")
    assert code == 0
    assert open_shards(text.with_name("out")).of("train")[0].documents == 3


@pytest.mark.parametrize(
    ("line", "option", "tokens"),
    [
        ("दूध और पानी है", "--no-strip-accents", "दूध और पानी है"),
        ("Über die Straße", "--cased", "Über die Straße"),
        ("东京a", "--no-split-cjk", "东京a"),
    ],
)
def test_a_vocabulary_is_read_as_it_was_learned(text: Path, capsys, line, option, tokens) -> None:
    text.write_text(f"{line}\n" * 9, encoding="utf-8")
    vocabulary = str(text.with_name("vocab.txt"))
    more = ["--size", "99", "--held-out", "0", "--overwrite"]
    assert main(["vocab", str(text), option, "-o", vocabulary, *more]) == 0
    code, printed, _ = run(capsys, text, "--heldout", "0", "--json")
    result = json.loads(printed[printed.index("{") :])
    assert (code, result["samples"], result["unknown"]) == (0, [tokens], 0)
    assert result["vowel_signs"] == 0
    assert "vowel signs" not in printed


def test_what_lower_case_loses_is_said(text: Path, capsys) -> None:
    text.write_text("दूध है\n", encoding="utf-8")
    code, printed, _ = run(capsys, text, "--heldout", "0", "--lower-case", "--strip-accents")
    assert code == 2  # for "The" of the vocabulary
    assert main(["vocab", str(text), "--size", "99", "--held-out", "0", "-o", str(text.with_name("hi"))]) == 0
    assert "2 vowel signs of the text were stripped" in capsys.readouterr().out
    text.with_name("vocab.txt").write_text("\n".join([*SPECIALS, "दध", "ह"]), encoding="utf-8")
    code, printed, _ = run(capsys, text, "--heldout", "0")
    assert code == 0
    assert "2 vowel signs of the text are lost" in printed


def test_lines_as_sentences_have_blank_lines_between_documents(text: Path, capsys) -> None:
    text.write_text("the cat\nthe dog\n")
    assert run(capsys, text, "--heldout", "0", "--sentences", "lines")[0] == 0
    assert open_shards(text.with_name("out")).of("train")[0].documents == 1


def test_the_tokenizer_of_a_model(text: Path, tiny_model: Path, capsys) -> None:
    out = text.with_name("out")
    arguments = ["prepare", text, "--model", tiny_model, "-o", out, "--workers", 1, "--heldout", 0]
    assert main(list(map(str, arguments))) == 0
    assert open_shards(out).fingerprint
    assert open_shards(out).tokenizer.vocabulary == Tokenizer.from_folder(tiny_model).vocabulary
    capsys.readouterr()
    assert main(["prepare", str(text), "--model", "tiny", "-o", str(out)]) == 2
    assert "is a preset, which has no vocabulary" in capsys.readouterr().err
    assert main(["prepare", str(text), "--model", str(tiny_model), "--cased", "-o", str(out)]) == 2
    assert "--split-cjk are for --vocab" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(text: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(corpus, "CHUNK_ROWS", 1)
    real = prepare._Preparation._take
    taken = 0

    def take(*arguments: object) -> None:
        nonlocal taken
        taken += 1
        if taken == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(prepare._Preparation, "_take", take)
    monkeypatch.setattr(prepare, "SECONDS_BETWEEN_SAVES", -1.0)
    code, printed, _ = run(capsys, text, "--heldout", "0")
    assert code == 130
    assert "is half done: the same command goes on where it was" in printed
    code, printed, _ = run(capsys, text, "--heldout", "0")
    assert code == 0
    assert "Going on after 1 documents." in printed
    assert open_shards(text.with_name("out")).of("train")[0].documents == 2


def test_a_full_disk_is_told_in_one_line(text: Path, capsys, monkeypatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bertkit.data.shards.os.fsync", full)
    code, printed, errors = run(capsys, text, "--heldout", "0")
    assert code == 1
    assert "train-00000.safetensors: No space left on device" in errors
    assert "the same command goes on" in printed


def test_problems_are_shown_and_strict_stops(text: Path, capsys) -> None:
    text.write_bytes(b"the cat\n\n\xff\n\nthe dog\n")
    code, printed, _ = run(capsys, text, "--heldout", "0")
    assert code == 0
    assert "1 places could not be read" in printed
    assert "the byte 0xff is not UTF-8" in " ".join(printed.split())
    code, _, errors = run(capsys, text, "--heldout", "0", "--overwrite", "--strict")
    assert code == 2
    assert "text.txt, line 3: the byte 0xff is not UTF-8" in errors


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--workers", "0"], "workers must be a number of at least 1"),
        (["--heldout", "120%"], "must be from 0 to below 1"),
        (["--sentences", "every 5"], "cannot be split by 'every 5'"),
        (["missing*.txt"], "No file matches"),
    ],
)
def test_mistakes_end_with_one_sentence(text: Path, capsys, options: list[str], sentence: str) -> None:
    code, _, errors = run(capsys, text, *options)
    assert code == 2
    assert sentence in errors
    assert errors.count("\n") == 1
    assert not text.with_name("out").exists()


def test_what_is_no_share(text: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        run(capsys, text, "--heldout", "some")
    assert "--heldout" in capsys.readouterr().err


def test_help_says_what_auto_does(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "0.5%" in printed
    assert "first million characters have a blank line" in printed
