"""Make squad_reference.json: what SQuAD's official scripts say of answers that are odd.

Run it with the scripts: `evaluate-v1.1.py` as of commit 1abeaf1 of
https://github.com/deeppavlov/stand_squad_en, and `evaluate-v2.0.py` as of commit eee5fdb of
https://github.com/rajpurkar/SQuAD-explorer:

    python tests/parity/make_squad_reference.py path/to/evaluate-v1.1.py path/to/evaluate-v2.0.py

Kept are, of each case, the scores that their functions give it, and of all cases what the programs print.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

REFERENCE = Path(__file__).with_name("squad_reference.json")
# Right answers, and the one that is given. Version 1.1 asks for at least one right answer.
ODD: list[tuple[list[str], str]] = [
    (["Denver Broncos"], "denver broncos"),
    (["Denver Broncos", "the Broncos"], "Broncos!"),
    (["U.S.A"], "usa"),
    (["U.S.A"], "U S A"),
    (["the"], "a"),
    (["the"], ""),
    (["..."], "?"),
    (["...", "twelve"], ""),
    (["...", "twelve"], "twelve"),
    (["twelve"], ""),
    (["twelve"], "the"),
    (["the the man"], "man the"),
    (["to be or not to be"], "to to be"),
    (["theatre"], "the atre"),
    (["a-b c"], "ab-c"),
    (["“quoted”"], "quoted"),
    (["1990–1999"], "19901999"),
    (["1990-1999"], "19901999"),
    (["half a\tdozen\u00a0eggs"], "half dozen eggs"),
    (["Ünïcode İ"], "ünïcode i̇"),
    (["the_end"], "end"),
    (["an/a"], "ana"),
    (["$12"], "12 $"),
    (["光荣"], "光荣和"),
    (["x y z", "z"], "y z"),
]
NONE = [([], ""), ([], "something"), ([], "the"), ([], "...")]


def cases(version: str) -> list[tuple[list[str], str, float]]:
    """Right answers, the one that is given, and the probability that there is none; some are the same."""
    random = Random(7)
    words = ["a", "an", "the", "one", "two", "Two,", "three.", "four"]

    def text(least: int) -> str:
        return " ".join(random.choices(words, k=random.randint(least, 4)))

    drawn = [([text(1) for _ in range(random.randint(1, 3))], text(0)) for _ in range(60)]
    none = [*NONE, *(([], text(0)) for _ in range(20))] if version != "1.1" else []
    return [(right, given, random.randint(0, 20) / 20) for right, given in [*ODD, *drawn, *none]]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("official", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.argv = sys.argv[:1]
    spec.loader.exec_module(module)
    return module


def _printed(script: Path, version: str, folder: Path) -> Any:
    questions = [
        {"id": str(number), "question": "?", "answers": [{"text": text, "answer_start": 0} for text in right]}
        for number, (right, _, _) in enumerate(cases(version))
    ]
    data = {"version": version, "data": [{"paragraphs": [{"context": "", "qas": questions}]}]}
    given = {str(number): given for number, (_, given, _) in enumerate(cases(version))}
    null = {str(number): null for number, (_, _, null) in enumerate(cases(version))}
    for name, content in (("data", data), ("given", given), ("null", null)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    more = [] if version == "1.1" else ["--na-prob-file", "null.json"]
    command = [sys.executable, str(script.resolve()), "data.json", "given.json", *more]
    return json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)


def main(first: Path, second: Path) -> None:
    """Write the file."""
    old, new = _module(first), _module(second)
    best = old.metric_max_over_ground_truths
    found: dict[str, Any] = {"1.1": {"cases": []}, "v2.0": {"cases": []}}
    for right, given, _ in cases("1.1"):
        scores = [best(score, given, right) for score in (old.f1_score, old.exact_match_score)]
        found["1.1"]["cases"].append([float(score) for score in scores])
    for right, given, _ in cases("v2.0"):
        answers = [{"text": text} for text in right]
        data = [{"paragraphs": [{"qas": [{"id": "x", "answers": answers}]}]}]
        exact, f1 = new.get_raw_scores(data, {"x": given})
        found["v2.0"]["cases"].append([float(f1["x"]), float(exact["x"])])
    for script, version in ((first, "1.1"), (second, "v2.0")):
        with tempfile.TemporaryDirectory() as folder:
            found[version]["printed"] = _printed(script, version, Path(folder))
    REFERENCE.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
