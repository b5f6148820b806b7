"""A run over files: it makes the vocabulary and the shards itself, once."""

import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import bertkit
from bertkit.cli import main
from bertkit.data.shards import open_shards
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.runs.folder import CORPUS, has_begun, is_run
from bertkit.train.corpus import OwnText, check_used, with_own_text
from bertkit.train.listener import Listener
from bertkit.train.processes import ALONE

WORDS = ["the", "a", "film", "book", "song", "was", "is", "very", "quite", "long", "short", "new", "old"]
SIZES = {"layers": 1, "hidden_size": 12, "heads": 3, "feedforward_size": 20}
CHANGES: dict[str, dict[str, Any]] = {
    "vocabulary": {"size": 60, "min_frequency": 1},
    "batch": {"tokens": 150, "length": 24},
    "training": {"steps": 3, "budget": 0.0, "evaluations": 1, "precision": "fp32", "watch_every": -1},
}


def changes(*without: str) -> dict[str, dict[str, Any]]:
    options = PretrainRecipe.of("own-text").model.options
    own = {"start": "tiny", "options": {**options, **SIZES}}
    return {name: part for name, part in {**CHANGES, "model": own}.items() if name not in without}


def write_texts(folder: Path, count: int, seed: int = 1) -> Path:
    """So many files of a few lines, blank ones among them."""
    chance = random.Random(seed)
    folder.mkdir()
    for number in range(count):
        lines = [" ".join(chance.choices(WORDS, k=chance.randint(3, 9))) + "." for _ in range(5)]
        (folder / f"{number:02d}.txt").write_text("\n\n".join(lines), encoding="utf-8")
    return folder


class Keeps(Listener):
    """What was said; an interruption comes when it is told a sentence that begins so."""

    def __init__(self, stops_at: str = "\0") -> None:
        self.told_so_far: list[str] = []
        self._stops_at = stops_at

    def told(self, sentence: str) -> None:
        self.told_so_far.append(sentence)
        if sentence.startswith(self._stops_at):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Keeps]:
    """A folder of 30 files, a run over it, and what was said."""
    folder = tmp_path_factory.mktemp("own")
    texts, out, said = write_texts(folder / "texts", 30), folder / "run", Keeps()
    bertkit.pretrain(texts, out=out, changes=changes(), listener=said)
    return texts, out, said


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def test_text_becomes_a_vocabulary_and_shards_that_the_run_keeps(own: tuple[Path, Path, Keeps]) -> None:
    texts, out, said = own
    shards = open_shards(out / CORPUS)
    assert sum(entry.documents for entry in shards.entries) == 30, "a file is a document"
    assert shards.of("heldout")
    recipe = PretrainRecipe.from_toml(out / "recipe.toml")
    assert recipe.corpus.texts == (str(texts),)
    assert recipe.corpus.shards == str(out / CORPUS)
    assert recipe.objective.pairs == "none", "the recipe for own text"
    before, after = said.told_so_far[:2]
    assert before.startswith("Text: 30 files, about 0.0 million characters, one document a file; cut with")
    assert f"a vocabulary of {shards.tokenizer.size} from 30 documents" in after


def test_the_model_opens_in_transformers_with_equal_outputs(own: tuple[Path, Path, Keeps]) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(own[1] / "model").eval()
    assert type(theirs).__name__ == "ModernBertForMaskedLM"
    ours = bertkit.load(own[1], precision="fp32")
    read = transformers.AutoTokenizer.from_pretrained(own[1] / "model")
    with torch.no_grad():
        hidden = theirs.model(**read("the old book", return_tensors="pt")).last_hidden_state[0]
        masked = read("the [MASK] was old", return_tensors="pt")
        place = masked["input_ids"][0].tolist().index(read.mask_token_id)
        told = theirs(**masked).logits[0, place].softmax(-1)
    np.testing.assert_allclose(ours.embed(["the old book"], pooling="cls")[0], hidden[0], atol=1e-5)
    (filled,) = ours.fill(["the [MASK] was old"])
    assert filled["masks"][0]["candidates"][0]["probability"] == pytest.approx(float(told.max()), abs=1e-5)


@pytest.mark.parametrize("at", ["Text", "Made"])
def test_a_run_interrupted_while_its_text_is_cut_goes_on(
    at: str, own: tuple[Path, Path, Keeps], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        bertkit.pretrain(own[0], out=out, changes=changes(), listener=Keeps(at))
    assert is_run(out)
    assert not has_begun(out)
    with pytest.raises(UserError, match="continue it with --resume"):
        bertkit.pretrain(own[0], out=out, changes=changes())
    with pytest.raises(UserError, match=r"another recipe: corpus\.texts"):
        bertkit.pretrain([own[0], own[0]], out=out, changes=changes(), resume=True)
    bertkit.pretrain(own[0], out=out, changes=changes(), resume=True)
    assert all(torch.equal(one, weights(out)[name]) for name, one in weights(own[1]).items())


def test_what_is_half_made_stays_where_a_run_that_goes_on_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise UserError("no")

    monkeypatch.setattr(OwnText, "make", refuse)
    texts, out = write_texts(tmp_path / "texts", 1), tmp_path / "run"
    recipe = PretrainRecipe().with_changes({"corpus": {"texts": (str(texts),)}, "training": {"steps": 1}})
    half = out / CORPUS / "shard"
    half.mkdir(parents=True)
    for resume in (True, False):
        with pytest.raises(UserError, match="no"):
            with_own_text(recipe, out, ALONE, Listener(), resume=resume)
        assert half.exists() == resume


@pytest.mark.parametrize(
    ("given", "start", "sentence"),
    [
        ({"vocabulary": {"size": 99}, "corpus": {"shards": "s"}}, None, "vocabulary.size .* of s is cut"),
        ({"corpus": {"shards": "s", "documents": "lines"}}, None, "corpus.documents .* of s is cut"),
        ({"vocabulary": {"size": 99}, "corpus": {"texts": ("t",)}}, Path("m"), "mini is trained, and has"),
        ({"vocabulary": {"size": 99}, "corpus": {"texts": ("t",), "documents": "lines"}}, None, ""),
        ({"corpus": {"texts": ("t",), "documents": "lines"}}, Path("m"), ""),
        ({"corpus": {"shards": "s"}}, Path("m"), ""),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    given: dict[str, Any], start: Path | None, sentence: str
) -> None:
    recipe = PretrainRecipe().with_changes(given).with_changes({"model": {"start": "mini"}})
    with pytest.raises(UserError, match=sentence) if sentence else nullcontext():
        check_used(recipe, start)


def test_the_command_resumes_without_the_text_and_makes_it_again_to_overwrite(
    own: tuple[Path, Path, Keeps], tmp_path: Path
) -> None:
    texts, out = write_texts(tmp_path / "texts", 12), tmp_path / "run"
    settings = [f"--set={part}.{key}={CHANGES[part][key]}" for part in CHANGES for key in CHANGES[part]]
    settings += [f"--set=model.options.{key}={value}" for key, value in SIZES.items()]
    assert main(["pretrain", str(texts), "--model", "tiny", *settings, "-o", str(out)]) == 0
    first = open_shards(out / CORPUS).fingerprint
    (out / "result.json").unlink()
    for path in texts.iterdir():
        path.unlink()
    assert main(["pretrain", "-o", str(out), "--resume"]) == 0
    assert open_shards(out / CORPUS).fingerprint == first
    assert main(["pretrain", str(own[0]), "--model", "tiny", *settings, "-o", str(out), "--overwrite"]) == 0
    assert open_shards(out / CORPUS).fingerprint == open_shards(own[1] / CORPUS).fingerprint


def test_a_trained_model_goes_on_with_its_own_vocabulary(
    own: tuple[Path, Path, Keeps], tmp_path: Path
) -> None:
    out = tmp_path / "more"
    bertkit.pretrain(
        write_texts(tmp_path / "texts", 9, seed=2),
        model=str(own[1]),
        out=out,
        changes=changes("model", "vocabulary"),
    )
    found = [open_shards(run / CORPUS).tokenizer.fingerprint for run in (out, own[1])]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "There is no file"),
        ({"a.txt": " \n"}, "There is no word in the text"),
        ({"a.pdf": "x"}, "no file that ends in"),
    ],
)
def test_text_that_is_none_is_refused_and_leaves_nothing(
    files: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    texts, out = tmp_path / "texts", tmp_path / "run"
    for name, text in files.items():
        texts.mkdir(exist_ok=True)
        (texts / name).write_text(text)
    with pytest.raises(UserError, match=sentence):
        bertkit.pretrain(texts, out=out, changes=changes())
    assert not out.exists()
