"""Against google-research/bert's create_pretraining_data.py, and transformers' collator.

`make_pretraining_reference.py` says how the numbers of the original were made.
"""

import json

import numpy as np
import pytest
from references import load_maker
from scipy import stats

from bertkit.data.masking import Masker, realised
from bertkit.data.pairs import build_spans, lay_out
from bertkit.data.shards import Documents
from bertkit.recipe.pretrain import MaskingPolicy, ObjectiveRecipe
from bertkit.text.tokenizer import SPECIALS, Tokenizer

EPOCHS = 250
# Over all classes of all counts of a setting together (Bonferroni).
LEAST_P = 1e-3


make = load_maker("make_pretraining_reference")
REFERENCE = json.loads(make.REFERENCE.read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_vocabulary(make.VOCABULARY)
corpus = make.make_corpus()
documents = Documents(
    ids=np.array(corpus.ids, dtype=np.uint16),
    sentences=np.array(corpus.starts, dtype=np.int64),
    documents=np.array(corpus.documents, dtype=np.int64),
)


def epoch(name: str, masker: Masker, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and masks, as `describe` wants them, of one pass over the documents."""
    setting = make.SETTINGS[name]
    spans = build_spans(
        documents, "nsp", length=setting["length"], short_share=setting["short_share"], random=random
    )
    sequences, _ = lay_out(documents, spans, np.arange(len(spans)), tokenizer)
    masked = masker(sequences.ids, sequences.lengths, random)
    sequence = np.searchsorted(sequences.starts, masked.masked_M, side="right") - 1
    now = masked.ids_T[masked.masked_M]
    fates = [now == tokenizer.mask_id, now != masked.targets_M]
    fate = np.select(fates, [make.MASKED, make.RANDOM], make.KEPT)
    rows = np.column_stack([spans.first, spans.second, spans.labels, spans.document])
    return rows, np.column_stack([sequence, masked.masked_M - sequences.starts[sequence], fate])


def p_values(theirs: dict[str, list[float]], epochs: list[np.ndarray]) -> np.ndarray:
    """Student's test for the mean over epochs, of each class of a count that has enough for it."""
    size = len(epochs[0])
    mean, variance = (np.pad(theirs[key], (0, size - len(theirs[key]))) for key in ("mean", "variance"))
    ours = np.array(epochs, dtype=np.float64)
    their_epochs = REFERENCE["epochs"]
    seen = mean * their_epochs + ours.sum(axis=0) >= 10
    test = stats.ttest_ind_from_stats(
        *(mean[seen], np.sqrt(variance[seen]), their_epochs),
        *(ours.mean(axis=0)[seen], ours.std(axis=0, ddof=1)[seen], len(epochs)),
    )
    # A class that has the same number in every epoch of both has no variance, and nothing to test.
    same = (mean[seen] == ours.mean(axis=0)[seen]) & (variance[seen] == 0)
    return np.where(same, 1.0, test.pvalue)


def test_the_documents_are_those_of_the_reference() -> None:
    assert len(corpus.ids) == REFERENCE["tokens"]
    assert sum(corpus.ids) == REFERENCE["sum"]


@pytest.mark.filterwarnings("ignore:Precision loss occurred")
@pytest.mark.parametrize("setting", make.SETTINGS)
def test_agreement_in_distribution(setting: str) -> None:
    policy: MaskingPolicy = "whole-word" if make.SETTINGS[setting]["whole_word"] else "token"
    masker, random = (
        Masker(tokenizer, ObjectiveRecipe(masking=policy, rate=make.RATE)),
        np.random.default_rng(7),
    )
    epochs = [make.describe(corpus, *epoch(setting, masker, random)) for _ in range(EPOCHS)]
    theirs = REFERENCE[setting]["counts"]
    assert set(theirs) == set(epochs[0])
    found = {name: p_values(theirs[name], [counts[name] for counts in epochs]) for name in theirs}
    tests = sum(map(len, found.values()))
    assert tests > 200
    least = {name: values.min() for name, values in found.items()}
    assert min(least.values()) * tests > LEAST_P, sorted(least.items(), key=lambda item: item[1])[:5]


def test_the_number_chosen_of_each_length() -> None:
    masker, random = (
        Masker(tokenizer, ObjectiveRecipe(masking="token", rate=make.RATE)),
        np.random.default_rng(7),
    )
    compared = 0
    for length, numbers in REFERENCE["token"]["chosen of each length"].items():
        ids = np.array([tokenizer.cls_id, *[7] * (int(length) - 3), *[tokenizer.sep_id] * 2])
        assert [len(masker(ids, [len(ids)], random).masked_M)] == numbers
        compared += 1
    assert compared == 28  # 5 to 32


SMALL = Tokenizer.from_vocabulary([*SPECIALS, *"abcdefg", "##x", "##y", "##z"])
A, B, C, X, Y, Z = 5, 6, 7, 12, 13, 14


def collator(**options: object) -> object:
    """That of transformers, over the vocabulary of `SMALL`."""
    from transformers import BertTokenizerFast, DataCollatorForLanguageModeling

    theirs = BertTokenizerFast(tokenizer_object=SMALL._rust)
    theirs.add_special_tokens({f"{name[1:-1].lower()}_token": name for name in SPECIALS})
    return DataCollatorForLanguageModeling(theirs, **options)


@pytest.mark.parametrize("policy", ["token", "whole-word"])
def test_what_transformers_may_choose(policy: str) -> None:
    """Its numbers vary, as it throws a coin for each token or word; at a rate of 1 all are chosen."""
    ids = [SMALL.cls_id, A, X, SMALL.unk_id, B, SMALL.sep_id, C, Y, Z, SMALL.sep_id]
    example: dict[str, object] = {"input_ids": ids}
    options: dict[str, object] = {}
    if policy == "whole-word":
        options = {"whole_word_mask": True, "mask_replace_prob": 1, "random_replace_prob": 0}
        example["offset_mapping"] = [
            *[(0, 0), (0, 1), (1, 2), (3, 4), (5, 6), (0, 0)],
            *[(0, 1), (1, 2), (2, 3), (0, 0)],
        ]
    labels = collator(mlm_probability=1.0, **options)([example])["labels"][0].numpy()
    mine = Masker(SMALL, ObjectiveRecipe(masking=policy, rate=1.0))(
        np.array(ids), [10], np.random.default_rng(0)
    )
    assert mine.masked_M.tolist() == [1, 2, 3, 4, 6, 7, 8]
    # transformers takes [UNK] for special; google-research/bert does not.
    assert np.flatnonzero(labels != -100).tolist() == [1, 2, 4, 6, 7, 8]
    assert mine.targets_M[mine.masked_M != 3].tolist() == labels[labels != -100].tolist()


def test_shares_of_transformers() -> None:
    import torch

    random = np.random.default_rng(3)
    rows = random.integers(5, 15, (400, 60))
    rows[:, 0], rows[:, -1] = SMALL.cls_id, SMALL.sep_id
    torch.manual_seed(0)
    out = collator()([{"input_ids": row.tolist()} for row in rows])
    at = out["labels"] != -100
    now, then = out["input_ids"][at], out["labels"][at]
    masked, kept = int((now == SMALL.mask_id).sum()), int((now == then).sum())
    mine = realised(Masker(SMALL, ObjectiveRecipe())(rows.reshape(-1), [60] * 400, random), SMALL.mask_id)
    # Special tokens may be random ones there: 1 in 15 is [MASK] and 1 in 15 the same, here 0 and 1 in 10.
    hidden, same = round(mine.random / 0.9 / 15), round(mine.random / 0.9 * (1 / 10 - 1 / 15))
    ours = [mine.masked + hidden, mine.random - hidden + same, mine.kept - same]
    theirs = [masked, len(now) - masked - kept, kept]
    assert stats.chi2_contingency([theirs, ours]).pvalue > 1e-3
