"""Model folders: there and back, and everything that must be refused before a model runs."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, BertModel

from bertkit.checkpoint.architectures import HEADS
from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.checkpoint.layouts import read_config, write_bert, write_own
from bertkit.config.head import HEAD_KINDS, HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.errors import UserError
from bertkit.model.encoder import ACTIVATIONS, Encoder
from bertkit.model.heads import ClassificationHead
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENS = [*SPECIALS, "the", "cat", "sat", "##s", "on", "mat", "."]
CONFIG = ModelConfig(
    vocabulary_size=12, layers=2, hidden_size=28, heads=7, feedforward_size=44, max_positions=13
)
HEAD = HeadConfig(labels=("no", "yes", "perhaps"))
SIGMOID = HeadConfig(labels=("a", "b"), pooling="cls", hidden_size=9, loss="sigmoid", dropout=0.0)


def write(path: Path, config=CONFIG, head=HEAD, card=None, **options) -> tuple[Encoder, ClassificationHead]:
    encoder = Encoder(config)
    made = None if head is None else ClassificationHead(head, config)
    write_model_folder(path, encoder, made, Tokenizer.from_vocabulary(TOKENS), card or {}, **options)
    return encoder, made


def edit(path: Path, **changes) -> None:
    """Change keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def edit_weights(path: Path, changes) -> None:
    tensors = load_file(path)
    changes(tensors)
    save_file(tensors, path, {"format": "pt"})


VARIANTS = {
    "bert": (CONFIG, HEAD, "bert"),
    "bert without head": (CONFIG, None, "bert"),
    "bert without pooler": (replace(CONFIG, pooler=False), None, "bert"),
    "bert with sinusoids": (replace(CONFIG, positions="sinusoidal", initialisation="keras"), HEAD, "bert"),
    **{
        activation: (replace(CONFIG, activation=activation, attention_dropout=0.25), HEAD, "bert")
        for activation in ACTIVATIONS
    },
    "pre-norm": (replace(CONFIG, norm="pre"), HEAD, "bertkit"),
    "gated, without biases": (
        replace(CONFIG, gated=True, biases=False, segment_types=0, initialisation="keras"),
        HEAD,
        "bertkit",
    ),
    "rotary": (replace(CONFIG, positions="rotary", rotary_base=500.0), None, "bertkit"),
    "no embedding norm": (replace(CONFIG, embedding_norm=False), HEAD, "bertkit"),
    "sigmoid": (replace(CONFIG, positions="sinusoidal", pooler=False), SIGMOID, "bertkit"),
    "mean": (CONFIG, replace(HEAD, pooling="mean"), "bertkit"),
    "layers": (
        CONFIG,
        replace(HEAD, pooling="max", layers=(-3, 1, -1), combine="concat", hidden_size=9),
        "bertkit",
    ),
}


@pytest.mark.parametrize(("config", "head", "kind"), VARIANTS.values(), ids=VARIANTS)
def test_there_and_back(config, head, kind, tmp_path):
    torch.manual_seed(3)
    encoder, made = write(tmp_path / "model", config, head, {"task": "toy", "score": 0.5})
    folder = read_model_folder(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == kind
    assert folder.encoder_config == config
    assert folder.head_config == head
    assert folder.card == {"task": "toy", "score": 0.5}
    assert folder.new == folder.unused == ()
    assert folder.tokenizer.vocabulary == TOKENS
    for before, after in ((encoder, folder.encoder), (made, folder.head)):
        if before is not None:
            assert not after.training
            torch.testing.assert_close(after.state_dict(), before.state_dict(), atol=0, rtol=0)
            assert all(parameter.requires_grad for parameter in after.parameters())


def test_folders_from_before_heads_had_kinds_are_read(tmp_path):
    model, head = replace(CONFIG, norm="pre"), replace(HEAD, pooling="mean", dropout=0.3)
    write(tmp_path / "model", model, head)
    content = json.loads((tmp_path / "model" / "config.json").read_text())
    known = {"labels", "pooling", "hidden_size", "loss", "dropout"}
    content["head"] = {key: value for key, value in content["head"].items() if key in known}
    for key in ("gated", "biases", "first_norm"):
        del content["model"][key]
    (tmp_path / "model" / "config.json").write_text(json.dumps(content))
    folder = read_model_folder(tmp_path / "model")
    assert (folder.encoder_config, folder.head_config) == (model, head)


def test_every_kind_of_head_has_a_class_of_transformers():
    assert HEADS.keys() == HEAD_KINDS.keys()


def test_options_change_what_was_written(tmp_path):
    write(tmp_path / "model", replace(CONFIG, attention_dropout=0.1))
    folder = read_model_folder(tmp_path / "model", options={"attention_dropout": 0.0, "hidden_dropout": 0.2})
    assert folder.encoder_config == replace(CONFIG, hidden_dropout=0.2)
    assert folder.encoder.blocks[1].attention.dropout == 0.0


@torch.no_grad()
def test_transformers_opens_sinusoids_and_refuses_what_it_cannot_compute(tmp_path, random_sequences):
    encoder, _ = write(tmp_path / "sinusoids", replace(CONFIG, positions="sinusoidal"), None)
    sequences = random_sequences([9], vocabulary=12)
    batch = pack(sequences, [0])
    theirs = BertModel.from_pretrained(tmp_path / "sinusoids").eval()
    output = theirs(batch.ids_T[None], token_type_ids=batch.segments_T[None]).last_hidden_state[0]
    torch.testing.assert_close(encoder.eval()(batch), output, atol=1e-5, rtol=0)
    write(tmp_path / "pre", replace(CONFIG, norm="pre"))
    with pytest.raises(ValueError, match="bertkit"):
        AutoConfig.from_pretrained(tmp_path / "pre")


def test_half_precision_weights_become_float32(tmp_path):
    encoder, _ = write(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        tensors = {name: tensor.to(dtype) for name, tensor in load_file(weights).items()}
        save_file(tensors, weights, {"format": "pt"})
        folder = read_model_folder(tmp_path / "model")
        read = folder.encoder
        assert folder.stored == (str(dtype).removeprefix("torch."),)
        assert {tensor.dtype for tensor in read.state_dict().values()} == {torch.float32}
        torch.testing.assert_close(read.state_dict(), encoder.state_dict(), atol=1e-3, rtol=0)


def test_a_missing_pooler_is_made_and_said(tmp_path):
    write(tmp_path / "model", head=None)

    def change(tensors):
        del tensors["pooler.dense.weight"], tensors["pooler.dense.bias"]
        tensors["embeddings.position_ids"] = torch.arange(13)

    edit_weights(tmp_path / "model" / "model.safetensors", change)
    folder = read_model_folder(tmp_path / "model")
    assert folder.new == ("pooler",)
    assert folder.unused == ("embeddings.position_ids",)
    assert 0.02 < folder.encoder.pooler.weight.abs().max() <= 0.04
    assert not folder.encoder.pooler.bias.any()


def test_a_folder_of_transformers_has_no_card(tmp_path):
    write(tmp_path / "model", head=None)
    (tmp_path / "model" / "bertkit.json").unlink()
    assert read_model_folder(tmp_path / "model").card == {}


WRONG_CONFIGS = {
    "other kind": ({"model_type": "roberta"}, "model_type is 'roberta'"),
    "no kind": ({"model_type": None, "type_vocab_size": None}, "model_type is None"),
    "positions": ({"position_embedding_type": "relative_key"}, "'relative_key'; only 'absolute'"),
    "decoder": ({"is_decoder": True}, "decoder"),
    "activation": ({"hidden_act": "silu"}, "hidden_act 'silu'"),
    "no text": ({"hidden_size": "28"}, "hidden_size must be a number"),
    "no whole number": ({"num_hidden_layers": 2.5}, "layers must be a whole number"),
    "heads": ({"num_attention_heads": 5}, "not a multiple of heads 5"),
    "epsilon": ({"layer_norm_eps": "small"}, "norm_eps must be a number"),
    "layers": (
        {"num_hidden_layers": 3},
        r"encoder.layer.2.attention.self.query.weight, .* and 11 more are missing",
    ),
    "fewer layers": ({"num_hidden_layers": 1}, "no part named bert.encoder.layer.1"),
    "width": ({"intermediate_size": 45}, r"shape \[44, 28\], not \[45, 28\]"),
    "vocabulary": ({"vocab_size": 13}, r"12 tokens and the model 13: .* 1 tokens were added and their file"),
    "fewer rows": ({"vocab_size": 11}, "has 12 tokens and the model 11: it is another model's"),
    "other head": ({"architectures": ["BertForRanking"]}, r"architectures is \['BertForRanking'\]; bertkit"),
    "other problem": ({"problem_type": "ranking"}, "problem_type is 'ranking'"),
    "a head on tokens": (
        {"architectures": ["BertForQuestionAnswering"]},
        "qa_outputs.weight, .* are missing",
    ),
    "count": ({"id2label": None, "num_labels": -1}, "num_labels must be a whole number"),
    "one label": ({"id2label": {"0": "a"}, "label2id": None}, "at least two labels"),
    "labels": ({"id2label": {"0": "a", "2": "b"}}, "id2label must name the classes"),
    "more labels": ({"id2label": {"0": "a", "1": "b"}}, r"classifier.weight has the shape \[3, 28\]"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_CONFIGS.values(), ids=WRONG_CONFIGS)
def test_wrong_configs_are_refused(changes, message, tmp_path):
    write(tmp_path / "model")
    edit(tmp_path / "model" / "config.json", **changes)
    with pytest.raises(UserError, match=message) as caught:
        read_model_folder(tmp_path / "model")
    assert str(tmp_path / "model") in str(caught.value)
    assert "\n" not in str(caught.value)


OWN_CONFIGS = {
    "no model": ({"model": None}, "'model' must be an object"),
    "unknown option": ({"model": {"layer": 2}}, "'layer' is not known. Did you mean 'layers'"),
    "wrong option": ({"model": {"norm": "middle"}}, "norm cannot be 'middle'"),
    "wrong head": ({"head": {"labels": ["a", "b"], "loss": "hinge"}}, "loss cannot be 'hinge'"),
    "no labels": ({"head": {}}, "labels must be a list"),
    "a text for labels": ({"head": {"labels": "ab"}}, "labels must be a list"),
    "one label": ({"head": {"labels": ["a"]}}, "at least two labels"),
    "no pooler": (
        {"model": {"vocabulary_size": 12, "pooler": False}, "head": {"labels": ["a", "b"]}},
        r"config.json: head: the model has no pooler",
    ),
    "no such layer": (
        {"head": {"labels": ["a", "b"], "pooling": "cls", "layers": [9]}},
        r"config.json: There is no layer 9",
    ),
    "a label twice": ({"head": {"labels": ["a", "b", "a"]}}, "a label stands twice"),
}


@pytest.mark.parametrize(("changes", "message"), OWN_CONFIGS.values(), ids=OWN_CONFIGS)
def test_wrong_configs_of_our_own_are_refused(changes, message, tmp_path):
    write(tmp_path / "model", replace(CONFIG, norm="pre"))
    edit(tmp_path / "model" / "config.json", **changes)
    with pytest.raises(UserError, match=message):
        read_model_folder(tmp_path / "model")


@pytest.mark.parametrize("head", [None, replace(SIGMOID, layers=(-1, -2), combine="concat")])
def test_a_config_of_our_own_is_what_its_file_gives_back(head):
    content = write_own(CONFIG, head)
    assert json.loads(json.dumps(content)) == content
    assert read_config(content, {}) == (CONFIG, head)


def test_no_value_of_a_config_makes_reading_fail_otherwise():
    odd = [None, True, -1, 0, 2.5, "x", "", [], [1], {}, {"0": 1, "1": []}, [None], float("nan")]
    contents = [write_bert(CONFIG, HEAD, Tokenizer.from_vocabulary(TOKENS)), write_own(CONFIG, SIGMOID)]
    contents += [{**contents[1], part: {**contents[1][part]}} for part in ("model", "head")]
    refused = 0
    for content, part in zip(contents, (None, None, "model", "head"), strict=True):
        inner = content if part is None else content[part]
        for key, value in product(inner, odd):
            changed = {**inner, key: value}
            try:
                read_config(changed if part is None else {**content, part: changed}, {})
            except UserError:
                refused += 1
    assert refused > 300


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no model folder: it has no config.json"):
        read_model_folder(tmp_path)
    write(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("[]")
    with pytest.raises(UserError, match="no JSON object"):
        read_model_folder(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "be')
    with pytest.raises(UserError, match=r"config.json is not JSON"):
        read_model_folder(tmp_path / "model")
    with pytest.raises(UserError, match="is a file; a model is a folder"):
        read_model_folder(tmp_path / "model" / "config.json")


def test_a_folder_without_vocabulary_is_refused(tmp_path):
    write(tmp_path / "model")
    (tmp_path / "model" / "vocab.txt").unlink()
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="without its vocabulary"):
        read_model_folder(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "config.json", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_told(name, tmp_path):
    write(tmp_path / "model")
    if name == "pytorch_model.bin":
        (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / name).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    with pytest.raises(UserError, match=f"{name} is a Git LFS pointer, not the file: run `git lfs pull`"):
        read_model_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tf_model.h5", r"no model.safetensors. tf_model.h5 is TensorFlow weights of .*from_tf=True"),
        ("flax_model.msgpack", "from_flax=True"),
        ("onnx/model.onnx", "onnx/model.onnx is an ONNX graph"),
        ("readme.md", "Copy it there from where the model was trained"),
    ],
)
def test_weights_of_other_programs_are_named(name, sentence, tmp_path):
    write(tmp_path / "model")
    (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / name)
    with pytest.raises(UserError, match=sentence):
        read_model_folder(tmp_path / "model")


def test_another_vocabulary_of_the_same_size_is_refused(tmp_path):
    write(tmp_path / "model")
    Tokenizer.from_vocabulary([*TOKENS[:-1], "!"]).save(tmp_path / "model")
    with pytest.raises(UserError, match="not the one the model was trained with"):
        read_model_folder(tmp_path / "model")


def test_a_card_of_the_future_is_refused(tmp_path):
    write(tmp_path / "model")
    edit(tmp_path / "model" / "bertkit.json", format=2, bertkit="7.0")
    with pytest.raises(UserError, match=r"format 2 .* install bertkit 7.0"):
        read_model_folder(tmp_path / "model")


def test_damaged_weights_are_refused(tmp_path):
    write(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (b"", whole[:7], whole[:99], whole[: len(whole) // 2], whole[:-1], b"\xff" * 999):
        weights.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged or cut short"):
            read_model_folder(tmp_path / "model")
    weights.write_bytes(whole[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(UserError, match="not finite"):
        read_model_folder(tmp_path / "model")
    weights.unlink()
    with pytest.raises(UserError, match=r"has no model.safetensors"):
        read_model_folder(tmp_path / "model")


WRONG_WEIGHTS = {
    "missing": (lambda t: t.pop("bert.embeddings.LayerNorm.bias"), "LayerNorm.bias is missing"),
    "no pooler for a head": (lambda t: t.pop("bert.pooler.dense.weight"), "pooler.dense.weight is missing"),
    "integers": (lambda t: t.update({"classifier.bias": torch.arange(3)}), "type torch.int64"),
    "transposed": (
        lambda t: t.update({"bert.encoder.layer.0.output.dense.weight": torch.zeros(44, 28)}),
        r"shape \[44, 28\], not \[28, 44\]",
    ),
    "scalar": (lambda t: t.update({"classifier.bias": torch.tensor(1.0)}), r"shape \[\], not \[3\]"),
    "stranger": (lambda t: t.update({"qa_outputs.bias": torch.zeros(2)}), "no part named qa_outputs.bias"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_wrong_weights_are_refused(change, message, tmp_path):
    write(tmp_path / "model")
    edit_weights(tmp_path / "model" / "model.safetensors", change)
    with pytest.raises(UserError, match=message):
        read_model_folder(tmp_path / "model")


def test_trained_sinusoids_are_refused(tmp_path):
    write(tmp_path / "model", replace(CONFIG, positions="sinusoidal"))
    edit_weights(
        tmp_path / "model" / "model.safetensors",
        lambda tensors: tensors["bert.embeddings.position_embeddings.weight"].add_(0.1),
    )
    with pytest.raises(UserError, match="not the sinusoids"):
        read_model_folder(tmp_path / "model")


def test_nothing_is_overwritten_unasked(tmp_path):
    first, _ = write(tmp_path / "model")
    with pytest.raises(UserError, match="--overwrite"):
        write(tmp_path / "model")
    assert torch.equal(read_model_folder(tmp_path / "model").encoder.pooler.weight, first.pooler.weight)
    second, _ = write(tmp_path / "model", overwrite=True)
    assert torch.equal(read_model_folder(tmp_path / "model").encoder.pooler.weight, second.pooler.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_reading_imports_no_compiler():
    """The meta device, used to lay a model out, must not pull in seconds of PyTorch's own imports."""
    program = """
import sys, torch
from bertkit.config.model import ModelConfig
from bertkit.model.encoder import Encoder
with torch.device("meta"):
    Encoder(ModelConfig())
print("sympy" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


MODERN = ModelConfig(
    vocabulary_size=12, layers=1, hidden_size=28, heads=7, feedforward_size=44, max_positions=13,
    norm="pre", positions="rotary", gated=True, segment_types=0, first_norm=False, pooler=False,
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        *({"architectures": value} for value in ([[]], [{}], {}, "x", [None], 3)),
        *({"classifier_pooling": value} for value in ("pooler", "max", "none", [], 3, None)),
    ],
)
def test_wrong_configs_of_modernbert_are_refused(changes, tmp_path):
    write(tmp_path / "model", MODERN, HeadConfig(labels=("no", "yes"), pooling="mean", transform=True))
    content = json.loads((tmp_path / "model" / "config.json").read_text())
    assert content["model_type"] == "modernbert"
    (tmp_path / "model" / "config.json").write_text(json.dumps(content | changes))
    if changes == {"architectures": {}}:  # as where there are none: a bare encoder
        with pytest.raises(UserError, match=r"decoder\.bias is missing"):
            read_model_folder(tmp_path / "model")
    else:
        with pytest.raises(UserError, match=rf"config.json: {next(iter(changes))} is"):
            read_model_folder(tmp_path / "model")
