"""Scores as functions of sums over rows, and how far to trust them and their differences.

Every row adds S numbers, and a score is a function of their sums. So to draw rows anew is to weigh them: one
bootstrap serves every metric of every kind of task.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError, nearest

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Adds = npt.NDArray[Any]
"""What each of N rows adds, [N, S]."""

# Numbers drawn at once: bounds the memory of the bootstrap for many rows and classes (32 MB).
CELLS_AT_ONCE = 4_000_000
# Numbers a row from which most of what it adds is 0, as it is of many classes.
SPARSE = 100
# Counts beyond which rows that hardly repeat are drawn one by one: a multinomial draw takes far longer.
MANY_COUNTS = 2_500_000


def _told_by_none(adds: Adds, level: float) -> None:
    """Of most metrics no rows are flawless."""


@dataclass(frozen=True)
class Metric:
    """A score of rows.

    Attributes:
        name: in options and results.
        title: what people call it.
        score: of sums over rows [..., S] the score of each, [...].
        higher: whether a higher score is a better one.
        of_positive: whether it is about one label, the positive one, which is told with it.
        flawless: of rows [N, S] without a mistake, and a level, the sums at the greatest rate of mistakes at
            which so many rows show none with a probability of 1 - level; None of other rows.
        last: of rows [N, S] what one row adds that is drawn last, whether it is among them or not.
    """

    name: str
    title: str
    score: Callable[[FloatArray], FloatArray]
    higher: bool = True
    of_positive: bool = False
    flawless: Callable[[Adds, float], FloatArray | None] = _told_by_none
    last: Callable[[Adds], Adds] | None = None

    def of(self, adds: Adds) -> float:
        """The score of rows, [N, S]."""
        return float(self.score(adds.sum(0, dtype=np.float64)))

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is the better of two scores."""
        return one > other if self.higher else one < other

    def best(self, scores: Sequence[float]) -> int:
        """Where the best of some scores stands first; one that is no number is worse than all others."""
        sign = 1 if self.higher else -1
        worth = [-math.inf if math.isnan(score) else sign * score for score in scores]
        return worth.index(max(worth))

    def beats(self, interval: Sequence[float], score: float) -> bool:
        """Whether all of an interval is better than a score."""
        return self.better(interval[0] if self.higher else interval[1], score)


def get_metric(metrics: Sequence[Metric], name: str) -> Metric:
    """The metric of that name.

    Raises:
        UserError: there is none; the nearest name is offered.
    """
    known = {metric.name: metric for metric in metrics}
    if name not in known:
        raise UserError(f"There is no metric {name!r}.{nearest(name, list(known))}")
    return known[name]


def summary(metrics: Sequence[Metric], adds: Adds, name: str) -> dict[str, Any]:
    """What `result.json` says about one set of predictions: score, 95 % interval and all metrics."""
    metric = get_metric(metrics, name)
    return {
        "metric": metric.name,
        "score": metric.of(adds),
        "interval": list(rows_interval(metric, adds)),
        "metrics": {each.name: each.of(adds) for each in metrics},
    }


def rows_interval(
    metric: Metric, adds: Adds, *, samples: int = 10_000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric over the rows of the evaluated set (Efron 1979).

    Rows without a mistake have one from below, for nothing is better and to draw from them never finds a
    mistake: down to the score at `Metric.flawless`.

    Args:
        metric: to be scored by.
        adds: what at least one row adds, [N, S].
        samples: resampled sets.
        seed: of the draws; the same seed gives the same interval.
        level: the share of the samples inside.

    Returns:
        The lower and the upper end.
    """
    assert len(adds) > 0, "an interval needs rows"
    if (found := _flawless(metric, [adds], level)) is not None:
        return found
    last = None if metric.last is None else metric.last(adds)
    scores = _resampled(metric, [adds], samples, np.random.default_rng(seed), last=last)
    return middle(scores[:, 0], level)


def seeds_interval(
    metric: Metric, seeds: Sequence[Adds], *, samples: int = 2_000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean score over K seeds, as if rows and seeds were drawn anew.

    All seeds answer the same rows, so a resampled set of rows is the same for all of them.

    Args:
        metric: to be scored by.
        seeds: what each row adds of each seed, K times [N, S].
        samples: resampled sets.
        seed: of the draws.
        level: the share of the samples inside.
    """
    if (found := _flawless(metric, seeds, level)) is not None:
        return found
    random = np.random.default_rng(seed)
    return middle(_mean_of_drawn(_resampled(metric, seeds, samples, random), random), level)


def paired_samples(
    metric: Metric,
    first: Sequence[Adds],
    second: Sequence[Adds],
    *,
    samples: int = 2_000,
    seed: int = 0,
    alike: bool = True,
) -> FloatArray:
    """The mean score of one model's seeds less that of another's, on resampled sets of rows, [samples].

    Both answer the same rows, so a resampled set of rows is the same for both; their seeds are drawn each for
    itself. What lies in the `middle` is the interval of the difference.

    Args:
        metric: to be scored by.
        first: what each row adds of each seed of the first, K times [N, S].
        second: of the second, J times.
        samples: resampled sets.
        seed: of the draws.
        alike: see `_patterns`.
    """
    random = np.random.default_rng(seed)
    scores = _resampled(metric, [*first, *second], samples, random, alike=alike)
    means = [_mean_of_drawn(part, random) for part in np.split(scores, [len(first)], axis=1)]
    difference: FloatArray = means[0] - means[1]
    return difference


def middle(values: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """What this share of the samples lies between."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _flawless(metric: Metric, seeds: Sequence[Adds], level: float) -> tuple[float, float] | None:
    """The interval of rows that all seeds answer without a mistake; None of others."""
    mistaken = [metric.flawless(adds, level) for adds in seeds]
    if any(sums is None for sums in mistaken):
        return None
    best = metric.of(seeds[0])
    return min(float(metric.score(np.asarray(mistaken[0]))), best), best


def _resampled(
    metric: Metric,
    seeds: Sequence[Adds],
    samples: int,
    random: np.random.Generator,
    *,
    last: Adds | None = None,
    alike: bool = True,
) -> FloatArray:
    """The score of each of K seeds on each of the resampled sets of rows, [samples, K]."""
    firsts, counts = _patterns(seeds, alike)
    patterns = [adds[firsts].astype(np.float64) for adds in seeds]
    if last is not None and (patterns[0][-1] != last).any():
        patterns, counts = [np.vstack([patterns[0], last])], np.append(counts, 0)
    summing = [_sums_of_drawn(adds) for adds in patterns]
    scores = np.empty((samples, len(seeds)))
    rows = int(counts.sum())
    apart = samples * len(counts) > MANY_COUNTS and len(counts) > rows / 2
    at_once = max(1, CELLS_AT_ONCE // max(rows if apart else 0, *patterns[0].shape))
    for start in range(0, samples, at_once):
        size = min(at_once, samples - start)
        if apart:
            drawn = _drawn_apart(counts, size, random)
        else:
            drawn = random.multinomial(rows, counts / rows, size).astype(np.float64)
        for index, sums in enumerate(summing):
            scores[start : start + size, index] = metric.score(sums(drawn))
    return scores


def _sums_of_drawn(adds: Adds) -> Callable[[FloatArray], FloatArray]:
    """From how often each of P patterns is drawn, [samples, P], to what they add up to, [samples, S].

    Where a pattern adds 0 to most sums, only the others are added: the time is that of the rows, not that of
    rows times classes. Counts are whole numbers, so that the order of a sum changes nothing.
    """
    if adds.shape[1] < SPARSE:
        return lambda drawn: drawn @ adds
    from scipy.sparse import csr_array

    sparse = csr_array(adds.T)
    return lambda drawn: np.ascontiguousarray((sparse @ np.ascontiguousarray(drawn.T)).T)


def _patterns(seeds: Sequence[Adds], alike: bool) -> tuple[IntArray, IntArray]:
    """Rows that add alike, of all seeds, have one pattern: a row of each, and how many rows it stands for.

    The counts of patterns are drawn from a multinomial distribution, which is the bootstrap over rows. They
    are in the falling order of the bytes of what they add; where not `alike`, each row is for itself.
    """
    if not alike:
        return np.arange(len(seeds[0])), np.ones(len(seeds[0]), dtype=np.int64)
    rows = np.ascontiguousarray(np.hstack(list(seeds)))
    whole = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, counts = np.unique(whole, return_index=True, return_counts=True)
    return first[::-1], counts[::-1]


def _drawn_apart(counts: IntArray, size: int, random: np.random.Generator) -> FloatArray:
    """How often each pattern is drawn, [size, P], where single rows are."""
    pattern = np.repeat(np.arange(len(counts)), counts)
    drawn = pattern[random.integers(len(pattern), size=(size, len(pattern)))]
    drawn += len(counts) * np.arange(size)[:, None]
    found = np.bincount(drawn.ravel(), minlength=size * len(counts))
    return found.reshape(size, len(counts)).astype(np.float64)


def _mean_of_drawn(scores: FloatArray, random: np.random.Generator) -> FloatArray:
    """The mean of K seeds drawn anew for each sample, [samples], of scores [samples, K]."""
    chosen = random.integers(scores.shape[1], size=scores.shape)
    means: FloatArray = np.take_along_axis(scores, chosen, axis=1).mean(axis=1)
    return means


def wilson_interval(right: float, count: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share, `right` of `count` (Wilson 1927); it keeps to 0...1 and holds for few rows too.

    Args:
        right: how many were right; halves may be counted.
        count: of how many, at least 1.
        level: how often such an interval holds the true share.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Their quotient, and 0 where the denominator is not above 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def entropy(shares: npt.ArrayLike) -> float:
    """Of shares of a whole, or of counts, in nats: the loss of one who knows how often each occurs."""
    weights = np.asarray(shares, dtype=np.float64)
    known = weights[weights > 0] / weights.sum()
    return float((known * -np.log(known)).sum())


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean of seeds; None of one alone."""
    if len(values) < 2:
        return None
    from scipy import stats

    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - float(half), statistics.mean(values) + float(half)


def welch_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Welch's 95 % interval of the mean of some seeds less that of others, of two at least each."""
    from scipy import stats

    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(low), float(high)
