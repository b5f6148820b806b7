"""Vectors of texts and of words: the states of the right layers, in the right order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bertkit
from bertkit.checkpoint.folder import read_model_folder
from bertkit.data.packed import answerable
from bertkit.data.packing import encode_texts, window_starts
from bertkit.data.tables import BadRow, Row
from bertkit.errors import UserError
from bertkit.infer.embed import WordVectors
from bertkit.infer.rows import Tally

TEXTS = ["the cats sat.", "a", "the old red dog ran on the mat", "", "cat mat cat", "zebra the ran"]


def states(model: Path, text: str, layer: int = -1) -> np.ndarray:
    """States of `[CLS]`, the tokens and `[SEP]`, computed alone, [S, H]."""
    folder = read_model_folder(model)
    batch = encode_texts(folder.tokenizer, [text], max_length=32).batch([0])
    with torch.no_grad():
        return folder.encoder.states(batch, (layer,))[0].numpy()


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "pooler"])
def test_vectors_are_pooled_states_in_the_order_of_the_texts(tiny_model: Path, pooling: str) -> None:
    model = bertkit.load(tiny_model, precision="fp32", window=32)
    found = model.embed(TEXTS, pooling=pooling)
    assert (found.shape, found.dtype) == ((6, 12), np.float32)
    pooler = read_model_folder(tiny_model).encoder.pooler
    assert pooler is not None
    weight, bias = pooler.weight.detach().numpy(), pooler.bias.detach().numpy()
    how = {
        "cls": lambda rows: rows[0],
        "mean": lambda rows: rows.mean(0),
        "max": lambda rows: rows.max(0),
        "pooler": lambda rows: np.tanh(weight @ rows[0] + bias),
    }
    expected = [how[pooling](states(tiny_model, text)) for text in TEXTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layers_and_length_one(tiny_model: Path) -> None:
    model = bertkit.load(tiny_model, precision="fp32", window=32)
    apart = [np.array([states(tiny_model, text, layer).mean(0) for text in TEXTS]) for layer in (-2, 0)]
    found = model.embed(np.array(TEXTS), layers=[-2, 0])
    np.testing.assert_allclose(found, apart[0] + apart[1], atol=1e-5)
    found = model.embed(TEXTS, layers=[-2, 0], combine="concat", normalise=True)
    expected = np.concatenate(apart, axis=1)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)


def test_words_have_the_mean_of_their_tokens_and_their_places(tiny_model: Path) -> None:
    model = bertkit.load(tiny_model, precision="fp32", window=32)
    text = "The  cats zebra sat."
    (found,) = model.embed([text], pooling="words")
    assert isinstance(found, WordVectors)
    assert found.words == ["The", "cats", "zebra", "sat", "."]
    assert [text[start:end] for start, end in found.spans] == found.words
    tokens = states(tiny_model, text)[1:-1]  # the, cat, ##s, [UNK], sat, .
    expected = [tokens[0], tokens[1:3].mean(0), *tokens[3:]]
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    (empty,) = model.embed([""], pooling="words")
    assert (empty.words, empty.spans, empty.vectors.shape) == ([], [], (0, 12))


def test_words_of_a_cut_text_end_where_it_was_cut_and_windows_have_them_all(tiny_model: Path) -> None:
    text = "the cats sat on a mat . the old dog ran on the mat"
    cut = bertkit.load(tiny_model, precision="fp32", window=0).embed([text], pooling="words")[0]
    # 13 tokens, of which 11 are text: one before the second "on", and "cats" has two.
    assert cut.words == text.split()[:10]
    whole = bertkit.load(tiny_model, precision="fp32", window=10, stride=6).embed([text], pooling="words")[0]
    assert whole.words == text.split()
    # 15 tokens in windows of 8 from 0, 3 and 7: the first answers for tokens 0 to 4, the last for 9 to 14.
    first = states(tiny_model, "the cats sat on a mat .")[1:-1]
    last = states(tiny_model, ". the old dog ran on the mat")[1:-1]
    np.testing.assert_allclose(whole.vectors[0], first[0], atol=1e-5)
    np.testing.assert_allclose(whole.vectors[-1], last[-1], atol=1e-5)


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_each_token_is_answered_for_by_one_window_that_holds_it(tokens: int, width: int, data) -> None:
    offsets = np.array(window_starts(tokens, width, data.draw(st.integers(1, width))))
    sizes = np.minimum(width, tokens - offsets)
    spans = answerable(offsets, sizes)
    assert [place for start, end in spans for place in range(start, end)] == list(range(tokens))
    for (start, end), offset, size in zip(spans, offsets, sizes, strict=True):
        assert start >= offset
        assert end <= offset + size


@settings(max_examples=10)
@given(st.lists(st.sampled_from([*TEXTS, "x" * 200, "🙂 the", "a\u0301 cat"]), max_size=9))
def test_no_vector_depends_on_its_neighbours(tiny_model: Path, texts: list[str]) -> None:
    model = bertkit.load(tiny_model, precision="fp32")
    found = model.embed(texts)
    assert found.shape == (len(texts), 12)
    for text, vector in zip(texts, found, strict=True):
        np.testing.assert_allclose(vector, model.embed([text])[0], atol=1e-5)


def test_long_texts_are_cut_and_counted_or_read_in_windows(tiny_model: Path) -> None:
    text = "the cat sat on a mat " * 40
    rows = [Row(1, text), BadRow(2, "no"), Row(3, "a cat")]
    for window, truncated in ((0, 1), (12, 0)):
        tally = Tally()
        embedder = bertkit.load(tiny_model, precision="fp32", window=window).embedder(pooling="max")
        ((block, vectors),) = embedder.embed_rows(rows, tally)
        assert block == rows
        assert len(vectors) == 2
        assert (tally.rows, tally.bad, tally.truncated) == (3, 1, truncated)
        assert tally.tokens > (240 if window else 15)
    # The greatest over all windows is that over all tokens of them.
    starts = window_starts(240, 10, 7)
    words = text.split()
    expected = np.max([states(tiny_model, " ".join(words[s : s + 10])).max(0) for s in starts], axis=0)
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)


def test_a_bare_encoder_embeds_and_does_not_predict(tmp_path: Path, tiny_model: Path) -> None:
    from bertkit.checkpoint.folder import write_model_folder

    folder = read_model_folder(tiny_model)
    write_model_folder(tmp_path / "bare", folder.encoder, None, folder.tokenizer, {})
    bare, whole = (
        bertkit.load(path, precision="fp32", window=13) for path in (tmp_path / "bare", tiny_model)
    )
    np.testing.assert_allclose(bare.embed(TEXTS), whole.embed(TEXTS), atol=1e-6)
    with pytest.raises(UserError, match="no trained head"):
        bare.predict(TEXTS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layers": [3]}, "no layer 3: the model has 2"),
        ({"layers": []}, "No layer is named"),
        ({"pooling": "men"}, "Did you mean 'mean'"),
        ({"combine": "add"}, "combine cannot be 'add'"),
        ({"pooling": "pooler", "layers": [1]}, "pooler reads the last layer"),
    ],
)
def test_what_cannot_be_embedded(tiny_model: Path, options: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        bertkit.load(tiny_model).embed(TEXTS, **options)


def test_arguments_that_are_no_texts(tiny_model: Path) -> None:
    model = bertkit.load(tiny_model)
    for wrong, sentence in (
        (1, "must be a text or several"),
        ([1], "is not a string"),
        (np.eye(2), "not a st"),
    ):
        with pytest.raises(UserError, match=sentence):
            model.embed(wrong)
    with pytest.raises(UserError, match="leave out the second texts"):
        model.embed(["a"], ["b"], pooling="words")


def test_predictions_take_arrays(tiny_model: Path) -> None:
    model = bertkit.load(tiny_model)
    assert model.predict(np.array(["a cat", "the dog"])) == model.predict(["a cat", "the dog"])
