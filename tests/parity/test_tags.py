"""Sentences of words become the tokens that transformers makes of them; the same tokens carry the tags."""

from pathlib import Path

import numpy as np
import transformers

from bertkit.config.reading import Reading
from bertkit.data.conll import TaggedSentence
from bertkit.data.wording import NO_WORD, encode_words
from bertkit.text.tokenizer import SPECIALS, Tokenizer

SENTENCES = [
    ["Don't", "stop", ",", "Zoë", "-", "ab", "New York", "bb", "abc"],
    ["don", "'t", "xyz", "北京", "ab-c", "..."],
]


def test_words_are_tokenised_as_those_that_are_split_before(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocabulary(
        [
            *SPECIALS,
            *[
                "don",
                "stop",
                "zoe",
                "ab",
                "a",
                "b",
                "new",
                "york",
                "'",
                ",",
                "-",
                ".",
                "北",
                "京",
                "t",
                "##b",
                "##c",
                "##t",
                "##on",
                "d",
            ],
        ]
    )
    tokenizer.save(tmp_path)
    theirs = transformers.BertTokenizerFast.from_pretrained(tmp_path)
    sentences = [TaggedSentence(1, tuple(words)) for words in SENTENCES]
    found = encode_words(tokenizer, sentences, Reading(max_length=64))
    for row, words in enumerate(SENTENCES):
        expected = theirs(words, is_split_into_words=True)
        places = found.sequences.places(found.sequences.windows.windows_of(np.array([row])))
        assert found.sequences.ids[places].tolist() == expected["input_ids"]
        of_token = expected.word_ids()
        firsts = [
            word if word is not None and word != before else NO_WORD
            for before, word in zip([None, *of_token], of_token, strict=False)
        ]
        assert found.words_P[places].tolist() == firsts
