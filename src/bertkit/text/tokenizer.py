"""The tokenizer: BERT's rules out of the `tokenizers` library, and the three files that hold it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from bertkit.errors import UserError, quoted
from bertkit.text.jsons import read_json

PAD, UNK, CLS, SEP, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

VOCABULARY_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer.json"
SETTINGS_FILE = "tokenizer_config.json"

LONGEST_FILE = 1 << 28
"""Bytes of a file with a vocabulary; one of a million tokens has a tenth of it."""

MAX_WORD_CHARACTERS = 100
"""A longer word becomes one [UNK] (google-research/bert, tokenization.py)."""

TEXTS_AT_ONCE = 4_096
"""Texts given to the Rust threads in one call: bounds the memory of their answers."""

SETTINGS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""What the settings are called in files; null means no, and of accents: as the lower case."""

_BRACKETED = re.compile(r"\[.+\]|<.+>")
_SURROGATES = re.compile("[\ud800-\udfff]")


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


def make_normaliser(
    *, lowercase: bool, strip_accents: bool | None, split_cjk: bool
) -> normalizers.Normalizer:
    """BERT's cleaning: control, NUL and U+FFFD characters go, spaces are made plain, then the options."""
    return normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=split_cjk, strip_accents=strip_accents, lowercase=lowercase
    )


def encodable(text: str) -> str:
    """`text` with each lone surrogate, which UTF-8 cannot say, as U+FFFD, which BERT drops; same length."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


class Tokenizer:
    """WordPiece as google-research/bert does it (tokenization.py), at the speed of the `tokenizers` library.

    The names of the special tokens have no power inside a text: `"[SEP]"` typed by a user is three words, as
    in google-research/bert, so that no text can forge a boundary. (transformers' BertTokenizer agrees with
    `split_special_tokens=True`; its default turns the typed name into the special token.)

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
    ) -> None:
        """Make it from tokens that are already checked; `from_vocabulary` is the door for anything else."""
        self.vocabulary = list(vocabulary)
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.split_cjk = split_cjk
        index = {token: i for i, token in enumerate(self.vocabulary)}
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (index[name] for name in SPECIALS)
        self._rust = tokenizers.Tokenizer(
            models.WordPiece(vocab=index, unk_token=UNK, max_input_chars_per_word=MAX_WORD_CHARACTERS)
        )
        self._rust.normalizer = make_normaliser(
            lowercase=lowercase, strip_accents=self.strip_accents, split_cjk=split_cjk
        )
        self._rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._rust.decoder = decoders.WordPiece(prefix="##", cleanup=False)

    @classmethod
    def from_vocabulary(
        cls,
        source: str | Path | Sequence[str],
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
    ) -> Tokenizer:
        """A tokenizer over the tokens of a `vocab.txt` (a path), or over a list of tokens.

        Args:
            source: path of a file with one token a line, the line's number being the id; or the tokens.
            lowercase: lower-case the text (the "uncased" models).
            strip_accents: remove accents; None means the same as `lowercase`, as in BERT.
            split_cjk: make every Chinese character a word.

        Raises:
            UserError: a special token is missing, or a token is blank or stands twice.
        """
        if isinstance(source, str | Path):
            owner, tokens = str(source), _read_tokens(Path(source))
        else:
            owner, tokens = "The vocabulary", list(source)
        _check(owner, tokens)
        return cls(tokens, lowercase=lowercase, strip_accents=strip_accents, split_cjk=split_cjk)

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """The tokenizer of a model folder.

        The tokens are those of `tokenizer.json`, or of `vocab.txt`. What `tokenizer_config.json` says about
        case, accents and Chinese characters has the last word, as in transformers 5. A folder with nothing
        but a `vocab.txt` is cased exactly if a token has a capital letter: an uncased one could never use it.

        Raises:
            UserError: there is no vocabulary, or it is not one of BERT's kind.
        """
        folder = Path(folder)
        if (folder / TOKENIZER_FILE).is_file():
            path = folder / TOKENIZER_FILE
            tokens, settings = _read_tokenizer_json(path)
        elif (folder / VOCABULARY_FILE).is_file():
            path = folder / VOCABULARY_FILE
            tokens = _read_tokens(path)
            # No text is cut into a name in brackets, such as the `<S>` of the released Chinese vocabulary,
            # which is of an uncased model.
            capital = any(token != token.lower() and not _BRACKETED.fullmatch(token) for token in tokens)
            settings = {"do_lower_case": not capital}
        else:
            raise UserError(
                f"{folder} has neither {TOKENIZER_FILE} nor {VOCABULARY_FILE}: without its vocabulary a "
                "model cannot read text. Copy it there from where the model was trained."
            )
        _check(str(path), tokens)
        if (folder / SETTINGS_FILE).is_file():
            path = folder / SETTINGS_FILE
            settings |= read_json(path)
        for name in SETTINGS:
            if not isinstance(settings.get(name), bool | None):
                raise UserError(f"{path}: {name} must be true, false or null, not {quoted(settings[name])}.")
        return cls(
            tokens,
            lowercase=bool(settings.get("do_lower_case", True)),
            strip_accents=settings.get("strip_accents"),
            split_cjk=bool(settings.get("tokenize_chinese_chars", True)),
        )

    def save(self, folder: str | Path, *, max_length: int | None = None) -> None:
        """Write `vocab.txt`, `tokenizer.json` and `tokenizer_config.json`, which transformers opens too.

        Args:
            folder: where to; made if it is not there.
            max_length: the positions of the model that it is for, where transformers shall truncate.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / VOCABULARY_FILE).write_text(
            "\n".join([*self.vocabulary, ""]), encoding="utf-8", newline="\n"
        )
        rust = tokenizers.Tokenizer.from_str(self._rust.to_str())
        rust.post_processor = processors.TemplateProcessing(
            single=f"{CLS}:0 $A:0 {SEP}:0",
            pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
            special_tokens=[(CLS, self.cls_id), (SEP, self.sep_id)],
        )
        rust.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
        (folder / TOKENIZER_FILE).write_text(rust.to_str(), encoding="utf-8")
        settings = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lowercase,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.split_cjk,
            **{f"{name[1:-1].lower()}_token": name for name in SPECIALS},
            **({} if max_length is None else {"model_max_length": max_length}),
        }
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        """Number of tokens, V."""
        return len(self.vocabulary)

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

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, on all processors."""
        return list(self.stream(texts))

    def stream(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """The ids of many texts, on all processors, while only some thousands of answers are in memory."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            chunk = [encodable(text) for text in texts[start : start + TEXTS_AT_ONCE]]
            for rust in self._rust.encode_batch_fast(chunk, add_special_tokens=False):
                yield rust.ids

    def decode(self, ids: Sequence[int]) -> str:
        """The words of `ids`, one space between any two; special tokens stay."""
        return self._rust.decode(list(ids), skip_special_tokens=False)


def assumed_settings(folder: Path) -> tuple[str, ...]:
    """What `Tokenizer.from_folder` takes to be so because no file of the folder says it; a sentence each."""
    said = read_json(folder / SETTINGS_FILE) if (folder / SETTINGS_FILE).is_file() else {}
    if (folder / TOKENIZER_FILE).is_file() or "do_lower_case" in said:
        return ()
    return (
        f"that text is lower-cased exactly if no token of {VOCABULARY_FILE} has a capital letter, for no "
        f"{SETTINGS_FILE} says do_lower_case",
    )


def _read_tokens(path: Path) -> list[str]:
    if path.is_file() and path.stat().st_size > LONGEST_FILE:
        raise UserError(f"{path} has {path.stat().st_size:,} bytes: this is no vocabulary of BERT's.")
    try:
        # Not splitlines(): a vocabulary may hold U+2028 and others that it takes for line ends.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise UserError(f"There is no vocabulary {path}; `bertkit vocab` learns one.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a vocabulary; name the vocab.txt in it.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line} is not UTF-8: this is no vocabulary of BERT's.") from None
    return lines if lines[-1] else lines[:-1]


def _read_tokenizer_json(path: Path) -> tuple[list[str], dict[str, Any]]:
    """The tokens and the settings, in the words of `tokenizer_config.json`.

    Raises:
        UserError: the file describes another kind of tokenizer, whose ids BERT's rules would get wrong.
    """
    content = read_json(path)
    parts = {name: content.get(name) or {} for name in ("model", "normalizer", "pre_tokenizer")}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise UserError(f"{path}: {name} must be an object, not {quoted(part)}.")
    model, normaliser = parts["model"], parts["normalizer"]
    found_and_wanted = {
        "model": (model.get("type"), "WordPiece"),
        "normalizer": (normaliser.get("type"), "BertNormalizer"),
        "pre_tokenizer": (parts["pre_tokenizer"].get("type"), "BertPreTokenizer"),
        "unk_token": (model.get("unk_token"), UNK),
        "continuing_subword_prefix": (model.get("continuing_subword_prefix"), "##"),
        "max_input_chars_per_word": (model.get("max_input_chars_per_word"), MAX_WORD_CHARACTERS),
        "clean_text": (normaliser.get("clean_text"), True),
    }
    for name, (found, wanted) in found_and_wanted.items():
        if found != wanted:
            raise UserError(
                f"{path}: {name} is {quoted(found)}, and BERT's tokenizer needs {quoted(wanted)}."
            )
    vocabulary = _vocabulary(path, model.get("vocab"), content.get("added_tokens", []))
    for name in ("lowercase", "handle_chinese_chars"):
        if not isinstance(normaliser.get(name), bool):
            raise UserError(f"{path}: {name} must be true or false, not {quoted(normaliser.get(name))}.")
    settings = {
        "do_lower_case": normaliser["lowercase"],
        "strip_accents": normaliser.get("strip_accents"),
        "tokenize_chinese_chars": normaliser["handle_chinese_chars"],
    }
    return sorted(vocabulary, key=vocabulary.__getitem__), settings


def _vocabulary(path: Path, vocabulary: object, added: object) -> dict[str, int]:
    """The tokens and their ids, checked to be all that the file's tokenizer knows."""
    if not isinstance(vocabulary, dict) or not all(type(number) is int for number in vocabulary.values()):
        raise UserError(f"{path}: the vocabulary must be an object with a whole number for each token.")
    if not isinstance(added, list) or not all(isinstance(entry, dict) for entry in added):
        raise UserError(f"{path}: added_tokens must be a list of objects.")
    names = [entry.get("content") for entry in added]
    unknown = [name for name in names if not isinstance(name, str) or name not in vocabulary]
    if unknown:
        raise UserError(
            f"{path} adds the tokens {quoted(unknown)} outside the vocabulary; bertkit cannot cut them out."
        )
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise UserError(f"{path}: the ids of the vocabulary do not run from 0 to {len(vocabulary) - 1}.")
    return vocabulary


def _check(owner: str, tokens: list[str]) -> None:
    first: dict[str, int] = {}
    for line, token in enumerate(tokens, start=1):
        # Not any white space: the released Chinese vocabulary has U+2028 for a token.
        if not token.strip(" \t\r"):
            raise UserError(f"{owner}, line {line} is blank: a vocabulary has one token on every line.")
        if _SURROGATES.search(token):
            raise UserError(f"{owner}, line {line} has the token {quoted(token)}, which is no text.")
        if token in first:
            raise UserError(
                f"{owner}, line {line} repeats the token {quoted(token)} of line {first[token]}: remove the "
                "file's later copy, or take the vocabulary that the model was trained with."
            )
        first[token] = line
    missing = [name for name in SPECIALS if name not in first]
    if missing:
        raise UserError(f"{owner} lacks {', '.join(missing)}, which BERT needs: add one line for each.")
