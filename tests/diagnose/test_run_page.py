"""What a page shows of a run's probabilities, gradients and mistakes."""

import math
import re
from typing import Any

import numpy as np
import pytest

from bertkit.diagnose.classes import mistakes_section, reliability, threshold_curve
from bertkit.diagnose.looks import COLUMNS, heat_map, spreads
from bertkit.diagnose.pictures import SHADES
from bertkit.diagnose.sections import findings_section
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import Health
from bertkit.tasks.calibration import examine
from bertkit.tasks.classify import CLASSIFY

LAYERS = ("embeddings", "layer 1", "head")


def words(section: str) -> str:
    text = re.sub(r"<svg.*?</svg>", " ", section, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def look(step: int, norm: float, **more: Any) -> Health:
    return Health(step=step, gradient_norms=dict.fromkeys(LAYERS, norm), **more)


def looks(count: int, norm: float = 1.0) -> list[Health]:
    return [look(step, norm / (1 + step)) for step in range(count)]


def shades_of(section: str) -> list[int]:
    """The shade of each cell, 0 to 15, a layer after another."""
    places = {shade: place for place, shade in enumerate(SHADES.values())}
    return [places[found] for found in re.findall(r"fill: (color-mix\([^;]*?\))(?=[;\"])", section)]


def test_the_heat_map_goes_from_the_least_to_the_most() -> None:
    section = heat_map(looks(9), "gradient_norms", " Of seed 3.")
    assert 'aria-label="Gradients by layer, from the bottom to the top"' in section
    assert words(section).endswith("0.11 1 Gradient norm before clipping. Of seed 3.")
    found = shades_of(section)
    assert len(found) == 9 * len(LAYERS)
    assert (found[0], found[8]) == (15, 0), "the first look is the strongest"
    for layer in LAYERS:
        assert f">{layer}<" in section


def test_a_long_run_has_columns_wide_enough_to_see() -> None:
    section = heat_map(looks(10_001), "gradient_norms")
    found = shades_of(section)
    assert COLUMNS // 2 * len(LAYERS) < len(found) <= COLUMNS * len(LAYERS)
    assert found[1] < found[0], "what happened in the first steps is not averaged away"
    assert len(section) < 60_000


def test_shares_are_shown_from_none_to_all() -> None:
    attention = [
        Health(step=step, attention_entropy={"layer 1": 1.0, "layer 2": low})
        for step, low in ((1, 0.0), (10, 0.5), (20, 0.5))
    ]
    section = heat_map(attention, "attention_entropy")
    assert shades_of(section) == [15, 15, 15, 0, 8, 8]
    assert words(section).startswith("Attention by layer 0 1 Its entropy")
    assert heat_map(attention, "dead_units") == "", "which nobody measured"


def test_what_is_no_number_or_nothing_has_no_map() -> None:
    assert heat_map([], "gradient_norms") == heat_map(looks(1), "gradient_norms") == ""
    assert heat_map(looks(4, norm=math.nan), "gradient_norms") == ""
    assert heat_map(looks(4, norm=0.0), "gradient_norms") == ""
    broken = [*looks(3), look(3, math.nan), Health(step=4, gradient_norms={"head": 0.5})]
    assert len(shades_of(heat_map(broken, "gradient_norms"))) == 3 * len(LAYERS) + 1


def test_how_far_inputs_differ_is_drawn_where_it_was_measured() -> None:
    seen = [
        Health(step=step, epoch=step / 10, cls_spread=spread, probability_spread=0.0, majority_share=1.0)
        for step, spread in ((1, 0.5), (10, 1e-3), (20, math.nan))
    ]
    section = spreads([seen], lambda look: look.epoch, "epoch")
    assert "inputs that get the most frequent answer" in words(section)
    assert words(spreads([seen, seen], lambda look: look.epoch, "epoch")).endswith("One line a seed (2).")
    without = [look(1, 1.0), look(2, 1.0)]
    assert spreads([without], lambda look: look.step, "step") == ""
    assert spreads([seen[:1]], lambda look: look.step, "step") == ""
    assert spreads([], lambda look: look.step, "step") == ""


def found(sharpness: float, **more: Any) -> dict[str, Any]:
    """Of 400 rows whose probabilities are too sure where the sharpness is above 1."""
    random = np.random.default_rng(2)
    logits = random.normal(size=400) * 1.5
    labels = (random.random(400) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    yes = 1 / (1 + np.exp(-sharpness * logits))
    told = examine(np.stack([1 - yes, yes], axis=1), labels, ["no", "yes & sure"], CLASSIFY.metric("mcc"))
    return told | {"calibration": {**told["calibration"], **more}}


def test_calibration_says_which_way_it_errs_and_what_a_temperature_gives() -> None:
    text = words(reliability(found(4.0)["calibration"], ", seed 3 (the best)"))
    for part in (
        "how sure, how often right, seed 3 (the best)",
        "It is over-confident, by",
        "over 15 bins of equal width",
        "as trained",
        "temperature 4.",
        "--set training.temperature=true",
    ):
        assert part in text
    assert "It is under-confident" in words(reliability(found(0.2)["calibration"]))
    assert "no larger than expected from sampling noise" in words(reliability(found(1.0)["calibration"]))
    crossed = [
        {
            "from": low,
            "to": low + 0.1,
            "rows": 100,
            "confidence": low + 0.05,
            "right": right,
            "interval": [0, 1],
        }
        for low, right in ((0.6, 0.85), (0.9, 0.75))
    ]
    both = found(4.0)["calibration"] | {"bins": crossed, "ece": 0.2}
    assert "over-confident at some probabilities and under-confident at others" in words(reliability(both))
    assert "The model folder keeps it." in words(reliability(found(4.0, kept=True)["calibration"]))
    assert "these rows set no limit" in words(reliability(found(1.0, temperature=None)["calibration"]))
    assert reliability(None) == ""


def test_the_threshold_curve_says_that_a_chosen_threshold_flatters() -> None:
    curve = found(1.0)["thresholds"]
    section = threshold_curve(curve, 0.123)
    text = words(section)
    assert f"model, {curve['default']:.3f} at 0.5" in text
    assert "n-gram model, 0.123" in text
    assert "flatters: chosen on four fifths of them and scored on the other, in turn, it gives" in text
    assert "yes &amp; sure" in section
    assert "n-gram" not in words(threshold_curve(curve, None))
    assert "in turn" not in words(threshold_curve({**curve, "crossfitted": None}, None))
    assert threshold_curve(None, None) == ""


def mistake(**explanation: Any) -> dict[str, Any]:
    row = {"line": 3, "text": "<i>Fräulein & co</i>", "pair": None, "label": "no", "predicted": "yes"}
    row |= {"probability": 0.9}
    shared = {"difference": 1.0, "baseline": 0.0, "gap": 0.004, "steps": 64, "complete": True}
    return {**row, "explanation": {**shared, **explanation}} if explanation else row


def token(start: int, end: int, push: float, text: int = 0) -> dict[str, Any]:
    return {"token": "x", "text": text, "from": start, "to": end, "push": push}


def test_tokens_are_marked_where_they_stand_and_all_is_escaped() -> None:
    tokens = [token(0, 1, 2.0), token(3, 6, -1.0), token(6, 11, 0.01), token(12, 13, 1.0)]
    section = mistakes_section([mistake(tokens=tokens), mistake()])
    marked = (
        "<mark class=wrong style='--push:100%' title='+2.00'>&lt;</mark>i&gt;"
        "<mark class=right style='--push:50%' title='-1.00'>Frä</mark>ulein "
        "<mark class=wrong style='--push:50%' title='+1.00'>&amp;</mark> co&lt;/i&gt;"
    )
    assert marked in section
    assert "<i>" not in section
    assert "at up to 64 points" in section
    assert "within 0.004." in section
    assert "too much to trust" not in section


def test_a_pair_has_marks_in_both_texts_and_a_gap_is_said() -> None:
    row = mistake(tokens=[token(0, 2, 1.0), token(0, 3, -0.5, text=1)], complete=False, gap=0.4)
    section = mistakes_section([{**row, "text": "ab", "pair": "cde"}])
    assert re.search(r">ab</mark><br><mark class=right[^>]*>cde</mark>", section)
    assert "within 0.400. For 1 of them that is too much to trust the colours." in section


def test_overlapping_tokens_repeat_no_character() -> None:
    section = mistakes_section([mistake(tokens=[token(0, 4, 1.0), token(3, 5, 1.0), token(3, 4, 1.0)])])
    assert "".join(re.findall(r"<mark[^>]*title[^>]*>(.*?)</mark>", section)) == "&lt;i&gt;Fr"


def test_without_mistakes_or_explanations_there_is_no_legend() -> None:
    assert mistakes_section([]) == ""
    assert "mark" not in mistakes_section([mistake()])


@pytest.mark.parametrize("weight", ["grave", "notable"])
def test_findings_are_shown_by_weight_with_what_to_change(weight: str) -> None:
    changes = (Change("optimiser.lr", 5e-5), Change(words="Look at <line 7>"))
    first = Finding("one", "grave", "likely", "It <saw> 7.", "It means 8.", changes, "docs/x.md")
    other = Finding("two", weight, "possible", "Other.", "Then.")  # type: ignore[arg-type]
    section = findings_section([other, first])
    assert "<code>--set optimiser.lr=5e-05</code>; or Look at &lt;line 7&gt;" in section
    assert section.index("It &lt;saw&gt; 7.") < section.index("Other.")
    assert "grave, likely; more in docs/x.md" in section
    assert findings_section([]) == ""


def test_many_changes_are_proposed_once() -> None:
    many = tuple(Change("optimiser.lr", rate) for rate in (1e-3, 1e-4, 1e-5, 1e-6))
    first = Finding("one", "grave", "certain", "First.", "It.", many, "docs/x.md")
    again = Finding("two", "grave", "likely", "Again.", "It.", many[::-1])
    more = (*many, Change("optimiser.clip", 1.0, together=True))
    other = Finding("three", "grave", "possible", "Other.", "It.", more)
    few = Finding("four", "notable", "certain", "Few.", "It.", many[:3])
    text = words(findings_section([first, again, other, few]))
    assert [text.count(change.typed) for change in many] == [3, 3, 3, 2]
    assert "--set optimiser.lr=1e-06 with --set optimiser.clip=1" in text
    assert "Again. It. What may help: as above grave, likely" in text
