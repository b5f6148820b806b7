"""The kind of task whose rows ask a question about a text, and whose answer is a stretch of that text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading
from bertkit.data.packing import encode_texts
from bertkit.data.questions import SQUAD, Answer, Keys, Question, read_questions
from bertkit.data.tables import BadRow, Columns, Row
from bertkit.errors import UserError
from bertkit.tasks.answer_baselines import ANSWER_BASELINES
from bertkit.tasks.answer_scores import (
    ANSWER,
    ANSWER_METRICS,
    NO_ANSWER,
    NONE,
    answer_adds,
    answer_texts,
    fitted_threshold,
    metrics_of_answers,
    null_probabilities,
)
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import (
    MISTAKES,
    Decision,
    HeadOutputs,
    Kind,
    LabelColumn,
    Names,
    Outputs,
    Predictions,
    Scale,
    Scoring,
    Wanted,
)
from bertkit.tasks.metrics import FloatArray, entropy
from bertkit.tasks.spans import BEST, Places, Span, best_spans, merged
from bertkit.text.tokenizer import Tokenizer

LONGEST = 30
"""Tokens of an answer at most, as in google-research/bert's run_squad.py."""
NULL_THRESHOLD = "null_threshold"
"""In a decision: a question whose probability of having no answer is above it has none."""
ARTICLES = 10
"""Of fewer the questions of one may stand on both sides of a split, but not those about one text."""
FIRST_WORDS = 10
"""First words of questions that a result tells apart."""


def _reads(path: str | Path, columns: Columns, **how: Any) -> Iterator[Row | BadRow]:
    """See `read_questions`; how a table is laid out, such as its separator, says nothing of these files."""
    keys = Keys(str(columns.text), str(columns.pair or Keys.context), str(columns.label or Keys.answers))
    for row in read_questions(path, keys, ending=how.get("ending"), encoding=how.get("encoding", "")):
        yield row if isinstance(row, BadRow) else _row(row, keys, whole=how.get("whole", False))


def _row(row: Question, keys: Keys, *, whole: bool) -> Row:
    answers = row.answers
    more = {
        "id": row.id,
        "group": row.group,
        "answers": None if answers is None else [answer.text for answer in answers],
        "moved": sum(answer.moved for answer in answers or ()),
        "lost": sum(answer.start is None for answer in answers or ()),
    }
    cells = {"id": row.id, keys.question: row.question} if whole else {}
    return Row(row.line, row.question, row.context, answers, cells, more)


def _complete(rows: Examples) -> Examples:
    """Grouped by their texts where there are too few articles to set some aside."""
    if len(set(rows.more.get("group", ()))) >= ARTICLES or "group" not in rows.more or rows.pairs is None:
        return rows
    return replace(rows, more={**rows.more, "group": rows.pairs})


def _label_problem(column: LabelColumn, row: int) -> str | None:
    if isinstance(column.cells[row], tuple):
        return None
    return "nobody says what the answer is; where the text has none, the list of answers is empty."


def _targets(column: LabelColumn) -> tuple[Targets, Names]:
    """From where to where the answer that is learned stands, [N, 2]: the one that is given most often."""
    spans = [_learned(answers) for answers in column.cells]
    values = np.array(spans, dtype=np.int64).reshape(-1, 2)
    none = bool((values[:, 0] == NONE).any())
    if column.to_learn and none and (values[:, 0] == NONE).all():
        raise UserError(f"{column.path}: no question has an answer; learning needs some that have.")
    names = column.known or (ANSWER,)
    if none and NO_ANSWER not in names and (not column.known or column.grows):
        names = (*names, NO_ANSWER)
    return Targets.single(values), names


def _learned(answers: Sequence[Answer]) -> tuple[int, int]:
    spans = [(each.start, each.start + len(each.text)) for each in answers if each.start is not None]
    return max(spans, key=spans.count, default=(NONE, NONE))


def _told(targets: Targets, names: Names) -> list[Any]:
    found: list[Any] = targets.values.tolist()
    return found


def _notes(rows: Examples, names: Names) -> Iterator[str]:
    """What is to be said of answers that are not where the file says."""
    for name, told in (
        ("moved", "stand elsewhere than the file says, and are taken from there"),
        ("lost", "do not stand in their texts: they are right answers, but nothing learns to find them"),
    ):
        counts = np.array(rows.more.get(name, []), dtype=np.int64)
        if counts.any():
            lines = [rows.lines[row] for row in np.flatnonzero(counts)[:3].tolist()]
            more = ", ..." if np.count_nonzero(counts) > len(lines) else ""
            where = f"{rows.path.name}: {', '.join(map(str, lines))}{more}"
            yield f"{counts.sum():,} answers {told} ({where})"


def _encode(tokenizer: Tokenizer, rows: Examples, reading: Reading, names: Names) -> Encoded:
    """Questions beside their texts, which are in windows, also where windows are not asked for."""
    if rows.pairs is None:
        where = f"{rows.path}: " if rows.path.name else ""
        raise UserError(
            f"{where}an answer is looked for in a text, and there is only the question; give the texts as "
            "the second ones (pairs, --pair)."
        )
    window = reading.window or reading.max_length
    reading = replace(reading, window=window)
    sequences = encode_texts(
        tokenizer,
        rows.texts,
        rows.pairs,
        max_length=window,
        pad_to=reading.pad_to,
        window=window,
        stride=reading.stride,
        windows_of_second=True,
    )
    number = {text: index for index, text in enumerate(dict.fromkeys(rows.pairs))}
    characters = list(tokenizer.places(list(number)))
    ends = np.cumsum([0, *map(len, characters)])
    of_row = np.array([number[text] for text in rows.pairs], dtype=np.int64)
    kept: dict[str, npt.NDArray[Any]] = {
        "characters": np.concatenate([np.empty((0, 2), dtype=np.int64), *characters]),
        "texts": np.stack([ends[of_row], ends[of_row + 1]], axis=1),
        "continues": tokenizer.continues_V[sequences.ids],
    }
    targets = None
    if rows.targets is not None:
        places = Places.of(sequences, kept["characters"], kept["texts"])
        targets = Targets.single(places.targets(rows.targets.values))
    return Encoded(sequences, targets, together=False, kept=kept)


def _places_of(encoded: Encoded) -> Places:
    return Places.of(encoded.sequences, encoded.kept["characters"], encoded.kept["texts"])


def _of_words(said_S2: HeadOutputs, continues_S: npt.NDArray[np.bool_]) -> HeadOutputs:
    """What is said of a window's tokens, but that answers begin and end with words: at no other place."""
    found = said_S2.astype(np.float64)
    found[continues_S, 0] = -np.inf
    found[:-1][continues_S[1:], 1] = -np.inf
    return found


def _collect(encoded: Encoded, said: HeadOutputs) -> Outputs:
    """Of N questions the score that there is no answer, and the best answers, [N, 1 + BEST, 3].

    Each is a first character, the one behind the last, and a score, the logarithm of the probabilities of its
    two ends. There is no answer where the window that says so least does. Where there are fewer answers, the
    score of the others is -inf.
    """
    places, starts = _places_of(encoded), encoded.units.starts
    continues = encoded.kept["continues"]
    found = np.full((len(places.texts), 1 + BEST, 3), [NONE, NONE, -np.inf])
    found[:, 0, 2] = np.inf
    of_row: list[list[list[Span]]] = [[] for _ in found]
    for window, row in enumerate(places.rows.tolist()):
        begin = int(starts[window] + places.begins[window])
        null = said[starts[window]].astype(np.float64).sum()
        found[row, 0, 2] = min(found[row, 0, 2], null)
        characters = places.of_window(window)
        end = begin + len(characters)
        spans = best_spans(_of_words(said[begin:end], continues[begin:end]), LONGEST, BEST)
        of_row[row].append(
            [Span(int(characters[first, 0]), int(characters[last, 1]), score) for first, last, score in spans]
        )
    for row, windows in enumerate(of_row):
        for place, span in enumerate(merged(windows), 1):
            found[row, place] = span.start, span.end, span.score
    return found


def _predict(rows: Examples, outputs: Outputs, names: Names, decision: Decision) -> Predictions:
    """From where to where each answer stands in its text, [N, 2]."""
    spans: Predictions = outputs[:, 1, :2].astype(np.int64)
    if NO_ANSWER in names:
        spans[null_probabilities(outputs) > decision.get(NULL_THRESHOLD, 0.5)] = NONE
    return spans


def _decide(rows: Examples, outputs: Outputs, scoring: Scoring) -> tuple[Decision, Predictions]:
    """The probability of no answer above which there is none: see `fitted_threshold`."""
    if NO_ANSWER not in scoring.names:
        return {}, _predict(rows, outputs, scoring.names, {})
    threshold, thresholds_N = fitted_threshold(rows, outputs)
    spans = outputs[:, 1, :2].astype(np.int64)
    spans[null_probabilities(outputs) > thresholds_N] = NONE
    return {NULL_THRESHOLD: threshold}, spans


def _losses(encoded: Encoded, said: HeadOutputs, scale: Scale) -> npt.NDArray[Any]:
    """Cross-entropy in nats of both ends in each window, half their sum."""
    begins, ends_M2 = encoded.units.starts[:-1], encoded.learned.values
    found: npt.NDArray[Any] = -(said[begins + ends_M2[:, 0], 0] + said[begins + ends_M2[:, 1], 1]) / 2
    return found


def _one_answer(rows: Examples, predictions: Predictions) -> bool:
    """Whether no question has an answer, or all begin at the same character."""
    return len(np.unique(predictions[:, 0])) == 1


def _floor(encoded: Encoded, scale: Scale, names: Names, weights: FloatArray | None) -> float:
    """Of one who knows how many windows have the answer, and finds it at any place of the text."""
    units, has_M = encoded.units, encoded.learned.values[:, 0] > 0
    sizes = (units.sizes - units.second - 1)[has_M]
    share = float(has_M.mean())
    return entropy([share, 1 - share]) + share * float(np.log(sizes).mean() if len(sizes) else 0)


def _uniform(encoded: Encoded, names: Names) -> float:
    return float(np.log(encoded.units.sizes).mean())


def _words(targets: Targets, names: Names) -> tuple[str, str]:
    told = _spread(targets, names)["answers"]
    none = f", {told['none']:.1%} of the questions have none" if NO_ANSWER in names else ""
    return "answers", f"median length {told['median_length']:.0f} characters{none}"


def _spread(targets: Targets, names: Names) -> dict[str, Any]:
    values = targets.values
    has = values[:, 0] != NONE
    lengths = (values[:, 1] - values[:, 0])[has]
    return {
        "answers": {
            "none": float(1 - has.mean()),
            "median_length": float(np.median(lengths)) if len(lengths) else 0.0,
        }
    }


def _probabilities(outputs: Outputs, names: Names) -> FloatArray:
    """Of none where that may be, and of the best answers, [N, 1 + BEST]; together they are 1."""
    scores = outputs[:, :, 2].copy()
    if NO_ANSWER not in names:
        scores[:, 0] = -np.inf
    highest = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(highest), highest, 0.0))
    found: FloatArray = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    return found


def _scored(rows: Examples, predictions: Predictions, names: Names) -> dict[str, Any]:
    """How many questions have an answer and are given one; F1 and exact match by the first words of most."""
    adds = answer_adds(rows, predictions, names)
    found: list[str] = [(question.split() or [""])[0].casefold() for question in rows.texts]
    often = [word for word, _ in Counter(found).most_common(FIRST_WORDS)]
    words = np.array([word if word in often else "" for word in found])
    lines = []
    for word in [*often, ""]:
        if (inside := words == word).any():
            f1, exact = adds[inside, 1:3].mean(axis=0).tolist()
            lines.append({"word": word, "rows": int(inside.sum()), "f1": f1, "exact": exact})
    has, given = int(adds[:, 4].sum()), int((predictions[:, 0] != NONE).sum())
    return {"answered": {"has": has, "given": given}, "by_first_word": lines}


def _mistakes(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    """The surest of the answers that have no word of a right one."""
    f1 = answer_adds(rows, predictions, names)[:, 1]
    said = _answers(rows, outputs, predictions, names)
    sure = np.array([answer["probability"] for answer in said])
    wrong = np.flatnonzero(f1 == 0)
    order = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    return [
        {
            "line": rows.lines[row],
            "text": rows.texts[row],
            "pair": None,
            "label": max(rows.more["answers"][row], key=rows.more["answers"][row].count, default=NO_ANSWER),
            "predicted": said[row]["answer"] or NO_ANSWER,
            "probability": said[row]["probability"],
        }
        for row in order.tolist()
    ]


def _answers(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    """The answer, its place and probability; the id of the question and how likely none is, where told."""
    probabilities, ids = _probabilities(outputs, names), rows.more.get("id")
    sure = np.where(predictions[:, 0] == NONE, probabilities[:, 0], probabilities[:, 1])
    parts = zip(answer_texts(rows, predictions), predictions.tolist(), sure.tolist(), strict=True)
    found: list[dict[str, Any]] = [
        {"answer": text, "start": start, "end": end, "probability": probability}
        for text, (start, end), probability in parts
    ]
    for answer, none in zip(found, null_probabilities(outputs).tolist(), strict=True):
        answer.update({"no_answer": none} if NO_ANSWER in names else {})
    for answer, name in zip(found, ids or (), strict=False):
        answer["id"] = name
    return found


def _columns(names: Names, wanted: Wanted) -> dict[str, type]:
    if wanted != Wanted():
        raise UserError(
            "--all, --top and --min-probability are about the probabilities of labels, and this model "
            "answers with parts of texts; leave them out."
        )
    return {"answer": str, "start": int, "end": int, "probability": float}


def _cells(answer: Mapping[str, Any], wanted: Wanted) -> list[Any]:
    return [answer[key] for key in ("answer", "start", "end", "probability")]


def _overview(answers: Sequence[Any]) -> dict[str, str]:
    none = sum(not answer for answer in answers)
    return {"answers": f"{len(answers) - none:,}", NO_ANSWER: f"{none:,}"}


def _official(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What SQuAD's scripts read: the answers by id; where there may be none, its probability too."""
    files = {"predictions.json": "answer", "null_odds.json": "no_answer"}
    return {
        name: {answer["id"]: answer[key] for answer in answers}
        for name, key in files.items()
        if all(key in answer for answer in answers)
    }


ANSWERS = Kind(
    name="answer",
    usual="answer_f1",
    metrics=ANSWER_METRICS,
    metrics_of=metrics_of_answers,
    baselines=ANSWER_BASELINES,
    learned="to find answers",
    usual_columns=(SQUAD.question, SQUAD.context, SQUAD.answers),
    shown=(SQUAD.question,),
    reading={"window": 384, "stride": 128},
    reads=_reads,
    complete=_complete,
    label_problem=_label_problem,
    targets=_targets,
    told=_told,
    notes=_notes,
    encode=_encode,
    collect=_collect,
    predict=_predict,
    decide=_decide,
    losses=_losses,
    one_answer=_one_answer,
    adds=answer_adds,
    floor=_floor,
    floor_title="guessing any place of the text",
    floor_words="the entropy of where answers stand",
    uniform=_uniform,
    words=_words,
    spread=_spread,
    scored=_scored,
    mistakes=_mistakes,
    answers=_answers,
    columns=_columns,
    cells=_cells,
    overview=_overview,
    official=_official,
)
