import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.errors import UserError
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENS = [
    *SPECIALS,
    "un",
    "##want",
    "##ed",
    "want",
    ",",
    "runn",
    "##ing",
    "[",
    "]",
    "sep",
    "东",
    "é",
    "e",
    "U",
]
tokenizer = Tokenizer.from_vocabulary(TOKENS)
cased = Tokenizer.from_vocabulary(TOKENS, lowercase=False)


def test_greedy_longest_match() -> None:
    encoding = tokenizer.encode("UNwantéd,running")
    assert encoding.tokens == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert encoding.ids == [5, 6, 7, 9, 10, 11]
    assert encoding.word_starts == [True, False, False, True, True, False]
    assert encoding.offsets == [(0, 2), (2, 6), (6, 8), (8, 9), (9, 13), (13, 16)]


def test_offsets_count_characters_of_the_raw_text() -> None:
    # A decomposed accent, a character outside the 16-bit plane, a NUL and a run of spaces stand before.
    text = "e\u0301 \U0001f600\0  want\u200bed"
    encoding = tokenizer.encode(text)
    assert encoding.tokens == ["e", "[UNK]", "want", "##ed"]
    assert [text[start:end] for start, end in encoding.offsets[1:]] == ["\U0001f600", "want", "ed"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\r\n\u00a0\u3000", []),
        ("want\0\ufffd\x07\u200bed", ["want", "##ed"]),
        ("want\u2028want", ["want", "want"]),
        ("unwanting东want", ["un", "##want", "##ing", "东", "want"]),
        ("x" * 100, ["[UNK]"]),
        ("un" + "ed" * 49, ["un"] + ["##ed"] * 49),
        ("un" + "ed" * 50, ["[UNK]"]),
        ("wantx", ["[UNK]"]),
        ("[SEP]", ["[", "sep", "]"]),
        ("want\ud800ed", ["want", "##ed"]),
    ],
)
def test_rules_of_bert(text: str, tokens: list[str]) -> None:
    assert tokenizer.encode(text).tokens == tokens


def test_cased_keeps_case_and_accents() -> None:
    assert cased.encode("U é u").tokens == ["U", "é", "[UNK]"]
    assert Tokenizer.from_vocabulary(TOKENS, lowercase=False, strip_accents=True).encode("é").tokens == ["e"]
    assert Tokenizer.from_vocabulary(TOKENS, strip_accents=False).encode("É").tokens == ["é"]


def test_chinese_characters_may_stay_in_their_words() -> None:
    assert Tokenizer.from_vocabulary(TOKENS, split_cjk=False).encode("want东").tokens == ["[UNK]"]


@given(st.lists(st.text(st.characters(), max_size=30), max_size=5))
def test_a_batch_is_its_texts(texts: list[str]) -> None:
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text).ids for text in texts]


@given(st.text(st.characters(), max_size=40))
def test_offsets_run_forward_inside_the_text(text: str) -> None:
    encoding = tokenizer.encode(text)
    ends = [0]
    for start, end in encoding.offsets:
        assert start <= end <= len(text)
        ends.append(end)
    assert ends == sorted(ends)
    assert len(encoding.ids) == len(encoding.offsets) == len(encoding.word_starts) == len(encoding.tokens)


def test_decode_joins_tokens_to_words() -> None:
    assert tokenizer.decode([2, 5, 6, 7, 9, 3]) == "[CLS] unwanted , [SEP]"


def test_ids_of_the_special_tokens() -> None:
    assert tokenizer.size == len(TOKENS)
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    assert [tokenizer.vocabulary[i] for i in ids] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_the_fingerprint_tells_vocabularies_apart() -> None:
    assert tokenizer.fingerprint == cased.fingerprint
    assert tokenizer.fingerprint != Tokenizer.from_vocabulary(TOKENS[::-1]).fingerprint
    assert len(tokenizer.fingerprint) == 64


@pytest.mark.parametrize("options", [{}, {"lowercase": False}, {"strip_accents": False, "split_cjk": False}])
def test_a_folder_gives_the_same_tokenizer_back(tmp_path, options) -> None:
    original = Tokenizer.from_vocabulary(TOKENS, **options)
    original.save(tmp_path)
    text = "U É want东 unwanted"
    assert Tokenizer.from_folder(tmp_path).encode(text) == original.encode(text)
    (tmp_path / "tokenizer.json").unlink()
    again = Tokenizer.from_folder(tmp_path)
    assert again.encode(text) == original.encode(text)
    assert again.fingerprint == original.fingerprint
    assert again.decode([5, 6]) == "unwant"


def test_a_bare_vocabulary_is_cased_if_it_has_capitals(tmp_path) -> None:
    cased.save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    assert not Tokenizer.from_folder(tmp_path).lowercase
    (tmp_path / "vocab.txt").write_text("\r\n".join(token for token in TOKENS if token != "U"))
    assert Tokenizer.from_folder(tmp_path).lowercase


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\na\n", r"lacks \[SEP\], \[MASK\]"),
        (b"", r"lacks \[PAD\]"),
        (b"[PAD]\n[UNK]\n\n[CLS]\n", "line 3 is blank"),
        (b"[PAD]\n \n[CLS]\n", "line 2 is blank"),
        (b"[PAD]\na\n[UNK]\na\n", "line 4 repeats the token 'a' of line 2"),
        (b"[PAD]\na\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_bad_vocabularies_are_refused(tmp_path, content: bytes, sentence: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        Tokenizer.from_vocabulary(tmp_path / "vocab.txt")


def test_missing_vocabularies_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="no vocabulary"):
        Tokenizer.from_vocabulary(tmp_path / "vocab.txt")
    with pytest.raises(UserError, match="is a folder"):
        Tokenizer.from_vocabulary(tmp_path)
    with pytest.raises(UserError, match=r"neither tokenizer\.json nor vocab\.txt"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: content["model"].update(type="BPE"), "model is 'BPE'"),
        (lambda content: content.update(normalizer=None), "normalizer is None"),
        (
            lambda content: content["model"].update(max_input_chars_per_word=7),
            "max_input_chars_per_word is 7",
        ),
        (lambda content: content["model"]["vocab"].update(a=99), "do not run from 0"),
        (lambda content: content["added_tokens"].append({"content": "<a>"}), "outside the vocabulary"),
    ],
)
def test_another_kind_of_tokenizer_is_refused(tmp_path, change, sentence: str) -> None:
    tokenizer.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    change(content)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=sentence):
        Tokenizer.from_folder(tmp_path)


def test_a_broken_file_is_refused(tmp_path) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(UserError, match="no JSON object"):
        Tokenizer.from_folder(tmp_path)
