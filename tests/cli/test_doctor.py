"""`bertkit doctor` before a run."""

import json
import math
from pathlib import Path

import pytest

import bertkit
from bertkit.cli import main
from bertkit.cli.doctor_display import gradient_sketch, range_sketch
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.pretrain import kind_of_recipe

SMALL = [
    *("--model", "tiny", "--vocab-size", "60", "--max-length", "16", "--batch", "4", "--epochs", "30"),
    *("--lr", "3e-3", "--seconds", "20", "--set", "vocabulary.min_frequency=1"),
    *("--set", "model.options.layers=1", "--set", "model.options.hidden_size=16"),
    *("--set", "model.options.feedforward_size=16", "--set", "model.options.initialiser_range=0.2"),
]


def rows(folder: Path, split: str, start: int) -> list[str]:
    path = folder / f"{split}.csv"
    lines = [f"row {i} is {'good' if i % 2 else 'bad'} {i * 7},{i % 2}" for i in range(start, start + 24)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return [f"--{split}", str(path)]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [*rows(tmp_path, "train", 0), *rows(tmp_path, "dev", 100)]


def test_a_healthy_task_exits_with_0_and_a_sick_one_with_3(
    files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertkit.health.rows.ENOUGH_ROWS", 0)
    assert main(["doctor", *files, *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "Nothing is wrong" in printed
    assert "overfit" in printed
    sick = ["--set", "batch.pad_to=16", "--set", "batch.shuffle=false", "--set", "batch.by_length=false"]
    assert main(["doctor", *files, *SMALL, *sick]) == 3
    printed = capsys.readouterr().out
    assert "grave, certain" in printed
    assert "change: --set batch.pad_to=0" in printed
    do, command, _, why = printed.splitlines()[1:5]
    assert (do, why) == ("Do this:", "Why:")
    assert command.startswith(f"  bertkit finetune --train {files[1]} --dev {files[3]} ")
    assert "--set batch.pad_to=0 --set batch.shuffle=true" in command


def test_json_is_alone_on_standard_output(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", *files, *SMALL, "--seconds", "0.2", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"measures", "findings", "again"}
    assert told["measures"]["rows"]["train_rows"] == 24


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-task"], "no task 'no-task'"),
        (["--recipe", "absent.toml"], "no recipe at absent.toml"),
        (["cola", "--pairs", "none"], "--pairs is no option of fine-tuning"),
        ([], "Say what to learn"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_with_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_which_kind_a_recipe_is(tmp_path: Path) -> None:
    for path in sorted((Path(__file__).parents[2] / "recipes").glob("*.toml")):
        expected = Recipe if path.name.startswith("cola") else PretrainRecipe
        assert kind_of_recipe(path) is expected, path
    both = tmp_path / "both.toml"
    both.write_text("[optimiser]\nlr = 1e-3\n")
    assert kind_of_recipe(both) is Recipe
    for kind in (Recipe, PretrainRecipe):
        both.write_text(kind().to_toml())
        assert kind_of_recipe(both) is kind
    both.write_text("=")
    with pytest.raises(UserError, match="TOML"):
        kind_of_recipe(both)


def test_what_time_ended_is_not_said_to_be_well(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", *files, *SMALL, "--seconds", "0"])
    printed = capsys.readouterr().out
    assert "✓  overfit" not in printed
    assert "✓  rate" not in printed
    assert "·  overfit" in printed
    assert "--seconds gives it more" in printed


def test_the_sketch_of_rates_marks_the_recipes_and_the_cliff() -> None:
    tested = {"rates": [1e-6, 1e-4, 1e-2], "smoothed": [1.0, 0.0, 0.5], "cliff": 1e-2}
    bars, marks, axis = range_sketch(tested, 1e-4)
    assert bars[0] == "█"
    assert bars[16] == "▁"  # two of five powers of ten, of 40 columns
    assert marks.index("▲") == 16
    assert marks.index("┃") == 31
    assert "0.00 to 1.00" in bars
    assert axis.split() == ["1e-06", "1e-01"]
    assert range_sketch({**tested, "cliff": None}, 5.0)[1].index("▲") == 39


def test_the_sketch_of_gradients_has_the_top_first() -> None:
    lines = gradient_sketch({"embeddings": 1e-8, "layer 1": 1e-4, "head": 1.0}, {"head": 2.0})
    assert [line.split()[0] for line in lines] == ["head", "layer", "embeddings"]
    assert lines[0].count("█") == 20
    assert lines[1].count("█") == 10
    assert lines[2].count("█") == 0
    assert "2.0e+00" in lines[0]


def test_what_is_no_number_has_no_bar() -> None:
    lines = gradient_sketch({"embeddings": math.nan, "layer 1": 1e-4, "head": math.inf}, {"head": math.nan})
    assert [line.count("█") for line in lines] == [0, 20, 0]
    assert "inf  at the end of the trial nan" in lines[0]
    assert gradient_sketch({"head": math.nan}, None)[0].split() == ["head", "nan"]


# ---- after a run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run that was cut off before it logged anything: healthy as far as one can see."""
    folder = tmp_path / "run"
    folder.mkdir()
    recipe = Recipe().with_changes({"model": {"start": "mini"}, "training": {"epochs": 3}})
    (folder / "recipe.toml").write_text(recipe.to_toml())
    return folder


def make_stuck(run: Path) -> None:
    """Let the run have stood on its prior to the end."""
    lines = [
        {
            "event": "train",
            "step": i,
            "epoch": i / 30,
            "loss": 0.69,
            "learning_rate": 1e-4,
            "gradient_norm": 1.0,
        }
        for i in range(1, 91)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prior = {"event": "health", "step": 90, "epoch": 3.0, "baseline_loss": 0.69}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(prior) + "\n")


def test_a_run_exits_with_0_or_with_3_and_has_a_page(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(run_folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("It is not done, and has logged nothing yet.")
    assert "No check found anything wrong with it." in printed
    assert (run_folder / "doctor.html").is_file()
    make_stuck(run_folder)
    assert main(["doctor", str(run_folder)]) == 3
    printed = capsys.readouterr().out
    assert "grave, likely: The training loss still stands at 0.690 so far" in printed
    assert "change: --set model.options.norm=pre\n      with: --set model.options.positions=rotary" in printed
    # The command comes first, then why.
    do, command, _, why = printed.splitlines()[2:6]
    assert (do, why) == ("Do this:", "Why:")
    assert command.startswith(
        f"  bertkit finetune --recipe {run_folder}/recipe.toml --set model.options.norm=pre "
    )
    assert " --epochs 18 -o " in command
    assert "read: docs/doctor.md#after-a-run" in printed


def test_no_command_is_offered_where_no_change_goes_into_it(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bertkit.runs.findings import Change, Finding, append_findings

    leaks = Finding("leaks", "notable", "certain", "Seen.", "Means.", (Change(words="remove them"),))
    append_findings(run_folder, "preflight", 0, [leaks])
    assert main(["doctor", str(run_folder)]) == 3
    printed = capsys.readouterr().out
    assert "change: remove them" in printed
    assert "Do this" not in printed


def test_json_of_a_run_is_alone_on_standard_output(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stuck(run_folder)
    assert main(["doctor", str(run_folder), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert {"run", "kind", "healthy", "verdict", "findings"} <= set(told)
    assert (told["healthy"], told["kind"]) == (False, "fine-tuning")
    assert [finding["check"] for finding in told["findings"]] == ["stuck"]
    assert told["page"] == str(run_folder / "doctor.html")


def test_a_run_that_may_only_be_read_is_told_without_a_page(
    run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "doctor.html")

    monkeypatch.setattr("bertkit.diagnose.report.write_page", refuse)
    assert main(["doctor", str(run_folder)]) == 0
    assert "No page was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{run}", "--lr", "1e-4"], "is a run, which has its recipe; leave out --lr."),
        (["{run}", "--set", "optimiser.lr=1"], "is a run, which has its recipe; leave out --set."),
        (["{run}/recipe.toml", "--lr", "1e-4"], "is a file; give the folder of a run"),
        (["{run}/.."], "There are runs in it: give one of run."),
        (["{run}/nothing"], "There is no run at"),
    ],
)
def test_mistakes_about_runs_are_one_sentence(
    run_folder: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *(each.format(run=run_folder) for each in arguments)]) == 2
    assert sentence in capsys.readouterr().err


def test_from_python_it_is_the_same(run_folder: Path) -> None:
    make_stuck(run_folder)
    assert bertkit.doctor(run_folder)["healthy"] is False
    with pytest.raises(UserError, match="leave out a model"):
        bertkit.doctor(run_folder, model="tiny")


def test_one_command_has_one_learning_rate_and_so_have_the_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bertkit.cli.doctor_display import show_run
    from bertkit.diagnose.remedy import remedy_before
    from bertkit.runs.findings import Change, Finding

    found = [
        Finding("a", "grave", "certain", "Seen.", "Means.", (Change("optimiser.lr", 3e-4),)),
        Finding(
            "b", "grave", "likely", "Seen.", "Means.", (Change("optimiser.lr", 1e-5), Change(words="ask"))
        ),
        Finding("c", "notable", "likely", "Seen.", "Means.", (Change("optimiser.lr", 3e-4),)),
    ]
    recipe = Recipe().with_changes({"task": {"train": "my data/a.csv"}, "model": {"options": {"layers": 2}}})
    again = remedy_before(recipe, found)
    assert again == (
        "bertkit finetune --set 'task.train=my data/a.csv' --set model.options.layers=2 "
        "--set optimiser.lr=0.0003 -o runs/a"
    )
    told = {"verdict": "V.", "level": "bad", "again": again, "answers": [], "page": "p", "run": "r"}
    show_run({**told, "findings": [each.to_json() for each in found]}, {"optimiser.lr": "--lr"})
    printed = capsys.readouterr().out
    assert "--set model.options.layers=2 --lr 0.0003 -o runs/a" in printed
    assert "1e-05" not in printed
    assert "change: ask" in printed
    assert remedy_before(recipe, found[1:2]).endswith("--set optimiser.lr=1e-05 -o runs/a")
    assert remedy_before(recipe, [Finding("d", "grave", "likely", "S.", "M.", (Change(words="ask"),))]) == ""


def test_a_pretrained_model_is_advised_by_a_name_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from bertkit.diagnose import remedy
    from bertkit.health.advice import PRETRAINED
    from bertkit.runs.findings import Change, Finding

    monkeypatch.setattr(remedy, "find_pretrained", lambda: ("owner/name", "found"))
    better = Finding("a", "notable", "likely", "S.", "M.", (PRETRAINED,))
    rotary = Change("model.options.positions", "rotary")
    shape = Finding("b", "grave", "likely", "S.", "M.", (rotary,))
    plain = Recipe().with_changes({"task": {"name": "cola"}, "optimiser": {"lr": 5e-4}})
    named = remedy.name_pretrained(plain, [better])
    again = remedy.remedy_before(plain, named)
    assert again == (
        "bertkit finetune cola --set optimiser.lr=0.0001 --set model.start=owner/name -o runs/cola"
    )
    # A pooling that was chosen for another start is chosen again.
    done = plain.with_changes({"head": {"pooling": "pooler"}})
    again = remedy.remedy_before(done, remedy.name_pretrained(done, [better]))
    assert "--set head.pooling= " in again
    # Options of fresh weights and trained ones do not go together.
    both = remedy.remedy_before(plain, [shape, *named])
    assert "model.options.positions=rotary" in both
    assert "model.start" not in both
    shaped = plain.with_changes({"model": {"options": {"layers": 2}}})
    assert remedy.name_pretrained(shaped, [better]) == [better]
