"""Writing whole: every crash leaves the old or the new."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bertkit.checkpoint.atomic import naming, recover_folder, remove_leftovers, replace_file, replace_folder
from bertkit.checkpoint.hf import save_tensors
from bertkit.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_halfway(path: Path) -> None:
    path.write_text("half")
    raise ZeroDivisionError


def test_file(tmp_path):
    target = tmp_path / "a.txt"
    for text in ("one", "two"):
        with replace_file(target) as temporary:
            temporary.write_text(text)
            assert not target.exists() or target.read_text() == "one"
        assert target.read_text() == text
    with pytest.raises(ZeroDivisionError), replace_file(target) as temporary:
        fail_halfway(temporary)
    assert target.read_text() == "two"
    assert names(tmp_path) == ["a.txt"]


def test_folder(tmp_path):
    target = tmp_path / "deep" / "folder"
    with replace_folder(target) as temporary:
        (temporary / "a").write_text("one")
    with replace_folder(target, overwrite=True) as temporary:
        assert (target / "a").read_text() == "one"
        (temporary / "inner").mkdir()
        (temporary / "inner" / "b").write_text("two")
    assert names(target) == ["inner"]
    with pytest.raises(ZeroDivisionError), replace_folder(target, overwrite=True) as temporary:
        fail_halfway(temporary / "c")
    assert names(target) == ["inner"]
    assert names(target.parent) == ["folder"]


def test_nothing_is_replaced_unasked(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="--overwrite"), replace_folder(tmp_path / "folder"):
        pass
    with pytest.raises(UserError, match="is a file"), replace_folder(tmp_path / "file", overwrite=True):
        pass
    assert names(tmp_path) == ["file", "folder"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    (tmp_path / "plain folder").mkdir()
    # safetensors writes to a private file of its own and renames it over ours.
    with replace_file(tmp_path / "file") as file, replace_folder(tmp_path / "folder") as folder:
        for path in (file, folder / "weights"):
            save_tensors(path, {"a": torch.ones(1)}, {})
        (folder / "inner").mkdir()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes["file"] == modes["weights"] == modes["plain"]
    assert modes["folder"] == modes["inner"] == modes["plain folder"]


# What a process does that dies, without any clean-up, in its n-th rename.
CRASH = """
import os, sys
from pathlib import Path
from bertkit.checkpoint.atomic import replace_folder
target, crash_at, renames = Path(sys.argv[1]), int(sys.argv[2]), 0
real = Path.rename
def rename(self, to):
    global renames
    if renames == crash_at:
        os._exit(9)
    renames += 1
    return real(self, to)
Path.rename = rename
with replace_folder(target, overwrite=True) as temporary:
    (temporary / "a").write_text("new")
os._exit(0)
"""


@pytest.mark.parametrize(("crash_at", "left"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_crash_leaves_the_old_folder_or_the_new(crash_at, left, tmp_path):
    target = tmp_path / "folder"
    with replace_folder(target) as temporary:
        (temporary / "a").write_text("old")
    program = [sys.executable, "-c", CRASH, str(target), str(crash_at)]
    assert subprocess.run(program, env=os.environ, check=False).returncode == (0 if left == "new" else 9)
    recover_folder(target)
    assert (target / "a").read_text() == left
    with replace_folder(target, overwrite=True) as temporary:
        (temporary / "a").write_text("newer")
    assert (target / "a").read_text() == "newer"


def test_a_folder_set_aside_after_the_swap_is_removed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / ".folder.old").mkdir()
    recover_folder(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [".model.old", ".hidden", "model", ".git"]
    for name in [*kept, ".model.ab3_x9qz", "deep/.w.safetensors.abcdefgh"]:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".step.0123abcd").touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([*kept, "deep"])


def test_a_full_disk_is_told_with_its_path(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"a\.txt") as error, replace_file(tmp_path / "a.txt"):
        full()
    assert error.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError) as other, naming(tmp_path):
        (tmp_path / "b").read_text()
    assert other.value.filename == str(tmp_path / "b"), "what the system names stays"
