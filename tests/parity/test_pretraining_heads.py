"""Agreement of the heads of pretraining with transformers', through folders, both ways."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import BertForMaskedLM, BertForPreTraining

from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model.encoder import Encoder
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer, PretrainingBatch
from bertkit.text.tokenizer import SPECIALS, Tokenizer

LENGTHS = [7, 3, 13, 7, 2, 19]
CONFIG = ModelConfig(
    vocabulary_size=99,
    layers=2,
    hidden_size=28,
    heads=7,
    feedforward_size=44,
    max_positions=23,
    hidden_dropout=0.0,
)


def batch_of(random_sequences) -> PretrainingBatch:
    inputs = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    random = torch.Generator().manual_seed(1)
    masked_M = torch.randperm(len(inputs.ids_T), generator=random)[:11].sort().values
    targets_M = torch.randint(99, [11], generator=random)
    return PretrainingBatch(inputs, masked_M, targets_M, torch.tensor([0, 1, 1, 0, 1, 0]))


def padded(batch: PretrainingBatch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What transformers takes, and its labels [B, S], -100 where there is nothing to restore."""
    rows, width = len(LENGTHS), max(LENGTHS)
    # The padding token's own embedding has no gradient in transformers: it is no token of the batch's.
    inputs = {name: torch.zeros(rows, width, dtype=torch.int64) for name in ("ids", "segments", "mask")}
    labels = torch.full((rows, width), -100)
    labels_T = torch.full_like(batch.inputs.ids_T, -100)
    labels_T[batch.masked_M] = batch.targets_M
    for row, (start, end) in enumerate(pairwise(batch.inputs.cu_seqlens.tolist())):
        inputs["ids"][row, : end - start] = batch.inputs.ids_T[start:end]
        inputs["segments"][row, : end - start] = batch.inputs.segments_T[start:end]
        inputs["mask"][row, : end - start] = 1
        labels[row, : end - start] = labels_T[start:end]
    names = {"input_ids": "ids", "token_type_ids": "segments", "attention_mask": "mask"}
    return {theirs: inputs[ours] for theirs, ours in names.items()}, labels


def written(path: Path, *, pair: bool) -> Pretrainer:
    torch.manual_seed(0)
    model = Pretrainer(Encoder(CONFIG), MaskedHead(CONFIG), PairHead(CONFIG) if pair else None)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *(f"w{number}" for number in range(94))])
    write_model_folder(path, model.encoder, None, tokenizer, {}, masked=model.masked, pair=model.pair)
    return model.eval()


def check(ours: Pretrainer, theirs, batch: PretrainingBatch) -> None:
    """Equal logits and losses."""
    inputs, labels = padded(batch)
    pairs = {} if ours.pair is None else {"next_sentence_label": batch.pairs_B}
    output = theirs.eval()(**inputs, labels=labels, **pairs)
    logits = output.logits if ours.pair is None else output.prediction_logits
    logits_MV, pairs_B2 = ours(batch)
    torch.testing.assert_close(logits_MV, logits[labels != -100], atol=1e-5, rtol=0)
    loss = F.cross_entropy(logits_MV, batch.targets_M)
    if pairs_B2 is not None:
        torch.testing.assert_close(pairs_B2, output.seq_relationship_logits, atol=1e-5, rtol=0)
        loss = loss + F.cross_entropy(pairs_B2, batch.pairs_B)
    torch.testing.assert_close(loss, output.loss, atol=1e-5, rtol=0)


@pytest.mark.parametrize("theirs", [BertForPreTraining, BertForMaskedLM])
def test_transformers_opens_our_folder(theirs, tmp_path, random_sequences):
    ours = written(tmp_path / "model", pair=theirs is BertForPreTraining)
    loaded, report = theirs.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report.values()), report
    check(ours, loaded, batch_of(random_sequences))


@pytest.mark.parametrize("kind", [BertForPreTraining, BertForMaskedLM])
def test_we_open_transformers_folder(kind, tmp_path, random_sequences):
    written(tmp_path / "start", pair=True)
    theirs = kind.from_pretrained(tmp_path / "start")
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    theirs.save_pretrained(tmp_path / "theirs")
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "theirs" / name).write_bytes((tmp_path / "start" / name).read_bytes())
    folder = read_model_folder(tmp_path / "theirs", options={"hidden_dropout": 0.0})
    assert folder.unused == ()
    assert folder.new == (() if kind is BertForPreTraining else ("pooler",))
    check(Pretrainer(folder.encoder, folder.masked, folder.pair), theirs, batch_of(random_sequences))


def test_gradients(tmp_path, random_sequences):
    ours = written(tmp_path / "model", pair=True)
    theirs = BertForPreTraining.from_pretrained(tmp_path / "model").eval()
    batch = batch_of(random_sequences)
    inputs, labels = padded(batch)
    theirs(**inputs, labels=labels, next_sentence_label=batch.pairs_B).loss.backward()
    logits_MV, pairs_B2 = ours(batch)
    (F.cross_entropy(logits_MV, batch.targets_M) + F.cross_entropy(pairs_B2, batch.pairs_B)).backward()
    table = theirs.bert.embeddings.word_embeddings.weight.grad
    # transformers keeps the input of the padding token, 0, from its gradient.
    ours_table = ours.encoder.embeddings.tokens.weight.grad
    torch.testing.assert_close(ours_table[1:], table[1:], atol=1e-5, rtol=1e-4)
    head = theirs.cls.predictions
    for mine, other in (
        (ours.masked.transform.weight, head.transform.dense.weight),
        (ours.masked.norm.weight, head.transform.LayerNorm.weight),
        (ours.masked.bias, head.bias),
        (ours.pair.output.weight, theirs.cls.seq_relationship.weight),
        (ours.encoder.pooler.weight, theirs.bert.pooler.dense.weight),
    ):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-4)
