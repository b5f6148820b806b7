"""What a page says of labels: the confusion matrix, each class alone, whether probabilities mean what they
say, what other thresholds give, and the surest mistakes, their tokens coloured by how they pushed the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bertkit.diagnose.charts import SIZE
from bertkit.diagnose.page import figure, key, note, table
from bertkit.diagnose.pictures import DEV, LINE, MAJORITY, NGRAM, TEXT, TRAIN, draw_level, picture
from bertkit.diagnose.sections import Told
from bertkit.diagnose.wording import capital
from bertkit.tasks.kinds import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Measured = Mapping[str, Any]
Mistake = Mapping[str, Any]
FAINT = 0.06
"""A push below this share of the sentence's strongest has no colour."""
FEW = 4
"""Classes whose table fits into a column."""
CLASS_HEADS = ("label", "rows", "precision", "recall", "F1")
MOST_CLASSES, MOST_CONFUSIONS = 30, 20
"""Lines of the tables of a page."""


def class_lines(by_class: Sequence[Mapping[str, Any]], most: int) -> list[list[str]]:
    """Lines of a table by class under `CLASS_HEADS`, the class with most rows first.

    Of more than `most` classes it has the largest and the smallest, and between them a line that counts the
    others.
    """
    ordered = sorted(by_class, key=lambda each: -each["rows"])
    lines = [
        [each["label"], f"{each['rows']:,}", *(f"{each[name]:.3f}" for name in ("precision", "recall", "f1"))]
        for each in ordered
    ]
    if len(lines) <= most:
        return lines
    half = most // 2
    between = f"... {len(lines) - 2 * half:,} others"
    return [*lines[:half], [between, *[""] * (len(CLASS_HEADS) - 1)], *lines[-half:]]


def by_class_section(
    by_class: Sequence[Mapping[str, Any]], of_best: str = "", *, heading: str = "By class"
) -> str:
    """Precision, recall and F1 of each class; nothing where they are not told."""
    if not by_class:
        return ""
    lines = [[escape(cell) for cell in line] for line in class_lines(by_class, MOST_CLASSES)]
    made = table(
        CLASS_HEADS,
        lines,
        numbers=range(1, len(CLASS_HEADS)),
        caption=f"On the dev rows{of_best}, the largest class first. Recall: the share of its rows that is "
        "found. Precision: the share of what is answered so that is right. F1 is their harmonic mean.",
    )
    return f"<section><h2>{heading}</h2>{made}</section>"


def confusions_section(pairs: Sequence[Mapping[str, Any]], of_best: str = "") -> str:
    """The pairs of classes most often confused, of more classes than a matrix has room for."""
    if not pairs:
        return ""
    lines = [
        [escape(each["label"]), escape(each["predicted"]), f"{each['rows']:,}"]
        for each in pairs[:MOST_CONFUSIONS]
    ]
    made = table(
        ["true label", "predicted", "rows"],
        lines,
        numbers=(2,),
        caption=f"The pairs of classes most often confused on the dev rows{of_best}.",
    )
    return f"<section><h2>Largest confusions</h2>{made}</section>"


def confusion(result: Mapping[str, Any], of_best: str = "") -> str:
    """How often each label is predicted of each; of many the largest confusions."""
    if not result.get("confusion"):
        return confusions_section(result.get("confusions", ()), of_best)
    labels = [escape(label) for label in result["labels"]]
    head = "".join(f"<th scope=col>{label}</th>" for label in labels)
    rows = ""
    for label, counts in zip(labels, result["confusion"], strict=True):
        total = sum(counts)
        shares = [count / total if total else 0.0 for count in counts]
        cells = "".join(
            f"<td style='--share:{share:.3f}'>{count:,}<small>{share:.0%}</small></td>"
            for count, share in zip(counts, shares, strict=True)
        )
        rows += f"<tr><th scope=row>{label}</th>{cells}</tr>"
    wide = " class=wide" if len(labels) > FEW else ""
    return (
        f"<section{wide}><h2>Confusion matrix</h2><div class=scroll><table class=confusion>"
        f"<caption>Rows: the true label. Columns: the prediction{of_best}. "
        "Percentages are of the row.</caption>"
        f"<thead><tr><td style='--share:0;background:none'></td>{head}</tr></thead><tbody>{rows}</tbody>"
        "</table></div></section>"
    )


def reliability(found: Measured | None, of_best: str = "") -> str:
    """The reliability diagram with its errors; nothing for a run that has none."""
    if not found:
        return ""
    keys = [
        key("dev", "dev rows, with 95 % intervals"),
        key("majority", "probabilities that mean what they say", dashed=True),
        note(f"{_means(found)} {_binned(found)}"),
    ]
    section = figure(f"Calibration: how sure, how often right{of_best}", draw_reliability(found), keys)
    return section.removesuffix("</section>") + _errors(found) + "</section>"


def draw_reliability(found: Measured) -> str:
    """The share that is right over the mean probability of the prediction, and the rows of each bin below."""
    bins = found["bins"]

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        axes, rows = all_axes
        left = min(bins[0]["from"], 0.9)
        axes.plot([left, 1], [left, 1], color=MAJORITY, linestyle="--", linewidth=1.2)
        across = [each["confidence"] for each in bins]
        low, high = zip(*(each["interval"] for each in bins), strict=True)
        axes.vlines(across, low, high, color=DEV, alpha=0.4, linewidth=1.2)
        axes.plot(across, [each["right"] for each in bins], color=DEV, marker="o")
        axes.set_ylim(0, 1)
        axes.set_ylabel("right")
        rows.bar(
            [each["from"] for each in bins],
            [each["rows"] for each in bins],
            width=[0.94 * (each["to"] - each["from"]) for each in bins],
            align="edge",
            color=TRAIN,
        )
        rows.set_ylabel("rows")
        rows.set_xlabel("probability of the prediction")
        rows.set_xlim(left, 1)
        rows.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
        for each in (axes.yaxis, rows.xaxis):
            each.set_major_formatter(PercentFormatter(1.0, decimals=0))

    return picture("calibration", draw, size=SIZE, heights=(3.2, 1.0))


def _means(found: Measured) -> str:
    expected = found["ece_expected"]
    if found["ece"] <= expected["high"]:
        return "The calibration error is no larger than expected from sampling noise."
    # Below the dashed line: more often wrong than said.
    rows = sum(each["rows"] for each in found["bins"])
    surer = sum(each["rows"] * (each["confidence"] - each["right"]) for each in found["bins"]) / rows
    if abs(surer) < found["ece"] / 2:
        return (
            "It is over-confident at some probabilities and under-confident at others, which nearly "
            f"cancel out on average ({100 * surer:+.1f} points)."
        )
    if surer > 0:
        return f"It is over-confident, by {100 * surer:.1f} points on average."
    return f"It is under-confident, by {-100 * surer:.1f} points on average."


def _binned(found: Measured) -> str:
    return (
        f"ECE is the mean distance, weighted by rows, over {found['bin_count']} bins of equal width; other "
        f"bins give another one. Probabilities that mean what they say would show "
        f"{found['ece_expected']['mean']:.3f} on so many rows, and seldom over "
        f"{found['ece_expected']['high']:.3f}."
    )


def _errors(found: Measured) -> str:
    names = {"ece": "ECE", "log_loss": "log loss", "brier": "Brier score"}
    lines = [["as trained", *(f"{found[name]:.3f}" for name in names)]]
    caption = "Brier score: summed over classes, 0 to 2."
    temperature = found.get("temperature")
    if temperature is None:
        caption += " No temperature fits: these rows set no limit to it."
    elif found.get("ece_after") is not None:
        lines.append([f"temperature {temperature:.2f}", *(f"{found[f'{name}_after']:.3f}" for name in names)])
        caption += (
            " The temperature divides the logits, and changes no answer. It was fitted on the dev rows; its "
            "line shows each fifth of them with the temperature of the other four. "
        )
        caption += (
            "The model folder keeps it."
            if found.get("kept")
            else "Keep it in the model folder: <code>--set training.temperature=true</code>"
        )
    return table(["", *names.values()], lines, numbers=(1, 2, 3), caption=caption, name="errors")


def threshold_curve(found: Measured | None, ngram: float | None, of_best: str = "") -> str:
    """The metric over the threshold; nothing where there are not two classes."""
    if not found:
        return ""
    name, best = title(found["metric"], found["label"]), found["best"]
    keys = [key("dev", f"model, {found['default']:.3f} at 0.5")]
    if ngram is not None:
        keys.append(key("ngram", f"n-gram model, {ngram:.3f}", dashed=True))
    words = (
        f"From {best['threshold']:.2f} on (the ring) {found['label']!r} would give the best {name} on these "
        f"rows, {best['score']:.3f}. A threshold that is chosen on the rows that it is scored on flatters"
    )
    if found["crossfitted"] is not None:
        words += (
            f": chosen on four fifths of them and scored on the other, in turn, it gives "
            f"{found['crossfitted']:.3f}"
        )
    words += ". The score above is that of 0.5."
    heading = f"{capital(name)} over the threshold for “{found['label']}”{of_best}"
    return figure(heading, draw_thresholds(found, ngram), [*keys, note(words)])


def draw_thresholds(found: Measured, ngram: float | None) -> str:
    """The metric over the threshold, the default and the best one marked, as SVG text."""

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import MaxNLocator

        axes, best = all_axes[0], found["best"]
        if ngram is not None:
            draw_level(axes, ngram, NGRAM)
        axes.axvline(0.5, color=LINE, linewidth=1.6)
        axes.annotate(
            "0.5", (0.5, 1), (4, -10), xycoords=("data", "axes fraction"), textcoords="offset points",
            color=TEXT, fontsize=10,
        )  # fmt: skip
        axes.plot(found["thresholds"], found["scores"], color=DEV)
        axes.plot(
            [best["threshold"]], [best["score"]], color=DEV, marker="o", markersize=9, markerfacecolor="none"
        )
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"answered {found['label']} from this probability on".replace("$", r"\$"))
        axes.set_ylabel(title(found["metric"], found["label"]).replace("$", r"\$"))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))

    return picture("thresholds", draw, size=SIZE)


def mistakes_section(mistakes: Sequence[Mistake], of_best: str = "") -> str:
    """The section; nothing where there are no mistakes.

    Args:
        mistakes: as `Kind.mistakes` and `train.explain.explain_mistakes` leave them.
        of_best: words that say of which seed they are.
    """
    if not mistakes:
        return ""
    lines = [
        [
            str(row["line"]),
            _texts(row),
            escape(row["label"]),
            escape(row["predicted"]),
            f"{row['probability']:.1%}",
        ]
        for row in mistakes
    ]
    heads = ["line", "text", "true", "predicted", "probability"]
    made = table(heads, lines, numbers=(0, 4), name="mistakes")
    remark = f"<p class=quiet>The dev rows it is surest about and wrong{of_best}.</p>"
    explained = [row["explanation"] for row in mistakes if "explanation" in row]
    return f"<section><h2>What it gets most wrong</h2>{remark}{_legend(explained)}{made}</section>"


def _legend(explained: Sequence[Mapping[str, Any]]) -> str:
    if not explained:
        return ""
    steps = max(each["steps"] for each in explained)
    gaps = [abs(each["gap"]) for each in explained]
    words = (
        "The stronger the colour, the stronger the push, within each sentence. Integrated gradients on the "
        f"tokens' embeddings, from [PAD] in every place, at up to {steps} points; the pushes of a sentence "
        f"add up to its difference of logits within {max(*gaps, 0.001):.3f}."
    )
    if incomplete := sum(not each["complete"] for each in explained):
        words += f" For {incomplete} of them that is too much to trust the colours."
    return (
        "<p class=legend><mark class=wrong style='--push:75%'>towards the prediction</mark> "
        "<mark class=right style='--push:75%'>towards the true label</mark> "
        f"<span class=quiet>{escape(words)}</span></p>"
    )


def _texts(row: Mistake) -> str:
    texts = [row["text"], *([row["pair"]] if row["pair"] else [])]
    tokens = row.get("explanation", {}).get("tokens", [])
    strongest = max((abs(token["push"]) for token in tokens), default=0.0)
    return "<br>".join(
        _coloured(text, [token for token in tokens if token["text"] == number], strongest)
        for number, text in enumerate(texts)
    )


def _coloured(text: str, tokens: Sequence[Mapping[str, Any]], strongest: float) -> str:
    """`text`, escaped, with a mark around each token that pushed; those that came to the model in order."""
    parts, place = [], 0
    for token in tokens:
        share = abs(token["push"]) / strongest if strongest else 0.0
        # A token may share a character with the one before, where one sign became two.
        start = max(place, token["from"])
        if share < FAINT or token["to"] <= start:
            continue
        side = "wrong" if token["push"] > 0 else "right"
        parts.append(escape(text[place:start]))
        parts.append(
            f"<mark class={side} style='--push:{100 * share:.0f}%' title='{token['push']:+.2f}'>"
            f"{escape(text[start : token['to']])}</mark>"
        )
        place = token["to"]
    return "".join([*parts, escape(text[place:])])


def by_class(told: Told) -> str:
    """Each class alone."""
    return by_class_section(told.result.get("by_class", ()), told.of_best)


def calibration(told: Told) -> str:
    """Whether probabilities mean what they say."""
    return reliability(told.result.get("calibration"), told.of_best)


def thresholds(told: Told) -> str:
    """What another threshold would give, of two labels."""
    ngram = told.result["baselines"].get("ngram", {}).get("score")
    return threshold_curve(told.result.get("thresholds"), ngram, told.of_best)


def mistakes(told: Told) -> str:
    """What the model is surest about, and wrong."""
    return mistakes_section(told.result["mistakes"], told.of_best)
