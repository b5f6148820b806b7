"""`bertkit predict`: raw text in, a line for each row out; or a file in, and a table of answers out."""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import bertkit
from bertkit.cli import main
from bertkit.cli.predict import aligned_lines, json_lines, tab_separated_lines
from bertkit.recipe import Recipe
from bertkit.tasks.answer import ANSWERS as QUESTIONS
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.kind import Wanted

ODD = (
    b"\xef\xbb\xbfthe cat sat .\r\n"  # a byte order mark and CRLF
    b"\r\n"
    b"a \x00 dog\r\n"
    b"caf\xe9\r\n"
    b"\xf0\x9f\x99\x82 dog\r\n" + b"cat " * 10_000 + b"\r\n"
    b"the cat sat .\r\n"
    b"\xe2\x80\xa8 \t \r\n"  # a line separator is no text
    b'a "quoted" dog\there'
)


@pytest.fixture
def predict(tiny_model: Path, tmp_path: Path, monkeypatch, capfd: pytest.CaptureFixture[str]):
    """Run the command in this process; returns code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["predict", str(tiny_model), *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def test_texts_of_the_command_line(predict, tiny_model: Path) -> None:
    code, out, err = predict("--say", "the cat sat .", "--say", "dog", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == bertkit.load(tiny_model).predict(["the cat sat .", "dog"])


def test_pairs_of_the_command_line(predict) -> None:
    code, out, _ = predict("--say", "dog", "--say-pair", "a mat", "--json")
    assert code == 0
    assert [(answer["text"], answer["pair"]) for answer in json.loads(out)] == [("dog", "a mat")]


def test_a_plain_line_is_label_probability_and_text(predict) -> None:
    code, out, _ = predict("--say", "dog", "--say", "the\tcat\nsat")
    assert code == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[2] for row in rows] == ["dog", "the cat sat"]
    for label, probability, _ in rows:
        assert label in ("bad", "good", "odd")
        assert 1 / 3 <= float(probability) <= 1


def test_odd_lines_keep_their_places(predict, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(ODD)
    code, out, err = predict(path, "--json")
    answers = json.loads(out)
    assert code == 2
    assert len(answers) == 9
    assert [i for i, answer in enumerate(answers, 1) if "error" in answer] == [2, 3, 4, 8]
    assert [answers[i]["line"] for i in (1, 2, 3, 7)] == [2, 3, 4, 8]
    assert answers[0] == answers[6]
    assert answers[4]["text"] == "🙂 dog"
    assert answers[8]["text"] == 'a "quoted" dog\there'
    assert err.splitlines() == [
        "bertkit: 1 texts were cut to 13 tokens.",
        "bertkit: 4 of 9 rows have no answer:",
        f"  {path}, line 2: the text is empty; fill it in or remove the row.",
        f"  {path}, line 3: column 1 holds a NUL byte; mend or remove the row.",
        f"  {path}, line 4: the byte 0xe9 is not UTF-8 text; as cp1252 it reads 'café' (--encoding cp1252).",
        f"  {path}, line 8: the text is empty; fill it in or remove the row.",
    ]


def test_of_many_bad_rows_the_first_are_told(predict) -> None:
    Path("bad.csv").write_text("text,n\n" + ",1\n" * 40 + "dog,2\n")
    code, _, err = predict("bad.csv")
    assert code == 2
    assert "40 of 41 rows have no answer, the first of them:\n  bad.csv, line 2: the text is empty" in err
    assert err.count("the text is empty") == 5


def test_in_plain_lines_too(predict, standard_input) -> None:
    standard_input(ODD)
    code, out, _ = predict()
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 2
    assert [len(row) for row in rows] == [3] * 9
    assert rows[1] == ["", "", "<stdin>, line 2: the text is empty; fill it in or remove the row."]


def test_tables_of_every_format(predict, tmp_path: Path) -> None:
    rows = [("the cat sat .", "dog"), ("a dog", 'the "old" mat')]
    (tmp_path / "x.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in [("text", "b"), *rows]))
    (tmp_path / "x.csv").write_text('text,b\nthe cat sat .,dog\na dog,"the ""old"" mat"\n')
    lines = "".join(json.dumps({"b": b, "text": a}) + "\n" for a, b in rows)
    (tmp_path / "x.jsonl").write_text(lines)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table({"text": [a for a, _ in rows], "b": [b for _, b in rows]})
    parquet.write_table(table, tmp_path / "x.parquet")
    files = ["x.tsv", "x.csv", "x.jsonl", "x.jsonl.gz", "x.parquet"]
    code, out, _ = predict(*(tmp_path / name for name in files), "--pair", "b", "--json")
    answers = json.loads(out)
    assert code == 0
    assert [(answer["text"], answer["pair"]) for answer in answers] == rows * len(files)
    code, out, _ = predict(tmp_path / "x.csv", "--text", "2", "--header", "yes", "--json")
    assert [answer["text"] for answer in json.loads(out)] == ["dog", 'the "old" mat']


def test_nothing_of_a_row_that_is_too_long_is_lost(predict, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,id\ndog,1\na mat,2,3,4\ncat,5\n")
    code, _, err = predict("new.csv")
    assert code == 2
    assert "line 3: too many columns (4 where the first row has 2)" in err
    rows = list(csv.reader((tmp_path / "new.predicted.csv").open()))
    assert rows[0] == ["text", "id", "column_3", "column_4", "label", "probability"]
    assert rows[2] == ["a mat", "2", "3", "4", "", ""]
    assert rows[3][:4] == ["cat", "5", "", ""]


def test_a_bad_row_of_a_table(predict, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,b\ndog,1\ncat\nmat,2\n")
    code, out, err = predict(path, "--json")
    first, second, third = json.loads(out)
    assert (code, first["text"], third["text"]) == (2, "dog", "mat")
    assert second["line"] == 3
    assert f"{path}, line 3: too few columns" in second["error"]
    assert second["error"] in err


def test_standard_input_is_plain_lines(predict, standard_input) -> None:
    standard_input(ODD)
    code, out, _ = predict("--json")
    answers = json.loads(out)
    assert code == 2
    assert len(answers) == 9
    assert answers[1]["error"].startswith("<stdin>, line 2: the text is empty")


def test_standard_input_of_another_format(predict, standard_input) -> None:
    standard_input(b"a,b\n1,dog\n2,cat\n")
    code, out, err = predict("-", "--format", "csv", "--text", "b")
    assert (code, err) == (0, "")
    assert [line.split("\t")[2] for line in out.splitlines()] == ["dog", "cat"]


def test_a_pipe_with_a_name(predict, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"dog\ncat\n",), daemon=True)
    writer.start()
    code, out, err = predict(pipe, "--format", "txt")
    writer.join(timeout=9)
    assert (code, err) == (0, "")
    assert [line.split("\t")[2] for line in out.splitlines()] == ["dog", "cat"]


def test_a_reader_that_leaves(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text("the cat sat .\n" * 5_000)
    program = f"cat {path} | {sys.executable} -m bertkit predict {tiny_model} | head -1"
    run = subprocess.run(program, shell=True, capture_output=True, text=True, timeout=120)
    assert run.stdout.count("\n") == 1
    assert run.stderr == ""


def test_a_file_to_write(predict, tmp_path: Path) -> None:
    out = tmp_path / "answers.tsv"
    code, printed, err = predict("--say", "dog", "-o", out)
    assert (code, printed) == (0, "")
    assert err.startswith(f"{out}: 1 rows, ")
    assert out.read_text().startswith("text\tlabel\tprobability\ndog\t")
    assert out.stat().st_mode & 0o777 == 0o666 & ~umask()
    code, _, err = predict("--say", "cat", "-o", out)
    assert (code, "dog" in out.read_text()) == (2, True)
    assert "exists; choose another name or say --overwrite" in err
    assert predict("--say", "cat", "-o", out, "--overwrite")[0] == 0
    assert "cat" in out.read_text()
    assert predict("--say", "cat", "-o", tmp_path / "answers.json")[0] == 0
    assert [answer["text"] for answer in json.loads((tmp_path / "answers.json").read_text())] == ["cat"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.json", "answers.tsv"]


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.txt"], "There is no file absent.txt."),
        (["notes.doc"], "the ending of the name does not tell the format"),
        (["empty.txt"], "empty.txt is empty"),
        (["table.csv"], "has no column 'text'. Known: sentence, n."),
        (["--say", "a", "empty.txt"], "either files or --say"),
        (["--say", "a", "--say", "b", "--say-pair", "c"], "2 --say but 1 --say-pair"),
        (["--say", "a", "-o", "absent/x.tsv"], "no folder absent to write x.tsv in"),
        (["--say", "a", "-o", "."], "is a folder; name a file"),
        (["--say", "a", "-o", "x.txt"], "name the file .csv, .tsv, .jsonl, .json, .parquet"),
        (["--say", "a", "-o", "/dev/null", "--overwrite"], "/dev/null is no regular file"),
        (["--say", "a", "--top", "0"], "--top is a whole number of at least 1"),
        (["--say", "a", "--json", "--all"], "--json prints all probabilities"),
        (["table.csv", "--text", "sentence", "-o", "table.csv", "--overwrite"], "table.csv is what is read"),
        (["table.csv", "table.csv", "-o", "x.csv"], "-o names one file, and there are 2"),
        (["table.csv", "table.csv"], "would both be table.predicted.csv"),
        (["--say", "a", "--precision", "fp32", "table.csv", "absent.txt"], "either files or --say"),
        (["table.csv", "absent.txt"], "There is no file absent.txt."),
    ],
)
def test_mistakes(predict, tmp_path: Path, monkeypatch, arguments: list[str], sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "notes.doc").write_text("dog\n")
    (tmp_path / "table.csv").write_text("sentence,n\ndog,1\n")
    code, out, err = predict(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_an_empty_text_of_the_command_line(predict) -> None:
    code, out, err = predict("--say", "dog", "--say", " ", "--say", "caf\udce9", "--json")
    assert code == 2
    assert [answer.get("line") for answer in json.loads(out)] == [None, 2, 3]
    assert "The text 2 of --say is empty." in err
    assert "The text 3 of --say holds half a character" in err


ANSWERS = [
    {"text": "dog", "label": "good", "probabilities": {"bad": 0.25, "good": 0.75}},
    {"line": 2, "error": "no text"},
    {"text": "the\ncat", "pair": "\x1b[31m", "label": "bad", "probabilities": {"bad": 1.0, "good": 0.0}},
]


TABLE = """id,text,label\n1,the cat sat .,good\n2, ,bad\n3,"a ""red"" dog,
old",odd\n4,dog\n"""


def test_a_file_becomes_the_same_file_with_answers(predict, tiny_model: Path) -> None:
    Path("new.csv").write_text(TABLE)
    code, out, err = predict("new.csv", "--precision", "fp32")
    assert (code, out) == (2, "")
    with Path("new.predicted.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["id", "text", "label", "predicted_label", "probability"]
    assert [row[:3] for row in rows] == [
        ["1", "the cat sat .", "good"],
        ["2", " ", "bad"],
        ["3", 'a "red" dog,\nold', "odd"],
        ["4", "dog", ""],
    ]
    assert [row[3:] for row in rows[1::2]] == [["", ""]] * 2
    known = bertkit.load(tiny_model, precision="fp32").predict([row[1] for row in rows[::2]])
    assert [row[3] for row in rows[::2]] == [answer["label"] for answer in known]
    likeliest = [max(answer["probabilities"].values()) for answer in known]
    assert [float(row[4]) for row in rows[::2]] == pytest.approx(likeliest, abs=1e-5)
    assert "new.csv has a column 'label' already; the answers are in 'predicted_label'." in err
    assert "new.predicted.csv: 4 rows, " in err
    assert re.search(r"no answer +2", err)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_format_holds_the_same_answers(predict, ending: str) -> None:
    source = [{"n": 1, "text": "dog", "tags": ["a"]}, {"n": 2.5, "text": "a\tcat", "more": None}]
    Path("x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in source))
    code, _, err = predict("x.jsonl", "-o", f"out.{ending}", "--top", "9")
    assert (code, "TSV holds no tabs" in err) == (0, ending == "tsv")
    names = [f"{part}{rank}" for rank in ("", "_2", "_3") for part in ("label", "probability")]
    text = Path(f"out.{ending}").read_text() if ending != "parquet" else ""
    match ending:
        case "csv" | "tsv":
            head, first, second = csv.reader(text.splitlines(), delimiter="," if ending == "csv" else "\t")
            assert head == ["n", "text", "tags", "more", *names]
            assert first[:4] == ["1", "dog", '["a"]', ""]
            assert second[:4] == ["2.5", "a\tcat" if ending == "csv" else "a cat", "", ""]
            assert sum(map(float, first[5::2])) == pytest.approx(1, abs=1e-5)
        case "jsonl" | "json":
            rows = list(map(json.loads, text.splitlines())) if ending == "jsonl" else json.loads(text)
            assert [list(row) for row in rows] == [[*row, *names] for row in source]
            assert all(known.items() <= row.items() for row, known in zip(rows, source, strict=True))
        case "parquet":
            table = pytest.importorskip("pyarrow.parquet").read_table("out.parquet")
            assert [str(field.type) for field in table.schema][:5] == ["double", *["string"] * 4]
            assert table.column_names == ["n", "text", "tags", "more", *names]
            assert table["tags"].to_pylist() == ['["a"]', None]


def test_parquet_keeps_its_types(predict) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"text": ["dog", "cat"], "n": pyarrow.array([1, None], pyarrow.int8())})
    parquet.write_table(table, "x.parquet")
    assert predict("x.parquet")[0] == 0
    found = parquet.read_table("x.predicted.parquet")
    assert found.select(["text", "n"]).equals(table)
    assert found.column_names[2:] == ["label", "probability"]


def test_names_formats_and_lines_without_columns(predict) -> None:
    Path("a.txt").write_text("dog\n")
    Path("b.tsv").write_text("1\tdog\n2\tcat\n")
    Path("c.csv.gz").write_bytes(gzip.compress(b"text,text\ndog,1\n"))
    assert predict("a.txt")[0] == 0
    assert Path("a.predicted.csv").read_text().startswith("text,label,probability\ndog,")
    code, out, _ = predict("b.tsv", "--text", "2", "-o", "-", "--all")
    head = "column_1 column_2 label probability probability_of_bad probability_of_good probability_of_odd"
    assert (code, out.splitlines()[0].split("\t")) == (0, head.split())
    assert predict("c.csv.gz", "--text", "1", "--header", "yes")[0] == 0
    assert Path("c.predicted.csv").read_text().startswith("text,text_2,label,probability\ndog,1,")


def test_what_is_not_likely_enough_is_unsure(predict) -> None:
    code, out, err = predict("--say", "dog", "--say", "cat", "--min-probability", "1", "-o", "-")
    assert (code, [line.split(",")[1] for line in out.splitlines()]) == (0, ["label", "unsure", "unsure"])
    assert re.search(r"unsure +2 \(100.0%\)", err)


def test_files_are_read_as_the_rows_of_training(predict, tiny_model: Path) -> None:
    recipe = Recipe().with_changes({"task": {"train": "a.csv", "text": "message"}})
    model = shutil.copytree(tiny_model, Path("trained"))
    card = json.loads((model / "bertkit.json").read_text())
    (model / "bertkit.json").write_text(json.dumps({**card, "recipe": recipe.to_toml()}))
    Path("new.csv").write_text("id,message\n1,dog\n")
    Path("lines.txt").write_text("dog\n")
    assert main(["predict", str(model), "new.csv"]) == 0
    assert main(["predict", str(model), "lines.txt"]) == 0
    assert main(["predict", str(model), "new.csv", "--text", "id", "--overwrite"]) == 0
    assert main(["evaluate", str(model), "new.csv", "--label", "id"]) == 2


def test_a_pipe_of_objects_names_no_columns(predict, standard_input) -> None:
    standard_input(b'{"text": "dog"}\n')
    code, _, err = predict("-", "--format", "jsonl", "-o", "x.csv")
    assert (code, Path("x.csv").exists()) == (2, False)
    assert "name the output .jsonl" in err
    standard_input(b'{"text": "dog"}\n{"text": "cat", "label": "mine"}\n')
    code, _, err = predict("-", "--format", "jsonl", "-o", "x.jsonl")
    assert (code, Path("x.jsonl").exists()) == (2, False)
    assert "Row 2 has the key 'label'" in err


def test_columns_for_people() -> None:
    assert list(aligned_lines(ANSWERS, CLASSIFY, ("bad", "good"), Wanted())) == [
        "label  probability  text",
        "good        0.7500  dog",
        "                    no text",
        "bad         1.0000  the cat  |   [31m",
    ]


def test_lines_for_programs() -> None:
    assert list(tab_separated_lines(ANSWERS, CLASSIFY, ("bad", "good"), Wanted())) == [
        "good\t0.7500\tdog",
        "\t\tno text",
        "bad\t1.0000\tthe cat\t [31m",
    ]
    assert json.loads("\n".join(json_lines(ANSWERS))) == ANSWERS
    assert json.loads("\n".join(json_lines([]))) == []


def test_answers_to_questions_are_lines_too() -> None:
    found = {"question": "Who\tcame?", "answer": "Ann of Rome", "start": 3, "end": 14, "probability": 0.5}
    assert list(tab_separated_lines([found], QUESTIONS, (), Wanted())) == [
        "Ann of Rome\t3\t14\t0.5000\tWho came?"
    ]
    assert list(aligned_lines([found], QUESTIONS, (), Wanted())) == [
        "answer  start  end  probability  text",
        "Ann of Rome      3   14       0.5000  Who came?",
    ]
