"""The report of a pretraining run: what it says of a run that is done, cut off or stopped."""

import copy
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bertkit.diagnose.doctor import examine
from bertkit.diagnose.report import write_report
from bertkit.diagnose.verdict import losses, verdict_on
from bertkit.runs.reader import read_history
from bertkit.show.run_display import losses_table

RESULT: dict[str, Any] = {
    "kind": "pretraining",
    "model": "mini <7>",
    "parameters": 11_171_074,
    "vocabulary_size": 8_192,
    "corpus": {"tokens": 1_000_000, "fingerprint": "f" * 64},
    "steps": 1_300,
    "tokens": 2_660_001,
    "epochs": 2.66,
    "seconds": 133.2,
    "tokens_per_second": 19_970.4,
    "train_loss": 2.2,
    "train_mlm_loss": 2.125,
    "heldout": {"step": 1_300, "mlm_loss": 2.0, "mlm_accuracy": 0.531},
    "before": {"mlm_loss": 9.1, "mlm_accuracy": 0.0},
    "floors": {"unigram": 6.25, "uniform": 9.011},
    "through_at": 130,
    "long_from": None,
    "processes": 2,
    "precision": "fp32",
    "version": "0.1.0",
}
HELDOUT = [(0.0, 9.1), (650.0, 2.5), (1_300.0, 2.0)]


def result(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(RESULT) | changes


def step(number: int, loss: float, **more: float) -> dict[str, Any]:
    return {
        "event": "train",
        "step": number,
        "loss": loss,
        "mlm_loss": loss,
        "learning_rate": 1e-3 / number,
        "tokens": 99,
        "gemm_share": 0.25,
        **more,
    }


def evaluation(number: int, loss: float, **more: float) -> dict[str, Any]:
    return {"event": "evaluation", "step": number, "mlm_loss": loss, "mlm_accuracy": 0.5, **more}


FLOORS = {"event": "floors", "step": 0, "unigram": 6.25, "uniform": 9.011}
LOG = [FLOORS, evaluation(0, 9.1), step(1, 9.0), step(2, 8.0), step(3, 6.0), evaluation(3, 5.5)]


def write_run(folder: Path, found: dict[str, Any] | None, log: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.toml").write_text('[corpus]\nshards = "text"\n[model]\nstart = "<mini>"\n')
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    if found is not None:
        (folder / "result.json").write_text(json.dumps(found))
    return folder


class Text(HTMLParser):
    """The words of a page, without those of its style."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.inside = ""
        self.words: list[str] = []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside != "style":
            self.words.append(data)


def words_of(path: Path) -> str:
    return Text(path.read_text(encoding="utf-8")).text


def test_it_says_what_was_found(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a run", result(), LOG)
    page = words_of(write_report(run))
    for words in (
        "bertkit pretraining mini <7> from text",
        "Held-out loss 2.000, perplexity 7.4: 53.1% of the masked tokens are restored.",
        "Predicting the token frequencies gives 6.250 (518), uniform guessing 9.011 (8,193).",
        "It broke through the unigram plateau by step 130 of 1,300",
        "parameters 11,171,074",
        "vocabulary 8,192 tokens",
        "tokens read 2,660,001",
        "times the text 2.66",
        "time 2 min",
        "tokens a second 19,970",
        "processes 2",
        "precision fp32",
        "of the GEMM rate 25%",
        "token frequencies, 6.250",
        "uniform guessing, 9.011",
        "before, held out 9.100 8,955.3 0.0%",
        "training 2.125 8.4",
        "after, held out 2.000 7.4 53.1%",
        "a run' 'the man went to the [MASK] .'",
        "bertkit finetune TASK --model",
        '[model] start = "<mini>"',
        "Made by bertkit 0.1.0.",
    ):
        assert words in page, words
    assert "pairs" not in page


def test_it_has_its_pictures_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "run", result(), LOG))
    source = page.read_text()
    assert re.findall(r'<svg role="img" aria-label="([^"]*)"', source) == [
        "Loss of masked tokens",
        "Right on held-out text",
    ]
    pictures = re.findall(r"<svg.*?</svg>", source, flags=re.DOTALL)
    for colour in ("train", "dev", "majority", "ngram"):
        assert f"var(--{colour})" in pictures[0]
    assert "stroke-dasharray" in pictures[0]
    assert "#00000" not in "".join(pictures)
    assert not re.search(r"<script|<link|<img|url\((?!#)|@import", source)
    assert write_report(tmp_path / "run").read_text() == source


def test_pairs_are_told_where_there_are_pairs(tmp_path: Path) -> None:
    found = result(heldout={**RESULT["heldout"], "pair_accuracy": 0.875})
    log = [*LOG[:-1], evaluation(3, 5.5, pair_accuracy=0.75)]
    page = words_of(write_report(write_run(tmp_path / "run", found, log)))
    assert "53.1% of the masked tokens are restored, 87.5% of the pairs told right." in page
    assert "pairs told right (chance: 50 %)" in page
    assert "MLM loss perplexity tokens right pairs right" in page


def test_a_run_that_is_not_finished_has_its_curves_and_how_to_go_on(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a run", None, LOG)
    page = words_of(write_report(run))
    assert "This run has no result yet: it is going on, or was interrupted. Its last held-out loss" in page
    assert "steps 3 tokens read 297" in page
    assert "token frequencies, 6.250" in page
    assert "a run' --resume" in page


def test_a_run_that_stopped_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", None, [*LOG, {"event": "broke", "step": 4, "loss": None}])
    (run / "stopped.json").write_text('{"why": "The loss of step 4 is no number."}')
    page = words_of(write_report(run))
    assert "This run stopped: The loss of step 4 is no number." in page
    assert "The loss was no number from step 4 on." in page


def test_a_run_without_held_out_text_has_a_page(tmp_path: Path) -> None:
    found = result(heldout=None, before=None)
    page = write_report(write_run(tmp_path / "run", found, [step(1, 9.0), step(2, 2.0)]))
    assert "Training loss (no text was held out) 2.125" in words_of(page)
    assert page.read_text().count("<svg") == 1


def test_a_log_of_another_kind_is_not_taken_for_one_of_pretraining(tmp_path: Path) -> None:
    log = [{"event": "train", "step": 1, "epoch": 0.5, "loss": 0.7}]
    run = write_run(tmp_path / "run", None, log)
    (run / "recipe.toml").unlink()  # as where somebody sent a log alone
    assert "bertkit fine-tuning" in words_of(write_report(run))


def test_a_long_log_makes_a_small_page(tmp_path: Path) -> None:
    log = [FLOORS, *(step(number, 3.0) for number in range(1, 20_001)), evaluation(20_000, 3.0)]
    run = write_run(tmp_path / "run", result(), log)
    assert len(write_report(run).read_bytes()) < 50_000


@pytest.mark.parametrize(
    ("changes", "heldout", "level", "words"),
    [
        ({}, HELDOUT, "good", "It broke through the unigram plateau"),
        (
            {"through_at": None},
            [*HELDOUT[:1], (650.0, 6.2), (1_300.0, 6.1)],
            "bad",
            "stayed on the unigram plateau",
        ),
        (
            {"through_at": None},
            [*HELDOUT[:1], (900.0, 7.0), (1_300.0, 6.0)],
            "open",
            "The loss had nearly left the unigram plateau at the end, and was still falling",
        ),
        ({}, [*HELDOUT[:1], (900.0, 1.9), HELDOUT[2]], "open", "lower before, 1.900 after step 900"),
        ({}, [*HELDOUT[:1], (900.0, 1.96), HELDOUT[2]], "good", "It broke through the unigram plateau"),
        (
            {"through_at": 0, "before": {"mlm_loss": 2.25, "mlm_accuracy": 0.5}},
            [(0.0, 2.25), (1_300.0, 2.0)],
            "good",
            "The model began with 2.250 on this text (perplexity 9.5), and has won 0.250.",
        ),
        (
            {"through_at": 0, "before": {"mlm_loss": 1.99, "mlm_accuracy": 0.5}},
            [(0.0, 1.99), (1_300.0, 2.0)],
            "open",
            "The model began with 1.990, and has won nothing on this text.",
        ),
        (
            {"heldout": {"step": 1_300, "mlm_loss": None, "mlm_accuracy": 0.0}},
            [*HELDOUT[:2], (1_300.0, math.nan)],
            "bad",
            "Held-out loss: no number. Predicting",
        ),
        ({"heldout": None, "before": None, "train_mlm_loss": None}, [], "bad", "the model broke"),
        (
            {"heldout": {"step": 1_300, "mlm_loss": 850.0, "mlm_accuracy": 0.0}, "through_at": None},
            [*HELDOUT[:1], (1_300.0, 850.0)],
            "bad",
            "Held-out loss 850.000, perplexity beyond all numbers: 0.0% of",
        ),
    ],
)
def test_the_verdict(
    tmp_path: Path, changes: dict[str, Any], heldout: list[tuple[float, float]], level: str, words: str
) -> None:
    found = result(**changes)
    log = [evaluation(round(step), loss) for step, loss in heldout]
    verdict = verdict_on(read_history(write_run(tmp_path / "run", found, log)), found)
    assert verdict.level == level
    assert words in verdict.text


def test_page_and_terminal_show_the_same_losses() -> None:
    assert list(losses(result(before=None))) == [
        "uniform guessing",
        "token frequencies",
        "training",
        "after, held out",
    ]
    assert losses_table(result()).row_count == 5


@pytest.mark.parametrize(("loss", "words"), [(850.0, "850.000 beyond all numbers"), (None, "no number no")])
def test_losses_without_a_perplexity_have_a_table_and_a_page(
    loss: float | None, words: str, tmp_path: Path
) -> None:
    found = result(heldout={"step": 1_300, "mlm_loss": loss, "mlm_accuracy": 0.0}, through_at=None)
    assert f"after, held out {words}" in words_of(write_report(write_run(tmp_path / "run", found, LOG)))
    perplexities = list(losses_table(found).columns[2].cells)
    assert perplexities[-1] == ("no number" if loss is None else "beyond all numbers")


def test_a_run_whose_model_broke_in_the_end_did_not_learn(tmp_path: Path) -> None:
    found = result(heldout={"step": 3, "mlm_loss": math.nan, "mlm_accuracy": 0.0}, through_at=1)
    run = write_run(tmp_path / "run", found, [*LOG[:-1], evaluation(3, math.nan)])
    examined = examine(run)
    assert examined.level == "bad"
    assert examined.verdict == "It broke: the held-out loss after step 3 is no number."
    assert [finding.check for finding in examined.findings] == ["diverged"]


def test_several_seeds_are_told_one_by_one(tmp_path: Path) -> None:
    seeds = [
        {"seed": 0, "loss": 5.75, "steps": 3, "through_at": None},
        {"seed": 4, "loss": 5.5, "steps": 3, "through_at": 3},
    ]
    several = {"heldout_loss": 5.625, "interval": [5.0, 6.25], "seeds": seeds, "best_seed": 4}
    run = write_run(tmp_path / "run", result(**several), [])
    (run / "metrics.jsonl").unlink()
    for seed, loss in ((0, 5.75), (4, 5.5)):
        (run / f"seed-{seed}").mkdir()
        lines = [json.dumps(record) + "\n" for record in (*LOG[:-1], evaluation(3, loss))]
        (run / f"seed-{seed}" / "metrics.jsonl").write_text("".join(lines))
    assert read_history(run).track.seed == 4
    page = words_of(write_report(run))
    for words in (
        "That is the best of 2 seeds, of which 1 learned; the mean of their losses is 5.625 [5.000, 6.250].",
        "0 5.750 3 not learned 4 5.500 3 3 learned",
        "One line a seed (2).",
    ):
        assert words in page
    told = {answer.question: answer.words for answer in examine(run).answers}
    assert told["Do the seeds agree?"].startswith("Their held-out losses go from 5.500 to 5.750;")
    (run / "result.json").unlink()
    assert examine(run).verdict.startswith("It is not done: 3 steps of seed 4 are, about")
