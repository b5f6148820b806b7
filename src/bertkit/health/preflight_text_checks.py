"""Checks before a run that read its text: its pieces, and a corpus against the run."""

from __future__ import annotations

from bertkit.health.preflight import READ, Preflight
from bertkit.health.pretrain_checks import ENOUGH_UPDATES
from bertkit.runs.findings import Change, Finding

TRUNCATED = 0.1
"""Share of cut sequences from which it is worth a try not to cut them: a judgement, not a measurement."""
UNKNOWN_NOTABLE, UNKNOWN_GRAVE = 0.01, 0.1
"""Shares of the text's pieces: judgements, not measurements."""
CHOPPED = 2.5
"""Pieces a word: a judgement, above what `bertkit doctor` tells of CoLA with the vocabularies at hand."""
CASED_VOCABULARY, NO_CAPITALS, CAPITALS = 0.1, 0.005, 0.01
"""Shares: of BERT's cased pieces 30 % have a capital, of its uncased ones none; of English letters 3 %."""
PADS_GRAVE = 0.2
"""Share of visible pads from which they drown the text."""
REPEATED = 40.0
"""Times the text, from which reading it again teaches next to nothing (Muennighoff et al. 2023, section 5);
BERT's own training read its text 40 times."""
FEW_UPDATES = 300
"""Of pretraining: even the demo's two small layers need more before they use the context."""
BUDGET_DOUBT = 4
"""How many times as many updates a budget may give as were estimated: from one process, on a busy machine."""


def pads_visible(record: Preflight) -> Finding | None:
    """Pads are pieces like any other to attention."""
    pieces, start = record.pieces, record.start
    if not pieces.visible_pads:
        return None
    return Finding(
        check="pads_visible",
        weight="grave" if pieces.visible_pads > PADS_GRAVE else "notable",
        sureness="certain",
        seen=f"{pieces.visible_pads:.0%} of the pieces are pads that attention sees; of the attention of "
        f"[CLS] {start.attention_to_pads:.0%} goes to them.",
        means="They are the same in every text: they drown what differs, and take most of the time.",
        changes=(Change("batch.pad_to", 0),),
        read=READ,
    )


def truncated(record: Preflight) -> Finding | None:
    """Many texts are cut."""
    asked, share = record.asked, record.pieces.truncated
    if share < TRUNCATED:
        return None
    longer = min(2 * asked.max_length, 512 if asked.fresh else asked.max_positions)
    change = Change("batch.max_length", longer)
    if longer <= asked.max_length:
        change = Change(words="cut the texts into parts, or shorten them to what matters")
    return Finding(
        check="truncated",
        weight="notable",
        sureness="possible",
        seen=f"{share:.0%} of the sequences are cut at {asked.max_length} pieces.",
        means="If what decides stands behind the cut, the model cannot see it.",
        changes=(change,),
        read=READ,
    )


def unknown_pieces(record: Preflight) -> Finding | None:
    """Many words are not in the vocabulary, nor can be spelt with it."""
    pieces = record.pieces
    if pieces.unknown < UNKNOWN_NOTABLE:
        return None
    words = f", most often {', '.join(map(repr, pieces.unknown_words))}" if pieces.unknown_words else ""
    return Finding(
        check="unknown_pieces",
        weight="grave" if pieces.unknown >= UNKNOWN_GRAVE else "notable",
        sureness="certain",
        seen=f"{pieces.unknown:.1%} of the pieces are [UNK]{words}.",
        means="The model sees that there is a word and not which: the vocabulary is of another language, "
        "case or kind of text.",
        changes=_other_vocabulary(record),
        read=READ,
    )


def chopped_words(record: Preflight) -> Finding | None:
    """Words are cut into many pieces."""
    pieces = record.pieces
    if pieces.pieces_a_word < CHOPPED:
        return None
    return Finding(
        check="chopped_words",
        weight="notable",
        sureness="likely",
        seen=f"A word is cut into {pieces.pieces_a_word:.1f} pieces, a mean over {pieces.pieces:,} pieces.",
        means="Words are spelt, not read: the vocabulary is of another kind of text, or too small.",
        changes=_other_vocabulary(record),
        read=READ,
    )


def vocabulary_case(record: Preflight) -> Finding | None:
    """The tokenizer's case is not that of the vocabulary."""
    pieces = record.pieces
    cased = pieces.cased_pieces
    if pieces.lowercase and cased > CASED_VOCABULARY:
        seen = f"{cased:.0%} of the vocabulary's pieces have capitals, and the tokenizer makes letters small."
        means, lowercase = "These pieces are never used: the vocabulary is a cased one.", False
    elif not pieces.lowercase and cased < NO_CAPITALS and pieces.capitals > CAPITALS:
        seen = (
            f"The text has capitals ({pieces.capitals:.1%} of its letters), the tokenizer keeps them, and "
            f"{cased:.1%} of the vocabulary's pieces have any."
        )
        means, lowercase = "Every word with a capital is spelt or unknown: the vocabulary is uncased.", True
    else:
        return None
    change = Change(words="choose a model of the other case, or prepare the text again")
    if record.asked.fresh and record.asked.phase == "finetune":
        change = Change("vocabulary.lowercase", lowercase)
    return Finding("vocabulary_case", "grave", "certain", seen, means, (change,), READ)


def _other_vocabulary(record: Preflight) -> tuple[Change, ...]:
    if record.asked.phase == "pretrain":
        return (Change(words="learn a vocabulary from this text (`bertkit vocab`) and prepare it again"),)
    if record.asked.fresh:
        return (Change("vocabulary.file", "", "learn a vocabulary from the training texts"),)
    return (Change(words="start from a model whose vocabulary is of this language and case"),)


def text_repeated(record: Preflight) -> Finding | None:
    """Pretraining reads the same text very often."""
    corpus = record.corpus
    if corpus is None or corpus.epochs <= REPEATED:
        return None
    return Finding(
        check="text_repeated",
        weight="notable",
        sureness="likely",
        seen=f"The run reads its {corpus.train_pieces:,} pieces {corpus.epochs:.0f} times.",
        means="The more often the same text is read the less it teaches: four times are nearly as good as "
        "new text, forty times teach little more.",
        changes=(
            Change("training.steps", round(record.asked.steps * REPEATED / corpus.epochs)),
            Change(words="prepare more text, or train a smaller model"),
        ),
        read="arXiv 2305.16264",
    )


def few_updates(record: Preflight) -> Finding | None:
    """Pretraining from fresh weights ends before it can have learnt to use the context."""
    asked, corpus = record.asked, record.corpus
    likely = asked.steps * (BUDGET_DOUBT if asked.budget_minutes else 1)
    if corpus is None or not asked.fresh or not 0 < likely < FEW_UPDATES:
        return None
    changes = [Change("batch.pieces", max(asked.max_length, corpus.pieces_a_step // 4))]
    if not asked.budget_minutes:
        changes.insert(0, Change("training.steps", ENOUGH_UPDATES))
    return Finding(
        check="few_updates",
        weight="notable",
        sureness="likely",
        seen=f"The run has about {asked.steps:,} updates of {corpus.pieces_a_step:,} pieces.",
        means="From fresh weights the first hundreds only learn how often each piece occurs.",
        changes=tuple(changes),
        read="docs/pretraining.md",
    )
