"""Runs side by side: what is paired, what is not and why, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertkit
from bertkit.cli import main
from bertkit.diagnose.compare import _score_words, compare, differing
from bertkit.diagnose.compare_page import _verdict, write_comparison
from bertkit.diagnose.groups import Finetuned, group_of, read_finished, score_difference
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.reader import read_history
from bertkit.runs.result import Answers
from bertkit.tasks.confusion import CLASS_METRICS, accuracy, adds_of
from bertkit.tasks.examples import Targets
from bertkit.tasks.metrics import Metric, get_metric, middle, paired_samples

LABELS = ["no", "yes"]
ROWS = 120


def truth() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, ROWS)


def answers(right: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    labels = truth()
    return np.where(random.random(ROWS) < right, labels, 1 - labels)


def interval(first: list[np.ndarray], second: list[np.ndarray]) -> list[float]:
    """Of the accuracy of some seeds' answers less that of others."""
    adds = [[adds_of(truth(), said, 2) for said in seeds] for seeds in (first, second)]
    return list(middle(paired_samples(get_metric(CLASS_METRICS, "accuracy"), *adds)))


def write_finetuning(
    folder: Path,
    right: float,
    *,
    seeds: int = 1,
    changes: dict | None = None,
    swapped: bool = False,
    **result: Any,
) -> Path:
    """A finished run whose seeds are right on such a share of the rows; its labels may be `swapped`."""
    folder.mkdir()
    recipe = Recipe().with_changes({"task": {"name": "cola"}, **(changes or {})})
    (folder / "recipe.toml").write_text(recipe.to_toml())
    scores = []
    for seed in range(seeds):
        place = folder if seeds == 1 else folder / f"seed-{seed}"
        place.mkdir(exist_ok=True)
        said = answers(right, seed + 10)
        scores.append(float((said == truth()).mean()))
        logs = np.log(np.where(said[:, None] == np.arange(2), 0.9, 0.1))
        targets = 1 - truth() if swapped else truth()
        Answers(Targets.single(targets), logs, adds_of(truth(), said, 2)).write(place)
        done = {"seed": seed, "score": scores[-1], "status": "learned", "best_epoch": 1.0, "seconds": 2.0}
        (place / "seed.json").write_text(json.dumps(done))
        event = {"event": "evaluation", "step": 3, "epoch": 1, "loss": 0.5, "train_loss": 0.4 + seed / 10}
        event |= {"score": scores[-1], "interval": [0.1, 0.9]}
        (place / "metrics.jsonl").write_text(json.dumps(event) + "\n")
    whole = {
        "task": "cola",
        "kind": "classify",
        "metric": "accuracy",
        "rows": ROWS,
        "score": float(np.mean(scores)),
        "interval": [0.5, 0.9],
        "labels": LABELS,
        "dev_fingerprint": "abc",
        "baselines": {"majority": {"score": 0.5}, "ngram": {"score": 0.55}},
        "seeds": [
            {"seed": n, "score": score, "status": "learned", "steps": 9} for n, score in enumerate(scores)
        ],
        "seconds": 61.0,
        "parameters": 1_234_567,
        "version": "0.1.0",
        **result,
    }
    (folder / "result.json").write_text(json.dumps(whole))
    return folder


def write_pretraining(folder: Path, *losses: float, corpus: str = "text", **recipe: Any) -> Path:
    """A finished run whose seeds have such held-out losses."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(PretrainRecipe().with_changes(recipe).to_toml())
    seeds = [
        {"heldout": {"mlm_loss": loss, "mlm_accuracy": 0.3}, "train_mlm_loss": loss + 0.1} for loss in losses
    ]
    result = {
        "kind": "pretraining",
        **seeds[0],
        "floors": {"unigram": 6.2, "uniform": 9.0},
        "corpus": {"fingerprint": corpus, "tokens": 99},
        "steps": 100,
        "tokens": 9_999,
        "seconds": 5.0,
        "parameters": 123_456,
        "version": "0.1.0",
    }
    result |= {"seeds": seeds} if len(seeds) > 1 else {}
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_a_difference_is_paired_row_by_row(tmp_path: Path) -> None:
    good, bad = write_finetuning(tmp_path / "good", 0.9), write_finetuning(tmp_path / "bad", 0.6)
    found = compare([bad, good])
    first, second = found["rows"]
    assert (found["kind"], found["task"], found["metric"]) == ("classify", "cola", "accuracy")
    assert (found["first"], first["difference"]) == (str(bad), None)
    told = second["difference"]
    assert told["value"] == pytest.approx(second["score"] - first["score"])
    expected = interval([answers(0.9, 10)], [answers(0.6, 10)])
    assert told["interval"] == expected
    assert told["interval"][0] > 0
    assert told["ahead"] > 0.99
    assert told["words"].startswith("It is better: ahead in ")
    assert told["words"].endswith("resampled sets of rows. Rows only: another seed may differ.")
    (other,) = (row["difference"] for row in compare([good, bad])["rows"] if row["difference"])
    assert other["words"].startswith("It is worse: behind in ")
    assert (second["train_loss"], second["parameters"], second["seeds"]) == (0.4, 1_234_567, 1)
    assert any("--seeds 5" in remark for remark in found["remarks"])


def test_seeds_are_drawn_too(tmp_path: Path) -> None:
    one, several = write_finetuning(tmp_path / "one", 0.7), write_finetuning(tmp_path / "3", 0.7, seeds=3)
    row = compare([one, several])["rows"][1]
    expected = interval([answers(0.7, seed) for seed in (10, 11, 12)], [answers(0.7, 10)])
    assert row["difference"]["interval"] == expected
    assert "cannot be told apart" in row["difference"]["words"]
    assert len(row["seed_scores"]) == 3
    assert row["train_loss"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("seeds", "level", "words"),
    [
        (
            (1, 1, 1),
            "open",
            "Of 2 differences from a, 1 is significant over the rows (p below 0.05). Rows only",
        ),
        (
            (3, 1, 3),
            "open",
            "Of 2 differences from a, 1 is significant over the rows (p below 0.05). Rows only",
        ),
        ((3, 3, 3), "open", "Of 2 differences from a, 1 is significant (p below 0.05)."),
        ((3, 3), "good", "The difference from a is significant (p below 0.05)."),
        ((1, 1), "open", "The difference from a is significant over the rows (p below 0.05). Rows only"),
    ],
)
def test_more_than_chance_takes_several_seeds_on_both_sides(
    tmp_path: Path, seeds: tuple[int, ...], level: str, words: str
) -> None:
    rights = zip("abc", (0.6, 0.95, 0.6), seeds, strict=False)
    runs = [write_finetuning(tmp_path / name, right, seeds=count) for name, right, count in rights]
    found = compare(runs)
    text = write_comparison(tmp_path / "page.html", found).read_text()
    assert words in text
    assert _verdict(found)[0] == level
    assert ("Rows and seeds are resampled" in text) == (min(seeds) > 1)


def test_a_figure_that_is_none_is_named(tmp_path: Path) -> None:
    text = write_pretraining(tmp_path / "p", 4.0)
    result = json.loads((text / "result.json").read_text())
    result["heldout"]["mlm_accuracy"] = "much"
    (text / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="'mlm_accuracy' is 'much', and not a number"):
        compare([text, write_pretraining(tmp_path / "q", 4.0)])


def test_the_same_answers_are_no_difference(tmp_path: Path) -> None:
    one, other = write_finetuning(tmp_path / "one", 0.7), write_finetuning(tmp_path / "other", 0.7)
    told = compare([one, other])["rows"][1]["difference"]
    assert (told["value"], told["interval"]) == (0.0, [0.0, 0.0])
    assert told["words"] == "It scores the same on these rows, whichever are drawn."


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"dev_fingerprint": "xyz"}, "their dev rows are not the same"),
        ({"dev_fingerprint": None}, "did not yet note which dev rows it scored"),
        ({"swapped": True}, "their labels stand in another order"),
    ],
)
def test_rows_that_are_not_the_same_are_not_paired(tmp_path: Path, result: dict, why: str) -> None:
    one = write_finetuning(tmp_path / "one", 0.6)
    other = write_finetuning(tmp_path / "other", 0.9, **result)
    row = compare([one, other])["rows"][1]
    told = row["difference"]
    assert told["value"] == pytest.approx(0.3, abs=0.1)
    assert told["interval"] is None
    assert why in told["words"]
    assert "only each run's own interval is given" in told["words"]
    assert row["interval"] == [0.5, 0.9]


def test_where_lower_is_better_a_difference_below_0_is_(tmp_path: Path) -> None:
    good, bad = write_finetuning(tmp_path / "good", 0.9), write_finetuning(tmp_path / "bad", 0.6)
    read = [read_finished(run, read_history(run)) for run in (good, bad)]
    groups = [group for group in (group_of([one]) for one in read if one) if isinstance(group, Finetuned)]
    wrong = Metric("wrong", "wrong", lambda sums: 1 - accuracy(sums), higher=False)
    less, more = (replace(group, metric=wrong, score=1 - group.score) for group in groups)
    found = score_difference(less, more)
    assert found.value is not None
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1] < 0
    assert found.clear
    assert found.ahead is not None
    assert found.ahead > 0.99
    assert _score_words(found, higher=False).startswith("It is better: ahead in ")


def test_a_run_that_is_not_finished_says_so_and_the_next_is_the_first(tmp_path: Path) -> None:
    going = write_finetuning(tmp_path / "going", 0.5)
    (going / "result.json").unlink()
    runs = [going, write_finetuning(tmp_path / "a", 0.6), write_finetuning(tmp_path / "b", 0.9)]
    found = compare(runs)
    assert [row["finished"] for row in found["rows"]] == [False, True, True]
    assert "not finished" in found["rows"][0]["why"]
    assert found["first"] == str(tmp_path / "a")
    assert found["rows"][2]["difference"]["interval"][0] > 0
    for run in runs[1:]:
        (run / "result.json").unlink()
    assert (compare(runs)["first"], compare(runs)["kind"]) == (None, "classify")
    assert "No run is finished." in write_comparison(tmp_path / "page.html", compare(runs)).read_text()


def test_runs_without_a_result_are_of_the_kind_that_their_recipes_ask_for(tmp_path: Path) -> None:
    runs = [write_finetuning(tmp_path / name, 0.5) for name in ("a", "b")]
    for run in runs:
        (run / "result.json").unlink()
        recipe = Recipe().with_changes({"task": {"name": "", "kind": "regress"}})
        (run / "recipe.toml").write_text(recipe.to_toml())
    assert compare(runs)["kind"] == "regress"


def test_recipe_keys_that_differ(tmp_path: Path) -> None:
    one = write_finetuning(tmp_path / "one", 0.6, changes={"model": {"options": {"norm": "pre"}}})
    other = write_finetuning(tmp_path / "other", 0.6, changes={"optimiser": {"lr": 3e-5}})
    assert compare([one, other])["recipe"] == {
        "model.options.norm": ["pre", None],
        "optimiser.lr": [1e-4, 3e-5],
    }
    assert differing([{"a": 1}, {"a": 1}]) == {}


def test_recipes_are_compared_as_restarts_left_them(tmp_path: Path) -> None:
    runs = [write_finetuning(tmp_path / name, 0.6) for name in ("one", "other")]
    restart = {"step": 9, "check": "loss_rose", "seen": "It rose.", "change": {"optimiser.lr": 3e-5}}
    (runs[1] / "restarts.json").write_text(json.dumps({"restarts": [restart]}))
    assert compare(runs)["recipe"] == {"optimiser.lr": [1e-4, 3e-5]}


def test_pretrainings_have_a_difference_without_interval_and_say_why(tmp_path: Path) -> None:
    runs = [
        write_pretraining(tmp_path / "one", 4.0),
        write_pretraining(tmp_path / "two", 3.5, optimiser={"lr": 1e-3}),
        write_pretraining(tmp_path / "three", 3.4, objective={"rate": 0.3}),
        write_pretraining(tmp_path / "four", 3.4, corpus="other text"),
    ]
    found = compare(runs)
    words = [row["difference"]["words"] for row in found["rows"][1:]]
    assert words == [
        "Lower by 0.500 nats.",
        "Lower by 0.600 nats, but not of the same masked tokens: objective.rate differs.",
        "No difference: their texts are not the same, nor are the tokens that are scored.",
    ]
    assert found["rows"][3]["difference"]["value"] is None
    assert found["rows"][0]["floors"] == {"unigram": 6.2, "uniform": 9.0}
    assert "Differences have no interval" in found["remarks"][0]
    page = write_comparison(tmp_path / "page.html", found).read_text()
    assert "two has the lowest loss" not in page
    assert "token frequencies, 6.200" in page


def test_seeds_of_pretrainings_give_intervals(tmp_path: Path) -> None:
    first, second, third = ((4.0, 4.1, 4.2), (3.5, 3.6, 3.7), (4.05, 4.25))
    runs = [
        write_pretraining(tmp_path / "one", *first),
        write_pretraining(tmp_path / "two", *second),
        write_pretraining(tmp_path / "three", *third),
        write_pretraining(tmp_path / "four", *second, objective={"rate": 0.3}),
    ]
    found = compare(runs)
    one, two, three, four = found["rows"]
    # Student's t of 2 degrees of freedom is 4.302653, and of 4 it is 2.776445.
    half, apart = 4.302653 * 0.1 / 3**0.5, 2.776445 * 0.1 * (2 / 3) ** 0.5
    assert one["interval"] == pytest.approx([4.1 - half, 4.1 + half], abs=1e-6)
    assert (one["seeds"], one["seed_scores"]) == (3, list(first))
    assert two["difference"]["interval"] == pytest.approx([-0.5 - apart, -0.5 + apart], abs=1e-6)
    assert two["difference"]["words"] == "Lower by 0.500 nats, more than seeds scatter."
    assert three["difference"]["words"] == "Higher by 0.050 nats, no more than seeds scatter."
    assert four["difference"]["interval"] is None
    assert "objective.rate differs" in four["difference"]["words"]
    assert found["remarks"] == []
    lone = compare([runs[0], write_pretraining(tmp_path / "five", 4.0)])
    assert lone["remarks"] == ["Where a run has one seed, a difference has no interval: --seeds 3 gives one."]
    assert (lone["rows"][1]["interval"], lone["rows"][1]["difference"]["interval"]) == (None, None)
    page = write_comparison(tmp_path / "page.html", found).read_text()
    assert "Of 2 differences from one, 1 is significant (p below 0.05)." in page
    assert "two (3 seeds)" in page


def test_other_rows_to_train_on_are_compared_where_the_same_ones_are_scored(tmp_path: Path) -> None:
    few = write_finetuning(tmp_path / "few", 0.6, task="few.tsv")
    many = write_finetuning(tmp_path / "many", 0.9, task="many.tsv")
    found = compare([few, many])
    assert found["rows"][1]["difference"]["interval"][0] > 0


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one = write_finetuning(tmp_path / "one", 0.6)
    with pytest.raises(UserError, match="Give two runs or more"):
        compare([one])
    with pytest.raises(UserError, match="is given twice"):
        compare([one, tmp_path / "." / "one"])
    with pytest.raises(UserError, match="There is no run at"):
        compare([one, tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no run folder"):
        compare([one, tmp_path / "empty"])
    with pytest.raises(UserError, match=r"is a pretraining and .* a fine-tuning"):
        compare([one, write_pretraining(tmp_path / "text", 4.0)])
    for key, value in (("metric", "mcc"), ("task", "rte")):
        other = write_finetuning(tmp_path / key, 0.6, **{key: value}, dev_fingerprint="xyz")
        with pytest.raises(UserError, match=f"(?i)The {key} of .*one is .*, and of .*{key} '{value}'"):
            compare([one, other])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("answers.safetensors", "{"),
        ("answers.safetensors", "\x02\0\0\0\0\0\0\0{}"),
        ("result.json", "[]"),
        ("metrics.jsonl", "{}\n"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    one, other = write_finetuning(tmp_path / "one", 0.6), write_finetuning(tmp_path / "other", 0.6)
    (other / name).write_text(text)
    with pytest.raises(UserError, match=rf"other/{name}.*"):
        compare([one, other])


def test_a_seed_without_its_answers_leaves_the_rows_unpaired(tmp_path: Path) -> None:
    one, other = write_finetuning(tmp_path / "one", 0.6), write_finetuning(tmp_path / "other", 0.6)
    (other / "answers.safetensors").unlink()
    assert "a seed's answers row by row" in compare([one, other])["rows"][1]["difference"]["words"]


def test_the_command_prints_a_table_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(write_finetuning(tmp_path / name, right)) for name, right in (("$a_<b>$", 0.6), ("c", 0.9))]
    page = tmp_path / "pages" / "compare.html"
    assert main(["compare", *runs, "-o", str(page)]) == 0
    printed = capsys.readouterr().out
    for words in ("$a_<b>$", "first", "It is better: ahead in", "The recipes are the same.", "1.2 M"):
        assert words in printed
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "$a_&lt;b&gt;$" in text
    assert "<b>$" not in text
    assert main(["compare", *runs, "-o", str(page)]) == 2
    assert "exists; replace it with --overwrite" in capsys.readouterr().err
    assert main(["compare", *runs, "-o", str(page), "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == compare([Path(run) for run in runs])
    assert bertkit.compare(runs, out=page, overwrite=True) == compare([Path(run) for run in runs])
    with pytest.raises(UserError, match="exists; replace it"):
        bertkit.compare(runs, out=page)
    assert main(["compare", *runs, "-o", str(tmp_path)]) == 2
