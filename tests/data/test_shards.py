import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.shards import (
    COUNTS,
    MANIFEST,
    Documents,
    Gatherer,
    manifest_text,
    map_arrays,
    open_shards,
    token_type,
    write_shard,
)
from bertkit.errors import UserError
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENIZER = Tokenizer.from_vocabulary([*SPECIALS, "a", "cat", "sat", "##s"])


def make(documents: list[list[list[int]]], words: bool = False) -> Documents:
    """Documents of sentences of tokens."""
    sentences = [sentence for document in documents for sentence in document]
    ids = np.array([i for sentence in sentences for i in sentence], np.uint16)
    return Documents(
        ids=ids,
        sentences=np.cumsum([0, *map(len, sentences)]),
        documents=np.cumsum([0, *map(len, documents)]),
        words=ids % 2 == 0 if words else None,
    )


def unmake(documents: Documents) -> list[list[list[int]]]:
    sentences = [
        documents.ids[begin:end].tolist()
        for begin, end in zip(documents.sentences[:-1], documents.sentences[1:], strict=True)
    ]
    bounds = zip(documents.documents[:-1], documents.documents[1:], strict=True)
    return [sentences[begin:end] for begin, end in bounds]


sentence = st.lists(st.integers(0, 8), min_size=1, max_size=4)
corpora = st.lists(st.lists(sentence, min_size=1, max_size=3), max_size=9)
CORPUS = [[[5, 6], [7]], [[8]], [[5, 5, 5], [6, 6], [7, 8, 5, 6]]]


@given(corpora, st.data())
def test_documents_are_cut_out_chosen_and_joined(corpus, data) -> None:
    documents = make(corpus, words=True)
    keep = data.draw(st.lists(st.booleans(), min_size=len(corpus), max_size=len(corpus)))
    chosen = documents.select(np.array(keep, np.bool_))
    assert unmake(chosen) == [document for document, kept in zip(corpus, keep, strict=True) if kept]
    assert chosen.words is not None
    assert (chosen.words == (chosen.ids % 2 == 0)).all()
    cut = data.draw(st.integers(0, len(corpus)))
    parts = [documents.part(0, cut), documents.part(cut, len(corpus))]
    assert unmake(parts[0]) == corpus[:cut]
    joined = Documents.join(parts)
    assert unmake(joined) == corpus
    assert (joined.words == documents.words).all()
    assert documents.lengths.tolist() == [sum(map(len, document)) for document in corpus]


@given(corpora, st.integers(1, 12), st.data())
def test_shards_do_not_depend_on_how_documents_arrive(tmp_path_factory, corpus, full, data) -> None:
    folder = tmp_path_factory.mktemp("shards")
    gatherer = Gatherer(folder, "train", TOKENIZER.size, full)
    entries = []
    at = 0
    while at < len(corpus):
        end = data.draw(st.integers(at + 1, len(corpus)))
        entries += gatherer.add(make(corpus[at:end]))
        at = end
    entries += gatherer.flush()
    assert gatherer.flush() == []
    expected, shard = [], []
    for document in corpus:
        shard.append(document)
        if sum(len(s) for d in shard for s in d) >= full:
            expected.append(shard)
            shard = []
    expected += [shard] if shard else []
    names = [f"train-{number:05d}.safetensors" for number in range(len(expected))]
    assert [entry.file for entry in entries] == names
    for entry, documents in zip(entries, expected, strict=True):
        arrays = map_arrays(folder / entry.file)
        read = Documents(arrays["ids"], arrays["sentences"], arrays["documents"])
        assert unmake(read) == documents
        assert (entry.documents, entry.tokens) == (len(documents), len(read.ids))


def test_gathering_goes_on_with_what_was_pending(tmp_path) -> None:
    first = Gatherer(tmp_path, "heldout", TOKENIZER.size, 5)
    assert first.add(make(CORPUS[:1])) == []
    second = Gatherer(tmp_path, "heldout", TOKENIZER.size, 5, pending=first.pending, written=3)
    (entry,) = second.add(make(CORPUS[1:]))
    assert (entry.file, entry.documents, entry.sentences) == ("heldout-00003.safetensors", 3, 6)
    assert len(second) == 0


def test_tokens_take_as_few_bytes_as_the_vocabulary_allows(tmp_path) -> None:
    assert token_type(2**16) is np.uint16
    assert token_type(2**16 + 1) is np.uint32
    for size, kind in ((99, np.uint16), (2**17, np.uint32)):
        write_shard(tmp_path / "s", "train", make(CORPUS), size)
        assert map_arrays(tmp_path / "s")["ids"].dtype == kind


@pytest.fixture
def folder(tmp_path):
    """Two shards, one of them held out, with words."""
    entries = []
    for split, corpus in (("train", CORPUS), ("heldout", CORPUS[:1])):
        path = tmp_path / f"{split}-00000.safetensors"
        entries.append(write_shard(path, split, make(corpus, words=True), TOKENIZER.size))
    TOKENIZER.save(tmp_path)
    np.save(tmp_path / COUNTS, np.arange(TOKENIZER.size))
    (tmp_path / MANIFEST).write_text(manifest_text(entries, TOKENIZER, {"report": {}}))
    return tmp_path


def test_a_folder_is_read_as_it_was_written(folder) -> None:
    shards = open_shards(folder)
    (entry,) = shards.of("train")
    assert unmake(shards.read(entry)) == CORPUS
    assert shards.read(entry).words.tolist() == (shards.read(entry).ids % 2 == 0).tolist()
    assert [entry.tokens for entry in shards.of("heldout")] == [3]
    assert shards.counts.tolist() == list(range(9))
    assert shards.tokenizer.vocabulary == TOKENIZER.vocabulary
    assert len(shards.fingerprint) == 64
    shards.verify()


def test_a_shard_that_is_cut_short_or_missing_is_named(folder) -> None:
    path = folder / "train-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=rf"train-00000.safetensors has {len(whole) - 1} bytes"):
        open_shards(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"train-00000\.safetensors is missing"):
        open_shards(folder)


def test_a_shard_that_was_altered_is_found_by_its_hash(folder) -> None:
    path = folder / "train-00000.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"train-00000\.safetensors changed since"):
        open_shards(folder).verify()
    path.write_bytes(b"\xff" * len(whole))
    with pytest.raises(UserError, match="is damaged"):
        open_shards(folder).read(open_shards(folder).of("train")[0])


def test_a_shard_of_another_size_is_not_taken(folder) -> None:
    shards = open_shards(folder)
    write_shard(folder / "train-00000.safetensors", "train", make(CORPUS[:1]), TOKENIZER.size)
    with pytest.raises(UserError, match=r"is not the shard that manifest.json describes"):
        shards.read(shards.of("train")[0])


def test_a_vocabulary_that_does_not_fit_is_refused(folder) -> None:
    Tokenizer.from_vocabulary([*SPECIALS, "a", "dog", "sat", "##s"]).save(folder)
    with pytest.raises(UserError, match="the vocabulary is not the one that cut these shards"):
        open_shards(folder)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "if it was interrupted, say the same command again"),
        ("{", "is not JSON"),
        ("[]", "is no manifest of format 1"),
        ('{"format": 2}', "is no manifest of format 1"),
        ('{"format": 1}', "lacks what a manifest says"),
        ('{"format": 1, "shards": [{"file": "x"}]}', "lacks what a manifest says"),
    ],
)
def test_a_manifest_that_is_none(folder, content, sentence) -> None:
    (folder / MANIFEST).unlink()
    if content is not None:
        (folder / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=sentence):
        open_shards(folder)


def test_a_file_is_no_folder(folder) -> None:
    with pytest.raises(UserError, match="is a file"):
        open_shards(folder / COUNTS)


def test_the_manifest_is_for_people_too(folder) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    assert content["vocabulary"] == {"fingerprint": TOKENIZER.fingerprint, "size": 9}
    assert content["shards"][1]["split"] == "heldout"
