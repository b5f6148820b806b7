"""Model folders with the heads of pretraining."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead
from bertkit.model.pretraining import MaskedHead, PairHead
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENS = [*SPECIALS, "the", "cat", "sat", "##s", "on", "mat", "."]
CONFIG = ModelConfig(
    vocabulary_size=12, layers=1, hidden_size=28, heads=7, feedforward_size=44, max_positions=13
)
OWN = replace(CONFIG, norm="pre", positions="rotary")


def write(path: Path, config: ModelConfig = CONFIG, *, masked: bool = True, pair: bool = True):
    """Returns what was written: encoder, masked head, pair head."""
    torch.manual_seed(5)
    encoder = Encoder(config)
    heads = MaskedHead(config) if masked else None, PairHead(config) if pair else None
    if masked:
        torch.nn.init.normal_(heads[0].bias)
    tokenizer = Tokenizer.from_vocabulary(TOKENS)
    write_model_folder(path, encoder, None, tokenizer, {"steps": 7}, masked=heads[0], pair=heads[1])
    return encoder, *heads


def change_weights(path: Path, change) -> None:
    tensors = load_file(path / "model.safetensors")
    change(tensors)
    save_file(tensors, path / "model.safetensors", {"format": "pt"})


HEADS = {
    (True, True): "BertForPreTraining",
    (True, False): "BertForMaskedLM",
    (False, True): "BertForNextSentencePrediction",
}


@pytest.mark.parametrize("config", [CONFIG, OWN, replace(CONFIG, positions="sinusoidal")])
@pytest.mark.parametrize(("masked", "pair"), HEADS)
def test_there_and_back(masked, pair, config, tmp_path):
    written = write(tmp_path / "model", config, masked=masked, pair=pair)
    folder = read_model_folder(tmp_path / "model")
    content = json.loads((tmp_path / "model" / "config.json").read_text())
    if config == OWN:
        assert content["model_type"] == "bertkit"
    else:
        assert content["architectures"] == [HEADS[masked, pair]]
    assert folder.encoder_config == config
    assert folder.head is None
    assert folder.card == {"steps": 7}
    # The pooler is trained by pairs alone.
    assert folder.new == (() if pair else ("pooler",))
    assert folder.unused == ()
    for before, after in zip(written, (folder.encoder, folder.masked, folder.pair), strict=True):
        assert (before is None) == (after is None)
        if before is not None:
            assert not after.training
            assert all(parameter.requires_grad for parameter in after.parameters())
            state, found = before.state_dict(), after.state_dict()
            for name in state:
                assert name.startswith("pooler") or torch.equal(found[name], state[name]), name


def test_the_head_needs_no_pooler(tmp_path):
    write(tmp_path / "model", replace(CONFIG, pooler=False), pair=False)
    assert read_model_folder(tmp_path / "model").new == ()


def test_a_classifier_has_no_other_heads(tmp_path):
    write(tmp_path / "start")
    start = read_model_folder(tmp_path / "start")
    head = ClassificationHead(HeadConfig(labels=("no", "yes")), CONFIG)
    with pytest.raises(AssertionError, match="no layout"):
        write_model_folder(tmp_path / "x", start.encoder, head, start.tokenizer, {}, masked=start.masked)
    write_model_folder(tmp_path / "tuned", start.encoder, head, start.tokenizer, {})
    tuned = read_model_folder(tmp_path / "tuned")
    assert (tuned.masked, tuned.pair) == (None, None)
    # Left over in a folder of another program, they are not used.
    change_weights(tmp_path / "tuned", lambda t: t.update({"cls.predictions.bias": torch.zeros(12)}))
    assert read_model_folder(tmp_path / "tuned").unused == ("cls.predictions.bias",)


def test_published_folders_hold_more_than_their_architecture(tmp_path):
    write(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    content = json.loads(config.read_text()) | {"architectures": ["BertForMaskedLM"]}
    config.write_text(json.dumps(content))
    folder = read_model_folder(tmp_path / "model")
    assert folder.masked is not None
    assert folder.pair is not None
    # As Google's small models are: no architecture at all.
    del content["architectures"]
    config.write_text(json.dumps(content))
    assert read_model_folder(tmp_path / "model").pair is not None


def test_second_copies_of_tied_tensors(tmp_path):
    _, masked, _ = write(tmp_path / "model")

    def tie(tensors):
        table = tensors["bert.embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = table.clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()

    change_weights(tmp_path / "model", tie)
    folder = read_model_folder(tmp_path / "model")
    assert folder.unused == ()
    assert torch.equal(folder.masked.bias, masked.bias)

    # Of a file with half of it in float16, the copy is the same table, rounded.
    half = "cls.predictions.decoder.weight"
    change_weights(tmp_path / "model", lambda t: t.update({half: t[half].half()}))
    assert read_model_folder(tmp_path / "model").masked is not None


@pytest.mark.parametrize("end", ["weight", "bias"])
def test_a_decoder_of_its_own_is_refused(end, tmp_path):
    write(tmp_path / "model")
    originals = {"weight": "bert.embeddings.word_embeddings.weight", "bias": "cls.predictions.bias"}
    name = f"cls.predictions.decoder.{end}"
    change_weights(tmp_path / "model", lambda t: t.update({name: t[originals[end]] + 1}))
    with pytest.raises(UserError, match=rf"{name}\) is a table of its own, which bertkit does not have"):
        read_model_folder(tmp_path / "model")
    # Beside a fine-tuned head it is of no use, and no harm; and no name is there that was not before.
    head = ClassificationHead(HeadConfig(labels=("no", "yes")), CONFIG)
    tokenizer = Tokenizer.from_vocabulary(TOKENS)
    write_model_folder(tmp_path / "tuned", Encoder(CONFIG), head, tokenizer, {})
    change_weights(tmp_path / "tuned", lambda t: t.update({name: torch.ones(12, 28)}))
    assert read_model_folder(tmp_path / "tuned").unused == (name,)


MODERN = replace(
    CONFIG, norm="pre", positions="rotary", gated=True, segment_types=0, first_norm=False, pooler=False
)
NAMED = {
    "bert": (
        CONFIG,
        True,
        [
            "cls.predictions.bias",
            "cls.predictions.transform.dense.weight",
            "cls.predictions.transform.LayerNorm.bias",
            "cls.seq_relationship.weight",
            "cls.seq_relationship.bias",
        ],
    ),
    "modernbert": (MODERN, False, ["head.dense.weight", "head.norm.weight", "decoder.bias"]),
    "bertkit": (OWN, True, ["masked.transform.weight", "masked.bias", "pair.output.weight"]),
}
LOST = [(config, pair, name) for config, pair, names in NAMED.values() for name in names]


@pytest.mark.parametrize(("config", "pair", "name"), LOST)
def test_no_tensor_of_a_head_is_missing_in_silence(config, pair, name, tmp_path):
    write(tmp_path / "model", config, pair=pair)
    with_it = tmp_path / "model" / "model.safetensors"
    whole = with_it.read_bytes()
    change_weights(tmp_path / "model", lambda t: t.pop(name))
    with pytest.raises(UserError, match=f"{name} is missing"):
        read_model_folder(tmp_path / "model")
    with_it.write_bytes(whole)
    change_weights(tmp_path / "model", lambda t: t.update({name.replace("e", "ee"): t.pop(name)}))
    with pytest.raises(UserError, match="missing"):
        read_model_folder(tmp_path / "model")


def test_a_name_of_no_head_is_refused(tmp_path):
    write(tmp_path / "model", masked=False, pair=False)
    change_weights(tmp_path / "model", lambda t: t.update({"cls.prediction.bias": torch.zeros(12)}))
    with pytest.raises(UserError, match=r"no part named cls\.prediction\.bias"):
        read_model_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("config", "class_name", "absent"),
    [
        (CONFIG, "BertForPreTraining", "the masked and the pair head"),
        (CONFIG, "BertForMaskedLM", "the masked head"),
        (CONFIG, "BertForNextSentencePrediction", "the pair head"),
        (MODERN, "ModernBertForMaskedLM", "the masked head"),
    ],
)
def test_a_promised_head_must_be_there(config, class_name, absent, tmp_path):
    write(tmp_path / "model", config, masked=False, pair=False)
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architectures": [class_name]}))
    with pytest.raises(UserError, match=f"no tensor of {absent} that config.json promises"):
        read_model_folder(tmp_path / "model")


WRONG = {
    "part of the head": (lambda t: t.pop("cls.predictions.bias"), "cls.predictions.bias is missing"),
    "norm": (lambda t: t.pop("cls.predictions.transform.LayerNorm.weight"), "LayerNorm.weight is missing"),
    "pair": (lambda t: t.pop("cls.seq_relationship.bias"), "cls.seq_relationship.bias is missing"),
    "pooler": (lambda t: t.pop("bert.pooler.dense.bias"), "pooler.dense.bias is missing"),
    "shape": (
        lambda t: t.update({"cls.predictions.bias": torch.zeros(13)}),
        r"cls.predictions.bias has the shape \[13\], not \[12\]",
    ),
    "not finite": (lambda t: t["cls.predictions.bias"].fill_(torch.inf), "not finite"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_damaged_heads_are_refused(change, message, tmp_path):
    write(tmp_path / "model")
    change_weights(tmp_path / "model", change)
    with pytest.raises(UserError, match=message):
        read_model_folder(tmp_path / "model")
