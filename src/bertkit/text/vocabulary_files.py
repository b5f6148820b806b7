"""The files that hold a vocabulary, and what is done to a text before it is cut with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unicodedata import category

from tokenizers import normalizers

from bertkit.errors import UserError, check_pointer, quoted
from bertkit.text.jsons import read_json

PAD, UNK, CLS, SEP, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

VOCABULARY_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer.json"
SETTINGS_FILE = "tokenizer_config.json"
ADDED_FILE = "added_tokens.json"

LONGEST_FILE = 1 << 28
"""Bytes of a file with a vocabulary; one of a million tokens has a tenth of it."""

MAX_WORD_CHARACTERS = 100
"""A longer word becomes one [UNK] (google-research/bert, tokenization.py)."""

SETTINGS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""What the settings are called in files; null means no, and of accents: as the lower case."""

MOST_UNUSABLE = 0.01
"""Share of a vocabulary that what is done to a text may keep from ever being used, where a user says it."""

_BRACKETED = re.compile(r"\[.+\]|<.+>")
_SURROGATES = re.compile("[\ud800-\udfff]")
_INDIC = (*range(0x900, 0x10A0), *range(0x1780, 0x17E0))
"""From Devanagari to Myanmar, and Khmer, whose vowels are signs on a consonant."""
_VOWEL_SIGNS = re.compile(f"[{''.join(chr(i) for i in _INDIC if category(chr(i)) == 'Mn')}]")


def make_normaliser(
    *, lowercase: bool, strip_accents: bool | None, split_cjk: bool
) -> normalizers.Normalizer:
    """BERT's cleaning: control, NUL and U+FFFD characters go, spaces are made plain, then the options."""
    return normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=split_cjk, strip_accents=strip_accents, lowercase=lowercase
    )


def vowel_signs(text: str) -> int:
    """How many vowel signs of Hindi, Thai and their kin a text has, which accents are stripped with."""
    return 0 if text.isascii() else len(_VOWEL_SIGNS.findall(text))


def settings_file(vocabulary: Path) -> Path:
    """The file beside a vocabulary that says what is done to a text before it is cut with it.

    Of `vocab.txt` it has transformers' name; of `de.txt`, which may have neighbours, it is
    `de.tokenizer_config.json`.
    """
    own = "" if vocabulary.name == VOCABULARY_FILE else f"{vocabulary.stem}."
    return vocabulary.with_name(own + SETTINGS_FILE)


def read_settings(file: Path) -> dict[str, Any]:
    """What a `tokenizer_config.json` holds; nothing if it is not there.

    Raises:
        UserError: it is damaged, or one of `SETTINGS` is none.
    """
    said = read_json(file) if file.is_file() else {}
    for name in SETTINGS:
        if not isinstance(said.get(name), bool | None):
            raise UserError(f"{file}: {name} must be true, false or null, not {quoted(said[name])}.")
    meant = {name: bool(said[name]) for name in SETTINGS if name in said and name != "strip_accents"}
    return {**said, **meant}


def fill_settings(settings: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, bool]:
    """All of `SETTINGS`: those of `settings`, and, if it says nothing of the case, those that fit the tokens.

    Text is then lower-cased if no token has a capital letter, and loses its accents if no token has one, for
    such tokens could never be used.
    """
    lowercase, accents, split = (settings.get(name) for name in SETTINGS)
    if lowercase is None:
        lowercase = not any(token != token.lower() for token in _written(tokens))
        if accents is None:
            kept, stripped = (unusable(tokens, lowercase, strip) for strip in (False, True))
            accents = lowercase and kept == stripped
    accents = lowercase if accents is None else accents
    return dict(zip(SETTINGS, (lowercase, accents, split is None or split), strict=True))


def unusable(tokens: Sequence[str], lowercase: bool, strip_accents: bool) -> list[str]:
    """The tokens that no text is cut into, for what is done to it first would change them."""
    clean = make_normaliser(lowercase=lowercase, strip_accents=strip_accents, split_cjk=False).normalize_str
    return [token for token in _written(tokens) if clean(token) != token]


def _written(tokens: Iterable[str]) -> list[str]:
    """The tokens that texts are cut into, which names in brackets, such as `[PAD]` and the `<S>` of the
    released Chinese vocabulary, are not.
    """
    return [token.removeprefix("##") for token in tokens if not _BRACKETED.fullmatch(token)]


def settings_beside(path: Path, tokens: Sequence[str], asked: Mapping[str, bool | None]) -> dict[str, bool]:
    """The settings of a vocabulary: of the file beside it, as `asked`, or those that fit its tokens.

    Raises:
        UserError: what is asked for is not what the file says, or keeps tokens from ever being used.
    """
    file, given = settings_file(path), {name: value for name, value in asked.items() if value is not None}
    said = read_settings(file)
    if "do_lower_case" in said:
        said = fill_settings(said, tokens)
    for name, value in given.items():
        if said.get(name) not in (None, value):
            was = describe_cleaning(fill_settings(said, tokens).values())
            raise UserError(
                f"{path} is of text {was} (in {file.name} {name} is {str(said[name]).lower()}): leave out "
                "the option that says otherwise, or learn another vocabulary."
            )
    found = fill_settings({**said, **given}, tokens)
    lost = unusable(tokens, *(found[name] for name in SETTINGS[:2])) if given else []
    if len(lost) > MOST_UNUSABLE * len(tokens):
        raise UserError(
            f"{path}: {len(lost):,} of its {len(tokens):,} tokens, such as {quoted(lost[0])}, are in no text "
            f"{describe_cleaning(found.values())}: keep case (--cased) or accents "
            "(--no-strip-accents), or take another vocabulary."
        )
    return found


def describe_cleaning(settings: Iterable[bool]) -> str:
    """What is done to a text before it is cut, values in the order of `SETTINGS`, in a few words."""
    lowercase, strip_accents, split_cjk = settings
    told = "in lower case" if lowercase else "with its case kept"
    told += ", accents stripped" if strip_accents else ", accents kept"
    return told if split_cjk else f"{told}, Chinese not split"


@dataclass(frozen=True)
class Added:
    """A token that is cut out of a text before WordPiece cuts the rest, as `tokenizers.AddedToken` has it."""

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(value, bool) for name, value in asdict(self).items() if name != "content"):
            raise UserError(
                f"the added token {quoted(self.content)} has an option that is not true or false."
            )


def read_added(folder: Path, tokens: Sequence[str]) -> tuple[Added, ...]:
    """The tokens that a folder adds to its vocabulary, in the order of their ids, `[PAD]` and the like apart.

    They stand in `tokenizer.json`, in `tokenizer_config.json` (`added_tokens_decoder`) or, as name and id
    alone, in `added_tokens.json`; the first of these that has any is read.

    Raises:
        UserError: a file is damaged, or the ids do not go on after the `tokens`.
    """
    for file, read in _ADDED.items():
        path = folder / file
        found = read(path, read_json(path)) if path.is_file() else {}
        found = {number: added for number, added in found.items() if added.content not in SPECIALS}
        if found:
            break
    known = {token: number for number, token in enumerate(tokens)}
    for number, added in sorted(found.items()):
        place = known.setdefault(added.content, len(known))
        if place != number:
            raise UserError(
                f"{path} gives the added token {quoted(added.content)} the id {number}, and its place in the "
                f"vocabulary is {place}: copy both files from where the model was trained."
            )
    return tuple(added for _, added in sorted(found.items()))


def _entry(path: Path, number: object, entry: object) -> Added:
    options = entry if isinstance(entry, dict) else {}
    content = options.get("content")
    if not isinstance(content, str) or not content or type(number) is not int or _SURROGATES.search(content):
        raise UserError(f"{path}: an added token must have a text and a whole number: {quoted(entry)}.")
    known = Added.__dataclass_fields__.keys()
    try:
        return Added(**{name: value for name, value in options.items() if name in known})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _added_in_tokenizer(path: Path, content: dict[str, Any]) -> dict[int, Added]:
    entries = content.get("added_tokens", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: added_tokens must be a list of objects.")
    return {entry.get("id"): _entry(path, entry.get("id"), entry) for entry in entries}


def _added_in_settings(path: Path, content: dict[str, Any]) -> dict[int, Added]:
    entries = content.get("added_tokens_decoder") or {}
    if not isinstance(entries, dict) or not all(number.isdecimal() for number in entries):
        raise UserError(f"{path}: added_tokens_decoder must be an object with an id for each token.")
    return {int(number): _entry(path, int(number), entry) for number, entry in entries.items()}


def _added_alone(path: Path, content: dict[str, Any]) -> dict[int, Added]:
    return {number: _entry(path, number, {"content": name}) for name, number in content.items()}


_ADDED = {
    TOKENIZER_FILE: _added_in_tokenizer,
    SETTINGS_FILE: _added_in_settings,
    ADDED_FILE: _added_alone,
}


def assumed_settings(folder: Path) -> tuple[str, ...]:
    """What `Tokenizer.from_folder` takes to be so because no file of the folder says it; a sentence each."""
    said = read_settings(folder / SETTINGS_FILE)
    if (folder / TOKENIZER_FILE).is_file() or "do_lower_case" in said:
        return ()
    return (
        f"that text is lower-cased exactly if no token of {VOCABULARY_FILE} has a capital letter, for no "
        f"{SETTINGS_FILE} says do_lower_case",
    )


def read_vocabulary(path: Path) -> list[str]:
    """The tokens of a `vocab.txt`, one a line, the line's number being the id.

    Raises:
        UserError: there is none, or it is not one of BERT's kind.
    """
    tokens = _read_lines(path)
    check_tokens(str(path), tokens)
    return tokens


def _read_lines(path: Path) -> list[str]:
    check_pointer(path)
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


def read_tokenizer_json(path: Path) -> tuple[list[str], dict[str, Any]]:
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
    vocabulary = _vocabulary(path, model.get("vocab"))
    for name in ("lowercase", "handle_chinese_chars"):
        if not isinstance(normaliser.get(name), bool):
            raise UserError(f"{path}: {name} must be true or false, not {quoted(normaliser.get(name))}.")
    settings = {
        "do_lower_case": normaliser["lowercase"],
        "strip_accents": normaliser.get("strip_accents"),
        "tokenize_chinese_chars": normaliser["handle_chinese_chars"],
    }
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    check_tokens(str(path), tokens)
    return tokens, settings


def _vocabulary(path: Path, vocabulary: object) -> dict[str, int]:
    """The tokens and their ids, checked to have no gap."""
    if not isinstance(vocabulary, dict) or not all(type(number) is int for number in vocabulary.values()):
        raise UserError(f"{path}: the vocabulary must be an object with a whole number for each token.")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise UserError(f"{path}: the ids of the vocabulary do not run from 0 to {len(vocabulary) - 1}.")
    return vocabulary


def check_tokens(owner: str, tokens: Sequence[str]) -> None:
    """Raise `UserError` if a special token is missing, or a token is blank, no text, or stands twice."""
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
