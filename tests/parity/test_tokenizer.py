"""Against transformers' BertTokenizer, and against BERT's rules written out plainly."""

from itertools import chain
from pathlib import Path
from unicodedata import category, normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizer

from bertkit.data.packed import pack
from bertkit.data.packing import encode_texts
from bertkit.text.tokenizer import Tokenizer

# (vocabulary, lower-casing); the Chinese model was trained on lower-cased text, its transformers settings
# say otherwise.
MODELS = [("uncased", True), ("cased", False), ("chinese", True), ("chinese", False)]

# Any character that UTF-8 can say, with those that the rules are about more often than chance has them.
ANY = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("\0\t\n\r \x0b\x85\xad\ufffd\u200b\u200d\u2028\u3000\u0301\u0345")
    | st.sampled_from("aAzZéÉßÇİıǅΣσςñøﬁ½²µ")
    | st.sampled_from("東京中文字漢語가나あア")
    | st.sampled_from("[](),.!?-_'\"#@$`^…–€。、"),
    max_size=60,
)
SAMPLES = [
    "The",
    "unaffable",
    "Übermenschen",
    "naïve",
    "[MASK]",
    "[SEP]",
    "汉语",
    "...",
    "don't",
    "3.14",
    "##ing",
]
WORDS = st.lists(st.sampled_from(SAMPLES), max_size=13).map(" ".join)


class Case:
    """Both tokenizers over one vocabulary."""

    def __init__(self, path: Path, lowercase: bool) -> None:
        self.ours = Tokenizer.from_vocabulary(path, lowercase=lowercase)
        self.vocabulary = set(self.ours.vocabulary)
        self.theirs = BertTokenizer(
            vocab=str(path), do_lower_case=lowercase, strip_accents=None, split_special_tokens=True
        )


@pytest.fixture(
    scope="module", params=MODELS, ids=lambda model: f"{model[0]}-{'lower' if model[1] else 'as-is'}"
)
def case(request: pytest.FixtureRequest, shared_data: Path) -> Case:
    name, lowercase = request.param
    return Case(shared_data / "vocab" / f"bert-base-{name}-vocab.txt", lowercase)


@given(text=ANY | WORDS)
@settings(max_examples=300)
def test_ids_offsets_and_words_are_those_of_transformers(case: Case, text: str) -> None:
    ours = case.ours.encode(text)
    theirs = case.theirs(text, add_special_tokens=False, return_offsets_mapping=True)
    assert ours.ids == theirs["input_ids"]
    assert ours.offsets == theirs["offset_mapping"]
    words = theirs.word_ids()
    assert ours.word_starts == [i == 0 or words[i] != words[i - 1] for i in range(len(words))]


@given(st.lists(st.tuples(ANY, WORDS), min_size=1, max_size=3))
@settings(max_examples=50)
def test_sequences_and_segments_are_those_of_transformers(case: Case, pairs: list[tuple[str, str]]) -> None:
    first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for texts in ((first, None), (first, second)):
        batch = pack(encode_texts(case.ours, *texts, max_length=512), range(len(pairs)))
        theirs = case.theirs(*texts)
        assert batch.ids_T.tolist() == list(chain.from_iterable(theirs["input_ids"]))
        assert batch.segments_T.tolist() == list(chain.from_iterable(theirs["token_type_ids"]))


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_saved_folder_opens_in_transformers(shared_data: Path, tmp_path: Path, lowercase: bool) -> None:
    tokens = (shared_data / "vocab" / "bert-base-cased-vocab.txt").read_text().split("\n")[:-1]
    ours = Tokenizer.from_vocabulary(tokens, lowercase=lowercase)
    ours.save(tmp_path, max_length=99)
    texts = ["Ünaffable naïve E-Mail, 汉语!", "One [UNK]", "", "un" * 60]
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(theirs, BertTokenizer)
    assert theirs.model_max_length == 99
    assert theirs(texts, add_special_tokens=False, split_special_tokens=True)[
        "input_ids"
    ] == ours.encode_batch(texts)
    assert theirs(texts[0])["input_ids"] == [ours.cls_id, *ours.encode(texts[0]).ids, ours.sep_id]
    assert theirs.all_special_ids == [ours.unk_id, ours.sep_id, ours.pad_id, ours.cls_id, ours.mask_id]
    # By default transformers takes the name of a special token in a text for the token itself.
    assert theirs("[MASK]", add_special_tokens=False)["input_ids"] == [ours.mask_id]


def test_a_folder_of_transformers_opens(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "vocab" / "bert-base-uncased-vocab.txt"
    BertTokenizer(vocab=str(path), strip_accents=False).save_pretrained(tmp_path)
    ours = Tokenizer.from_folder(tmp_path)
    assert ours.vocabulary == Tokenizer.from_vocabulary(path).vocabulary
    assert (ours.lowercase, ours.strip_accents, ours.split_cjk) == (True, False, True)


def plainly(text: str, vocabulary: set[str], lowercase: bool) -> list[str]:
    """Tokens of `text` by the rules of google-research/bert's tokenization.py, one character at a time."""
    blocks = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF)]
    spaced = ""
    for character in text:
        if character in "\t\n\r" or category(character) == "Zs":
            spaced += " "
        elif character in "\0\ufffd" or category(character) in ("Cc", "Cf"):
            continue
        elif any(low <= ord(character) <= high for low, high in blocks):
            spaced += f" {character} "
        else:
            spaced += character
    if lowercase:
        decomposed = normalize("NFD", spaced.lower())
        spaced = "".join(character for character in decomposed if category(character) != "Mn")
    marked = ""
    for character in spaced:
        ascii_sign = "!" <= character <= "~" and not character.isalnum()
        marked += f" {character} " if ascii_sign or category(character)[0] == "P" else character
    return [token for word in marked.split() for token in longest_first(word, vocabulary)]


def longest_first(word: str, vocabulary: set[str]) -> list[str]:
    tokens: list[str] = []
    while word and len(word) <= 100:
        prefix = "##" if tokens else ""
        ends = [end for end in range(len(word), 0, -1) if prefix + word[:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        tokens.append(prefix + word[: ends[0]])
        word = word[ends[0] :]
    return ["[UNK]"] if word else tokens


# Scripts whose rules no version of Unicode changed. Without the capital sigma: Python lower-cases it by its
# place in the word, the library, as transformers, does not.
SETTLED = st.text(
    st.characters(max_codepoint=0x05FF, exclude_categories=["Cn"], exclude_characters="Σ")
    | st.sampled_from("\u2028\u3000\u200b\ufffd…–€。、東京中文가あア\U00020000\uf900 "),
    max_size=60,
)


@given(text=SETTLED | WORDS)
@settings(max_examples=300)
def test_the_rules_of_bert(case: Case, text: str) -> None:
    expected = plainly(text, case.vocabulary, case.ours.lowercase)
    assert case.ours.encode(text).tokens == expected


@pytest.mark.parametrize("length", [99, 100, 101, 13_007])
def test_long_words(case: Case, length: int) -> None:
    text = "a" * length
    assert case.ours.encode(text).ids == case.theirs(text, add_special_tokens=False)["input_ids"]
    assert (case.ours.encode(text).tokens == ["[UNK]"]) == (length > 100)
