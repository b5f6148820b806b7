"""`bertkit inspect`: what it prints."""

import json
import shutil
from pathlib import Path

import pytest

from bertkit.cli import main


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_people_see_everything_in_lines(tiny_model: Path, capsys) -> None:
    assert main(["inspect", str(tiny_model)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["model"] == str(tiny_model)
    assert lines["labels"] == "bad, good, odd"
    assert lines["encoder"] == "2 layers of 12, 3 heads, feed-forward 20 (gelu)"
    assert lines["vocabulary"] == "17 tokens, text in lower case, accents stripped"
    assert lines["head"] == "3 classes, pooling pooler, softmax"
    assert lines["trained"] == "on toy, macro F1 0.500 [0.400, 0.600], texts up to 13 tokens"
    assert lines["files"].startswith("bertkit.json ")
    assert lines["model.safetensors"].endswith(" kB")


def test_json_is_one_object(tiny_model: Path, capsys) -> None:
    assert main(["inspect", "--json", str(tiny_model)]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["bad", "good", "odd"]


def test_a_preset(capsys) -> None:
    assert main(["inspect", "blog"]) == 0
    out = capsys.readouterr().out
    assert "preset blog, fresh weights" in out
    assert "sinusoidal positions, up to 128; post-norm" in out
    assert "none; `bertkit finetune` gives it one" in out


def test_what_a_folder_of_others_leaves_open(tiny_model: Path, tmp_path: Path, capsys) -> None:
    from safetensors.torch import load_file, save_file

    for file in tiny_model.iterdir():
        if file.name not in ("bertkit.json", "tokenizer.json", "tokenizer_config.json"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, weights)
    (tmp_path / "modules.json").write_text('[{"type": "a.Pooling", "path": "p"}]')
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert main(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "float16; read as float32" in out
    assert "lower-cased exactly if no token" in out
    assert "of a text: cls over its tokens" in out


WRONG_NOTES = [
    *({"converted": value} for value in ("x", 3, {"from": 3, "format": "hf"}, {"from": "x"}, [])),
    *({"recipe": value} for value in (3, "[[", "a=1", "model=1", "[model]\nstart=3", "[" * 9_999)),
    *({"score": value} for value in ("x", [0.5], True, 10**400, float("nan"))),
    *({"temperature": value} for value in ("x", 0, -1, True, float("inf"))),
    *({"interval": value} for value in (3, [0.1], ["a", "b"], {"a": 1})),
    *({"window": value} for value in ("x", 2.5, -1)),
    *({"max_length": value} for value in ("x", [])),
    *({key: 3} for key in ("task", "metric", "kind", "pairs")),
]


@pytest.mark.parametrize("note", WRONG_NOTES, ids=lambda note: str(note)[:40])
def test_a_note_with_wrong_values_is_refused(note: dict, copy: Path, capsys) -> None:
    edit(copy / "bertkit.json", **note)
    assert main(["inspect", str(copy)]) == 2
    said = capsys.readouterr().err
    assert f"bertkit.json: the {next(iter(note))} must be" in said
    assert len(said) < 400


def test_what_a_note_leaves_out_is_not_told(copy: Path, capsys) -> None:
    keys = ("task", "metric", "score", "interval", "max_length", "temperature", "recipe", "converted")
    edit(copy / "bertkit.json", **dict.fromkeys(keys))
    assert main(["inspect", str(copy)]) == 0
    assert "trained" not in capsys.readouterr().out


def test_texts_of_strangers_do_not_reach_the_terminal(copy: Path, capsys) -> None:
    labels = ("bad\x1b[31m", "good\nhead  none", "odd" * 99)
    edit(copy / "config.json", id2label=dict(enumerate(labels)))
    edit(copy / "bertkit.json", task="\x1b]0;x", hub={"model": "\x1b", "commit": "\n"})
    assert main(["inspect", str(copy)]) == 0
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert max(map(len, out.splitlines())) < 400
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert lines["labels"].startswith(r"'bad\x1b[31m', 'good\nhead  none', oddodd")


def test_many_labels_are_counted(copy: Path, capsys) -> None:
    edit(copy / "config.json", id2label={str(i): f"x{i}" for i in range(90_000)})
    assert main(["inspect", str(copy)]) == 2
    assert len(capsys.readouterr().err) < 400
    edit(copy / "config.json", id2label={"a": "b"} | {str(i): f"x{i}" for i in range(90_000)})
    assert main(["inspect", str(copy)]) == 2
    assert len(capsys.readouterr().err) < 400


@pytest.mark.parametrize("file", ["config.json", "bertkit.json"])
def test_what_is_no_text_is_refused(file: str, copy: Path, capsys) -> None:
    changes = {
        "config.json": {"id2label": {"0": "a", "1": "b", "2": "\ud800"}},
        "bertkit.json": {"task": "\ud800"},
    }
    edit(copy / file, **changes[file])
    for command in (["inspect", str(copy)], ["inspect", "--json", str(copy)]):
        assert main(command) == 2
        assert file in capsys.readouterr().err
    assert main(["convert", str(copy), str(copy.parent / "out"), "--to", "hf"]) == 2
