"""The generated minimal pairs: determinism, twins, and that the words alone do not tell which is which."""

import importlib.util
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "benchmarks" / "minimal_pairs.py"
SPEC = importlib.util.spec_from_file_location("minimal_pairs", SOURCE)
module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(module)
PAIRS = module.generate()


def test_a_seed_says_everything() -> None:
    assert module.generate() == PAIRS
    assert module.generate(20) == [pair for start in range(0, len(PAIRS), 300) for pair in PAIRS[start:][:20]]
    assert module.generate(20, seed=1) != module.generate(20)


def test_each_phenomenon_has_as_many_different_pairs() -> None:
    assert set(Counter(pair["phenomenon"] for pair in PAIRS).values()) == {300}
    assert len({(pair["good"], pair["bad"]) for pair in PAIRS}) == len(PAIRS)


def test_twins_differ_in_a_word_or_the_order_of_words() -> None:
    good, bad = {pair["good"] for pair in PAIRS}, {pair["bad"] for pair in PAIRS}
    assert not good & bad
    for pair in PAIRS:
        first, second = (pair[which].lower().rstrip(".?").split() for which in ("good", "bad"))
        assert len(first) == len(second), pair
        differing = sum(one != other for one, other in zip(first, second, strict=True))
        assert differing == 1 or sorted(first) == sorted(second), pair
        for text in (pair["good"], pair["bad"]):
            assert text[0].isupper()
            assert text[-1] in ".?"
            assert "  " not in text


def test_words_alone_tell_little() -> None:
    """The sum over words of how much oftener each is in good sentences than in bad ones, of other pairs."""
    for phenomenon in module.PHENOMENA:
        rows = [pair for pair in PAIRS if pair["phenomenon"] == phenomenon]
        counts = Counter()
        for pair in rows[::2]:
            counts.update(pair["good"].lower().rstrip(".?").split())
            counts.subtract(pair["bad"].lower().rstrip(".?").split())
        totals = Counter(
            word for pair in rows[::2] for key in ("good", "bad") for word in pair[key].lower()[:-1].split()
        )
        right = 0.0
        for pair in rows[1::2]:
            first, second = (
                sum(counts[word] / totals[word] for word in pair[key].lower()[:-1].split() if totals[word])
                for key in ("good", "bad")
            )
            right += (first > second) + (first == second) / 2
        # Negation itself licenses "ever", so there the words must tell.
        assert phenomenon == "polarity" or 0.3 < right / 150 < 0.7, (phenomenon, right)
