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
