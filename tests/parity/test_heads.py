"""Agreement of every head with transformers' class of it: outputs and losses, through folders, both ways."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
)

from bertkit import load
from bertkit.checkpoint.folder import ModelFolder, read_model_folder, write_model_folder
from bertkit.config.head import HEAD_KINDS, HeadConfig
from bertkit.data.packed import PackedBatch, pack
from bertkit.errors import UserError
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.losses import IGNORED
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENS = [*SPECIALS, *(f"w{number}" for number in range(94))]
SEQUENCES, LENGTH = 6, 9
SIZES = {
    "vocab_size": 99,
    "num_hidden_layers": 2,
    "hidden_size": 28,
    "num_attention_heads": 7,
    "intermediate_size": 44,
    "max_position_embeddings": 23,
    "hidden_dropout_prob": 0.25,
    # A pad_token_id would keep that token's embedding from being trained, also where it is no pad.
    "pad_token_id": None,
}
FIVE = {i: f"class {i}" for i in range(5)}


def labels(*shape: int, most: int = 5) -> torch.Tensor:
    return torch.randint(most, shape, generator=torch.Generator().manual_seed(2))


def tags() -> torch.Tensor:
    found = labels(SEQUENCES, LENGTH)
    found[:, 0] = found[2] = IGNORED
    return found


PLACES = torch.tensor([[0, 0], [1, 3], [8, 8], [2, 99], [99, 99], [-3, 4]])
CLASSIFIER = BertForSequenceClassification
# transformers' class and options; our head; targets as transformers takes them.
HEADS = {
    "classify": (
        CLASSIFIER,
        {"id2label": FIVE, "problem_type": "single_label_classification"},
        HeadConfig(labels=tuple(FIVE.values()), dropout=0.25),
        {"labels": labels(SEQUENCES)},
    ),
    "multilabel": (
        CLASSIFIER,
        {"id2label": FIVE, "problem_type": "multi_label_classification", "classifier_dropout": 0.5},
        HeadConfig(kind="multilabel", labels=tuple(FIVE.values()), loss="sigmoid", dropout=0.5),
        {"labels": labels(SEQUENCES, 5, most=2).float()},
    ),
    "regress": (
        CLASSIFIER,
        {"num_labels": 1, "problem_type": "regression"},
        HeadConfig(kind="regress", labels=("LABEL_0",), loss="squared", dropout=0.25),
        {"labels": torch.linspace(-2, 3, SEQUENCES)},
    ),
    "regress to several numbers": (
        CLASSIFIER,
        {"num_labels": 3, "problem_type": "regression"},
        HeadConfig(kind="regress", labels=("LABEL_0", "LABEL_1", "LABEL_2"), loss="squared", dropout=0.25),
        {"labels": torch.linspace(-2, 3, 3 * SEQUENCES).view(SEQUENCES, 3)},
    ),
    "tag": (
        BertForTokenClassification,
        {"id2label": FIVE},
        HeadConfig(kind="tag", labels=tuple(FIVE.values()), pooling="none", dropout=0.25),
        {"labels": tags()},
    ),
    "answer": (
        BertForQuestionAnswering,
        {},
        HeadConfig(kind="answer", pooling="none", dropout=0.0),
        {"start_positions": PLACES[:, 0], "end_positions": PLACES[:, 1]},
    ),
    "choose": (
        BertForMultipleChoice,
        {},
        HeadConfig(kind="choose", dropout=0.25),
        {"labels": torch.tensor([2, 0])},
    ),
}


@pytest.fixture(scope="module")
def batch(random_sequences) -> PackedBatch:
    """Of one length: transformers lets the answers to questions be in the padding too."""
    return pack(random_sequences([LENGTH] * SEQUENCES), range(SEQUENCES))


def save(path: Path, model) -> Path:
    """`model` and a vocabulary, as transformers saves them."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.eval().save_pretrained(path)
    Tokenizer.from_vocabulary(TOKENS).save(path)
    return path


def inputs_of(batch: PackedBatch, kind: str) -> dict[str, torch.Tensor]:
    shape = (2, 3, LENGTH) if kind == "choose" else (SEQUENCES, LENGTH)
    return {"input_ids": batch.ids_T.view(shape), "token_type_ids": batch.segments_T.view(shape)}


@torch.no_grad()
def check(folder: ModelFolder, theirs, batch: PackedBatch, targets: dict[str, torch.Tensor]) -> None:
    kind = folder.head_config.kind
    output = theirs.eval()(**inputs_of(batch, kind), **targets)
    classifier = Classifier(folder.encoder, folder.head)
    logits = classifier(batch)
    if kind == "answer":
        expected = torch.stack([output.start_logits, output.end_logits], dim=-1)
        ours = torch.stack([targets["start_positions"], targets["end_positions"]], dim=1)
    else:
        expected, ours = output.logits, targets["labels"]
    torch.testing.assert_close(logits.view_as(expected), expected, atol=1e-5, rtol=0)
    losses = classifier.losses(logits, ours.flatten() if kind == "tag" else ours, batch)
    torch.testing.assert_close(losses.mean(), output.loss, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("theirs", "options", "head", "targets"), HEADS.values(), ids=HEADS)
def test_there_and_back(theirs, options, head, targets, tmp_path, batch):
    model = theirs(BertConfig(**SIZES, **options))
    folder = read_model_folder(save(tmp_path / "theirs", model))
    assert folder.head_config == head
    assert folder.unused == ()
    assert folder.new == (("pooler",) if HEAD_KINDS[head.kind].tokens else ())
    assert folder.assumed == ()
    check(folder, model, batch, targets)

    write_model_folder(tmp_path / "ours", folder.encoder, folder.head, folder.tokenizer, {})
    again, report = theirs.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    check(folder, again, batch, targets)
    for key in ("id2label", "problem_type"):
        assert getattr(again.config, key) == getattr(model.config, key)


@torch.no_grad()
def test_what_a_user_gets_from_python(tmp_path):
    """Texts in, numbers out, those of transformers with its own tokenizer; questions with their texts."""
    texts, pairs = ["w1 w2 w3", "w9"], ["w4 w5", "w6 w7 w8 w10"]
    for name in ("tag", "answer", "multilabel", "choose"):
        theirs, options, _, _ = HEADS[name]
        model = theirs(BertConfig(**SIZES, **options))
        path = save(tmp_path / name, model)
        found = load(path, precision="fp32").outputs(texts, pairs)
        tokenizer = BertTokenizer.from_pretrained(path)
        for text, pair, ours in zip(texts, pairs, found, strict=True):
            inputs = tokenizer(text, pair, return_tensors="pt")
            if name == "choose":
                inputs = {key: value[None] for key, value in inputs.items()}
            output = model(**inputs)
            if name == "answer":
                expected = torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1)
            else:
                expected = output.logits[0]
            np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5, rtol=0)


def test_a_head_that_cannot_predict_says_so(tmp_path):
    several = BertConfig(**SIZES, num_labels=3, problem_type="regression")
    model = load(save(tmp_path / "model", CLASSIFIER(several)))
    with pytest.raises(UserError, match=r"gives a text numbers, 3 of them, and at most 1 is used so"):
        model.predict(["w1"])
    with pytest.raises(UserError, match="but one that gives a text numbers"):
        model.fill("[MASK]")
    with pytest.raises(UserError, match=r"1 of 2 texts .* 23"):
        model.outputs(["w1", "w1 " * 40])


def test_a_question_alone_has_no_answer(tmp_path):
    model = load(save(tmp_path / "model", BertForQuestionAnswering(BertConfig(**SIZES))))
    with pytest.raises(UserError, match=r"^an answer is looked for in a text, and there is only the"):
        model.predict(["w1"])
    with pytest.raises(UserError, match="but one that finds the answer"):
        model.fill("[MASK]")


def test_a_classifier_of_old_says_what_was_assumed(tmp_path):
    path = save(tmp_path / "model", CLASSIFIER(BertConfig(**SIZES, id2label=FIVE)))
    content = json.loads((path / "config.json").read_text())
    assert content.pop("problem_type", None) is None
    (path / "config.json").write_text(json.dumps(content))
    folder = read_model_folder(path)
    assert folder.head_config.kind == "classify"
    assert folder.assumed == (
        "that the head is one that gives a text one label, for no problem_type says what its outputs are",
    )


@torch.no_grad()
def test_next_sentences(tmp_path, batch):
    theirs = BertForNextSentencePrediction(BertConfig(**SIZES))
    folder = read_model_folder(save(tmp_path / "theirs", theirs))
    write_model_folder(tmp_path / "ours", folder.encoder, None, folder.tokenizer, {}, pair=folder.pair)
    again = BertForNextSentencePrediction.from_pretrained(tmp_path / "ours").eval()
    logits = folder.pair(folder.encoder.pool(folder.encoder(batch, rows=batch.starts_B)))
    for model in (theirs, again):
        expected = model(**inputs_of(batch, "")).logits
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
def test_a_bare_encoder(activation, tmp_path, batch):
    theirs = BertModel(BertConfig(**SIZES, hidden_act=activation, type_vocab_size=3, layer_norm_eps=1e-3))
    folder = read_model_folder(save(tmp_path / "theirs", theirs))
    assert folder.head is None
    write_model_folder(tmp_path / "ours", folder.encoder, None, folder.tokenizer, {})
    again, report = BertModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    hidden_TH = folder.encoder(batch)
    pooled_BH = folder.encoder.pool(folder.encoder(batch, rows=batch.starts_B))
    for model in (theirs, again.eval()):
        output = model(**inputs_of(batch, ""))
        torch.testing.assert_close(hidden_TH, output.last_hidden_state.flatten(0, 1), atol=1e-5, rtol=0)
        torch.testing.assert_close(pooled_BH, output.pooler_output, atol=1e-5, rtol=0)


def test_heads_that_only_bertkit_computes_stay_its_own(tmp_path):
    folder = read_model_folder(save(tmp_path / "theirs", BertModel(BertConfig(**SIZES))))
    for kind, changes in (("tag", {"transform": True}), ("regress", {"pooling": "mean"})):
        config = replace(HEADS[kind][2], **changes)
        head = ClassificationHead(config, folder.encoder_config)
        write_model_folder(tmp_path / kind, folder.encoder, head, folder.tokenizer, {})
        assert json.loads((tmp_path / kind / "config.json").read_text())["model_type"] == "bertkit"
        assert read_model_folder(tmp_path / kind).head_config == config
