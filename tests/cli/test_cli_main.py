"""The command line as a whole: what it prints, where, and with which exit code."""

import argparse
import errno
import os
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import bertkit
from bertkit.cli import COMMANDS, main
from bertkit.cli.parser import GROUPS, CommandParser
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.tasks.registry import get_task


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):
    """Put `run` in the place of what `bertkit inspect` does."""

    def put(run) -> None:
        module = ModuleType("bertkit.cli.inspect", "Say what is there.")
        module.add_arguments = lambda parser: parser.add_argument("model")
        module.run = run
        monkeypatch.setitem(sys.modules, "bertkit.cli.inspect", module)

    return put


def raising(error: BaseException):
    def run(arguments) -> int:
        raise error

    return run


def test_help_lists_every_command(capsys) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for row in COMMANDS:
        assert f"  {row.name} " in printed
        assert row.help in printed


def test_without_arguments_it_says_what_there_is_and_fails(capsys) -> None:
    assert main([]) == 2
    assert "usage: bertkit COMMAND" in capsys.readouterr().out


def test_version(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bertkit {bertkit.__version__}\n"


def test_python_m_bertkit_is_the_command() -> None:
    run = subprocess.run([sys.executable, "-m", "bertkit", "--version"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, f"bertkit {bertkit.__version__}\n")


def test_an_unknown_command_offers_the_nearest(capsys) -> None:
    assert main(["fintune", "cola"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bertkit: There is no command 'fintune'. Did you mean 'finetune'? Known: ")
    assert err.count("\n") == 1


def test_a_group_lists_its_commands_and_offers_the_nearest(capsys) -> None:
    assert main(["data", "--help"]) == 0
    assert "usage: bertkit data COMMAND [options]" in capsys.readouterr().out
    assert main(["data"]) == 2
    assert "\n  list " in capsys.readouterr().out
    assert main(["data", "lits"]) == 2
    assert "There is no command 'data lits'. Did you mean 'list'?" in capsys.readouterr().err


def test_the_options_of_a_command_of_a_group_are_called_by_both_its_words(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["data", "list", "--help"])
    assert "usage: bertkit data list " in capsys.readouterr().out


def test_arguments_reach_the_command_and_its_code_comes_back(command) -> None:
    seen = []
    command(lambda arguments: seen.append(arguments.model) or 7)
    assert main(["inspect", "folder"]) == 7
    assert seen == ["folder"]


def test_a_wrong_option_exits_with_2(command, capsys) -> None:
    command(lambda arguments: 0)
    with pytest.raises(SystemExit) as exit_:
        main(["inspect", "folder", "--modle"])
    assert exit_.value.code == 2
    assert "\nusage: bertkit inspect " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("dev.tsv, line 3: no label."), 2, "bertkit: dev.tsv, line 3: no label.\n"),
        (KeyboardInterrupt(), 130, "bertkit: interrupted.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "RUN/model"),
            1,
            "bertkit: cannot write RUN/model: No space left on device. Choose another place or free it.\n",
        ),
        (
            OSError(errno.EFBIG, "File too large", "RUN/model"),
            1,
            "bertkit: cannot write RUN/model: File too large. Choose another place or free it.\n",
        ),
    ],
)
def test_a_failure_is_one_line_and_a_code(command, capsys, error, code: int, line: str) -> None:
    command(raising(error))
    assert main(["inspect", "folder"]) == code
    assert capsys.readouterr() == ("", line)


def test_a_fault_of_bertkit_itself_is_not_hidden(command) -> None:
    command(raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["inspect", "folder"])


PROGRAM = """
import sys, bertkit.cli as cli
from types import ModuleType
name, lines = sys.argv[1:]
def run(arguments):
    print("progress 100 \u2713", file=sys.stderr)
    for _ in range(int(lines)):
        print("\u5f88 good")
    print("the end", file=sys.stderr)
    return 0
module = ModuleType("m", "")
module.add_arguments = lambda parser: None
module.run = run
sys.modules[f"bertkit.cli.{name}"] = module
sys.exit(cli.main([name]))
"""
TOLD, GOOD = "progress 100 \u2713\nthe end\n", "\u5f88 good\n"
NO_SPACE = (
    "bertkit: cannot write standard output: No space left on device. Choose another place or free it.\n"
)


@pytest.mark.parametrize(
    ("command", "redirection", "encoding", "code", "out", "err"),
    [
        # A reader that leaves ends whose answers nobody will read, and nobody else.
        ("inspect 1", "| true", "utf-8", 1, "", TOLD),
        ("inspect 100000", "| true", "utf-8", 1, "", "progress 100 \u2713\n"),
        ("finetune 100000", "| true", "utf-8", 0, "", TOLD),
        ("inspect 1", "2> >(true)", "utf-8", 0, GOOD, ""),
        ("inspect 1", ">&-", "utf-8", 0, "", TOLD),
        ("inspect 1", "2>&-", "utf-8", 0, GOOD, ""),
        ("inspect 1", ">&- 2>&- <&-", "utf-8", 0, "", ""),
        ("inspect 1", ">/dev/full", "utf-8", 1, "", TOLD + NO_SPACE),
        ("inspect 1", "2>/dev/full", "utf-8", 0, GOOD, ""),
        ("inspect 1", "", "ascii", 0, "\\u5f88 good\n", "progress 100 \\u2713\nthe end\n"),
        ("inspect 1", "", "cp1252", 0, "\\u5f88 good\n", "progress 100 \\u2713\nthe end\n"),
    ],
)
def test_streams_that_are_closed_gone_or_not_utf8_lose_no_answer(
    command: str, redirection: str, encoding: str, code: int, out: str, err: str
) -> None:
    # The other end of a pipe is surely gone after the pause.
    script = f'set -o pipefail; (sleep 0.3; exec "$0" -c "$1" {command}) {redirection}'
    run = subprocess.run(
        ["bash", "-c", script, sys.executable, PROGRAM],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (run.returncode, run.stdout, run.stderr) == (code, out, err)


FULL = ("finetune", "evaluate", "predict", "pretrain", "doctor")
"""The commands whose help is laid out in full."""


@pytest.mark.parametrize("name", FULL)
def test_help_has_groups_defaults_and_three_examples(name: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    printed = capsys.readouterr().out
    titles = [line for line in printed.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert [title for title in titles if title[:-1] in GROUPS] == [
        f"{title}:" for title in GROUPS if f"\n{title}:" in printed
    ]
    assert {"output:", "examples:"} <= set(titles)
    assert printed.count(f"\n  bertkit {name} ") >= 3
    parser = CommandParser(name, None, None)
    import_module(f"bertkit.cli.{name}").add_arguments(parser)
    needs_none = ("--say", "--say-pair", "--set", "--recipe", "--out", "--help")
    for action in parser._actions:
        flag = next((flag for flag in action.option_strings if flag.startswith("--")), None)
        switch = action.nargs == 0 and not isinstance(action, argparse.BooleanOptionalAction)
        if flag is not None and not switch and flag not in needs_none:
            assert (parser.formatter_class(name)._get_help_string(action) or "").count("(default:") == 1, flag


def test_the_defaults_shown_are_those_of_the_recipe(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"(default: {PretrainRecipe().optimiser.lr:g})" in printed
    assert f"over all processes (default: {PretrainRecipe().batch.tokens})" in printed


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            ["finetune", "--batch-size"],
            "Unrecognized arguments: --batch-size. Did you mean '--batch'?",
        ),
        (
            ["finetune", "--Learning_Rate=8"],
            "Unrecognized arguments: --Learning_Rate=8. Did you mean '--lr'?",
        ),
        (["finetune", "--lr", "much"], "Argument --lr: invalid float value: 'much'."),
    ],
)
def test_the_reason_comes_before_the_usage(line: list[str], reason: str, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*line, "-o", "runs/a"])
    assert exit_.value.code == 2
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == f"bertkit: {reason}"
    assert second.startswith("usage: bertkit finetune ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("train", "finetune"), ("classify", "predict"), ("test", "evaluate"), ("eval", "evaluate")],
)
def test_a_command_is_known_by_what_others_call_it(typed: str, meant: str, capsys) -> None:
    assert main([typed]) == 2
    assert f"There is no command {typed!r}. Did you mean {meant!r}?" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "meant"), [("STS-B", "stsb"), ("SST-2", "sst2"), ("sts", "stsb")])
def test_a_task_is_known_by_how_others_spell_it(typed: str, meant: str) -> None:
    with pytest.raises(UserError, match=f"Did you mean '{meant}'"):
        get_task(typed)


def test_nothing_of_a_stranger_reaches_the_terminal_as_a_control_character(command, capsys) -> None:
    command(raising(UserError("There is no file \x1b]0;mine\x07\n.")))
    assert main(["inspect", "folder"]) == 2
    assert capsys.readouterr().err == "bertkit: There is no file \\x1b]0;mine\\x07\\n.\n"
    with pytest.raises(SystemExit):
        main(["inspect", "folder", "--no\x1b[31m" + "x" * 5_000])
    told = capsys.readouterr().err.splitlines()[0]
    assert told.isprintable()
    assert len(told) < 400
