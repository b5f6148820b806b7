from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.progress import BarColumn
from rich.table import Table
from rich.text import Text

from bertkit.show import display
from bertkit.show.display import (
    BarDisplay,
    PlainConsole,
    RowsDisplay,
    named_rows,
    plain_console,
    with_options,
)
from bertkit.show.run_display import WORDS, RunDisplay, StudyDisplay


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
    console = PlainConsole(file=StringIO(), force_terminal=True)
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


def test_time_left_is_told_by_tokens_and_of_unread_rows_by_characters(capsys, monkeypatch) -> None:
    shown = RowsDisplay("predicting")
    shown.begin(1_000, 9_000)
    shown.block(characters=3_000, tokens=600)
    shown.done(100, 200)
    # 400 tokens of the block and 6,000 characters of five each are left, 200 took ten seconds.
    assert shown.line(10.0) == "100 of 1,000 rows  10 rows/s  0:01:20 left"
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", -1.0)
    shown.done(900, 400)
    assert capsys.readouterr().err.startswith("  predicting: 1,000 of 1,000 rows  ")
    unknown = RowsDisplay("predicting")
    unknown.done(7, 30)
    assert unknown.line(2.0) == "7 rows  4 rows/s"


def test_figures_are_smoothed_each_by_its_name(tmp_path: Path) -> None:
    run = RunDisplay("pretrain", to_stderr=False, out=tmp_path)
    assert run._smoothed("loss", 4.0) == 4.0
    assert run._smoothed("loss", 0.0) == pytest.approx(3.8)
    assert run._smoothed("speed", 13.0) == 13.0


def test_names_and_texts_are_printed_as_they_are(capsys) -> None:
    plain_console().print(named_rows({"model": "runs/[red]/a:smile:"}))
    assert capsys.readouterr().out.split() == ["model", "runs/[red]/a:smile:"]


def terminal(width: int) -> tuple[PlainConsole, StringIO]:
    shown = StringIO()
    return PlainConsole(file=shown, force_terminal=True, width=width, color_system=None), shown


WIDTHS = pytest.mark.parametrize("width", [40, 80, 200])
SENTENCE = (
    "    change: the learning rate of the optimiser, which is far too high for weights that are trained"
)


@WIDTHS
def test_on_a_terminal_lines_wrap_at_spaces_below_their_beginning(width: int) -> None:
    console, shown = terminal(width)
    console.say(f"Seen.\n{SENTENCE}", "bold")
    first, *lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    assert first == "Seen."
    assert " ".join(line.strip() for line in lines) == SENTENCE.strip()
    assert all(line.startswith("    ") and len(line) <= width for line in lines)
    assert len(lines) == {40: 3, 80: 2, 200: 1}[width]


@WIDTHS
def test_a_header_wraps_at_spaces_and_keeps_its_names_whole(width: int) -> None:
    console, shown = terminal(width)
    console.print(named_rows({"embeddings": SENTENCE.strip(), "b": "c"}))
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("embeddings  change: the ")
    assert " ".join(" ".join(lines[:-1]).split()) == f"embeddings {SENTENCE.strip()}"
    assert all(len(line.rstrip()) <= width for line in lines)


@WIDTHS
def test_no_figure_of_a_table_is_cut(width: int) -> None:
    console, shown = terminal(width)
    table = Table("", "accuracy", "95 % interval", "macro F1", "recall", title="toy, scored on 1,043 rows")
    table.add_row("bertkit", "0.842", "0.812 to 0.871", "0.657", "")
    table.add_row("n-grams", "0.750", "0.711 to 0.790", "0.512", "0.500", style="bold")
    console.show(table)
    printed = shown.getvalue()
    assert "…" not in printed
    assert all(figure in printed for figure in ("0.842", "0.812 to 0.871", "0.657", "0.711 to 0.790"))
    assert all(len(line.rstrip()) <= width for line in printed.splitlines())
    assert ("  macro F1: 0.657" in printed) == (width == 40)


def test_without_a_terminal_a_line_stays_one_and_a_table_whole(capsys) -> None:
    console = plain_console()
    console.say(SENTENCE * 3)
    table = Table("a" * 60, "b" * 60)
    table.add_row("1", "2")
    console.show(table)
    sentence, *lines = capsys.readouterr().out.splitlines()
    assert sentence == SENTENCE * 3
    assert any("a" * 60 in line and "b" * 60 in line for line in lines)


def test_what_is_printed_holds_no_control_character_of_a_stranger() -> None:
    text = StringIO()
    console = PlainConsole(file=text, width=40, force_terminal=True, color_system=None)
    console.say("a\x1b[31mb\nc")
    table = Table("label\x07")
    table.add_row("x\x9by")
    console.show(table)
    console.print(Text("\x1b[2J"))
    assert not [letter for letter in text.getvalue() if not (letter.isprintable() or letter == "\n")]
    assert text.getvalue().startswith("a?[31mb")
    assert "x?y" in text.getvalue()


def test_changes_are_told_as_the_options_of_the_command() -> None:
    text = "Try --set training.epochs=8, --set optimiser.lr=0.0001. Or --set optimiser.clip=1."
    options = {"training.epochs": "--epochs", "optimiser.lr": "--lr"}
    assert with_options(text, options) == "Try --epochs 8, --lr 0.0001. Or --set optimiser.clip=1."
