"""Tags of words: how they are read, what is learned of them, and how answers are made and told."""

import json
from pathlib import Path

import numpy as np
import pytest

from bertkit.config.reading import Reading
from bertkit.data.tables import Columns
from bertkit.errors import UserError
from bertkit.tasks.encoded import IGNORED
from bertkit.tasks.examples import Examples
from bertkit.tasks.kind import Wanted
from bertkit.tasks.load import load_examples, load_splits
from bertkit.tasks.registry import Task, task_from_files
from bertkit.tasks.tag import TAG
from bertkit.tasks.tagged_rows import completed
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENIZER = Tokenizer.from_vocabulary([*SPECIALS, "a", "b", "##c", "e", "."])
BIO = ("O", "B-A", "I-A")


def own(folder: Path, train: str, dev: str = "a O\nb B-A\n", **how: object) -> Task:
    (folder / "train.conll").write_text(train)
    (folder / "dev.conll").write_text(dev)
    files = folder / "train.conll", folder / "dev.conll"
    return task_from_files(*files, text="", label="", kind="tag", **how)


def rows(folder: Path, content: str) -> tuple[Examples, tuple[str, ...]]:
    return load_examples(own(folder, content), "train")


def told(examples: Examples, names: tuple[str, ...]) -> list[str]:
    return [" ".join(tags) for tags in TAG.told(examples.known, names)]


def test_all_tags_that_entities_may_have_are_names_and_sentences_are_rows(tmp_path: Path) -> None:
    found, names = rows(tmp_path, "a O\nb B-PER\n\nc B-LOC\nd I-LOC\n")
    assert names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert (found.texts, found.more["words"], found.lines) == (
        ["a b", "c d"],
        [["a", "b"], ["c", "d"]],
        [1, 4],
    )
    assert told(found, names) == ["O B-PER", "B-LOC I-LOC"]
    assert list(TAG.notes(found, names)) == []
    assert TAG.words(found.known, names) == ("entities (BIO)", "PER 1, LOC 1 in 4 words")


def test_tags_without_a_scheme_are_named_as_they_are_and_scored_by_accuracy(tmp_path: Path) -> None:
    found, names = rows(tmp_path, "a DET\nb NOUN\n\nc VERB\n")
    assert (names, told(found, names)) == (("DET", "NOUN", "VERB"), ["DET NOUN", "VERB"])
    assert TAG.scoring(names, "").metric.name == "accuracy"
    assert TAG.scoring(BIO, "").metric.name == "entity_f1"
    with pytest.raises(UserError, match="entity F1 is none of such rows; give another --metric: acc"):
        TAG.scoring(names, "entity_f1")


@pytest.mark.parametrize(
    ("content", "tags", "said"),
    [
        ("a I-A\nb I-A\nc B-A\nd O\n", "B-A I-A B-A O", "tags of IOB1, which are read as BIO"),
        (
            "a O\nb I-A\nc B-B\nd I-A\n",
            "O B-A B-B B-A",
            "2 tags of .* do not follow BIO .the first: I-A of 'b' in the sentence of line 1.; they are read "
            "as conlleval reads them, this one as B-A",
        ),
        ("a O\nb B-A\nc S-A\n", "O S-A S-A", "1 tags of .* do not follow IOBES"),
    ],
)
def test_tags_that_do_not_follow_their_scheme_are_mended_and_told(
    tmp_path: Path, content: str, tags: str, said: str
) -> None:
    found, names = rows(tmp_path, content)
    assert told(found, names) == [tags]
    (note,) = TAG.notes(found, names)
    with pytest.raises(UserError, match=said):
        raise UserError(note)


def test_a_tag_of_no_scheme_among_others_is_told_with_its_line(tmp_path: Path) -> None:
    bad = "a O\nb B-A\nc LOC\n\nd B-C\ne I-C\n"
    with pytest.raises(
        UserError, match=r"train\.conll, line 3: the tag 'LOC' is not of the scheme BIO, which"
    ):
        rows(tmp_path, bad)
    found, _ = load_examples(own(tmp_path, bad, skip_bad=True), "train")
    assert (found.texts, [row.line for row in found.left_out]) == (["d e"], [3])
    with pytest.raises(UserError, match="every word has the tag 'O'; learning needs words of two tags"):
        rows(tmp_path, "a O\nb O\n")


def test_dev_may_have_types_of_its_own_and_another_scheme(tmp_path: Path) -> None:
    task = own(tmp_path, "a B-A\nb I-A\n\nc O\n", "x S-A\ny S-B\n\nz B-B\nz E-B\n")
    splits, names = load_splits(task)
    assert names == ("O", "B-A", "I-A", "B-B", "I-B")
    assert told(splits["dev"], names) == ["B-A B-B", "B-B I-B"]
    assert [note.split(" ", 1)[1] for note in TAG.notes(splits["dev"], names)] == [
        "has tags of IOBES, which are read as BIO, as those of training"
    ]
    # A model was not trained on what it does not know.
    with pytest.raises(UserError, match=r"dev.conll: 2 of 2 rows .*the tag 'S-B', 'B-B' is not one of those"):
        load_examples(task, "dev", BIO)


def test_each_window_asks_for_the_tags_of_its_words_and_outputs_are_of_words(tmp_path: Path) -> None:
    found, names = rows(tmp_path, "a O\nbc B-A\na I-A\na O\n\ne B-A\n")
    encoded = TAG.encode(TOKENIZER, found, Reading(max_length=5), names)
    units = encoded.units
    assert [TOKENIZER.decode(units.ids[units.places(np.array([unit]))]) for unit in range(len(units))] == [
        "[CLS] a bc [SEP]", "[CLS]c a a [SEP]", "[CLS] e [SEP]",
    ]  # fmt: skip
    no = IGNORED
    assert encoded.learned.values.tolist() == [no, 0, 1, no, no, no, no, 2, 0, no, no, 1, no]
    assert encoded.counted.tolist() == [2, 2, 1]
    outputs = np.arange(len(units.ids))[:, None] * np.ones((1, 3))
    assert TAG.collect(encoded, outputs)[:, 0].tolist() == [1, 2, 7, 8, 11]
    logs = np.log(np.full((len(units.ids), 3), 1 / 3))
    np.testing.assert_allclose(TAG.losses(encoded, logs, None), np.full(5, np.log(3)))
    assert TAG.floor(encoded, None, names, None) == pytest.approx(1.0549, abs=1e-4)
    with pytest.raises(UserError, match="are not padded; leave out pad_to"):
        TAG.encode(TOKENIZER, found, Reading(max_length=9, pad_to=9), names)


def test_tags_are_the_likeliest_that_follow_the_scheme_or_each_the_likeliest() -> None:
    found = completed(Examples(["Bob is here."], None, None, [1], Path()))
    assert found.more["words"] == [["Bob", "is", "here", "."]]
    outputs = np.log(np.array([[0.5, 0.4, 0.1], [0.2, 0.1, 0.7], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]))
    viterbi, greedy = (TAG.predict(found, outputs, BIO, {"decode": how}) for how in TAG.decodings)
    assert viterbi.tolist() == [1, 2, 0, 0]
    assert greedy.tolist() == [0, 2, 0, 2]
    (answer,) = TAG.answers(found, outputs, viterbi, BIO)
    assert answer["tags"] == ["B-A", "I-A", "O", "O"]
    assert answer["entities"] == [
        {"label": "A", "start": 0, "end": 6, "text": "Bob is", "probability": pytest.approx(0.28)}
    ]
    # What is greedy and does not follow the scheme is mended as conlleval reads it.
    (answer,) = TAG.answers(found, outputs, greedy, BIO)
    assert answer["tags"] == ["O", "B-A", "O", "B-A"]
    assert [(each["start"], each["text"]) for each in answer["entities"]] == [(4, "is"), (11, ".")]


def test_entities_of_words_are_told_by_the_numbers_of_the_words(tmp_path: Path) -> None:
    found, names = rows(tmp_path, "a\tO\nNew York\tB-A\nb\tI-A\n")
    (answer,) = TAG.answers(found, np.log(np.eye(3) * 0.97 + 0.01), np.array([0, 1, 2]), names)
    (entity,) = answer["entities"]
    assert (entity["start"], entity["end"], entity["text"]) == (1, 3, "New York b")
    assert TAG.cells(answer, Wanted()) == [answer["entities"]]
    assert TAG.cells(answer, Wanted(every=True))[1:] == [answer["words"], answer["tags"]]
    assert TAG.overview([answer["entities"], []]) == {"A": "1"}
    with pytest.raises(UserError, match="answers with a tag for each word; leave them out"):
        TAG.columns(names, Wanted(top=2))


def test_baselines_are_the_most_frequent_tag_and_that_of_each_word(tmp_path: Path) -> None:
    task = own(tmp_path, "a O\nb B-A\n\nb B-A\nb O\na O\n", "b B-A\nnew B-A\na O\n")
    splits, names = load_splits(task)
    blind, commonest = (each.predict(splits["train"], splits["dev"], names) for each in TAG.baselines)
    assert (blind.tolist(), commonest.tolist()) == ([0, 0, 0], [1, 0, 0])
    assert TAG.one_answer(splits["dev"], blind)
    scores = TAG.scoring(names, "").baselines(splits["train"], splits["dev"])
    assert [scores[name]["score"] for name in ("majority", "commonest")] == [0.0, pytest.approx(2 / 3)]


def test_mistakes_are_the_surest_first(tmp_path: Path) -> None:
    found, names = rows(tmp_path, "a O\nb B-A\n\na O\nc O\n\nd O\n")
    outputs = np.log(np.array([[1, 0, 0], [0.6, 0.4, 0], [1, 0, 0], [0.1, 0.9, 0], [1, 0, 0]]) + 1e-9)
    made = TAG.mistakes(found, outputs, outputs.argmax(1), names)
    assert [(row["line"], row["word"], row["label"], row["predicted"]) for row in made] == [
        (4, "c", "O", "B-A"),
        (1, "b", "B-A", "O"),
    ]
    told_of = TAG.scored(found, outputs.argmax(1), names)
    assert told_of["confusions"][0] == {"label": "A", "predicted": "O", "rows": 1}
    json.dumps([made, told_of])


def test_context_is_read_from_the_file_and_not_of_other_kinds(tmp_path: Path) -> None:
    task = own(tmp_path, "a O\nb B-A\n\ne O\n\na O\n", context=1)
    found, names = load_examples(task, "train")
    encoded = TAG.encode(TOKENIZER, found, Reading(max_length=9), names)
    units = encoded.units
    assert TOKENIZER.decode(units.ids[units.places(np.array([1]))]) == "[CLS] a b e a [SEP]"
    assert encoded.counted.tolist() == [2, 1, 1]
    with pytest.raises(UserError, match="kind 'classify' have no neighbours to be read with"):
        Task(name="x", files={}, columns=task.columns, context=1)


def test_a_task_may_call_its_tags_otherwise(tmp_path: Path) -> None:
    line = {"tokens": ["a", "b", "c"], "ner_tags": [0, 1, 2]}
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(line) + "\n")
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "dev")}
    columns, labels = Columns(text="", label=""), {"0": "O", "1": "B-A", "2": "I-A"}
    splits, names = load_splits(Task(name="x", files=files, columns=columns, kind="tag", labels=labels))
    assert (names, told(splits["dev"], names)) == (BIO, ["O B-A I-A"])
    assert list(TAG.notes(splits["train"], names)) == []
    with pytest.raises(UserError, match="the tag '2' is none of those of task 'x': 0, 1"):
        load_splits(Task(name="x", files=files, columns=columns, kind="tag", labels={"0": "O", "1": "B-A"}))


def test_rows_of_a_table_may_have_words_or_a_text(tmp_path: Path) -> None:
    lines = [{"text": ["New York"]}, {"text": "New York"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    found = Examples.of([*TAG.reads(tmp_path / "a.jsonl", Columns(text="text"))], tmp_path)
    assert found.more["words"] == [["New York"], ["New", "York"]]
    outputs = np.log(np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))
    answers = TAG.answers(found, outputs, np.array([1, 1, 2]), BIO)
    assert [(each["entities"][0]["start"], each["entities"][0]["end"]) for each in answers] == [
        (0, 1),
        (0, 8),
    ]
    empty = TAG.encode(TOKENIZER, found.only([]), Reading(max_length=9), BIO)
    assert len(empty.sequences) == 0
