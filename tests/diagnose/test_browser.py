"""The pages in a real browser: nothing is asked of a network, nothing overlaps, by day and by night."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import asking

from bertkit.diagnose.compare import compare
from bertkit.diagnose.compare_page import write_comparison
from bertkit.diagnose.report import write_doctor_page, write_report
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.study import Study
from bertkit.runs.result import Answers
from bertkit.studies.plan import distinct, plan
from bertkit.studies.study import StudyListener, run_study
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.examples import Targets

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROWS = 300
RUNS = Path(__file__).parent / "runs"
NAMES = ("doctor", "doctor seeds", "doctor pretrain", "study", "finetune", "seeds", "classes", "pretrain")
NAMES += ("compare",)
LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverleihungsurkundenausgabestelle"

# What takes part in the flow of the page, by its edges; a row's cells and a picture's parts stand inside it.
BOXES = """() => [...document.querySelectorAll('header, section, figure, figcaption, table, pre, p, h1, h2')]
  .filter(e => e.offsetParent !== null && e.getClientRects().length)
  .map(e => { const r = e.getBoundingClientRect();
    return {name: e.tagName + ' ' + e.innerText.slice(0, 30), left: r.left, right: r.right, top: r.top,
            bottom: r.bottom, scrolls: !!e.closest('.scroll, pre')}; })"""
SECTIONS = """() => [...document.querySelectorAll('header, section')].map(e => {
  const r = e.getBoundingClientRect();
  return {name: e.innerText.slice(0, 30), left: r.left, right: r.right, top: r.top, bottom: r.bottom}; })"""
LABELS = """() => [...document.querySelectorAll('svg')].map(svg => ({name: svg.getAttribute('aria-label'),
  width: svg.getBoundingClientRect().width, height: svg.getBoundingClientRect().height,
  texts: [...svg.querySelectorAll('text')].filter(t => t.textContent.trim()).map(t => {
    const r = t.getBoundingClientRect();
    return {text: t.textContent, left: r.left, right: r.right, top: r.top, bottom: r.bottom}; })}))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.is_file():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield found
        found.close()


def write_log(folder: Path, records: list[dict[str, Any]]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def health(step: int, **place: float) -> dict[str, Any]:
    layers = [f"layer {layer}" for layer in range(1, 13)]
    norms = {
        name: (1 + number) / (1 + step)
        for number, name in enumerate(("embeddings", *layers, "pooler", "head"))
    }
    return {
        "event": "health",
        "step": step,
        **place,
        "gradient_norms": norms,
        "update_ratios": {name: norm / 1_000 for name, norm in norms.items()},
        "cls_spread": 0.3 / step,
        "probability_spread": 0.01 / step,
        "majority_share": 0.9,
        "attention_entropy": {layer: 1 / (1 + number) for number, layer in enumerate(layers)},
        "dead_units": {layer: number / 12 for number, layer in enumerate(layers)},
    }


def write_finetuning(folder: Path, *, labels: tuple[str, ...] = ("no", "yes"), seed: int = 0) -> Path:
    """A run with everything that a page can show."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(ROWS).integers(0, len(labels), ROWS)  # the same rows for every model
    logits = random.normal(size=(ROWS, len(labels))) + 1.5 * np.eye(len(labels))[truth]
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets, predictions = Targets.single(truth), logs.argmax(axis=1)
    recipe = Recipe().with_changes({"task": {"name": "cola"}})
    (folder / "recipe.toml").write_text(recipe.to_toml())
    log: list[dict[str, Any]] = []
    for step in range(1, 201):
        place = {"step": step, "epoch": step / 100}
        log.append({"event": "train", **place, "loss": 0.7 - step / 900, "learning_rate": 1e-4 * step})
        if step % 10 == 0:
            log.append(health(step, epoch=step / 100))
        if step % 100 == 0:
            score = {"score": 0.2 + step / 1_000, "interval": [0.1, 0.5], "train_loss": 0.6}
            log.append({"event": "evaluation", **place, "loss": 0.6, **score})
    write_log(folder, log)
    tokens = [
        {"token": word, "text": 0, "from": 4 * number, "to": 4 * number + 3, "push": math.sin(number)}
        for number, word in enumerate(["the"] * 6)
    ]
    explanation = {"tokens": tokens, "difference": 1.0, "baseline": 0.1, "gap": 0.001, "steps": 32}
    mistake = {"line": 7, "text": "the cat sat and ran far " + LONG, "pair": None, "label": labels[0]}
    mistake |= {"predicted": labels[1], "probability": 0.98}
    rows, scoring = asking(targets), CLASSIFY.scoring(labels, "mcc")
    shown = scoring.summary(rows, predictions)
    done = {"seed": 0, "score": shown["score"], "last_score": 0.1, "status": "learned", "best_epoch": 2.0}
    done |= {"steps": 200, "tokens": 999, "seconds": 3.0}
    result = {
        "task": "cola",
        "kind": "classify",
        "model": "mini",
        "rows": ROWS,
        "train_rows": 1_000,
        **shown,
        "baselines": {"majority": {**shown, "score": 0.0}, "ngram": {**shown, "score": 0.1}},
        "seeds": [done],
        "best_seed": 0,
        "best_epoch": 2.0,
        "floor": math.log(len(labels)),
        "label_shares": dict.fromkeys(labels, 1 / len(labels)),
        "dev_fingerprint": "abc",
        **CLASSIFY.scored(rows, predictions, labels),
        **CLASSIFY.examine(rows, logs, scoring),
        "mistakes": [{**mistake, "explanation": {**explanation, "complete": True}}, mistake],
        "parameters": 11_171_074,
        "precision": "fp32",
        "seconds": 133.2,
        "tokens_per_second": 3_120.4,
        "version": "0.1.0",
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "seed.json").write_text(json.dumps(done))
    Answers(targets, logs.astype(np.float32), CLASSIFY.adds(rows, predictions, labels)).write(folder)
    return folder


def write_pretraining(folder: Path) -> Path:
    folder.mkdir()
    (folder / "recipe.toml").write_text(PretrainRecipe().to_toml())
    log: list[dict[str, Any]] = [{"event": "floors", "step": 0, "unigram": 6.2, "uniform": 9.0}]
    for step in range(1, 101):
        loss = 9.0 - step / 20
        figures = {"loss": loss, "mlm_loss": loss, "learning_rate": 1e-3, "tokens": 99, "gemm_share": 0.4}
        log.append({"event": "train", "step": step, "fraction": step / 100, **figures})
        if step % 10 == 0:
            log.append(health(step, fraction=step / 100))
            log.append({"event": "evaluation", "step": step, "mlm_loss": loss, "mlm_accuracy": 0.2})
    write_log(folder, log)
    return folder


def write_stuck(folder: Path) -> Path:
    """The stuck run that docs/doctor.md shows."""
    shutil.copytree(RUNS / "stuck", folder)
    return folder


def of_seeds(run: Path, count: int) -> Path:
    """The same run as if it had had more seeds, and all of them had collapsed alike."""
    result, done = (json.loads((run / name).read_text()) for name in ("result.json", "seed.json"))
    result["seeds"] = [{**result["seeds"][0], "seed": seed, "status": "collapsed"} for seed in range(count)]
    result["deviation"] = 0.0
    (run / "result.json").write_text(json.dumps(result))
    for seed in range(count):
        (run / f"seed-{seed}").mkdir()
        shutil.copy(run / "metrics.jsonl", run / f"seed-{seed}")
        one = {**done, "seed": seed, "status": "collapsed"}
        (run / f"seed-{seed}" / "seed.json").write_text(json.dumps(one))
    (run / "metrics.jsonl").unlink()
    (run / "seed.json").unlink()
    return run


STUDY = """
question = "Does a rate with a long name matter to a model that learns?"
seeds = 2

[stages.cola]
kind = "finetune"

[[variants]]
name = "as it is"

[[variants]]
name = "with a rate of one thousandth and a warm-up"
set.cola = ["optimiser.lr=1e-3", "optimiser.warmup=0.2"]
note = "which some believe in"

[[variants]]
name = "and longer"
after = "with a rate of one thousandth and a warm-up"
set.cola = ["training.epochs=9"]
"""


def write_study(folder: Path) -> Path:
    """The page of a study whose last run is still to come."""
    folder.mkdir()
    (folder / "rates.toml").write_text(STUDY)
    study = Study.from_toml(folder / "rates.toml")
    runs = distinct(plan(study, folder / "study"))
    for seed, run in enumerate(runs[:-1]):
        write_finetuning(run.folder, seed=seed)
    shutil.copy(folder / "rates.toml", folder / "study" / "study.toml")
    run_study(study, folder / "study", settings={}, seeds=0, jobs=0, again=False, listener=StudyListener())
    return folder / "study" / "report.html"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Each kind of page, with the pictures that it must have."""
    folder = tmp_path_factory.mktemp("pages")
    many = tuple(f"a class with a name {number}" for number in range(9))
    two, nine = write_finetuning(folder / "two"), write_finetuning(folder / "nine", labels=many)
    other = write_finetuning(folder / "a run with a long name that says everything about it", seed=1)
    compared = write_comparison(folder / "compare.html", compare([two, other]))
    gradients = "Gradients by layer, from the bottom to the top"
    calibration, threshold = "Calibration: how sure, how often right", "MCC over the threshold for “yes”"
    best = ", seed 0 (the best)"
    shared = ["MCC beside the baselines", "Loss", "MCC after each epoch", gradients]
    inside = ["How far inputs differ inside the model", "Updates by layer", "Attention by layer"]
    inside.append("Dead units by layer")
    stuck, seeds = write_stuck(folder / "stuck"), of_seeds(write_stuck(folder / "three seeds"), 3)
    collapsed = of_seeds(write_finetuning(folder / "collapsed"), 3)
    examined = [gradients, "Loss", "MCC after each epoch", *inside]
    return {
        "doctor": (doctor_page(stuck), examined),
        "doctor seeds": (doctor_page(seeds), examined),
        "doctor pretrain": (
            doctor_page(write_pretraining(folder / "examined text")),
            [gradients, "Loss of masked tokens", "Right on held-out text", *inside],
        ),
        "study": (write_study(folder / "rates"), ["Cola"]),
        "finetune": (write_report(two), [*shared, calibration, threshold]),
        "seeds": (write_report(collapsed), [*shared, calibration + best, threshold + best]),
        "classes": (write_report(nine), [*shared, calibration]),
        "pretrain": (
            write_report(write_pretraining(folder / "text")),
            ["Loss of masked tokens", "Right on held-out text", gradients],
        ),
        "compare": (compared, ["MCC", "Difference from two"]),
    }


def doctor_page(run: Path) -> Path:
    page = write_doctor_page(run)[1]
    assert page is not None
    return page


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether they share more than a line of pixels."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1 and down > 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("width", "scheme"), [(400, "light"), (400, "dark"), (1_400, "light"), (1_400, "dark")]
)
def test_a_page_opens_and_nothing_overlaps(
    browser: Any, pages: dict[str, tuple[Path, list[str]]], name: str, width: int, scheme: str
) -> None:
    path, pictures = pages[name]
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert (said, asked) == ([], [path.as_uri()])

    assert page.evaluate("document.documentElement.scrollWidth") == width, "it can be pushed sideways"
    for box in page.evaluate(BOXES):
        assert box["scrolls"] or (box["left"] >= 0 and box["right"] <= width), f"{box['name']} sticks out"
    sections = page.evaluate(SECTIONS)
    for number, one in enumerate(sections):
        for other in sections[number + 1 :]:
            assert not overlap(one, other), f"{one['name']!r} and {other['name']!r} overlap"

    drawn = page.evaluate(LABELS)
    assert [picture["name"] for picture in drawn] == pictures
    for picture in drawn:
        assert picture["width"] > 250
        assert picture["height"] > 60
        texts = picture["texts"]
        assert texts
        for number, one in enumerate(texts):
            assert one["left"] >= -1, f"{one['text']!r} of {picture['name']} is cut"
            assert one["right"] <= width + 1, f"{one['text']!r} of {picture['name']} is cut"
            for other in texts[number + 1 :]:
                assert not overlap(one, other), f"{one['text']!r} and {other['text']!r} of {picture['name']}"

    ground, ink = (
        page.evaluate(f"getComputedStyle(document.body).{which}") for which in ("backgroundColor", "color")
    )
    assert (ground, ink) == (
        ("rgb(20, 23, 28)", "rgb(228, 232, 238)")
        if scheme == "dark"
        else ("rgb(255, 255, 255)", "rgb(28, 33, 40)")
    )
    page.close()


def test_a_dark_page_is_printed_on_white_with_its_recipe(
    browser: Any, pages: dict[str, tuple[Path, list[str]]]
) -> None:
    page = browser.new_page(viewport={"width": 1_400, "height": 900}, color_scheme="dark")
    page.goto(pages["finetune"][0].as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details pre").bounding_box()["height"] > 100, "what is folded is printed"
    assert len(page.pdf(format="A4")) > 10_000
    page.close()


def test_tokens_have_the_colours_of_the_legend(
    browser: Any, pages: dict[str, tuple[Path, list[str]]]
) -> None:
    page = browser.new_page(viewport={"width": 1_400, "height": 900}, color_scheme="light")
    page.goto(pages["finetune"][0].as_uri())
    marks = page.locator(".mistakes mark")
    assert [mark.inner_text() for mark in marks.all()] == ["cat", "sat", "and", "ran", "far"]
    sides = [mark.get_attribute("class") for mark in marks.all()]
    assert sides == ["wrong", "wrong", "wrong", "right", "right"], "the sign of sin(1) to sin(5)"
    colours = [mark.evaluate("e => getComputedStyle(e).backgroundColor") for mark in marks.all()]
    assert len(set(colours)) == 5, "each as strong as its push"
    page.close()
