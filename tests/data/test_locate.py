"""The order in which places of a named data set are looked at."""

from pathlib import Path

import pytest

from bertkit.data.files import cache_folder, locate
from bertkit.errors import UserError

FILES = ("train.tsv", "dev.tsv")


def fill(folder: Path, files: tuple[str, ...] = FILES) -> Path:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text("x")
    return folder


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_explicit_then_data_then_cache(places: Path) -> None:
    cached = fill(places / "cache" / "bertkit" / "toy")
    assert locate("toy", FILES, "") == cached
    data = fill(places / "data" / "toy")
    assert locate("toy", FILES, "") == data
    explicit = fill(places / "mine")
    assert locate("toy", FILES, "", explicit) == explicit


def test_a_folder_without_all_files_is_passed_over(places: Path) -> None:
    fill(places / "data" / "toy", FILES[:1])
    cached = fill(places / "cache" / "bertkit" / "toy")
    assert locate("toy", FILES, "") == cached


def test_nothing_stands_in_for_an_explicit_folder(places: Path) -> None:
    fill(places / "data" / "toy")
    with pytest.raises(UserError, match=r"Looked in: \S+mine \(without train.tsv, dev.tsv\)\."):
        locate("toy", FILES, "", places / "mine")


def test_the_error_tells_where_was_looked_and_what_to_do(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as caught:
        locate("toy", FILES, "unpack toy.zip into {folder}.")
    for part in ("data/toy (", "cache/bertkit/toy (", f"To get it: unpack toy.zip into {places}/data/toy."):
        assert part in str(caught.value)
    monkeypatch.delenv("BERTKIT_DATA")
    with pytest.raises(UserError, match="BERTKIT_DATA is not set"):
        locate("toy", FILES, "")


def test_the_cache_is_in_the_home_folder_by_default(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(places))
    assert cache_folder() == places / ".cache" / "bertkit"
