"""The report of a run: what it says, that it escapes what it quotes, and that it needs nothing but itself."""

import copy
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from asking import asking

from bertkit.diagnose.report import write_report
from bertkit.diagnose.verdict import verdict_on
from bertkit.errors import UserError
from bertkit.runs.log import read_track
from bertkit.runs.reader import read_history
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.metrics import entropy

RESULT = {
    "task": "toy <one>",
    "kind": "classify",
    "model": "mini",
    "rows": 99,
    "train_rows": 1_300,
    "floor": entropy([0.3, 0.7]),
    "label_shares": {"bad & odd": 0.3, "fine": 0.7},
    "metric": "mcc",
    "score": 0.412,
    "interval": [0.335, 0.488],
    "metrics": {"mcc": 0.412, "accuracy": 0.78, "f1": 0.849},
    "baselines": {
        "majority": {"score": 0.0, "metrics": {"mcc": 0.0, "accuracy": 0.691, "f1": 0.817}},
        "ngram": {"score": 0.081, "metrics": {"mcc": 0.081, "accuracy": 0.676, "f1": 0.79}},
    },
    "seeds": [{"seed": 7, "score": 0.412, "last_score": 0.39, "status": "learned", "best_epoch": 2.0}],
    "best_seed": 7,
    "best_epoch": 2.0,
    "labels": ["bad & odd", "fine"],
    "confusion": [[21, 10], [5, 63]],
    "mistakes": [
        {
            "line": 13,
            "text": "A <script>alert(1)</script> & 'more'.",
            "pair": "The <b>second</b>",
            "label": "bad & odd",
            "predicted": "fine",
            "probability": 0.987,
        }
    ],
    "parameters": 11_171_074,
    "precision": "fp32",
    "seconds": 133.2,
    "tokens_per_second": 3_120.4,
    "version": "0.1.0",
}
SEEDS = [
    {"seed": 0, "score": 0.43, "last_score": 0.41, "status": "learned", "best_epoch": 2.0},
    {"seed": 1, "score": 0.0, "last_score": 0.0, "status": "collapsed", "best_epoch": 1.0},
    {"seed": 2, "score": 0.11, "last_score": 0.1, "status": "not learned", "best_epoch": 1.0},
]


def result(**changes) -> dict:
    return copy.deepcopy(RESULT) | changes


def steps(losses: list[float], per_epoch: int = 2) -> list[dict]:
    return [
        {"event": "train", "step": i, "epoch": i / per_epoch, "loss": loss}
        for i, loss in enumerate(losses, start=1)
    ]


def evaluation(epoch: float, score: float) -> dict:
    interval = [score - 0.07, score + 0.08]
    return {
        "event": "evaluation",
        "step": 2,
        "epoch": epoch,
        "loss": 0.5,
        "score": score,
        "interval": interval,
    }


def write_run(folder: Path, result: dict | None, logs: dict[str, list[dict]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.toml").write_text('[task]\nname = "<toy>"\n')
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    for place, records in logs.items():
        (folder / place).mkdir(exist_ok=True)
        (folder / place / "metrics.jsonl").write_text(
            "".join(json.dumps(record) + "\n" for record in records)
        )
    return folder


HEALTH = {"event": "health", "step": 2, "epoch": 1.0, "gradient_norms": {"layer 1": 0.3}}
LOG = [*steps([0.69, 0.61]), HEALTH, evaluation(1, 0.3), *steps([0.5, 0.45]), evaluation(2, 0.412)]


class Page(HTMLParser):
    """Tags with their attributes, and the text of each element named in `texts`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(write_report(write_run(tmp_path / "run", result(), {".": LOG})))


def test_it_says_what_was_found(page: Page) -> None:
    for words in (
        "mini on toy <one>",
        "MCC 0.412 [0.335, 0.488] on 99 dev rows.",
        "Always answering the majority scores 0.000 and an n-gram model scores 0.081.",
        "The interval lies above both",
        "training rows 1,300",
        "parameters 11,171,074",
        "training time 2 min",
        "tokens a second 3,120",
        "predicting the class frequencies, 0.611",
        "bad & odd 21 68% 10 32%",
        "fine 5 7% 63 93%",
        "n-gram model 0.081 0.676 0.790",
        "13 A <script>alert(1)</script> & 'more'. The <b>second</b> bad & odd fine 98.7%",
        '[task] name = "<toy>"',
        "Made by bertkit 0.1.0.",
    ):
        assert words in page.text
    assert not page.open, "every element is closed"


def test_it_has_both_pictures_with_what_belongs_on_them(page: Page) -> None:
    assert [svg["aria-label"] for svg in page.all("svg")] == [
        "MCC beside the baselines",
        "Loss",
        "MCC after each epoch",
    ]
    _, loss, score = re.findall(r"<svg.*?</svg>", page.source, flags=re.DOTALL)
    for words, svg, present in (
        ("var(--train)", loss, True),
        ("var(--dev)", loss, True),
        ("var(--dev)", score, True),
        ("var(--ngram)", score, True),
        ("var(--majority)", score, True),
        ("var(--train)", score, False),
        ("opacity: 0.15", score, True),  # the band of the interval
    ):
        assert (words in svg) is present, words
    assert "#00000" not in loss + score, "a stand-in for a colour of the page is left"


def test_it_refers_to_nothing_outside_itself_and_runs_nothing(page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import", page.source)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", result(), {".": LOG})
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_several_seeds_are_told_one_by_one(tmp_path: Path) -> None:
    logs = {f"seed-{seed}": LOG for seed in range(3)}
    found = result(seeds=SEEDS, deviation=0.223, best_seed=0)
    page = Page(write_report(write_run(tmp_path / "run", found, logs)))
    for words in (
        "on 99 dev rows, mean of 3 seeds (deviation 0.223).",
        "Of 3 seeds: 1 learned, 1 collapsed, 1 not learned.",
        "0 0.430 0.410 2 learned 1 0.000 0.000 1 collapsed 2 0.110 0.100 1 not learned",
        "seed 0 (the best)",
        "One line a seed (3).",
    ):
        assert words in page.text
    assert "opacity: 0.15" not in page.source


@pytest.mark.parametrize("missing", ["ngram", "majority", "confusion", "floor"])
def test_what_a_result_does_not_have_is_left_out(tmp_path: Path, missing: str) -> None:
    found = result()
    (found["baselines"] if missing in found["baselines"] else found).pop(missing)
    text = Page(write_report(write_run(tmp_path / "run", found, {".": LOG}))).text
    words = {"ngram": "n-gram model", "majority": "majority 0.000"}
    words |= {"confusion": "Confusion matrix", "floor": "predicting the class frequencies"}
    assert words[missing] not in text
    assert "MCC 0.412 [0.335, 0.488] on 99 dev rows." in text


def test_a_run_that_is_not_finished_has_its_curves_and_how_to_go_on(tmp_path: Path) -> None:
    page = Page(write_report(write_run(tmp_path / "a run", None, {".": steps([0.7, 0.6])})))
    assert "This run has no result yet" in page.text
    assert "a run' --resume" in page.text
    assert len(page.all("svg")) == 2


@pytest.mark.parametrize("done", [False, True])
def test_the_ways_on_are_commands_that_a_shell_takes(tmp_path: Path, done: bool) -> None:
    run = write_run(tmp_path / "a run", result() if done else None, {".": LOG})
    source = html.unescape(write_report(run).read_text())
    going_on = f"<h2>To go on</h2><pre>bertkit finetune -o '{run}' --resume</pre>"
    again = f"bertkit finetune --recipe '{run}/recipe.toml' -o '{run}-again'"
    using = f"<h2>To use it, and to do it again</h2><pre>bertkit predict '{run}' FILE\n{again}</pre>"
    assert ((going_on in source), (using in source)) == (not done, done)
    assert '<summary>The recipe</summary><pre>[task]\nname = "<toy>"\n</pre>' in source
    (run / "recipe.toml").unlink()
    without = html.unescape(write_report(run).read_text())
    assert "<h2>To" not in without
    assert "The recipe" not in without


def test_a_run_that_was_begun_again_says_why_and_what_with(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", result(), {".": LOG})
    assert "Begun again" not in Page(write_report(run)).text
    restart = {"step": 20, "check": "loss_rose", "seen": "It rose to <9>.", "change": {"optimiser.lr": 2e-5}}
    (run / "restarts.json").write_text(json.dumps({"restarts": [restart]}))
    text = Page(write_report(run)).text
    assert (
        "Begun again After step 20 it began again from the beginning with optimiser.lr=2e-05. It rose to <9>."
    ) in text
    assert "highest learning rate 2e-05, adamw" in text
    (run / "recipe.toml").write_text("[training]\nbudget = 45.0\n")
    assert "epochs what fits into 45 min" in Page(write_report(run)).text
    assert f"bertkit finetune --recipe {run}/recipe.toml --set optimiser.lr=2e-05 -o {run}-again" in text


def test_a_thousand_classes_make_a_small_page_of_the_largest_and_the_smallest(tmp_path: Path) -> None:
    names = [f"L{place}" for place in range(1_000)]
    true, said = np.repeat(np.arange(1_000), 2), np.roll(np.repeat(np.arange(1_000), 2), 1)
    told = CLASSIFY.scored(asking(true), said, tuple(names))
    told |= {
        "metric": "accuracy",
        "metrics": {"accuracy": 0.5, "macro_f1": 0.25, "mcc": 0.5},
        "confusion": None,
    }
    told["baselines"] = {"majority": {"score": 0.1, "metrics": told["metrics"]}}
    path = write_report(write_run(tmp_path / "run", result(**told), {".": LOG}))
    page = Page(path)
    assert path.stat().st_size < 100_000
    for words in (
        "Accuracy 0.412 [0.335, 0.488] on 99 dev rows, macro F1 0.250.",
        "L14 2 0.500 0.500 0.500 ... 970 others L985 2 0.500",
        "Largest confusions true label predicted rows L0 L999 1 L1 L0 1",
    ):
        assert words in page.text


def test_losses_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    broke = {"event": "broke", "step": 3, "epoch": 1.5, "loss": None}
    run = write_run(tmp_path / "run", None, {".": [*steps([0.7, 0.9]), broke]})
    assert "The loss was no number from epoch 1.50 on." in Page(write_report(run)).text
    write_run(run, None, {".": [{**broke, "step": 1, "epoch": 0.5}]})
    assert "The loss was no number from epoch 0.50 on." in Page(write_report(run)).text


def test_a_long_log_makes_a_small_page(tmp_path: Path) -> None:
    log = [*steps([0.5] * 20_001, per_epoch=267), evaluation(75, 0.3)]
    assert len(write_report(write_run(tmp_path / "run", result(), {".": log})).read_bytes()) < 50_000


def test_a_line_that_a_crash_cut_off_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", None, {".": steps([0.7, 0.6])})
    log = run / "metrics.jsonl"
    log.write_text(log.read_text() + '{"event": "tr')
    assert [step.loss for step in read_track(run, "finetune").steps] == [0.7, 0.6]
    log.write_text(log.read_text() + "\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 3 is not JSON"):
        write_report(run)


def test_a_folder_that_is_no_run_and_a_damaged_result_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no run folder"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"result\.json is not JSON"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "good", "The interval lies above both"),
        ({"interval": [0.02, 0.2], "score": 0.11}, "open", "these dev rows cannot tell the two apart"),
        ({"interval": [0.01, 0.07], "score": 0.05}, "open", "The interval lies below the n-gram model"),
        ({"interval": [-0.03, 0.2], "score": 0.09}, "open", "nothing shows that the model learned"),
        ({"interval": [-0.13, 0.1], "score": 0.0}, "bad", "nothing shows that the model learned"),
        ({"seeds": SEEDS, "deviation": 0.2}, "open", "The interval lies above both"),
        ({"baselines": {"majority": {"score": 0.0}}}, "good", "The interval lies above it"),
        (
            {
                "score": 0.0,
                "interval": [0.0, 0.0],
                **CLASSIFY.scored(
                    asking(np.repeat([0, 1], [31, 68])), np.ones(99, dtype=int), ("bad & odd", "fine")
                ),
                "seeds": [SEEDS[1]],
            },
            "bad",
            "The model collapsed: it gives every dev row the same answer, 'fine'.",
        ),
    ],
)
def test_the_verdict(tmp_path: Path, changes: dict, level: str, words: str) -> None:
    found = result(**changes)
    verdict = verdict_on(read_history(write_run(tmp_path / "run", found, {})), found)
    assert verdict.level == level
    assert words in verdict.text
