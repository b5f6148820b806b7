"""The house rules that a reader relies on: imports go one way, and starting is quick."""

import ast
import importlib.util
import json
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bertkit
from bertkit.cli import Command, leaves
from bertkit.config.head import HEAD_KINDS

PACKAGE = Path(bertkit.__file__).parent
# The flow of the design: a module imports from its own room and from rooms before it. `bertkit` is the
# package's own face, which offers what the rooms have.
ROOMS = (
    "errors",
    "version",
    "config",
    "recipe",
    "text",
    "data",
    "tasks",
    "model",
    "checkpoint",
    "runs",
    "infer",
    "health",
    "train",
    "diagnose",
    "studies",
    "show",
    "api",
    "bertkit",
    "demo",
    "cli",
    "__main__",
)
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


# What a whole file, a class and a function have at most, with signature and docstring.
MOST_LINES = {ast.Module: 450, ast.ClassDef: 200, ast.FunctionDef: 60}
# What every command has by these names: the table of commands asks for them.
OF_COMMANDS = {"add_arguments", "run", "EXAMPLES", "FLAGS"}


def imports(module: str, source: str) -> set[str]:
    """The bertkit modules that `module` imports anywhere, also inside functions and by name."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found.update(alias.name for alias in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                base = base or ""
                if level:
                    above = package.split(".")[: len(package.split(".")) - level + 1]
                    base = ".".join([*above, base]).rstrip(".")
                # `from bertkit.x import y` is about the module x.y where there is one, else about x.
                found.update(f"{base}.{a.name}" if f"{base}.{a.name}" in SOURCES else base for a in names)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[name, *_]):
                if called == "import_module":
                    named = ast.unparse(name).lstrip("f").strip("'\"")
                    found.add(named.partition("{")[0].rstrip("."))
    return {name for name in found if name.split(".")[0] == "bertkit"}


def room(module: str) -> str:
    """The first name after `bertkit.`, and `bertkit` for the package's own file."""
    return (module.partition(".")[2] or module).partition(".")[0]


GRAPH = {module: imports(module, path.read_text(encoding="utf-8")) for module, path in SOURCES.items()}


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_from_its_own_room_and_rooms_before_it(module: str) -> None:
    assert room(module) in ROOMS, f"{module}: give its room a place in the flow"
    mine = ROOMS.index(room(module))
    wrong = sorted(name for name in GRAPH[module] if ROOMS.index(room(name)) > mine)
    assert not wrong, f"{module} imports {wrong}, which come after it in {' > '.join(ROOMS)}"


def test_no_module_imports_itself_in_a_circle() -> None:
    # But for the table of commands, which finds its own neighbours by name.
    graph = {module: {name for name in names if name != module} for module, names in GRAPH.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' > '.join(error.args[1])}")
    assert set(order) >= set(SOURCES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import bertkit.text.tokenizer as t", {"bertkit.text.tokenizer"}),
        ("from bertkit.text import tokenizer", {"bertkit.text"}),
        ("from bertkit.version import __version__", {"bertkit.version"}),
        ("from bertkit import __version__, load", {"bertkit"}),
        ("from bertkit import errors", {"bertkit.errors"}),
        ("def f():\n    from bertkit.errors import UserError", {"bertkit.errors"}),
        ("from .errors import nearest", {"bertkit.errors"}),
        ("from . import config", {"bertkit.config"}),
        ("import_module(f'bertkit.cli.{name}')", {"bertkit.cli"}),
        ("importlib.import_module('bertkit.api')", {"bertkit.api"}),
        ("import json, os.path", set()),
    ],
)
def test_every_way_to_import_is_seen(
    source: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"bertkit.here": PACKAGE / "here.py", "bertkit.errors": Path(), "bertkit.config": Path()}
    monkeypatch.setattr(sys.modules[__name__], "SOURCES", here)
    assert imports("bertkit.here", source) == expected


def loaded_by(program: str) -> set[str]:
    """Top-level modules that a fresh Python has after `program`."""
    code = f"import json, sys\n{program}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("program", ["import bertkit", "from bertkit.cli import main; main(['--help'])"])
def test_starting_loads_nothing_but_bertkit_and_the_standard_library(program: str) -> None:
    extra = loaded_by(program) - loaded_by("pass") - set(sys.stdlib_module_names)
    assert extra == {"bertkit"}


@pytest.mark.parametrize(("words", "command"), leaves().items(), ids=list(leaves()))
def test_every_command_in_the_table_exists_and_tells_its_options_quickly(
    words: str, command: Command
) -> None:
    assert importlib.util.find_spec(f"bertkit.cli.{command.module}"), f"no module for {words}"
    called = [*words.split(), "--help"]
    program = f"from bertkit.cli import main\ntry: main({called})\nexcept SystemExit: pass"
    assert not loaded_by(program) & {"torch", "numpy", "sklearn", "transformers", "matplotlib", "tokenizers"}


def test_every_command_module_is_in_the_table() -> None:
    modules = {name.rpartition(".")[2] for name in SOURCES if name.startswith("bertkit.cli.")}
    commands = {name for name in modules if "def run(" in SOURCES[f"bertkit.cli.{name}"].read_text("utf-8")}
    assert commands == {command.module for command in leaves().values()}


def too_long(module: str, source: str) -> list[str]:
    """What in a module has more lines than a head holds."""
    tree = ast.parse(source)
    found = [module] if len(source.splitlines()) > MOST_LINES[ast.Module] else []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MOST_LINES[type(node)]:
                found.append(f"{module}.{node.name}")
    return found


def test_files_classes_and_functions_fit_in_one_head() -> None:
    found = {name for module, path in SOURCES.items() for name in too_long(module, path.read_text("utf-8"))}
    assert not found


def defined(source: str) -> set[str]:
    """The public names that a module defines, and does not import."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def test_a_public_name_is_defined_in_one_module_of_a_room() -> None:
    places: dict[str, list[str]] = {}
    for module, path in SOURCES.items():
        names = defined(path.read_text("utf-8")) - (OF_COMMANDS if room(module) == "cli" else set())
        for name in names:
            places.setdefault(f"{room(module)}.{name}", []).append(module)
    assert not {name for name, modules in places.items() if len(modules) > 1}


def test_only_the_room_of_runs_opens_the_files_of_a_run() -> None:
    """Of their names those of the recipe and of the result are told to people and used by studies too."""
    from bertkit.runs import findings, folder, log, restarts, result

    constants = {"METRICS", "STOPPED", "FINGERPRINT", "RESTARTS", "FINDINGS", "SEED_RESULT", "ANSWERS", "LOG"}
    names = {
        getattr(module, name)
        for module in (findings, folder, log, restarts, result)
        for name in (*constants, "RECIPE", "RESULT")
        if hasattr(module, name)
    }
    assert len(names) == len(constants) + 2
    for module, path in SOURCES.items():
        if module.startswith("bertkit.runs"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.ImportFrom(module=base, names=taken) if (base or "").startswith("bertkit.runs"):
                    assert not constants & {alias.name for alias in taken}, f"{module} opens a run's files"
                case ast.Constant(value=str(value)):
                    assert value not in names, f"{module} names {value}"


def strings(module: str) -> set[str]:
    """The texts in a module, docstrings among them."""
    tree = ast.parse(SOURCES[module].read_text(encoding="utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_a_figure_of_a_term_is_named_once() -> None:
    from bertkit.config.terms import TERMS

    figures = {name for term in TERMS for name in (term.loss, term.accuracy)}
    assert {module for module in SOURCES if strings(module) & figures} == {"bertkit.config.terms"}


# Who computes or moves something: everybody else takes what they hand on, wherever it lies. Checkpoints are
# read to the CPU, and the table of sinusoids is computed there, so that it is the same on every device.
KNOW_DEVICES = {
    "bertkit.model.compute",
    "bertkit.model.positions",
    "bertkit.checkpoint.content",
    "bertkit.checkpoint.hf",
}


def test_devices_are_named_in_few_files() -> None:
    named = {module for module in SOURCES if strings(module) & {"cpu", "cuda", "mps", "xpu"}}
    called = {
        module
        for module, path in SOURCES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and (
            node.attr in ("cuda", "mps")
            or ast.unparse(node) in ("torch.autocast", "torch.get_default_device")
        )
    }
    assert named | called == KNOW_DEVICES


@pytest.mark.parametrize("module", SOURCES)
def test_a_kind_of_task_is_named_where_kinds_are_made(module: str) -> None:
    if room(module) in ("tasks", "checkpoint") or module in ("bertkit.config.head", "bertkit.model.losses"):
        return
    # "answer" is a word of messages, too.
    named = strings(module) & (set(HEAD_KINDS) - {"answer"})
    assert not named, f"{module} has {named}: ask the kind of the task (`tasks/kinds.py`) instead"
