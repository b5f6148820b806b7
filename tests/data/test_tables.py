"""Tables of every format, and every way in which a row can be wrong."""

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.corpus import read_texts
from bertkit.data.tables import (
    BadRow,
    CellRow,
    Column,
    Columns,
    Row,
    iterate_cells,
    iterate_rows,
    read_rows,
)
from bertkit.errors import UserError

ROWS = [("gj04", "1", 'He said "hi"'), ("gj04", "0", 'one, "two'), ("ks08", "1", "Bücher '' lesen")]
NAMES = ("source", "label", "sentence")
EXPECTED = [(text, label) for _, label, text in ROWS]


def write_tsv(path: Path, header: bool) -> None:
    path.write_text("".join("\t".join(cells) + "\n" for cells in [*[NAMES][: int(header)], *ROWS]))


def write_csv(path: Path, header: bool) -> None:
    import csv

    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*[NAMES][: int(header)], *ROWS])


def write_jsonl(path: Path, header: bool) -> None:
    assert header
    path.write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS))


def write_parquet(path: Path, header: bool) -> None:
    columns = dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))
    pyarrow.parquet.write_table(pyarrow.table({k: list(v) for k, v in columns.items()}), path)


WRITERS = {".tsv": write_tsv, ".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}


def read(path: Path, text: Column, label: Column | None = None, header: bool | None = None) -> list[Row]:
    return list(read_rows(path, Columns(text=text, label=label), header=header))


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("ending", WRITERS)
def test_columns_by_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    WRITERS[ending](path, True)
    rows = read(path, "sentence", "label")
    assert [(row.text, row.label) for row in rows] == EXPECTED
    assert rows[0].line == (2 if ending in (".tsv", ".csv") else 1)


@pytest.mark.parametrize("ending", [".tsv", ".csv", ".parquet"])
def test_columns_by_number_count_from_one(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    WRITERS[ending](path, False)
    assert [(row.text, row.label) for row in read(path, 3, "2")] == EXPECTED
    with pytest.raises(UserError, match="no column 4: its columns are 1 to 3"):
        read(path, 4)
    with pytest.raises(UserError, match="no column 0"):
        read(path, 0)


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
def test_a_header_can_be_skipped_or_denied(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    WRITERS[ending](path, True)
    assert [row.text for row in read(path, 3, header=True)] == [text for text, _ in EXPECTED]
    assert [row.text for row in read(path, 3)] == ["sentence", *[text for text, _ in EXPECTED]]
    with pytest.raises(UserError, match="has no header, so there is no column 'sentence'"):
        read(path, "sentence", header=False)


@pytest.mark.parametrize("pack", [(".gz", gzip.compress), (".zst", zstandard.compress)])
@pytest.mark.parametrize("ending", [".tsv", ".csv", ".jsonl"])
def test_compressed_tables(tmp_path: Path, ending: str, pack: tuple[str, Callable[[bytes], bytes]]) -> None:
    WRITERS[ending](tmp_path / f"a{ending}", True)
    path = file(tmp_path, f"a{ending}{pack[0]}", pack[1]((tmp_path / f"a{ending}").read_bytes()))
    assert [row.text for row in read(path, "sentence")] == [text for text, _ in EXPECTED]


def test_pairs(tmp_path: Path) -> None:
    path = file(tmp_path, "a.tsv", "1\tA man.\tA person.\n")
    assert list(read_rows(path, Columns(text=2, pair=3, label=1))) == [Row(1, "A man.", "A person.", "1")]


def test_quotes_of_tsv_are_characters(tmp_path: Path) -> None:
    path = file(tmp_path, "a.tsv", '"\tx\n"open\ty\n')
    assert [row.text for row in read(path, 1)] == ['"', '"open']


def test_cells_of_csv_may_span_lines_and_rows_keep_the_number_of_the_first(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", 'text,label\r\n"two\r\nlines ""here""",a\r\nnext,b\r\n')
    assert read(path, "text", "label") == [Row(2, 'two\nlines "here"', label="a"), Row(4, "next", label="b")]


def test_bom_crlf_and_blank_lines(tmp_path: Path) -> None:
    for name, between in (("a.csv", ","), ("a.tsv", "\t")):
        path = file(tmp_path, name, f"\ufefftext{between}label\r\n\r\none{between} a \r\n\r\n")
        assert read(path, "text", "label") == [Row(3, "one", label="a")]
    path = file(tmp_path, "b.jsonl", '\ufeff{"text": "one"}\r\n\r\n{"text": "two"}')
    assert read(path, "text") == [Row(1, "one"), Row(3, "two")]


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.csv"])
def test_a_blank_line_of_one_column_is_an_empty_text(tmp_path: Path, name: str) -> None:
    assert read(file(tmp_path, name, "one\n\nthree\n"), 1) == [Row(1, "one"), Row(2, ""), Row(3, "three")]


def test_lines_of_a_text_file_are_taken_whole(tmp_path: Path) -> None:
    assert read(file(tmp_path, "a.txt", 'a, b\t"c\n'), 1) == [Row(1, 'a, b\t"c')]


@pytest.mark.parametrize(("value", "label"), [(1, "1"), (True, "true"), (0.5, "0.5"), (" a ", "a"), ("", "")])
def test_labels_may_be_numbers(tmp_path: Path, value: object, label: str) -> None:
    path = file(tmp_path, "a.jsonl", json.dumps({"t": "x", "l": value}))
    assert read(path, "t", "l")[0].label == label
    table = pyarrow.table({"t": ["x"], "l": [value]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", "t", "l")[0].label == label


def test_categories_of_parquet_are_strings(tmp_path: Path) -> None:
    table = pyarrow.table({"t": pyarrow.array(["x", "y", "x"]).dictionary_encode()})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [row.text for row in read(tmp_path / "a.parquet", "t")] == ["x", "y", "x"]


BAD: dict[str, tuple[str, bytes, int, str]] = {
    "too few columns": (
        "a.tsv",
        b"text\tlabel\nx\ty\nx\n",
        3,
        r"too few columns \(1 where the first row has 2\)",
    ),
    "too many columns": (
        "a.csv",
        b"text,label\nx,y\na,b,c\n",
        3,
        r"too many columns \(3 where the first row has 2\)",
    ),
    "not UTF-8": ("a.tsv", b"text\tlabel\nx\ty\ncaf\xe9\ty\n", 3, "the byte 0xe9 is not UTF-8"),
    "not UTF-8 in JSON": ("a.jsonl", b'{"text": "x", "label": 1}\n{"text": "\xe9"}', 2, "0xe9 is not UTF-8"),
    "NUL": ("a.csv", b"text,label\nx,y\na\0b,c\n", 3, "column 'text' holds a NUL byte"),
    "NUL in JSON": ("a.jsonl", rb'{"text": "\u0000", "label": 1}', 1, "column 'text' holds a NUL byte"),
    "surrogate": ("a.jsonl", rb'{"text": "\ud83d", "label": 1}', 1, "half a character .* U.D83D"),
    "open quote": (
        "a.csv",
        b'text,label\nx,y\n"a\nc,b\nc,d\n',
        3,
        "the quote that opens in line 3 is never closed and swallows 2 more lines",
    ),
    "late quote": (
        "a.csv",
        b'text,label\nx,y\n"a,b\nc,d\n"e",f\n',
        3,
        "opens in line 3 closes only in line 5, where a character stands behind it, and swallows 2 lines",
    ),
    "behind a quote": ("a.csv", b'text,label\nx,y\n"a"b,c\nc,d\n', 3, "a character stands behind the quote"),
    "not JSON": ("a.jsonl", b'{"text": "x", "label": 1}\n{"text": \n', 2, "not JSON"),
    "no object": ("a.jsonl", b'"x"\n["x", "y"]\n', 1, "a JSON str"),
    "no key": ("a.jsonl", b'{"text": "x", "lable": 1}\n', 1, "no key 'label'. Did you mean 'lable'"),
    "no string": (
        "a.jsonl",
        b'{"text": 3, "label": 1}\n',
        1,
        "column 'text' is not a string but of type int",
    ),
    "null": ("a.jsonl", b'{"text": "x", "label": null}\n', 1, "column 'label' is not a string"),
    "NaN": ("a.jsonl", b'{"text": "x", "label": NaN}\n', 1, "column 'label' is not a string"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, case: str) -> None:
    name, content, line, problem = BAD[case]
    path = file(tmp_path, name, content)
    with pytest.raises(UserError, match=rf"{name}, line {line}: .*{problem}"):
        read(path, "text", "label")


def test_good_rows_around_a_bad_one_are_read(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", 'text,label\nx,y\n"a"b,c\nonly\nc,d\n')
    rows = list(iterate_rows(path, Columns(text="text")))
    assert [(type(row), row.line) for row in rows] == [(Row, 2), (BadRow, 3), (BadRow, 4), (Row, 5)]


def test_a_null_of_parquet_names_its_row(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"t": ["x", None]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet, row 2: column 't' is not a string"):
        read(tmp_path / "a.parquet", "t")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.tsv", "", "is empty or holds only a header"),
        ("a.tsv", "text\tlabel\n", "is empty or holds only a header"),
        ("a.csv", "text,label\n", "is empty or holds only a header"),
        ("a.jsonl", "\n", "is empty or holds only a header"),
        ("a.csv", "txt,label\nx,y\n", "has no column 'text'. Did you mean 'txt'"),
        ("a.csv", "text,text\nx,y\n", "has 2 columns 'text'; give the number"),
        ("a.doc", "x", "does not tell the format"),
        ("a.parquet.gz", "", "does not tell the format"),
        ("a.parquet", "no such\0thing", "is not a Parquet file or is damaged"),
    ],
)
def test_a_table_that_cannot_be_read_at_all(tmp_path: Path, name: str, content: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read(file(tmp_path, name, content), "text")


def test_json_lines_have_no_column_numbers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="have names, not numbers like 2"):
        read(file(tmp_path, "a.jsonl", "{}"), "2")


def test_parquet_without_pyarrow_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "a.parquet", True)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'bertkit\[parquet\]'"):
        read(tmp_path / "a.parquet", "sentence")


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.txt"])
def test_a_line_of_a_hundred_thousand_words(tmp_path: Path, name: str) -> None:
    text = "word " * 100_000
    assert read(file(tmp_path, name, text + "\n"), 1) == [Row(1, text)]


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"))] * 2), min_size=1
    )
)
def test_csv_written_by_python_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text).writerows([("text", "pair"), *rows])
    path = file(tmp_path_factory.mktemp("csv"), "a.csv", text.getvalue())
    assert [(row.text, row.pair) for row in read_rows(path, Columns(text="text", pair="pair"))] == rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text;label\none, two;x\nthree;y\n"),
        ("a.csv", "text\tlabel\none, two\tx\nthree\ty\n"),
        ("a.CSV", '\n  \ntext,label\n"one, two",x\nthree,y\n'),
        ("a.csv", "sep=|\ntext|label\none, two|x\nthree|y\n"),
        ("a.txt", "text;label\none, two;x\nthree;y\n"),
        ("a.csv", '"text";"label"\r\n"one, two";"x"\r\n"three";"y"\r\n'),
        ("a.NDJSON", '{"text": "one, two", "label": "x"}\n{"text": "three", "label": "y"}\n'),
        ("a.json", '[{"text": "one, two", "label": "x"}, {"text": "three", "label": "y"}]'),
        ("a.jsonl", '[{"text": "one, two", "label": "x"},\n{"text": "three", "label": "y"}]'),
        (
            "a.json",
            json.dumps([{"text": "one, two", "label": "x"}, {"text": "three", "label": "y"}], indent=1),
        ),
        ("a.json", '{"text": "one, two", "label": "x"}\n{"text": "three",\n "label": "y"}'),
        ("a.csv", 'text,label\n"one, two",x\nthree,y\n'.encode("utf-16")),
        ("a.csv", gzip.compress(b"text;label\none, two;x\nthree;y\n")),
        ("a.tsv.xz", lzma.compress(b"text\tlabel\none, two\tx\nthree\ty\n")),
    ],
)
def test_a_table_is_read_as_what_it_is(tmp_path: Path, name: str, content: str | bytes) -> None:
    rows = read(file(tmp_path, name, content), "text", "label")
    assert [(row.text, row.label) for row in rows] == [("one, two", "x"), ("three", "y")]


def test_separator_and_encoding_can_be_said(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", "text~label\ncaf\xe9~x\n".encode("cp1252"))
    columns = Columns("text", label="label")
    assert list(read_rows(path, columns, separator="~", encoding="cp1252")) == [Row(2, "café", label="x")]
    with pytest.raises(UserError, match="separator is one character"):
        list(read_rows(path, columns, separator="~~", encoding="cp1252"))
    with pytest.raises(UserError, match="no encoding 'klingon'"):
        list(read_rows(path, columns, encoding="klingon"))
    with pytest.raises(UserError, match=r"line 0: the text is not|behind line 1: the text is not ascii"):
        list(read_rows(path, columns, separator="~", encoding="ascii"))


def test_a_carriage_return_in_a_line_makes_no_row(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", "text,label\none\rtwo,x\nthree,y\n")
    assert read(path, "text", "label") == [Row(2, "one\rtwo", label="x"), Row(3, "three", label="y")]


def test_a_folder_of_datasets_and_an_arrow_file(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["one", "two"], "label": [1, 0]})
    folder = tmp_path / "saved"
    folder.mkdir()
    for number in range(2):
        with pyarrow.ipc.new_stream(folder / f"data-{number}.arrow", table.schema) as writer:
            writer.write_table(table.slice(number, 1))
    files = [{"filename": f"data-{number}.arrow"} for number in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    expected = [Row(1, "one", label="1"), Row(2, "two", label="0")]
    assert read(folder, "text", "label") == expected
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    assert read(tmp_path / "a.arrow", "text", "label") == expected
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(UserError, match="several splits; name one of its folders: saved"):
        read(tmp_path, "text")


def test_a_workbook_of_excel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in ([], ["text", "label", None], ["one", 1.0], [], ["two, three", True]):
        book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
    expected = [("one", "1"), ("two, three", "true")]
    assert [(row.text, row.label) for row in read(tmp_path / "a.xlsx", "text", "label")] == expected
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"pip install 'bertkit\[excel\]'"):
        read(tmp_path / "a.xlsx", "text")


def pack(format: str, name: str) -> bytes:
    """An archive that holds one file."""
    content = io.BytesIO()
    if format == "zip":
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr(name, "x")
    else:
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            tar.addfile(tarfile.TarInfo(name))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.tar.gz", pack("tar", "a.csv"), "is a tar archive; unpack it"),
        ("a.xlsx", b"text,label\nZo\xc3\xab\xc2\xa0,x\n", "is text, no .xlsx file: rename it to a.csv"),
        ("a.csv", pack("zip", "a.csv"), "is a zip; unpack it"),
        ("a.csv", pack("zip", "word/document.xml"), "is a document of Word"),
        ("a.csv", b"%PDF-1.7", "is a PDF"),
        ("a.csv", b"\xd0\xcf\x11\xe0", "old Excel or Word; save it as .xlsx, CSV"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("a.html", b"<p>one</p>", "is HTML or XML"),
        ("a.txt", b"<!DOCTYPE html><p>", "is HTML or XML"),
        ("a.txt", b'{"text": "one"}', "holds JSON; say --format"),
        (
            "a.csv",
            "text,label".encode("utf-16-le"),
            "UTF-16 without its byte-order mark; say --encoding utf-16-le",
        ),
    ],
)
def test_what_cannot_be_read_says_what_it_is(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = file(tmp_path, name, content)
    with pytest.raises(UserError, match=problem):
        read(path, "text")
    with pytest.raises(UserError, match=problem):
        list(read_texts(path, column="text"))


def test_messages_about_columns_are_short_and_without_control_characters(tmp_path: Path) -> None:
    names = ",".join(f"\x1b[31mcolumn{number}" for number in range(500))
    with pytest.raises(UserError) as error:
        read(file(tmp_path, "a.csv", f"{names}\n{names}\n"), "text")
    assert "more." in str(error.value)
    assert len(str(error.value).replace(str(tmp_path), "")) < 300
    assert str(error.value).isprintable()


def test_cola_is_read_whole(shared_data: Path) -> None:
    for name, rows, acceptable in (("train", 8_551, 6_023), ("dev", 527, 365)):
        read_ = read(shared_data / "cola" / f"in_domain_{name}.tsv", 4, 2)
        assert len(read_) == rows == read_[-1].line
        assert sum(row.label == "1" for row in read_) == acceptable


def test_cells_of_any_type_come_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "labels": ["x", 2], "n": null}\n{"text": "b"}\n')
    first, second = iterate_cells(file, ["labels", "n"])
    assert first == CellRow(1, [["x", 2], None])
    assert isinstance(second, BadRow)
    assert second.reason.startswith("there is no key 'labels'")


def test_keys_of_objects_inside_objects(tmp_path: Path) -> None:
    rows = [{"a": {"b": {"c": "x"}}, "l": 0}, {"a": {"b": {}}, "l": 1, "a.b.c": "y"}, {"a": "z", "l": 1}]
    path = file(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first, second, third = iterate_rows(path, Columns(text="a.b.c", label="l"))
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.text, second.text) == ("x", "y")
    assert isinstance(third, BadRow)
    assert "there is no key 'a.b.c'" in third.problem
