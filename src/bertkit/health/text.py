"""The text of a run before it begins: what the tokenizer made of it, and what may be wrong with that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.health.advice import grave, notable
from bertkit.health.preflight import Preflight, TokenMeasures
from bertkit.runs.findings import Change, Finding
from bertkit.text.tokenizer import Tokenizer

TEXTS_LOOKED_AT = 2_000
WORDS_SHOWN = 5
TRUNCATED = 0.1
"""Share of cut sequences from which it is worth a try not to cut them: a judgement, not a measurement."""
UNKNOWN_NOTABLE, UNKNOWN_GRAVE = 0.01, 0.1
"""Shares of the text's tokens: judgements, not measurements."""
CHOPPED = 2.5
"""Tokens a word: a judgement, above what `bertkit doctor` tells of CoLA with the vocabularies at hand."""
CASED_VOCABULARY, NO_CAPITALS, CAPITALS = 0.1, 0.005, 0.01
"""Shares: of BERT's cased tokens 30 % have a capital, of its uncased ones none; of English letters 3 %."""
PADS_GRAVE = 0.2
"""Share of visible pads from which they drown the text."""


def measure_tokens(
    sequences: Sequences, tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int, visible_pads: bool
) -> TokenMeasures:
    """What `TokenMeasures` says of encoded texts.

    Args:
        sequences: of which `texts` are the first texts.
        tokenizer: cut them.
        texts: N of them.
        max_length: tokens of a sequence at most.
        visible_pads: whether pads, where there are any, are seen by attention.
    """
    counts = np.bincount(sequences.ids, minlength=tokenizer.size)
    pads, slots = int(counts[tokenizer.pad_id]), len(sequences) * max_length
    some = [texts[i] for i in np.linspace(0, len(texts) - 1, min(len(texts), TEXTS_LOOKED_AT)).astype(int)]
    letters = Counter(letter.isupper() for text in some for letter in text if letter.isalpha())
    unknown = int(counts[tokenizer.unk_id])
    return token_measures(
        counts,
        tokenizer,
        padding=1 - (len(sequences.ids) - pads) / slots,
        visible_pads=pads / len(sequences.ids) if visible_pads else 0.0,
        truncated=sequences.truncated / len(sequences),
        unknown_words=unknown_words(tokenizer, some) if unknown else [],
        capitals=letters[True] / max(1, letters.total()),
    )


def token_measures(
    counts: npt.NDArray[np.int64],
    tokenizer: Tokenizer,
    *,
    padding: float,
    visible_pads: float,
    truncated: float,
    unknown_words: list[str],
    capitals: float,
) -> TokenMeasures:
    """What `TokenMeasures` says where each token stands `counts` [V] times; the rest is given."""
    specials = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
    counts = counts.copy()
    counts[specials] = 0
    total = max(1, int(counts.sum()))
    inner = np.array([token.startswith("##") for token in tokenizer.vocabulary])
    special = {tokenizer.unk_id, *specials}
    words = [token for index, token in enumerate(tokenizer.vocabulary) if index not in special]
    return TokenMeasures(
        tokens=int(counts.sum()),
        padding=padding,
        visible_pads=visible_pads,
        truncated=truncated,
        unknown=int(counts[tokenizer.unk_id]) / total,
        unknown_words=unknown_words,
        tokens_a_word=total / max(1, int(counts[~inner].sum())),
        vocabulary_size=tokenizer.size,
        cased_tokens=float(np.mean([token != token.lower() for token in words])) if words else 0.0,
        capitals=capitals,
        lowercase=tokenizer.lowercase,
    )


def unknown_words(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """The words that became `[UNK]`, the commonest first."""
    words: Counter[str] = Counter()
    for text in texts:
        encoded = tokenizer.encode(text)
        for token, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
            if token == tokenizer.unk_id:
                words[text[start:end]] += 1
    return [word for word, _ in words.most_common(WORDS_SHOWN)]


def pads_visible(record: Preflight) -> Finding | None:
    """Pads are tokens like any other to attention."""
    tokens, start = record.tokens, record.start
    if not tokens.visible_pads:
        return None
    return (grave if tokens.visible_pads > PADS_GRAVE else notable)(
        "certain",
        f"{tokens.visible_pads:.0%} of the tokens are pads that attention sees; of the attention of "
        f"[CLS] {start.attention_to_pads:.0%} goes to them.",
        "They are the same in every text: they drown what differs, and take most of the time.",
        Change("batch.pad_to", 0),
    )


def truncated(record: Preflight) -> Finding | None:
    """Many texts are cut."""
    asked, share = record.asked, record.tokens.truncated
    if share < TRUNCATED:
        return None
    longer = min(2 * asked.max_length, 512 if asked.fresh else asked.max_positions)
    change = Change("batch.max_length", longer)
    if longer <= asked.max_length:
        change = Change(words="cut the texts into parts, or shorten them to what matters")
    return notable(
        "possible",
        f"{share:.0%} of the sequences are cut at {asked.max_length} tokens.",
        "If what decides stands behind the cut, the model cannot see it.",
        change,
    )


def unknown_tokens(record: Preflight) -> Finding | None:
    """Many words are not in the vocabulary, nor can be spelt with it."""
    tokens = record.tokens
    if tokens.unknown < UNKNOWN_NOTABLE:
        return None
    words = f", most often {', '.join(map(repr, tokens.unknown_words))}" if tokens.unknown_words else ""
    return (grave if tokens.unknown >= UNKNOWN_GRAVE else notable)(
        "certain",
        f"{tokens.unknown:.1%} of the tokens are [UNK]{words}.",
        "The model sees that there is a word and not which: the vocabulary is of another language, "
        "case or kind of text.",
        *_other_vocabulary(
            record, Change("vocabulary.alphabet_coverage", 1.0, "keep every character of the training texts")
        ),
    )


def chopped_words(record: Preflight) -> Finding | None:
    """Words are cut into many tokens."""
    tokens = record.tokens
    if tokens.tokens_a_word < CHOPPED:
        return None
    return notable(
        "likely",
        f"A word is cut into {tokens.tokens_a_word:.1f} tokens, a mean over {tokens.tokens:,} tokens.",
        "Words are spelt, not read: the vocabulary is of another kind of text, or too small.",
        *_other_vocabulary(record, Change("vocabulary.size", 2 * tokens.vocabulary_size)),
    )


def vocabulary_case(record: Preflight) -> Finding | None:
    """The tokenizer's case is not that of the vocabulary."""
    tokens = record.tokens
    cased = tokens.cased_tokens
    if tokens.lowercase and cased > CASED_VOCABULARY:
        seen = f"{cased:.0%} of the vocabulary's tokens have capitals, and the tokenizer makes letters small."
        means, lowercase = "These tokens are never used: the vocabulary is a cased one.", False
    elif not tokens.lowercase and cased < NO_CAPITALS and tokens.capitals > CAPITALS:
        seen = (
            f"The text has capitals ({tokens.capitals:.1%} of its letters), the tokenizer keeps them, and "
            f"{cased:.1%} of the vocabulary's tokens have any."
        )
        means, lowercase = "Every word with a capital is spelt out or [UNK]: the vocabulary is uncased.", True
    else:
        return None
    change = Change(words="choose a model of the other case, or prepare the text again")
    if record.asked.fresh and record.asked.phase == "finetune":
        change = Change("vocabulary.lowercase", lowercase)
    return grave(
        "certain",
        seen,
        means,
        change,
    )


def _other_vocabulary(record: Preflight, learned: Change) -> tuple[Change, ...]:
    """What to change; `learned` where the run learns its vocabulary itself."""
    if record.asked.phase == "pretrain":
        return (Change(words="learn a vocabulary from this text (`bertkit vocab`) and prepare it again"),)
    if record.asked.learns_vocabulary:
        return (learned,)
    if record.asked.fresh:
        return (Change("vocabulary.file", "", "learn a vocabulary from the training texts"),)
    return (Change(words="start from a model whose vocabulary is of this language and case"),)
