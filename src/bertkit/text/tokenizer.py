"""The tokenizer: BERT's rules out of the `tokenizers` library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from bertkit.errors import UserError
from bertkit.text.parts import TEXTS_AT_ONCE, Parting, encodable
from bertkit.text.vocabulary_files import (
    ADDED_FILE,
    CLS,
    MAX_WORD_CHARACTERS,
    SEP,
    SETTINGS,
    SETTINGS_FILE,
    TOKENIZER_FILE,
    UNK,
    VOCABULARY_FILE,
    Added,
    check_tokens,
    fill_settings,
    make_normaliser,
    read_added,
    read_settings,
    read_tokenizer_json,
    read_vocabulary,
    settings_beside,
    vowel_signs,
)
from bertkit.text.vocabulary_files import SPECIALS as SPECIALS


@dataclass(frozen=True)
class Encoding:
    """One text as S tokens, without `[CLS]` and `[SEP]`.

    Attributes:
        ids: vocabulary index of each token.
        offsets: the (start, end) of the characters of the raw text that each token was cut from.
        word_starts: whether each token begins a word; a punctuation mark is a word of its own.
        tokens: each token as the vocabulary spells it.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    word_starts: list[bool]
    tokens: list[str]


class Tokenizer:
    """WordPiece as google-research/bert does it (tokenization.py), at the speed of the `tokenizers` library.

    The names of the special tokens have no power inside a text: `"[SEP]"` typed by a user is three words, as
    in google-research/bert, so that no text can forge a boundary (transformers: `split_special_tokens`).

    The library, and with it transformers, differs from the original in corners: it drops private-use
    characters where the original makes them unknown, lower-cases a final Σ like any other, and its tables of
    characters know Unicode 8, so that later punctuation is a letter to it.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
        added: Sequence[Added] = (),
    ) -> None:
        """Make it from tokens that are already checked; `from_vocabulary` is the door for anything else.

        Tokens that are `added` have the ids after those of the vocabulary, unless they stand in it.
        """
        index = {token: i for i, token in enumerate(vocabulary)}
        self.vocabulary = [*vocabulary, *(token.content for token in added if token.content not in index)]
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.split_cjk = split_cjk
        self.added = tuple(added)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (index[name] for name in SPECIALS)
        normaliser = make_normaliser(
            lowercase=lowercase, strip_accents=self.strip_accents, split_cjk=split_cjk
        )
        self._rust = _wordpiece(index, normaliser, added)
        self.parting = Parting(added, split_cjk=split_cjk)

    @classmethod
    def from_vocabulary(
        cls,
        source: str | Path | Sequence[str],
        *,
        lowercase: bool | None = None,
        strip_accents: bool | None = None,
        split_cjk: bool | None = None,
    ) -> Tokenizer:
        """A tokenizer over the tokens of a `vocab.txt` (a path), or over a list of tokens.

        What is not said is what the `tokenizer_config.json` beside the file says, which `bertkit vocab`
        writes; without one, of a file, what fits its tokens (see `fill_settings`). Of a list it is what BERT
        does: lower case, without accents.

        Args:
            source: path of a file with one token a line, the line's number being the id; or the tokens.
            lowercase: lower-case the text (the "uncased" models).
            strip_accents: remove accents; in BERT exactly if `lowercase`.
            split_cjk: make every Chinese character a word.

        Raises:
            UserError: a special token is missing, or a token is blank or stands twice; or an option is not
                what the file beside it says, or keeps many tokens from ever being used.
        """
        asked = dict(zip(SETTINGS, (lowercase, strip_accents, split_cjk), strict=True))
        if isinstance(source, str | Path):
            tokens = read_vocabulary(Path(source))
            return cls._with(tokens, settings_beside(Path(source), tokens, asked))
        check_tokens("The vocabulary", source)
        return cls._with(source, fill_settings({**asked, "do_lower_case": lowercase is not False}, source))

    @classmethod
    def _with(
        cls, tokens: Sequence[str], settings: dict[str, bool], added: Sequence[Added] = ()
    ) -> Tokenizer:
        lowercase, accents, split = (settings[name] for name in SETTINGS)
        return cls(tokens, lowercase=lowercase, strip_accents=accents, split_cjk=split, added=added)

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """The tokenizer of a model folder.

        The tokens are those of `tokenizer.json`, or of `vocab.txt`, and those that are added to them. What
        `tokenizer_config.json` says about case, accents and Chinese characters has the last word, as in
        transformers 5. Of a folder with nothing but a `vocab.txt` it is what fits its tokens.

        Raises:
            UserError: there is no vocabulary, or it is not one of BERT's kind.
        """
        folder = Path(folder)
        if (folder / TOKENIZER_FILE).is_file():
            tokens, settings = read_tokenizer_json(folder / TOKENIZER_FILE)
        elif (folder / VOCABULARY_FILE).is_file():
            tokens, settings = read_vocabulary(folder / VOCABULARY_FILE), {}
        else:
            raise UserError(
                f"{folder} has neither {TOKENIZER_FILE} nor {VOCABULARY_FILE}: without its vocabulary a "
                "model cannot read text. Copy it there from where the model was trained."
            )
        settings |= read_settings(folder / SETTINGS_FILE)
        return cls._with(tokens, fill_settings(settings, tokens), read_added(folder, tokens))

    def extended(self, size: int) -> Tokenizer:
        """A tokenizer with `size` tokens: those that are new, `[unusedN]` as in BERT's own vocabulary, stand
        for rows of a model that no token has.
        """
        known = set(self.vocabulary)
        free = (f"[unused{number}]" for number in count(self.size) if f"[unused{number}]" not in known)
        names = islice(free, size - self.size)
        rows = [Added(name, normalized=False, special=True) for name in names]
        base = self.vocabulary[: self._rust.get_vocab_size(with_added_tokens=False)]
        settings = dict(zip(SETTINGS, (self.lowercase, self.strip_accents, self.split_cjk), strict=True))
        return self._with(base, settings, [*self.added, *rows])

    def save(self, folder: str | Path, *, max_length: int | None = None) -> None:
        """Write `vocab.txt`, `tokenizer.json` and `tokenizer_config.json`, which transformers opens too.

        Args:
            folder: where to; made if it is not there.
            max_length: the positions of the model that it is for, where transformers shall truncate.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        base = self._rust.get_vocab_size(with_added_tokens=False)
        (folder / VOCABULARY_FILE).write_text(
            "\n".join([*self.vocabulary[:base], ""]), encoding="utf-8", newline="\n"
        )
        if beyond := {token: base + i for i, token in enumerate(self.vocabulary[base:])}:
            (folder / ADDED_FILE).write_text(json.dumps(beyond, indent=2) + "\n", encoding="utf-8")
        rust = _laying_specials(self._rust, [(CLS, self.cls_id), (SEP, self.sep_id)])
        (folder / TOKENIZER_FILE).write_text(rust.to_str(), encoding="utf-8")
        length = {} if max_length is None else {"model_max_length": max_length}
        self.save_settings(folder / SETTINGS_FILE, **length)

    def save_settings(self, file: Path, **more: int) -> None:
        """Write what is done to a text before it is cut, in the words of transformers' tokenizer_config."""
        settings = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lowercase,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.split_cjk,
            **{f"{name[1:-1].lower()}_token": name for name in SPECIALS},
            **more,
        }
        file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        """Number of tokens, V."""
        return len(self.vocabulary)

    def dropped_signs(self, text: str) -> int:
        """How many vowel signs of Hindi, Thai and their kin go with the accents: with them go words."""
        return vowel_signs(text) if self.strip_accents else 0

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokens joined by newlines: the same exactly if every id means the same token."""
        return hashlib.sha256("\n".join(self.vocabulary).encode()).hexdigest()

    @cached_property
    def continues_V(self) -> npt.NDArray[np.bool_]:
        """Whether each token goes on with a word that another began, [V]."""
        return np.array([token.startswith("##") for token in self.vocabulary])

    def encode(self, text: str) -> Encoding:
        """One text as tokens, with where each came from."""
        rust = self._rust.encode(encodable(text), add_special_tokens=False)
        words = rust.word_ids
        return Encoding(
            ids=rust.ids,
            offsets=rust.offsets,
            word_starts=[word != before for word, before in zip(words, [None, *words], strict=False)],
            tokens=rust.tokens,
        )

    def places(self, texts: Sequence[str]) -> Iterator[npt.NDArray[np.int64]]:
        """From where to where each token of each text stands in it, [S, 2]: the `offsets` of many texts."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            chunk = [encodable(text) for text in texts[start : start + TEXTS_AT_ONCE]]
            for rust in self._rust.encode_batch(chunk, add_special_tokens=False):
                yield np.array(rust.offsets, dtype=np.int64).reshape(-1, 2)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, on all processors."""
        return list(self.stream(texts))

    def stream(self, texts: Sequence[str], most: int | None = None) -> Iterator[list[int]]:
        """The ids of many texts, on all processors, while only some thousands of answers are in memory.

        Once there are more than `most` of a text, the rest of it is not read.
        """
        return self.parting.stream(self._rust, texts, most)

    def decode(self, ids: Sequence[int]) -> str:
        """The words of `ids`, one space between any two; special tokens stay."""
        return self._rust.decode(list(ids), skip_special_tokens=False)


def _wordpiece(
    index: dict[str, int], normaliser: normalizers.Normalizer, added: Sequence[Added]
) -> tokenizers.Tokenizer:
    """The library's tokenizer that cuts as BERT does."""
    rust = tokenizers.Tokenizer(
        models.WordPiece(vocab=index, unk_token=UNK, max_input_chars_per_word=MAX_WORD_CHARACTERS)
    )
    rust.normalizer = normaliser
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    for token in added:
        add = rust.add_special_tokens if token.special else rust.add_tokens
        add([AddedToken(**asdict(token))])
    return rust


def _laying_specials(rust: tokenizers.Tokenizer, around: list[tuple[str, int]]) -> tokenizers.Tokenizer:
    """A copy that itself lays the special tokens around texts, as other programs expect of a file."""
    copy = tokenizers.Tokenizer.from_str(rust.to_str())
    copy.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0", pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1", special_tokens=around
    )
    copy.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    return copy
