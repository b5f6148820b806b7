"""The checkpoints of google-research/bert: names and configs both ways, and what they cannot say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bertkit.checkpoint.bundle import open_bundle, write_bundle
from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.checkpoint.google import PREFIX, from_google, is_of_training, to_google
from bertkit.checkpoint.layouts import why_only_bertkit
from bertkit.checkpoint.locate import GOOGLE, find_model, format_of
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead
from bertkit.model.pretraining import MaskedHead, PairHead
from bertkit.text.tokenizer import SPECIALS, Tokenizer

CONFIG = ModelConfig(
    vocabulary_size=12, layers=2, hidden_size=28, heads=7, feedforward_size=44, max_positions=13
)
TOKENIZER = Tokenizer.from_vocabulary(
    [*SPECIALS, "The", "cat", "sat", "##s", "on", "mat", "."], lowercase=False
)
HEAD = HeadConfig(labels=("no", "yes", "perhaps"))


def write(path: Path, config=CONFIG, head=None, masked=False, pair=False) -> dict[str, torch.Tensor]:
    """Write a random model in Google's format; its tensors, all of them random."""
    torch.manual_seed(5)
    parts = {"encoder": Encoder(config)}
    parts |= {"head": ClassificationHead(head, config)} if head else {}
    parts |= {"masked": MaskedHead(config)} if masked else {}
    parts |= {"pair": PairHead(config)} if pair else {}
    for part in parts.values():
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter)
    found = {name: parts.get(name) for name in ("encoder", "head", "masked", "pair")}
    write_model_folder(path, tokenizer=TOKENIZER, card={"task": "toy"}, format=GOOGLE, **found)
    return {f"{name}.{key}": t for name, part in parts.items() for key, t in part.state_dict().items()}


def read(path: Path) -> dict[str, torch.Tensor]:
    folder = read_model_folder(path)
    found = {name: getattr(folder, name) for name in ("encoder", "head", "masked", "pair")}
    parts = {name: part for name, part in found.items() if part is not None}
    return {f"{name}.{key}": t for name, part in parts.items() for key, t in part.state_dict().items()}


def edit(path: Path, change) -> None:
    """Change the variables of a checkpoint."""
    bundle = open_bundle(path / PREFIX)
    variables = bundle.read(bundle.entries)
    change(variables)
    write_bundle(path / PREFIX, variables)


VARIANTS = {
    "bare": {},
    "pretrained": {"masked": True, "pair": True},
    "masked": {"masked": True},
    "classifier": {"head": HEAD},
    "number": {"head": HeadConfig(kind="regress", labels=("score",), loss="squared")},
    "answers": {"head": HeadConfig(kind="answer", pooling="none", dropout=0.0, loss="softmax")},
    "relu": {"config": replace(CONFIG, activation="relu")},
    "sinusoids": {"config": replace(CONFIG, positions="sinusoidal")},
    "no pooler": {"config": replace(CONFIG, pooler=False)},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_there_and_back_bit_for_bit(options, tmp_path: Path) -> None:
    written = write(tmp_path / "model", **options)
    assert format_of(tmp_path / "model") is GOOGLE
    assert find_model(str(tmp_path / "model")) == tmp_path / "model"
    if read_model_folder(tmp_path / "model").new:  # A head that does not read the pooler does not train it.
        assert options == {"masked": True} or options["head"].kind == "answer"
        written = {name: tensor for name, tensor in written.items() if "pooler" not in name}
    back = read(tmp_path / "model")
    assert back.keys() - written.keys() <= {"encoder.pooler.weight", "encoder.pooler.bias"}
    assert all(torch.equal(back[name], tensor) for name, tensor in written.items())
    folder = read_model_folder(tmp_path / "model")
    assert folder.encoder_config == options.get("config", CONFIG)
    assert folder.head_config == options.get("head")
    assert folder.card == {"task": "toy"}
    assert folder.tokenizer.fingerprint == TOKENIZER.fingerprint
    assert folder.tokenizer.lowercase is False


def test_the_files_are_those_of_google(tmp_path: Path) -> None:
    write(tmp_path / "model", masked=True, pair=True)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"bert_config.json", "vocab.txt", "checkpoint", f"{PREFIX}.index"} < names
    config = json.loads((tmp_path / "model" / "bert_config.json").read_text())
    assert (config["hidden_act"], config["vocab_size"], config["max_position_embeddings"]) == ("gelu", 12, 13)
    entries = open_bundle(tmp_path / "model" / PREFIX).entries
    # run_pretraining.py and modeling.py: kernels are [inputs, outputs], output weights [outputs, inputs].
    assert entries["bert/encoder/layer_1/intermediate/dense/kernel"].shape == (28, 44)
    assert entries["bert/encoder/layer_0/output/dense/kernel"].shape == (44, 28)
    assert entries["cls/seq_relationship/output_weights"].shape == (2, 28)
    assert entries["cls/predictions/output_bias"].shape == (12,)
    assert entries["bert/embeddings/LayerNorm/gamma"].shape == (28,)
    assert len(entries) == 5 + 2 * 16 + 2 + 5 + 2


def test_a_classifier_without_names_gets_labels(tmp_path: Path) -> None:
    write(tmp_path / "model", head=HEAD)
    file = tmp_path / "model" / "bert_config.json"
    google = ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    content = json.loads(file.read_text())
    more = {"max_position_embeddings": 13, "type_vocab_size": 2, "directionality": "bidi"}
    file.write_text(json.dumps({key: content[key] for key in google} | more))
    for name in ("bertkit.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "model" / name).unlink()
    folder = read_model_folder(tmp_path / "model")
    assert folder.head_config == replace(HEAD, labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    assert any("head is one that gives a text one label" in sentence for sentence in folder.assumed)
    assert open_bundle(tmp_path / "model" / PREFIX).entries["output_weights"].shape == (3, 28)


def test_what_belongs_to_a_training_is_ignored_and_said(tmp_path: Path) -> None:
    written = write(tmp_path / "model")
    slots = ("adam_m", "adam_v", "AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1", "lamb_m", "Adam_1")
    table = "bert/embeddings/word_embeddings"
    more = {f"{table}/{slot}": torch.ones(12, 28) for slot in slots} | {"global_step": torch.tensor(7)}
    edit(tmp_path / "model", lambda variables: variables.update(more))
    folder = read_model_folder(tmp_path / "model")
    assert set(folder.ignored) == set(more)
    assert all(
        torch.equal(tensor, written[f"encoder.{n}"]) for n, tensor in folder.encoder.state_dict().items()
    )


def test_names_translate_both_ways() -> None:
    for name in (
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.11.attention.self.query.weight",
        "bert.encoder.layer.0.output.LayerNorm.bias",
        "bert.pooler.dense.bias",
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.seq_relationship.weight",
        "classifier.bias",
        "qa_outputs.weight",
    ):
        google, transposed = to_google(name)
        assert from_google(google) == (name, transposed)
        assert transposed == google.endswith("kernel")
    assert to_google("qa_outputs.weight") == ("cls/squad/output_weights", False)
    assert from_google("bert/encoder/layer_x/output/dense/kernel") is None
    assert not is_of_training("bert/encoder/layer_0/output/dense/kernel")
    with pytest.raises(UserError, match=r"no variable for something\.weight"):
        to_google("something.weight")


def test_several_checkpoints_are_chosen_by_their_file(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write(model)
    for file in list(model.glob(f"{PREFIX}*")):
        shutil.copy(file, model / file.name.replace("bert_model.ckpt", "model.ckpt-7"))
    edit(model, lambda variables: variables["bert/pooler/dense/bias"].fill_(3.0))
    lines = 'model_checkpoint_path: "{}"\nall_model_checkpoint_paths: "model.ckpt-0"\n'
    for path, value in (
        ("model.ckpt-7", None),
        ("/far/away/bert_model.ckpt", 3.0),
        ("C:\\x\\model.ckpt-7", None),
    ):
        (model / "checkpoint").write_text(lines.format(path))
        pooled = read_model_folder(model).encoder.pooler.bias
        assert (pooled == 3.0).all() == (value == 3.0)
    for text in (lines.format("../model.ckpt-8"), "", 'model_checkpoint_path: ""'):
        (model / "checkpoint").write_text(text)
        with pytest.raises(UserError, match=r"several checkpoints, bert_model.ckpt, model.ckpt-7"):
            read_model_folder(model)


def test_weights_of_transformers_are_read_first(tmp_path: Path, tiny_model: Path) -> None:
    write(tmp_path / "model")
    shutil.copytree(tiny_model, tmp_path / "model", dirs_exist_ok=True)
    assert format_of(tmp_path / "model") is not GOOGLE
    assert read_model_folder(tmp_path / "model").encoder_config.hidden_size == 12


def test_files_of_other_programs_hide_no_checkpoint(tmp_path: Path) -> None:
    write(tmp_path / "model")
    for name in ("training_args.bin", "adapter.safetensors"):
        (tmp_path / "model" / name).write_bytes(b"x")
    assert format_of(tmp_path / "model") is GOOGLE
    assert read_model_folder(tmp_path / "model").encoder_config == CONFIG


def remove(name: str):
    return lambda path: (path / name).unlink()


DAMAGE = {
    "no config": (remove("bert_config.json"), "no bert_config.json: copy it there"),
    "no data": (remove(f"{PREFIX}.data-00000-of-00001"), r"data-00000-of-00001 is missing, where 39 of"),
    "unknown": (
        lambda path: edit(path, lambda v: v.update({"albert/x": torch.ones(1)})),
        "no variable named albert/x",
    ),
    "object": (
        lambda path: edit(path, lambda v: v.update({"model/x/.ATTRIBUTES/VARIABLE_VALUE": torch.ones(1)})),
        "checkpoint of objects",
    ),
    "vector": (
        lambda path: edit(path, lambda v: v.update({"bert/pooler/dense/kernel": torch.ones(4)})),
        "kernel is no matrix",
    ),
    "missing": (
        lambda path: edit(path, lambda v: v.pop("bert/encoder/layer_1/output/dense/bias")),
        "encoder.layer.1.output.dense.bias is missing, as bert_config.json",
    ),
    "shape": (
        lambda path: edit(path, lambda v: v.update({"bert/pooler/dense/kernel": torch.ones(4, 5)})),
        r"shape \[5, 4\], not \[28, 28\]",
    ),
    "text": (
        lambda path: edit(path, lambda v: v.update({"bert/pooler/dense/bias": torch.arange(28)})),
        "not a 16-, 32- or 64-bit float",
    ),
    "classes": (
        lambda path: edit(path, lambda v: v.update(output_weights=torch.ones(100_001, 1))),
        "100,001 classes: it is damaged",
    ),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damage(damage, words: str, tmp_path: Path) -> None:
    write(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(UserError, match=words):
        read_model_folder(tmp_path / "model")


@pytest.mark.parametrize(
    "name",
    [
        "cls/predictions/transform/dense/kernel",
        "cls/predictions/output_bias",
        "cls/seq_relationship/output_weights",
    ],
)
def test_no_variable_of_a_head_is_missing_in_silence(name: str, tmp_path: Path) -> None:
    write(tmp_path / "model", masked=True, pair=True)
    edit(tmp_path / "model", lambda variables: variables.pop(name))
    with pytest.raises(UserError, match=f"{from_google(name)[0]} is missing"):
        read_model_folder(tmp_path / "model")


UNSAYABLE = {
    "rotary": (replace(CONFIG, positions="rotary"), None, "positions 'rotary', not 'learned'"),
    "pre-norm": (replace(CONFIG, norm="pre"), None, "norm 'pre', not 'post'"),
    "no norm": (replace(CONFIG, embedding_norm=False), None, "embedding_norm False, not True"),
    "modern": (
        replace(CONFIG, positions="rotary", norm="pre"),
        None,
        "'pre', not 'post', positions 'rotary'",
    ),
    "tags": (
        CONFIG,
        replace(HEAD, kind="tag", pooling="none"),
        "no head that is a BertForTokenClassification",
    ),
    "several": (
        CONFIG,
        replace(HEAD, kind="multilabel", loss="sigmoid"),
        "no head that is a BertForSequence",
    ),
    "mean": (CONFIG, replace(HEAD, pooling="mean"), "a head that pools, or is layered, in another way"),
    "epsilon": (replace(CONFIG, norm_eps=1e-5), None, "layer norms add 1e-12, the model's 1e-05"),
    "gelu": (replace(CONFIG, activation="gelu_tanh"), None, "one name for both gelus"),
}


@pytest.mark.parametrize(("config", "head", "words"), UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_the_format_cannot_say_is_not_written(config, head, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot say what this model is: .*{words}") as refused:
        write(tmp_path / "model", config, head)
    # Another format is offered only where it can say it.
    assert ("--to hf" in str(refused.value)) == (why_only_bertkit(config, head) is None)
    assert not list(tmp_path.iterdir())
