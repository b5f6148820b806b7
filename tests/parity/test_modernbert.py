"""Agreement with transformers' ModernBERT, where all layers attend to all tokens; folders, both ways."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForMultipleChoice,
    ModernBertForQuestionAnswering,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    ModernBertModel,
)

from bertkit import finetune, load
from bertkit.checkpoint.folder import ModelFolder, read_model_folder, write_model_folder
from bertkit.checkpoint.layouts import why_only_bertkit
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch, pack
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.pretraining import MaskedHead, PairHead
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENS = [*SPECIALS, *(f"w{number}" for number in range(94))]
LENGTHS = [7, 3, 13, 7, 2, 19]
CONFIG = ModelConfig(
    vocabulary_size=99,
    layers=3,
    hidden_size=28,
    heads=7,
    feedforward_size=44,
    max_positions=23,
    norm="pre",
    positions="rotary",
    rotary_base=500.0,
    gated=True,
    biases=False,
    first_norm=False,
    segment_types=0,
    pooler=False,
    norm_eps=1e-5,
)
MODELS = {
    "plain": CONFIG,
    "with biases": replace(CONFIG, biases=True),
    "tanh": replace(CONFIG, activation="gelu_tanh", rotary_base=10_000.0),
    "relu": replace(CONFIG, activation="relu", layers=1),
}
LABELS = ("a", "b", "c")
HEADS = {
    "classify": (
        ModernBertForSequenceClassification,
        HeadConfig(labels=LABELS, pooling="mean", transform=True, dropout=0.2),
        {"labels": torch.tensor([0, 1, 2, 2, 1, 0])},
    ),
    "multilabel": (
        ModernBertForSequenceClassification,
        HeadConfig(kind="multilabel", labels=LABELS, pooling="cls", loss="sigmoid", transform=True),
        {"labels": torch.eye(3).repeat(2, 1)},
    ),
    "regress": (
        ModernBertForSequenceClassification,
        HeadConfig(kind="regress", labels=("size",), pooling="cls", loss="squared", transform=True),
        {"labels": torch.linspace(-1, 2, 6)},
    ),
    "tag": (
        ModernBertForTokenClassification,
        HeadConfig(kind="tag", labels=LABELS, pooling="none", transform=True),
        {"labels": torch.arange(54).view(6, 9) % 4},
    ),
    "answer": (
        ModernBertForQuestionAnswering,
        HeadConfig(kind="answer", pooling="none", transform=True),
        {"start_positions": torch.arange(6), "end_positions": torch.arange(6) + 5},
    ),
    "choose": (
        ModernBertForMultipleChoice,
        HeadConfig(kind="choose", pooling="mean", transform=True),
        {"labels": torch.tensor([2, 0])},
    ),
}


def randomise(*modules: torch.nn.Module) -> None:
    torch.manual_seed(0)
    for module in modules:
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.3)


def padded(batch: PackedBatch) -> dict[str, torch.Tensor]:
    shape = len(batch.lengths), max(batch.lengths)
    inputs = {name: torch.zeros(shape, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    for row, (start, end) in enumerate(pairwise(batch.cu_seqlens.tolist())):
        inputs["input_ids"][row, : end - start] = batch.ids_T[start:end]
        inputs["attention_mask"][row, : end - start] = 1
    return inputs


def tokenizer() -> Tokenizer:
    return Tokenizer.from_vocabulary(TOKENS)


def model_type(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["model_type"]


@torch.no_grad()
@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_masked_tokens(config, tmp_path, random_sequences):
    encoder, masked = Encoder(config).eval(), MaskedHead(config).eval()
    randomise(encoder, masked)
    write_model_folder(tmp_path / "ours", encoder, None, tokenizer(), {}, masked=masked)
    theirs, report = ModernBertForMaskedLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    inputs = padded(batch)
    visible = inputs["attention_mask"].bool()
    logits_TV = masked(encoder(batch), encoder.embeddings.tokens.weight)
    output = theirs.eval()(**inputs, labels=inputs["input_ids"].where(visible, -100))
    torch.testing.assert_close(logits_TV, output.logits[visible], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(F.cross_entropy(logits_TV, batch.ids_T), output.loss, atol=1e-5, rtol=0)
    assert type(AutoModelForMaskedLM.from_pretrained(tmp_path / "ours")) is ModernBertForMaskedLM

    # And back: their weights, written by them, with a second copy of the table or without.
    randomise(theirs)
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer().save(tmp_path / "theirs")
    folder = read_model_folder(tmp_path / "theirs")
    assert folder.encoder_config == config
    assert (folder.new, folder.unused, folder.head) == ((), (), None)
    logits_TV = folder.masked(folder.encoder(batch), folder.encoder.embeddings.tokens.weight)
    torch.testing.assert_close(logits_TV, theirs(**inputs).logits[visible], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_bare_encoder_and_its_tokenizer(tmp_path):
    encoder = Encoder(CONFIG).eval()
    randomise(encoder)
    write_model_folder(tmp_path / "ours", encoder, None, tokenizer(), {})
    _, report = ModernBertModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    folder = read_model_folder(tmp_path / "ours")
    assert folder.encoder_config == CONFIG
    cut = AutoTokenizer.from_pretrained(tmp_path / "ours")("w1 w22 w3", return_tensors="pt")
    ids = [folder.tokenizer.cls_id, *folder.tokenizer.encode("w1 w22 w3").ids, folder.tokenizer.sep_id]
    assert cut["input_ids"][0].tolist() == ids
    ids_T = torch.tensor(ids)
    batch = PackedBatch(ids_T, torch.zeros_like(ids_T), torch.arange(len(ids)), (len(ids),))
    hidden = AutoModel.from_pretrained(tmp_path / "ours").eval()(cut["input_ids"]).last_hidden_state[0]
    torch.testing.assert_close(folder.encoder(batch), hidden, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def check(folder: ModelFolder, theirs, batch: PackedBatch, targets: dict[str, torch.Tensor]) -> None:
    kind = folder.head_config.kind
    shape = (2, 3, 9) if kind == "choose" else (6, 9)
    mask = torch.ones(shape, dtype=torch.int64)
    output = theirs.eval()(batch.ids_T.view(shape), attention_mask=mask, **targets)
    classifier = Classifier(folder.encoder, folder.head).eval()
    logits = classifier(batch)
    if kind == "answer":
        expected = torch.stack([output.start_logits, output.end_logits], dim=-1)
        ours = torch.stack([targets["start_positions"], targets["end_positions"]], dim=1)
    else:
        expected, ours = output.logits, targets["labels"]
    torch.testing.assert_close(logits.view_as(expected), expected, atol=1e-5, rtol=1e-5)
    losses = classifier.losses(logits, ours.flatten() if kind == "tag" else ours, batch)
    torch.testing.assert_close(losses.mean(), output.loss, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize(("theirs", "head", "targets"), HEADS.values(), ids=HEADS)
def test_heads(theirs, head, targets, biases, tmp_path, random_sequences):
    config = replace(CONFIG, biases=biases)
    encoder, made = Encoder(config), ClassificationHead(head, config)
    randomise(encoder, made)
    if "labels" in targets and head.kind == "tag":
        targets = {"labels": targets["labels"].where(targets["labels"] < 3, -100)}
    batch = pack(random_sequences([9] * 6), range(6))
    write_model_folder(tmp_path / "ours", encoder, made, tokenizer(), {})
    model, report = theirs.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    folder = read_model_folder(tmp_path / "ours")
    assert (folder.encoder_config, folder.head_config) == (config, head)
    check(folder, model, batch, targets)

    randomise(model)
    model.save_pretrained(tmp_path / "theirs")
    tokenizer().save(tmp_path / "theirs")
    folder = read_model_folder(tmp_path / "theirs")
    assert (folder.encoder_config, folder.head_config) == (config, head)
    check(folder, model, batch, targets)


OTHERS = {
    "near layers": ({}, "some layers attend to near tokens alone"),
    "some biases": (
        {"layer_types": ["full_attention"] * 2, "mlp_bias": True},
        "biases everywhere or nowhere",
    ),
    "activation": (
        {"layer_types": ["full_attention"] * 2, "hidden_activation": "silu"},
        "hidden_activation is 'silu'",
    ),
    "scaled": (
        {
            "layer_types": ["full_attention"] * 2,
            "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        },
        "plain rotary positions",
    ),
}


@pytest.mark.parametrize(("options", "message"), OTHERS.values(), ids=OTHERS)
def test_what_bertkit_does_not_compute_is_refused(options, message, tmp_path):
    sizes = {"vocab_size": 99, "hidden_size": 28, "intermediate_size": 44, "num_attention_heads": 7}
    config = ModernBertConfig(**sizes, num_hidden_layers=2, pad_token_id=0, **options)
    config.save_pretrained(tmp_path)
    tokenizer().save(tmp_path)
    with pytest.raises(UserError, match=message):
        read_model_folder(tmp_path)


ONLY_OURS = {
    "first norm": ({"first_norm": True}, "first_norm True, not False"),
    "no gate": ({"gated": False}, "gated False, not True"),
    "segments": ({"segment_types": 2}, "segment_types 2, not 0"),
    "learned": ({"positions": "learned"}, "positions 'learned', not 'rotary'"),
}


@pytest.mark.parametrize(("options", "reason"), ONLY_OURS.values(), ids=ONLY_OURS)
def test_what_transformers_does_not_compute_stays_bertkits_own(options, reason, tmp_path):
    config = replace(CONFIG, **options)
    why = why_only_bertkit(config, None)
    assert why is not None
    assert reason in why
    write_model_folder(tmp_path / "ours", Encoder(config), None, tokenizer(), {})
    assert model_type(tmp_path / "ours") == "bertkit"
    assert read_model_folder(tmp_path / "ours").encoder_config == config


def test_heads_that_transformers_does_not_have():
    assert why_only_bertkit(CONFIG, None) is None
    assert "a head of pairs" in (why_only_bertkit(replace(CONFIG, pooler=True), None, pair=True) or "")
    plain = HeadConfig(labels=LABELS, pooling="mean")
    assert "a head without transform" in (why_only_bertkit(CONFIG, plain) or "")
    assert why_only_bertkit(CONFIG, replace(plain, transform=True)) is None


def test_a_pair_head_keeps_the_model_bertkits_own(tmp_path):
    config = replace(CONFIG, pooler=True)
    encoder, masked, pair = Encoder(config), MaskedHead(config), PairHead(config)
    write_model_folder(tmp_path / "ours", encoder, None, tokenizer(), {}, masked=masked, pair=pair)
    assert model_type(tmp_path / "ours") == "bertkit"
    assert read_model_folder(tmp_path / "ours").pair is not None


def test_what_is_fine_tuned_with_these_options_opens_there(tmp_path):
    rows = "sentence,label\na cat sat,good\nthe dog ran,bad\nthe cat ran,good\na dog sat,bad\n"
    for part in ("train", "dev"):
        (tmp_path / f"{part}.csv").write_text(rows)
    modern = {"norm": "pre", "positions": "rotary", "gated": True, "first_norm": False}
    modern |= {"segment_types": 0, "pooler": False, "biases": False}
    small = {"layers": 2, "hidden_size": 12, "heads": 3, "feedforward_size": 20}
    changes = {
        "task": {"train": str(tmp_path / "train.csv"), "dev": str(tmp_path / "dev.csv"), "text": "sentence"},
        "model": {"start": "tiny", "options": {**modern, **small}},
        "head": {"pooling": "mean", "transform": True},
        "vocabulary": {"size": 40},
        "batch": {"max_length": 9},
        "training": {"epochs": 1},
    }
    finetune(out=tmp_path / "run", changes=changes)
    model = load(tmp_path / "run", precision="fp32")
    path = tmp_path / "run" / "model"
    theirs, report = ModernBertForSequenceClassification.from_pretrained(path, output_loading_info=True)
    assert not any(report.values()), report
    inputs = AutoTokenizer.from_pretrained(path)("the cat sat", return_tensors="pt")
    logits = theirs.eval()(inputs["input_ids"], inputs["attention_mask"]).logits[0]
    torch.testing.assert_close(torch.from_numpy(model.outputs(["the cat sat"])[0]), logits, atol=1e-5, rtol=0)
    answer = model.predict(["the cat sat"])[0]["probabilities"]
    names = [theirs.config.id2label[index] for index in range(2)]
    assert [answer[name] for name in names] == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
