"""From finished runs to figures, sentences, tables and a page."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

import bertkit
from bertkit.cli import main
from bertkit.diagnose.groups import Finetuned, Pretrained
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.recipe.study import Study
from bertkit.runs.lock import hold
from bertkit.studies.page import _table
from bertkit.studies.plan import Run, plan
from bertkit.studies.study import StudyListener, run_study
from bertkit.studies.variants import Row, rows_of
from bertkit.studies.words import lines_of, markdown, say

NO_RUN = Run("pretrain", PretrainRecipe(), Path("none"))


def done(study: Study, out: Path, finished: Callable[..., None], labels: list[int]) -> list[Row]:
    """Of `low` both seeds stood still; `high` learned in one of two; `high and long` in its only one."""
    low, high, long = plan(study, out)
    still, learned = [0.693, 0.69], [0.69, 0.2]
    for run in low.runs["toy"]:
        finished(run, [0] * 12, labels, still)
    finished(high.runs["toy"][0], labels, labels, learned)
    finished(high.runs["toy"][1], [0] * 12, labels, still)
    finished(long.runs["toy"][0], labels, labels, learned)
    return rows_of(plan(study, out), "toy")


def test_seeds_are_taken_together(
    study: Study, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    low, high, long = done(study, tmp_path / "s", finished, labels)
    assert isinstance(low.group, Finetuned)
    assert isinstance(high.group, Finetuned)
    assert (low.group.score, low.group.statuses.count("collapsed"), low.group.off_floor) == (0.5, 2, 0)
    assert (high.group.score, high.group.statuses.count("collapsed"), high.group.off_floor) == (0.75, 1, 1)
    assert high.group.train_loss == pytest.approx((0.2 + 0.69) / 2)
    assert high.group.interval[0] < 0.75 < high.group.interval[1]
    assert low.difference is None
    assert high.difference is not None
    assert high.to == "low"
    assert high.difference.value == 0.25
    assert long.difference is not None
    assert long.to == "high"
    assert (len(long.runs), long.done) == (2, (0,))


def test_the_sentences_say_what_left_the_prior_what_is_missing_and_that_seeds_are_few(
    study: Study, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    told = " ".join(say(done(study, tmp_path / "s", finished, labels)))
    assert "left the entropy of the classes (0.693) in every seed of 'high and long'" in told
    assert "It did so in some seeds of 'high' (1 of 2 seeds)." in told
    assert "It stayed there in every seed of 'low'." in told
    assert "The highest accuracy is 1.000 [0.779, 1.000], of 'high and long'; its interval lies above" in told
    assert "Not run to the end yet: 'high and long'." in told
    assert "With one seed of a variant" in told


def test_a_seed_that_diverged_or_learned_is_not_said_to_have_stayed(
    study: Study, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    low, high, _ = plan(study, tmp_path / "s")
    for planned, answers, status in ((low, [0] * 12, "diverged"), (high, labels, "learned")):
        run = planned.runs["toy"][0]
        finished(run, answers, labels, [0.693, 0.69])
        result = json.loads((run.folder / "result.json").read_text())
        result["seeds"][0]["status"] = status
        (run.folder / "result.json").write_text(json.dumps(result))
    rows = rows_of([low, high], "toy")
    told = " ".join(say(rows))
    assert "The loss was no number any more in 'low' (1 of 1 seeds)" in told
    assert "in every seed of 'high'" in told
    heads, lines = lines_of(rows)
    assert lines[0][heads.index("collapsed")] == "0/1, 1 diverged"


def pretrained(
    name: str,
    losses: tuple[float, ...],
    through: tuple[int | None, ...],
    alike: tuple[float, ...] = (),
    heldout: bool = True,
    pairs: float | None = None,
) -> Row:
    group = Pretrained(
        scores=losses,
        score=sum(losses) / len(losses),
        interval=None,
        train_loss=losses[0],
        steps=800,
        seconds=9.0,
        parameters=99,
        heldout=heldout,
        accuracy=0.1,
        pairs=pairs,
        floors={"unigram": 6.9, "uniform": 9.0},
        through_at=through,
        tokens=9,
        corpus="text",
    )
    return Row(name, "", [NO_RUN] * len(losses), tuple(range(len(losses))), group=group, alike=alike)


def test_what_left_the_plateau_is_told_apart_from_what_did_not() -> None:
    rows = [
        pretrained("a", (5.0, 5.2, 5.1), (300, 400, 300)),
        pretrained("b", (5.15, 5.4, 5.3), (500, None, 500)),
        pretrained("c", (6.5, 6.5, 6.6), (None, None, None)),
        pretrained("d", (5.5,), (0,)),
    ]
    told = " ".join(say(rows))
    assert "were 'a' by step 300 to 400; 'b' by step 500 in 2 of 3 seeds; 'd' by step 0." in told
    assert "Still on it after 800 steps: 'c'." in told
    assert "The lowest held-out loss is 5.100, of 'a'." in told
    assert "The seeds of 'b' reach into its range" in told


def test_losses_of_other_tasks_are_not_compared() -> None:
    rows = [pretrained("15 %", (5.9,), (None,), (5.96,)), pretrained("words", (5.7,), (None,), (6.1,))]
    assert "The lowest loss at the same held-out tokens is 5.960, of '15 %'." in " ".join(say(rows))
    heads, lines = lines_of(rows)
    place = heads.index("loss, masked alike [95 %]")
    assert [line[place] for line in lines] == ["5.960", "6.100"]
    assert "loss, masked alike [95 %]" not in lines_of([pretrained("a", (5.9,), (None,))])[0]
    gone = [rows[0], pretrained("its model is gone", (5.7,), (None,))]
    assert "The lowest held-out loss is 5.700, of 'its model is gone'." in " ".join(say(gone))
    assert [line[place] for line in lines_of(gone)[1]] == ["5.960", ""]


def test_pairs_have_a_column_where_some_variant_has_them() -> None:
    rows = [pretrained("none", (5.9,), (None,)), pretrained("nsp", (6.4,), (None,), pairs=0.57)]
    heads, lines = lines_of(rows)
    assert [line[heads.index("pairs right")] for line in lines] == ["", "57.0%"]
    assert "pairs right" not in lines_of(rows[:1])[0]


def test_a_training_loss_is_not_called_a_held_out_one() -> None:
    told = " ".join(say([pretrained("a", (5.9,), (None,), heldout=False)]))
    assert "The lowest loss (of training, without held-out text) is 5.900" in told


def test_where_the_score_is_the_accuracy_it_stands_once(
    study: Study, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    heads, lines = lines_of(done(study, tmp_path / "s", finished, labels))
    assert [head for head in heads if "accuracy" in head] == ["accuracy [95 %]"]
    assert all(len(line) == len(heads) for line in lines)


def test_without_one_that_left_in_every_seed_the_sentences_still_say_what_was_left(
    study: Study, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    low, high, _ = done(study, tmp_path / "s", finished, labels)
    told = say([low, high])
    assert told[0].startswith("The training loss left the entropy of the classes (0.693) in some seeds")
    assert told[1] == "It stayed there in every seed of 'low'."


def test_a_failure_stands_in_the_table_and_in_the_sentences(study: Study) -> None:
    row = Row("high", "", [NO_RUN] * 2, failed={1: "the disk | is full"})
    heads, lines = lines_of([row])
    assert lines[0][:2] == ["high", "failed: the disk | is full"]
    assert len(lines[0]) == len(heads)
    assert "is full" in markdown(heads, lines)
    assert " | is full" not in markdown(heads, lines).replace("\\|", "")
    assert any("Failed: 'high' (seed 1: the disk | is full)." in sentence for sentence in say([row]))


def test_an_unfinished_study_has_a_page_tables_and_a_picture(
    study: Study, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    out = tmp_path / "s"
    done(study, out, finished, labels)
    (out / "study.toml").touch()
    result = run_study(study, out, settings={}, seeds=0, jobs=0, again=False, listener=StudyListener())
    assert (result["runs"], result["planned"], result["failed"]) == (5, 6, 0)
    assert json.loads((out / "result.json").read_text()) == json.loads(json.dumps(result))
    page = (out / "report.html").read_text()
    assert "Does the rate matter?" in page
    assert "high and long" in page
    assert "<td class='number'>+0.250 [" in page
    assert "<td class=''>low</td>" in page
    picture = ElementTree.parse(out / "picture-toy.svg").getroot()
    assert any("high and long" in "".join(text.itertext()) for text in picture.iter())
    assert "| high and long |" in (out / "tables.md").read_text()


def test_on_the_page_a_failure_stands_under_the_variant_and_not_among_figures(study: Study) -> None:
    page = _table("toy", [Row("high", "with care", [NO_RUN] * 2, failed={1: "the disk is full"})])
    assert (
        "<td class=''>high<br><span class=quiet>with care</span>"
        "<br><span class=quiet>failed: the disk is full</span></td>" in page
    )
    assert "<td class='number'></td>" in page
    assert "<td class='number'>failed" not in page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", '{"score": 1'),
        ("result.json", "{}"),
        ("seed.json", '{"seed": 0'),
        ("answers.safetensors", "{"),
        ("answers.safetensors", None),
        ("metrics.jsonl", ""),
        ("metrics.jsonl", '{"event": "train", "step": 1, "loss": 0.5}\n'),
        ("metrics.jsonl", None),
    ],
)
def test_a_damaged_run_counts_as_failed_and_the_others_are_told(
    name: str,
    content: str | None,
    study: Study,
    tmp_path: Path,
    finished: Callable[..., None],
    labels: list[int],
) -> None:
    done(study, tmp_path / "s", finished, labels)
    damaged = plan(study, tmp_path / "s")[1].runs["toy"][0].folder / name
    if content is None:
        damaged.unlink()
    else:
        damaged.write_text(content)
    low, high, _ = rows_of(plan(study, tmp_path / "s"), "toy")
    assert low.done == (0, 1)
    assert high.done == (1,)
    assert "is damaged" in high.failed[0]
    (tmp_path / "s" / "study.toml").touch()
    result = run_study(
        study, tmp_path / "s", settings={}, seeds=0, jobs=0, again=False, listener=StudyListener()
    )
    assert (result["runs"], result["planned"], result["failed"]) == (4, 6, 1)


def test_looking_at_a_study_that_is_not_there_makes_nothing(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was run yet"):
        run_study(study, tmp_path / "s", settings={}, seeds=0, jobs=0, again=False, listener=StudyListener())
    assert not (tmp_path / "s").exists()


def test_a_study_that_is_running_keeps_its_own_results(
    study: Study, study_file: Path, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    out = tmp_path / "s"
    done(study, out, finished, labels)
    (out / "study.toml").write_text("the first")
    study_file.write_text(study_file.read_text().replace("Does the rate matter?", "Another?"))
    another = Study.from_toml(study_file)
    with hold(out, "runs"), pytest.raises(UserError, match=r"Another process .* runs the study at"):
        run_study(another, out, settings={}, seeds=0, jobs=1, again=False, listener=StudyListener())
    assert (out / "study.toml").read_text() == "the first"
    assert not (out / "result.json").exists()


def test_equal_recipes_are_counted_once(
    study: Study, study_file: Path, tmp_path: Path, finished: Callable[..., None], labels: list[int]
) -> None:
    done(study, tmp_path / "s", finished, labels)
    (tmp_path / "s" / "study.toml").touch()
    study_file.write_text(study_file.read_text().replace("training.epochs=7", "training.epochs=2"))
    same = Study.from_toml(study_file)
    result = run_study(
        same, tmp_path / "s", settings={}, seeds=0, jobs=0, again=False, listener=StudyListener()
    )
    assert (result["runs"], result["planned"]) == (4, 4)


def test_a_folder_that_is_no_study_is_left_alone(study: Study, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(UserError, match="is not the folder of a study"):
        run_study(
            study, tmp_path / "mine", settings={}, seeds=0, jobs=1, again=False, listener=StudyListener()
        )


def test_nothing_finished_is_said_with_the_reason(
    study: Study, tmp_path: Path, pretend: Callable[[str], None]
) -> None:
    pretend("sys.exit('bertkit: no such thing.')")
    with pytest.raises(UserError, match=r"has no finished run: no such thing\."):
        run_study(study, tmp_path / "s", settings={}, seeds=1, jobs=2, again=False, listener=StudyListener())


def test_the_command_runs_a_study_to_its_end_and_never_repeats_it(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["study", str(study_file), "-o", str(tmp_path / "s"), "--seeds", "1", "--jobs", "3", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["runs"] == first["planned"] == 3
    runs = {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "runs").glob("*/result.json")}
    assert not list((tmp_path / "s" / "runs").glob("*/checkpoint"))
    assert main(command[:-1]) == 0
    shown = capsys.readouterr().out
    assert "3 runs, 3 of them done already" in shown
    assert "high and long" in shown
    assert runs == {path: path.stat().st_mtime_ns for path in (tmp_path / "s" / "runs").glob("*/result.json")}
    from_python = bertkit.study(study_file, out=tmp_path / "s", seeds=1, settings=["toy.training.seed=0"])
    assert json.loads(json.dumps(from_python | {"wall_seconds": 0})) == first | {"wall_seconds": 0}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--jobs", "-1"], "jobs must be a number of at least 0"),
        (["--set", "optimiser.lrr=1"], "Did you mean 'lr'"),
        (["--set", "x"], "SECTION.KEY=VALUE"),
        (["--set", "training.seed=9"], "the seeds are the study's"),
        (["--set", "training.seeds=2"], "the seeds are the study's"),
    ],
)
def test_a_wrong_option_is_told(
    study_file: Path, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", str(study_file), "-o", str(tmp_path / "s"), *more]) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_name_lists_the_studies_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "why-suck", "-o", "s"]) == 2
    assert "why-stuck" in capsys.readouterr().err
