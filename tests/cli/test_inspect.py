"""`bertkit inspect`: what it prints."""

import json
from pathlib import Path

from bertkit.cli import main


def test_people_see_everything_in_lines(tiny_model: Path, capsys) -> None:
    assert main(["inspect", str(tiny_model)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["model"] == str(tiny_model)
    assert lines["labels"] == "bad, good, odd"
    assert lines["encoder"] == "2 layers of 12, 3 heads, feed-forward 20 (gelu)"
    assert lines["vocabulary"] == "17 pieces, lower case, accents stripped"
    assert lines["head"] == "3 classes, pooling pooler, softmax"
    assert lines["trained"] == "on toy, f1 0.500 [0.400, 0.600], texts up to 13 pieces"
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
    assert "lower-cased exactly if no piece" in out
    assert "of a text: cls over its pieces" in out
