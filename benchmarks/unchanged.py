"""What a change of the code changed in what it computes and says: the same jobs before it and after it.

    python benchmarks/unchanged.py OLD [NEW] [--jobs demo,micro]    NEW absent: the working tree
    python benchmarks/unchanged.py OLD --keep FOLDER                  and keep what OLD left
    python benchmarks/unchanged.py --old FOLDER [NEW]                 so that it need not be computed again
    python benchmarks/unchanged.py OLD --mask '(?m)^matrix_lr = .*\\n'   a line that is expected to come or go

Each side runs with the source, the recipes and the run folders of its own tests; what it prints and leaves is
compared file by file: values of JSON exactly, tensors bit for bit, pages word for word. `MASKS` has what may
differ. The exit code is 1 if something else does, or if a command fails. A side that was kept is of use on
the same machine alone: another processor rounds otherwise.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import io
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("src", "recipes", "tests")
"""Of the repository: what a side needs."""
SIDE, COMMANDS, PRINTED = "side.json", "commands.txt", "printed"
HEALTHY = (0, 3)
"""Exit codes of commands that did their work: the doctor's is 3 where it finds something."""
SHOWN = 12
"""Lines of what differs in a file."""


@dataclass(frozen=True)
class Mask:
    """What may differ.

    Attributes:
        of: "file" (not compared), "key" (of JSON: it has to be there) or "words" (in pages,
            in what is printed, in strings of JSON).
        pattern: a regular expression: of the whole path of the file or the whole key, of a part of words.
        reason: why.
        put: what is compared instead of such words.
    """

    of: str
    pattern: str
    reason: str
    put: str = "#"


MASKS = (
    Mask("file", r".*/tensorboard/.*", "times and the number of the process stand in it and in its name"),
    Mask("file", r".*/(lock|.*\.lock)", "nothing stands in it"),
    Mask("file", r".*/launcher\.txt", "the number of a process"),
    Mask("key", r".*seconds.*|took|eta", "a time"),
    Mask("key", r".*_per_second|.*gemm_(share|rate)", "a speed"),
    Mask("key", r"version", "a version of the code"),
    Mask("words", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "a date"),
    Mask("words", r"\b\d+ h \d\d min\b|\b[\d,.]+ (min|s|ms)\b", "a time"),
    Mask("words", r"[\d,.]+ (tokens|rows|texts|sentences|[kM]?B)(/s| a second)", "a speed"),
    Mask("words", r"(?<= a second</dt><dd>)[\d,.]+|(?<=of the GEMM rate</dt><dd>)[\d,.]+", "a speed"),
    Mask("words", r"[\d,.]+ GFLOP/s", "a speed"),
    Mask(
        "words", r"(?m)^ +(\d+%  )?step [\d,]+(/[\d,]+)?  .*\n", "a line of progress, each thirty seconds", ""
    ),
    Mask("words", r"(?<= ) +|(?<=─)─+|(?<=━)━+", "a column is as wide as the times in it", ""),
)
EXPECTED: list[Mask] = []
"""What this comparison was told to expect beside that: words that go."""


# ---- Jobs

Command = list[str]

FIXED = "--set training.precision=fp32 --set training.save_every=1000"
"""Looks (`watch_every`) and checkpoints fall on steps, not on times; no bf16, whatever the processor."""

DRIVER = """
import json, os, sys, traceback
from bertkit.cli import main

ended = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
for printed, command, line in json.loads(sys.argv[1]):
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT), 1)
    try:
        code = main(command)
    except SystemExit as end:
        code = end.code or 0
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os.write(ended, f"{line} -> {code}\\n".encode())
    if code not in (0, 3):
        sys.exit(1)
"""
"""Runs the commands of a job in one process: to start one takes longer than most of them."""

DEMO = """
from dataclasses import replace
from bertkit import api
from bertkit.cli import demo

def steady(made):
    fixed = {"training": {"watch_every": 20, "precision": "fp32", "save_every": 1000.0}}
    return lambda *, recipe, **others: made(recipe=recipe.with_changes(fixed), **others)

api.pretrain, api.finetune = steady(api.pretrain), steady(api.finetune)
demo.SIZES = replace(demo.SIZES, text=6000, steps=150, labels=200, epochs=4, seeds=2, dev=400)
"""
"""Before the demo: it is made shorter, and looks at fixed steps."""


def words_of(line: str) -> Command:
    """A command from how it is written in a shell."""
    return shlex.split(line)


def demo(tree: Path) -> Iterator[Command]:
    """The demo, over fewer sentences."""
    yield words_of("demo -o demo/run --json")
    yield words_of("inspect demo/run/pretrained")
    yield words_of("doctor demo/run/pretrain --json")


def cola_scratch(tree: Path) -> Iterator[Command]:
    """A fine-tuning on real data: one seed, two seeds, and what is done with its model."""
    recipe = f"finetune --recipe {tree}/recipes/cola-scratch.toml {FIXED} --set training.watch_every=10"
    yield words_of(f"{recipe} --steps 60 -o cola-scratch/one")
    yield words_of(f"{recipe} --steps 20 --seeds 2 -o cola-scratch/two --json")
    yield words_of("evaluate cola-scratch/one cola --precision fp32")
    yield words_of("evaluate cola-scratch/two cola --precision fp32 --json")
    say = "--say 'The book was read.' --say 'The book were reading it the.'"
    yield words_of(f"predict cola-scratch/one {say} --precision fp32 --json")
    yield words_of("inspect cola-scratch/one --json")
    yield words_of("doctor cola-scratch/two --json")


def compare(tree: Path) -> Iterator[Command]:
    """Runs side by side."""
    yield words_of("compare cola-scratch/one cola-scratch/two -o compare/page.html")
    yield words_of("compare cola-scratch/one cola-scratch/two --json")


def micro(tree: Path) -> Iterator[Command]:
    """A pretraining, going on from it with pairs, and a fine-tuning of it."""
    text, vocabulary = Path("micro/text.txt"), Path("micro/vocab.txt")
    text.write_text("\n".join(documents(1500)), encoding="utf-8")
    yield words_of(f"vocab {text} --size 300 -o {vocabulary} --json")
    yield words_of(
        f"prepare {text} --vocab {vocabulary} -o micro/shards --heldout 5% --sentences lines --workers 1"
    )
    fewer = "--set training.evaluations=3 --set training.heldout_tokens=3000 --set training.watch_every=10"
    pretrain = f"pretrain micro/shards {FIXED} {fewer}"
    yield words_of(f"{pretrain} --recipe {tree}/recipes/micro.toml --steps 60 -o micro/run")
    yield words_of(
        f"{pretrain} --model micro/run --steps 15 --pairs sop --masking whole-word --optimiser lamb "
        "--batch 1024 --length 64 --at-once 512 -o micro/pairs --json"
    )
    rows_of("micro/train.tsv", 300, seed=1)
    rows_of("micro/dev.tsv", 150, seed=2)
    own = "--train micro/train.tsv --dev micro/dev.tsv --text text --label label"
    yield words_of(
        f"finetune {own} {FIXED} --set training.watch_every=10 --model micro/run --epochs 4 --lr 1e-3 "
        "--batch 16 --max-length 64 -o micro/tuned"
    )
    yield words_of("fill micro/run 'bado [MASK] kimi.' --json")
    yield words_of("predict micro/tuned micro/dev.tsv --text text --precision fp32 --json")
    yield words_of("compare micro/run micro/pairs -o micro/compare.html")
    for run in ("run", "pairs", "tuned"):
        yield words_of(f"doctor micro/{run} --json")


def variants(tree: Path) -> Iterator[Command]:
    """Ways to fine-tune beside the usual one: pairs and three labels, windows, frozen features, restarts."""
    rows_of("variants/train.tsv", 240, seed=1)
    rows_of("variants/dev.tsv", 120, seed=2)
    files = "--train variants/train.tsv --dev variants/dev.tsv --text text"
    small = "--model tiny --vocab-size 200 --batch 16 --set model.options.initialiser_range=0.1 --lr 1e-3"
    every = "--set training.watch_every=5"
    usual = f"finetune {files} {FIXED} {every} {small} --max-length 48"
    yield words_of(f"{usual} --pair pair --label third --metric f1 --epochs 6 --patience 2 -o variants/pairs")
    yield words_of("predict variants/pairs variants/dev.tsv --text text --pair pair --precision fp32")
    yield words_of(f"{usual} --label label --window 16 --stride 8 --epochs 2 -o variants/windows")
    yield words_of(f"{usual} --label label --freeze --epochs 5 --seeds 2 -o variants/frozen --json")
    # A rate at which the loss breaks.
    yield words_of(f"{usual} --label label --lr 50 --epochs 5 --on-collapse restart -o variants/restarts")
    for run in ("pairs", "windows", "frozen", "restarts"):
        yield words_of(f"doctor variants/{run} --json")
    yield words_of("compare variants/windows variants/frozen --json")


def doctor(tree: Path) -> Iterator[Command]:
    """The doctor over the run folders of the tests."""
    for recipe in sorted((tree / "tests").rglob("recipe.toml")):
        run = Path("doctor", recipe.parent.name)
        shutil.copytree(recipe.parent, run)
        yield words_of(f"doctor {run} --json")
        yield words_of(f"doctor {run}")


STUDY = """
question = "Does the rate matter?"
seeds = 2

[stages.own]
kind = "finetune"
set = [
    "task.train=study/train.tsv", "task.dev=study/dev.tsv", "task.text=text", "task.label=label",
    "model.start=tiny", "vocabulary.size=200", "training.steps=10", "batch.sequences=16",
    "training.precision=fp32", "training.watch_every=5",
]

[[variants]]
name = "low"

[[variants]]
name = "high"
set.own = ["optimiser.lr=1e-3"]
"""


def study(tree: Path) -> Iterator[Command]:
    """The smallest one: two variants, two seeds."""
    rows_of("study/train.tsv", 200, seed=1)
    rows_of("study/dev.tsv", 100, seed=2)
    Path("study/rates.toml").write_text(STUDY)
    yield words_of("study study/rates.toml -o study/done --jobs 1")
    yield words_of("study study/rates.toml -o study/done --no-runs --json")


@dataclass(frozen=True)
class Job:
    """Commands that belong together, in a folder of the job's name.

    Attributes:
        commands: given the folder of a side's code; writes the files that they need, too.
        needs: jobs whose runs it uses.
        data: a folder that it needs of `$BERTKIT_DATA`.
        before: Python that is run before them.
    """

    commands: Callable[[Path], Iterator[Command]]
    needs: tuple[str, ...] = ()
    data: str = ""
    before: str = ""


JOBS = {
    "demo": Job(demo, before=DEMO),
    "cola-scratch": Job(cola_scratch, data="cola"),
    "compare": Job(compare, needs=("cola-scratch",), data="cola"),
    "micro": Job(micro),
    "variants": Job(variants),
    "doctor": Job(doctor),
    "study": Job(study),
}


# ---- Text that is the same wherever it is made


def sentence(draw: random.Random) -> str:
    """Made-up words, the frequent ones first, in which the first hints at the last."""
    syllables = ("ba", "do", "ki", "mi", "ru", "sel", "ta", "vo", "ze", "lin")
    made = [first + second for first in syllables for second in syllables]
    chosen = [made[min(int(draw.expovariate(0.08)), len(made) - 1)] for _ in range(draw.randint(4, 11))]
    chosen[-1] = made[-1 - made.index(chosen[0])]
    return " ".join(chosen) + "."


def documents(count: int) -> Iterator[str]:
    """Lines: a sentence each, an empty one after each document."""
    draw = random.Random(0)
    for _ in range(count):
        yield from (sentence(draw) for _ in range(draw.randint(3, 7)))
        yield ""


def rows_of(path: str, count: int, seed: int) -> None:
    """Write a table of texts: two labels by the first word, a tenth of them wrong; three by both texts."""
    draw = random.Random(seed)
    lines = ["text\tpair\tlabel\tthird"]
    for _ in range(count):
        text, pair = f"{sentence(draw)} {sentence(draw)}", sentence(draw)
        label = (text[0] in "bdk") != (draw.random() < 0.1)
        third = ("same", "other", "far")[(text[0] != pair[0]) + (text[0] > pair[0])]
        lines.append(f"{text}\t{pair}\t{'yes' if label else 'no'}\t{third}")
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


# ---- A side


def check_out(revision: str, folder: Path) -> None:
    """Copy what a side needs of a revision, or of the working tree if there is none."""
    if not revision:
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        return
    archive = ["git", "-C", str(ROOT), "archive", revision, *PARTS]
    packed = subprocess.run(archive, check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder, filter="data")


def make_side(revision: str, jobs: Sequence[str], into: Path) -> None:
    """Run jobs with the code of a revision, and put what they leave into `into`, job by job."""
    with tempfile.TemporaryDirectory(prefix="unchanged-") as temporary:
        # Names of one length, so that nothing is wrapped elsewhere.
        tree, work = Path(temporary).resolve() / "tree", Path(temporary).resolve() / "work"
        work.mkdir()
        check_out(revision, tree)
        environment = environment_of(tree)
        imported = run_python(["-c", "import bertkit; print(bertkit.__file__)"], environment, work).stdout
        assert Path(imported.strip()).is_relative_to(tree), f"{imported.strip()} is run, not {tree}"
        data = Path(environment["BERTKIT_DATA"])
        wanted = [need for name in jobs for need in (*JOBS[name].needs, name)]
        for name in dict.fromkeys(wanted):
            if JOBS[name].data and not (data / JOBS[name].data).is_dir():
                note(f"{name}: left out, as {data / JOBS[name].data} is not there")
                continue
            began = time.perf_counter()
            run_job(name, tree, work, environment)
            shutil.rmtree(into / name, ignore_errors=True)
            collect(work / name, into / name)
            places = {str(work): "WORK", str(tree): "TREE"}
            (into / name / SIDE).write_text(json.dumps({"revision": revision, "places": places}))
            note(f"{revision or 'working tree'}: {name}, {time.perf_counter() - began:.0f} s")


def environment_of(tree: Path) -> dict[str, str]:
    """What a side's commands see."""
    fixed = {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "COLUMNS": "120"}
    data = os.environ.get("BERTKIT_DATA", str(ROOT.parent / "shared" / "data"))
    others = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "PYTHONHOME")}
    return {**others, **fixed, "BERTKIT_DATA": str(Path(data).resolve())}


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str], work: Path
) -> subprocess.CompletedProcess[str]:
    """Run this Python in the folder `work`."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, cwd=work, text=True, stdin=subprocess.DEVNULL, capture_output=True
    )


def run_job(name: str, tree: Path, work: Path, environment: Mapping[str, str]) -> None:
    """Run a job's commands one after the other, up to one that fails; what they print goes there too."""
    folder = work / name
    folder.mkdir()
    before = Path.cwd()
    os.chdir(work)
    try:
        commands = list(JOBS[name].commands(tree))
    finally:
        os.chdir(before)
    told = [
        (f"{name}/{PRINTED}-{place:02d}-{command[0]}.txt", command, shlex.join(command))
        for place, command in enumerate(commands)
    ]
    arguments = ["-c", JOBS[name].before + DRIVER, json.dumps(told), f"{name}/{COMMANDS}"]
    done = run_python(arguments, environment, work)
    if done.returncode:
        note(f"{(folder / COMMANDS).read_text()}{done.stderr[-3000:]}")


def note(line: str) -> None:
    """Tell how far it is."""
    print(line, file=sys.stderr, flush=True)


def collect(folder: Path, into: Path) -> None:
    """Copy what can be read, and write down the bytes of what cannot: of tensors one by one."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.is_symlink() or masked_file(str(path.relative_to(folder.parent))):
            continue
        target = into / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".json", ".jsonl", ".html", ".txt", ".toml", ".tsv", ".md", ".log"):
            shutil.copyfile(path, target)
        elif path.suffix == ".safetensors":
            target.with_name(target.name + ".json").write_text(json.dumps(tensors_of(path)))
        else:
            content = path.read_bytes()
            digest = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            target.with_name(target.name + ".json").write_text(json.dumps(digest))


def tensors_of(path: Path) -> dict[str, Any]:
    """What stands in a file of safetensors: type, shape and a digest of the bytes, by name."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    found = json.loads(content[8:start])
    for entry in found.values():
        if (span := entry.pop("data_offsets", None)) is not None:
            entry["sha256"] = hashlib.sha256(content[start + span[0] : start + span[1]]).hexdigest()
    return {"tensors": found}


# ---- Comparing


def masked_file(name: str) -> bool:
    """Whether a file is not compared."""
    return any(mask.of == "file" and re.fullmatch(mask.pattern, name) for mask in MASKS)


def masked_key(key: str) -> bool:
    """Whether the value of a key of JSON is not compared."""
    return any(mask.of == "key" and re.fullmatch(mask.pattern, key) for mask in MASKS)


class Side:
    """What the jobs of a side left.

    Args:
        folder: where `make_side` put it.
    """

    def __init__(self, folder: Path) -> None:
        said = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob(f"*/{SIDE}"))}
        self._folder = folder
        self._places = {place: stands for job in said.values() for place, stands in job["places"].items()}
        self.name = ", ".join(sorted({job["revision"] or "working tree" for job in said.values()}))
        self.jobs = list(said)

    def files(self, job: str) -> list[str]:
        """Names of all its files."""
        paths = (path for path in (self._folder / job).rglob("*") if path.is_file())
        names = (path.relative_to(self._folder).as_posix() for path in paths)
        return sorted(name for name in names if not masked_file(name) and name != f"{job}/{SIDE}")

    def failed(self, job: str) -> list[str]:
        """Commands of it that failed, with their exit codes."""
        lines = (self._folder / job / COMMANDS).read_text().splitlines()
        return [line for line in lines if int(line.rpartition(" ")[2]) not in HEALTHY]

    def read(self, name: str) -> dict[str, str] | list[str]:
        """What is compared of a file: of JSON the values by where they stand, else the lines."""
        text = (self._folder / name).read_text(encoding="utf-8")
        for place, stands in self._places.items():
            text = text.replace(place, stands)
        if (values := parsed(name, text)) is not None:
            return dict(flat("", values))
        if name.endswith(".html"):
            return masked_words(re.sub(r">\s*<", "><", text)).replace("><", ">\n<").splitlines()
        return masked_words(text).splitlines()


def parsed(name: str, text: str) -> Any:
    """The values of JSON or JSON lines; None if it is something else."""
    try:
        if name.endswith(".jsonl"):
            return [json.loads(line) for line in text.splitlines()]
        return json.loads(text) if name.endswith((".json", ".txt")) else None
    except ValueError:
        return None


def flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Where each value stands, and how it is written to the last digit."""
    if isinstance(value, dict):
        yield place, "{}"
        for key, inner in value.items():
            below = f"{place}.{key}" if place else key
            yield from [(below, "masked")] if masked_key(key) else flat(below, inner)
    elif isinstance(value, list):
        yield place, f"list of {len(value)}"
        for index, inner in enumerate(value):
            yield from flat(f"{place}[{index}]", inner)
    else:
        yield place, masked_words(value) if isinstance(value, str) else repr(value)


def masked_words(text: str) -> str:
    """Words, less what may differ."""
    for mask in (*MASKS, *EXPECTED):
        if mask.of == "words":
            text = re.sub(mask.pattern, mask.put, text)
    return text


def difference(old: dict[str, str] | list[str], new: dict[str, str] | list[str]) -> list[str]:
    """What differs in a file, line by line; empty if nothing does."""
    if isinstance(old, list) or isinstance(new, list):
        lines = [
            each if isinstance(each, list) else [f"{place}: {value}" for place, value in each.items()]
            for each in (old, new)
        ]
        return changed_lines(*lines)
    found = [f"only old: {place}: {old[place]}" for place in old if place not in new]
    found += [f"only new: {place}: {new[place]}" for place in new if place not in old]
    both = [place for place in old if place in new and old[place] != new[place]]
    for place in both:
        if "\n" in old[place] + new[place]:
            lines = changed_lines(old[place].splitlines(), new[place].splitlines())
            found += [f"differs: {place}: {line}" for line in lines]
        else:
            found.append(f"differs: {place}: {old[place]} -> {new[place]}")
    return found


def changed_lines(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Lines that went and that came, and where."""
    return list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]


def compare_jobs(old: Side, new: Side, jobs: Sequence[str]) -> dict[str, Any]:
    """Print what differs between two sides, and return it in figures."""
    said: dict[str, Any] = {"old": old.name, "new": new.name, "jobs": list(jobs), "files": 0}
    said |= {"differ": [], "only_old": [], "only_new": [], "failed": []}
    for job in jobs:
        names_old, names_new = old.files(job), new.files(job)
        said["failed"] += [f"{side.name}: {line}" for side in (old, new) for line in side.failed(job)]
        said["only_old"] += [name for name in names_old if name not in names_new]
        said["only_new"] += [name for name in names_new if name not in names_old]
        both = [name for name in names_old if name in names_new]
        said["files"] += len(both)
        for name in both:
            if found := difference(old.read(name), new.read(name)):
                said["differ"].append(name)
                print(f"{name}: {len(found):,} lines differ")
                for line in found[:SHOWN]:
                    print(f"    {line if len(line) <= 200 else line[:200] + ' ...'}")
    for group in ("only_old", "only_new", "failed"):
        for line in said[group]:
            print(f"{group.replace('_', ' ')}: {line}")
    return said


def main() -> int:
    """Make the sides that are not there, and compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revisions", nargs="*", metavar="OLD [NEW]", help="NEW absent: the working tree")
    parser.add_argument("--old", type=Path, metavar="FOLDER", help="what --keep has kept, instead of OLD")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where to put what OLD leaves; other jobs stay there"
    )
    parser.add_argument(
        "--jobs", default=",".join(JOBS), help="names, with commas between them (%(default)s)"
    )
    parser.add_argument(
        "--mask", action="append", default=[], metavar="WORDS", help="a pattern of words that may come or go"
    )
    parser.add_argument("--json", action="store_true", help="end with a line of JSON that sums it up")
    arguments = parser.parse_args()
    EXPECTED.extend(Mask("words", pattern, "said so", "") for pattern in arguments.mask)
    jobs, revisions = arguments.jobs.split(","), arguments.revisions
    if unknown := [name for name in jobs if name not in JOBS]:
        parser.error(f"there is no job {unknown[0]!r}; there are {', '.join(JOBS)}")
    if len(revisions) > (1 if arguments.old else 2) or not (revisions or arguments.old):
        parser.error("name OLD, or give it with --old, and NEW if it is not the working tree")
    if arguments.keep and arguments.old:
        parser.error("--keep wants an OLD that is computed")
    # So that nothing stays behind either when it is told to end.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="unchanged-") as temporary:
        old = arguments.old or arguments.keep or Path(temporary, "old")
        if not arguments.old:
            make_side(revisions.pop(0), jobs, old)
        make_side(revisions[0] if revisions else "", jobs, Path(temporary, "new"))
        sides = Side(old), Side(Path(temporary, "new"))
        common = [name for name in jobs if all(name in side.jobs for side in sides)]
        said = compare_jobs(*sides, common)
    left_out = [name for name in jobs if name not in common]
    same = not any(said[group] for group in ("differ", "only_old", "only_new", "failed"))
    print(
        f"{said['old']} and {said['new']}: {said['files']:,} files of {', '.join(common) or 'no job'}; "
        + ("nothing differs." if same else f"{len(said['differ'])} differ.")
        + (f" Left out: {', '.join(left_out)}." if left_out else "")
    )
    if arguments.json:
        print(json.dumps({**said, "left_out": left_out, "same": same}))
    return 0 if same and common else 1


if __name__ == "__main__":
    sys.exit(main())
