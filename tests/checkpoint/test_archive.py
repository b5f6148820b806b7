"""Zip archives with a model: opened as they are, and nothing of them lands outside."""

import json
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from bertkit.checkpoint import archive
from bertkit.checkpoint.archive import unpacked
from bertkit.checkpoint.folder import read_model_folder, read_tokenizer
from bertkit.checkpoint.locate import find_model
from bertkit.checkpoint.sentence import SentencePooling
from bertkit.errors import UserError
from bertkit.infer.inspect import inspect


def pack(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name), content, compression)
    return path


@pytest.fixture
def zipped(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model as Google would publish it: a folder inside, and what a Mac adds."""
    files = {f"tiny_L-2/{path.name}": path.read_bytes() for path in tiny_model.iterdir()}
    files |= {"tiny_L-2/": b"", "__MACOSX/tiny_L-2/._config.json": b"x", "tiny_L-2/graph.meta": b"g" * 99}
    return pack(tmp_path / "tiny_L-2.zip", files)


def test_a_model_in_an_archive_opens_as_it_is(zipped: Path, tiny_model: Path) -> None:
    assert find_model(str(zipped)) == zipped
    inside, outside = read_model_folder(zipped), read_model_folder(tiny_model)
    assert inside.path == zipped
    assert inside.head_config == outside.head_config
    weights = outside.encoder.state_dict()
    assert all((tensor == weights[name]).all() for name, tensor in inside.encoder.state_dict().items())
    assert read_tokenizer(zipped).vocabulary == outside.tokenizer.vocabulary
    found = inspect(str(zipped))
    assert (found["format"], found["files"]) == ("zip", {zipped.name: zipped.stat().st_size})


def test_nothing_is_left_and_the_graph_is_not_unpacked(zipped: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with unpacked(zipped) as folder:
        assert folder.parent == tmp_path / "temporary"
        names = {path.name for path in folder.iterdir()}
        assert "config.json" in names
        assert "graph.meta" not in names
    assert not list((tmp_path / "temporary").iterdir())


def test_complaints_name_the_archive(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as source:
        files = {name: source.read(name) for name in source.namelist() if not name.endswith("/")}
    pack(tmp_path / "bad.zip", files | {"tiny_L-2/config.json": b"[]"})
    with pytest.raises(UserError) as error:
        read_model_folder(tmp_path / "bad.zip")
    assert str(error.value).startswith(f"{tmp_path / 'bad.zip'}/config.json holds no JSON object")


UNSAFE = {
    "above": ({"../config.json": b"{}"}, "leads out"),
    "above inside": ({"a/../../config.json": b"{}"}, "leads out"),
    "absolute": ({"/tmp/config.json": b"{}"}, "leads out"),
    "windows": ({"C:config.json": b"{}"}, "leads out"),
    "backslash": ({"a\\..\\config.json": b"{}"}, "leads out"),
    "none": ({"a/readme.txt": b"{}"}, "has none"),
    "two": ({"a/config.json": b"{}", "b/bert_config.json": b"{}"}, "several, in a, b"),
    "long": ({"config.json": b"{}", "x" * 300: b""}, "300 bytes"),
    "long in bytes": ({"config.json": b"{}", "\u6771" * 150: b""}, "450 bytes"),
    "dot": ({"config.json": b"{}", ".": b""}, "has no name"),
    "twice": ({"config.json": b"{}", "./config.json": b""}, "twice"),
    "folder too": ({"config.json": b"{}", "modules.json": b"[]", "a": b"", "a/b": b""}, "is a folder too"),
    "bomb": ({"config.json": b"{}", "model.safetensors": bytes(3 << 20)}, "made to fill a disk"),
}


@pytest.mark.parametrize(("files", "words"), UNSAFE.values(), ids=UNSAFE)
def test_unsafe_archives(files, words: str, tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", files)
    with pytest.raises(UserError, match=words), unpacked(path):
        pytest.fail("opened")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_an_archive_of_windows_has_backslashes(tiny_model: Path, tmp_path: Path) -> None:
    files = {f"model\\{path.name}": path.read_bytes() for path in tiny_model.iterdir()}
    path = pack(tmp_path / "x.zip", {"model\\": b"", **files})
    assert (
        read_model_folder(path).tokenizer.fingerprint == read_model_folder(tiny_model).tokenizer.fingerprint
    )


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("config.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"), unpacked(tmp_path / "x.zip"):
        pytest.fail("opened")


def test_a_size_that_lies_is_noticed(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"config.json": b"{}" * 500}, zipfile.ZIP_STORED)
    content = path.read_bytes()
    # The directory says that there is more than there is; so does the header before the file.
    path.write_bytes(content.replace(struct.pack("<II", 1000, 1000), struct.pack("<II", 1100, 1100)))
    with pytest.raises(UserError, match="no zip archive or damaged"), unpacked(path):
        pytest.fail("opened")


def test_other_archives_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"config.json": b"{}"}, zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="compressed in a rare way"), unpacked(path):
        pytest.fail("opened")
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="no zip archive or damaged"), unpacked(path):
        pytest.fail("opened")


def test_a_full_disk_is_foreseen(zipped: Path, monkeypatch) -> None:
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"has 100 free: set TMPDIR"), unpacked(zipped):
        pytest.fail("opened")


@pytest.mark.parametrize("parent", ["", "all-tiny/"])
def test_a_folder_of_sentence_transformers(parent: str, tiny_model: Path, tmp_path: Path) -> None:
    files = {f"{parent}{path.name}": path.read_bytes() for path in tiny_model.iterdir()}
    modules = [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1_Pooling"}]
    files |= {
        f"{parent}modules.json": json.dumps(modules).encode(),
        f"{parent}1_Pooling/config.json": b'{"pooling_mode": "cls"}',
        f"{parent}onnx/deep/model.onnx": b"x",
    }
    folder = read_model_folder(pack(tmp_path / "x.zip", files))
    assert folder.pooling == SentencePooling(("cls",), max_length=32)
