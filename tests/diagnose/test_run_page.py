"""What a page shows of a run's probabilities, gradients and mistakes."""

import math
import re
from typing import Any

import numpy as np
import pytest

from bertkit.diagnose.explained import mistakes_section
from bertkit.diagnose.findings import findings_section
from bertkit.diagnose.heat import COLUMNS, heat_map
from bertkit.diagnose.pictures import SHADES
from bertkit.diagnose.probabilities import reliability, threshold_curve
from bertkit.health.finding import Change, Finding
from bertkit.tasks.calibration import examine

LAYERS = ("embeddings", "layer 1", "head")


def words(section: str) -> str:
    text = re.sub(r"<svg.*?</svg>", " ", section, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def looks(count: int, norm: float = 1.0) -> list[tuple[float, dict[str, float]]]:
    return [(step / 10, dict.fromkeys(LAYERS, norm / (1 + step))) for step in range(count)]


def test_the_heat_map_goes_from_the_least_to_the_most() -> None:
    section = heat_map(looks(9), "epoch", " Of seed 3.")
    assert 'aria-label="Gradients by layer, from the bottom to the top"' in section
    assert words(section).endswith("0.11 1 Norm of the gradient before clipping. Of seed 3.")
    shades = list(SHADES.values())
    found = re.findall(r"fill: (color-mix\([^;]*?\))(?=[;\"])", section)
    assert len(found) == 9 * len(LAYERS)
    assert (found[0], found[8]) == (shades[-1], shades[0]), "the first look is the strongest"
    for layer in LAYERS:
        assert f">{layer}<" in section


def test_a_long_run_has_columns_wide_enough_to_see() -> None:
    section = heat_map(looks(10_001), "step")
    assert len(re.findall(r"fill: color-mix", section)) <= COLUMNS * len(LAYERS)
    assert len(section) < 60_000


def test_gradients_that_are_no_numbers_or_nothing_have_no_map() -> None:
    assert heat_map([], "step") == heat_map(looks(1), "step") == ""
    assert heat_map(looks(4, norm=math.nan), "step") == heat_map(looks(4, norm=0.0), "step") == ""
    broken = [*looks(3), (0.3, dict.fromkeys(LAYERS, math.nan)), (0.4, {"head": 0.5})]
    section = heat_map(broken, "step")
    assert len(re.findall(r"fill: color-mix", section)) == 3 * len(LAYERS) + 1


def found(sharpness: float, **more: Any) -> dict[str, Any]:
    """Of 400 rows whose probabilities are too sure where the sharpness is above 1."""
    random = np.random.default_rng(2)
    logits = random.normal(size=400) * 1.5
    labels = (random.random(400) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    yes = 1 / (1 + np.exp(-sharpness * logits))
    told = examine(np.stack([1 - yes, yes], axis=1), labels, ["no", "yes & sure"], "mcc")
    return told | {"calibration": {**told["calibration"], **more}}


def test_calibration_says_which_way_it_errs_and_what_a_temperature_gives() -> None:
    text = words(reliability(found(4.0)["calibration"], ", seed 3 (the best)"))
    for part in (
        "how sure, how often right, seed 3 (the best)",
        "It is too sure of itself, by",
        "over 15 bins of equal width",
        "as trained",
        "temperature 4.",
        "--set training.temperature=true",
    ):
        assert part in text
    assert "It is right more often than it says" in words(reliability(found(0.2)["calibration"]))
    assert "no more than so few rows show by chance" in words(reliability(found(1.0)["calibration"]))
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
    assert "too sure of itself at some probabilities and not sure enough at others" in words(
        reliability(both)
    )
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


def piece(start: int, end: int, push: float, text: int = 0) -> dict[str, Any]:
    return {"piece": "x", "text": text, "from": start, "to": end, "push": push}


def test_pieces_are_marked_where_they_stand_and_all_is_escaped() -> None:
    pieces = [piece(0, 1, 2.0), piece(3, 6, -1.0), piece(6, 11, 0.01), piece(12, 13, 1.0)]
    section = mistakes_section([mistake(pieces=pieces), mistake()])
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
    row = mistake(pieces=[piece(0, 2, 1.0), piece(0, 3, -0.5, text=1)], complete=False, gap=0.4)
    section = mistakes_section([{**row, "text": "ab", "pair": "cde"}])
    assert re.search(r">ab</mark><br><mark class=right[^>]*>cde</mark>", section)
    assert "within 0.400. For 1 of them that is too much to trust the colours." in section


def test_overlapping_pieces_repeat_no_character() -> None:
    section = mistakes_section([mistake(pieces=[piece(0, 4, 1.0), piece(3, 5, 1.0), piece(3, 4, 1.0)])])
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
