import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.errors import UserError
from bertkit.text import parts as parts_of_texts
from bertkit.text.tokenizer import SPECIALS, Tokenizer
from bertkit.text.vocabulary_files import Added, settings_file

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


def test_a_bare_vocabulary_keeps_accents_if_a_token_has_one(tmp_path) -> None:
    for name, token, kept in (("hi.txt", "दूध", True), ("cn.txt", "\u2028", False)):
        (tmp_path / name).write_text("\n".join([*SPECIALS, token]) + "\n", newline="\n")
        found = Tokenizer.from_vocabulary(tmp_path / name)
        assert (found.lowercase, found.strip_accents) == (True, not kept)
    assert Tokenizer.from_vocabulary(tmp_path / "hi.txt").encode("दूध").tokens == ["दूध"]


def test_a_vocabulary_remembers_how_its_text_was_cleaned(tmp_path) -> None:
    for name in ("vocab.txt", "de.txt"):
        file = tmp_path / name
        file.write_text("\n".join([*SPECIALS, "a"]) + "\n")
        original = Tokenizer.from_vocabulary(file, lowercase=False, split_cjk=False)
        original.save_settings(settings_file(file))
        again = Tokenizer.from_vocabulary(file)
        assert (again.lowercase, again.strip_accents, again.split_cjk) == (False, False, False)
        with pytest.raises(UserError, match=r"with its case kept.*do_lower_case is false"):
            Tokenizer.from_vocabulary(file, lowercase=True)
    assert (tmp_path / "de.tokenizer_config.json").is_file()


def test_what_most_tokens_do_not_fit_is_refused(tmp_path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join([*SPECIALS, "Ä", "ä"]) + "\n")
    assert not Tokenizer.from_vocabulary(file).lowercase
    with pytest.raises(UserError, match="2 of its 7 tokens, such as 'Ä', are in no text in lower case"):
        Tokenizer.from_vocabulary(file, lowercase=True)


def test_vowel_signs_that_go_with_the_accents_are_counted() -> None:
    assert tokenizer.dropped_signs("दूध Käse") == 1
    assert cased.dropped_signs("दूध") == 0


ADDED = (Added("covid"), Added("[ENT]", normalized=False, special=True), Added("want", single_word=True))


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "added_tokens.json"])
def test_added_tokens_are_cut_out_first(tmp_path, file: str) -> None:
    base = len(TOKENS)
    Tokenizer(TOKENS, added=ADDED).save(tmp_path)
    entries = {str(base + i): asdict(token) for i, token in enumerate(token for token in ADDED[:2])} | {
        str(TOKENS.index("want")): asdict(ADDED[2])
    }
    contents = {
        "tokenizer_config.json": {"do_lower_case": True, "added_tokens_decoder": entries},
        "added_tokens.json": {"covid": base, "[ENT]": base + 1},
    }
    if file != "tokenizer.json":
        (tmp_path / "tokenizer.json").unlink()
        (tmp_path / "tokenizer_config.json").unlink()
        (tmp_path / file).write_text(json.dumps(contents[file]))
    found = Tokenizer.from_folder(tmp_path)
    assert found.size == base + 2
    assert found.encode("uncovid[ENT] [SEP]").ids[1:3] == [base, base + 1]
    assert found.sep_id not in found.encode("[SEP]").ids
    assert (tmp_path / "vocab.txt").read_text().split() == TOKENS
    if file == "tokenizer.json":
        assert found.added[:2] == (ADDED[2], ADDED[0])
        assert found.fingerprint == Tokenizer(TOKENS, added=ADDED).fingerprint


def test_rows_that_no_token_has_are_called_unused(tmp_path) -> None:
    taken = Tokenizer([*TOKENS, f"[unused{len(TOKENS) + 1}]"]).extended(len(TOKENS) + 2)
    assert taken.vocabulary[-1] == f"[unused{len(TOKENS) + 2}]"
    wide = Tokenizer(TOKENS, added=ADDED).extended(len(TOKENS) + 4)
    assert wide.vocabulary[-2:] == [f"[unused{len(TOKENS) + 2}]", f"[unused{len(TOKENS) + 3}]"]
    wide.save(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert again.fingerprint == wide.fingerprint
    assert again.encode("covid wants").ids == Tokenizer(TOKENS, added=ADDED).encode("covid wants").ids


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
        (lambda content: content["added_tokens"].append({"content": "<a>"}), "a text and a whole number"),
        (lambda content: content["added_tokens"].append({"content": "<a>", "id": 99}), "gives .* the id 99"),
        (
            lambda content: content["added_tokens"].extend(
                {"content": "<a>", "id": number} for number in (len(TOKENS), len(TOKENS) + 1)
            ),
            "its place in the vocabulary is",
        ),
        (
            lambda content: content["added_tokens"].append({"content": "a", "id": 3, "special": 1}),
            "the added token 'a' has an option that is not true or false",
        ),
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


ODD = [
    *"want é东北,.-\t\r\n\0\u00a0\u3000\u2028\u200b\u0301\u0085\x1c\u1fef\ufffd\ud800\U0001f600“’İΣ豈Ǆ한",
    "unwanted ",
    "x" * 99,
]
OPTIONS = [
    {},
    {"lowercase": False},
    {"split_cjk": False, "strip_accents": False},
    {"added": [Added("东w", normalized=True, special=False)]},
    {"added": [Added("want é", normalized=False, special=False)]},
    {"added": [Added("t", normalized=False, special=False, rstrip=True)]},
]


@pytest.mark.parametrize("options", OPTIONS)
@given(parts=st.lists(st.sampled_from(ODD), max_size=60), most=st.sampled_from([None, 0, 1, 3, 10]))
def test_texts_that_are_read_in_parts_have_the_same_tokens(
    options, parts: list[str], most: int | None
) -> None:
    whole = Tokenizer(TOKENS, **options)
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patched:
        for name in ("LONGEST_PART", "SHORTEST_PART", "CHARACTERS_A_TOKEN"):
            patched.setattr(parts_of_texts, name, 1)
        (found,) = whole.stream([text], most)
    expected = whole.encode(text).ids
    assert found == expected[: len(found)]
    assert len(found) == len(expected) or (most is not None and len(found) > most)


def test_a_text_is_read_as_far_as_is_asked(monkeypatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(parts_of_texts, "encodable", lambda text: read.append(text) or text)
    assert next(tokenizer.stream(["want " * 100_000], 10))[:11] == [8] * 11
    assert sum(map(len, read)) < 1_000
    # One word, however long, costs no more than the shortest that is too long.
    assert list(tokenizer.stream(["f" * 1_000_000 + ",want"])) == [[1, 9, 8]]
    assert sum(map(len, read)) < 1_200
