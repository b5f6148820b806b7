import gzip
import json
from pathlib import Path

import pytest
import zstandard

from bertkit.data.corpus import LARGEST_FILE, CorpusReading, find_files, read_texts, settle_layout
from bertkit.data.tables import Row
from bertkit.errors import UserError

TEXTS = ["One line.", 'Zwei Wörter, "quoted"', "三"]


def test_plain_text_of_any_name(tmp_path) -> None:
    content = "\n".join(TEXTS).encode()
    for name in ("a.txt", "README", "b.md"):
        (tmp_path / name).write_bytes(content)
        assert list(read_texts(tmp_path / name)) == TEXTS
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    assert list(read_texts(tmp_path / "a.txt.gz")) == TEXTS
    (tmp_path / "a.zst").write_bytes(zstandard.compress(content))
    assert list(read_texts(tmp_path / "a.zst")) == TEXTS


def test_json_lines(tmp_path) -> None:
    lines = "\n".join(json.dumps({"text": text, "title": "x"}) for text in TEXTS)
    (tmp_path / "a.jsonl").write_text(lines)
    assert list(read_texts(tmp_path / "a.jsonl")) == TEXTS
    assert list(read_texts(tmp_path / "a.jsonl", column="title")) == ["x"] * 3
    with pytest.raises(UserError, match="line 1: there is no key 'body'"):
        list(read_texts(tmp_path / "a.jsonl", column="body"))


def test_tables(tmp_path) -> None:
    (tmp_path / "a.tsv").write_text("\n".join(f"7\t{text}" for text in ["sentence", *TEXTS]))
    assert list(read_texts(tmp_path / "a.tsv", column="2", header=True)) == TEXTS
    assert list(read_texts(tmp_path / "a.tsv", column="sentence")) == TEXTS
    with pytest.raises(UserError, match="say which one holds the text"):
        list(read_texts(tmp_path / "a.tsv"))


def test_parquet(tmp_path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": TEXTS}), tmp_path / "a.parquet")
    assert list(read_texts(tmp_path / "a.parquet")) == TEXTS


def test_bad_bytes_are_named_by_line(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\nbad \xff\n")
    with pytest.raises(UserError, match=r"a\.txt, line 2: the byte 0xff"):
        list(read_texts(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("texts", "layout"),
    [
        (["many"], "files"),
        (["many", "many/a.txt"], "auto"),
        (["many/a.txt"], "auto"),
        (["one"], "auto"),
        (["large"], "auto"),
        (["many", "rows"], "files"),
    ],
)
def test_a_file_of_a_folder_is_a_document(texts: list[str], layout: str, tmp_path: Path) -> None:
    sizes = {"many/a.txt": 5, "many/b.txt": LARGEST_FILE, "one/a.txt": 5, "rows/a.jsonl": 2 * LARGEST_FILE}
    for name, size in {**sizes, "large/a.txt": LARGEST_FILE + 1, "large/b.txt": 5}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    paths = [tmp_path / text for text in texts]
    assert settle_layout(paths, find_files(paths)[0], CorpusReading()) == layout
    assert settle_layout(paths, find_files(paths)[0], CorpusReading(layout="lines")) == "lines"


def test_a_whole_file_is_a_document_without_its_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\none\n\n two\n\n")
    rows = list(CorpusReading(layout="files").documents(tmp_path / "a.txt"))
    assert rows == [Row(2, "one\n two")]
