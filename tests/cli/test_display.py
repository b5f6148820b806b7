from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import BarColumn

from bertkit.cli import display
from bertkit.cli.display import BarDisplay, named_rows, plain_console
from bertkit.cli.run_display import WORDS, RunDisplay, StudyDisplay


def interrupt(shown: BarDisplay) -> None:
    with pytest.raises(KeyboardInterrupt), shown:
        raise KeyboardInterrupt


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path, capsys) -> None:
    out = tmp_path / "my run"
    finetuning = RunDisplay("finetune", to_stderr=True, out=out)
    finetuning.seed_started(7, 0, 99)
    interrupt(finetuning)
    errors = capsys.readouterr().err
    assert errors.endswith(f"Interrupted. Go on with: bertkit finetune -o '{out}' --resume\n")
    pretraining = RunDisplay("pretrain", to_stderr=False, out=out)
    pretraining.seed_started(0, 0, 99)
    interrupt(pretraining)
    assert capsys.readouterr().out == f"Interrupted. Go on with: bertkit pretrain -o '{out}' --resume\n"
    interrupt(StudyDisplay(to_stderr=False))
    assert capsys.readouterr().out == "Interrupted; the same command goes on where the study is.\n"


def test_there_is_nothing_to_go_on_with_before_the_first_step_and_after_the_last(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setitem(WORDS, "finetune", replace(WORDS["finetune"], closing=lambda result, out: iter(())))
    interrupt(RunDisplay("finetune", to_stderr=False, out=tmp_path))
    run = RunDisplay("finetune", to_stderr=False, out=tmp_path)
    run.seed_started(7, 0, 99)
    run.finished({})
    interrupt(run)
    assert capsys.readouterr().out == "seed 7\n"


def test_the_bar_stands_while_something_goes_on_and_another_error_speaks_for_itself() -> None:
    console = Console(file=StringIO(), force_terminal=True)
    shown = BarDisplay(console, BarColumn())
    stood = []

    def fail() -> None:
        with shown:
            stood.append(shown._bar.live.is_started)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert stood == [True]
    assert not shown._bar.live.is_started


def test_without_a_terminal_a_line_comes_when_it_is_time(capsys, monkeypatch) -> None:
    shown = BarDisplay(plain_console())
    shown._say_at_times("too early")
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", -1.0)
    shown._say_at_times("in time")
    assert capsys.readouterr().out == "  in time\n"


def test_figures_are_smoothed_each_by_its_name(tmp_path: Path) -> None:
    run = RunDisplay("pretrain", to_stderr=False, out=tmp_path)
    assert run._smoothed("loss", 4.0) == 4.0
    assert run._smoothed("loss", 0.0) == pytest.approx(3.8)
    assert run._smoothed("speed", 13.0) == 13.0


def test_names_and_texts_are_printed_as_they_are(capsys) -> None:
    plain_console().print(named_rows({"model": "runs/[red]/a:smile:"}))
    assert capsys.readouterr().out.split() == ["model", "runs/[red]/a:smile:"]
