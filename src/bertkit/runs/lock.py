"""One writer a folder: who makes a run or a study holds its folder, and whoever else comes is refused."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bertkit.errors import UserError, shown

LOCK = ".lock"


@contextmanager
def hold(folder: Path, doing: str) -> Iterator[int]:
    """Hold a folder, which is made where it is missing; yields the lock's file descriptor.

    The system lets go of what a dead process held (of one on another machine, when its network file system
    has noticed), so no lock is ever stale. Processes that were given the descriptor hold the folder, too,
    should they outlive this one. The lock's file is gone after a block that ended well; so is a folder that
    was made here and in which nothing else was.

    Args:
        folder: to hold.
        doing: what the holder does there, as the sentence for the next one says it: "trains in".

    Raises:
        UserError: another process holds it, or the file system has no locks.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handle = _lock(folder, doing)
    try:
        yield handle
        (folder / LOCK).unlink(missing_ok=True)
    except BaseException:
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
        raise
    finally:
        os.close(handle)
        if made:
            with suppress(OSError):  # It is not empty.
                folder.rmdir()


def _lock(folder: Path, doing: str) -> int:
    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            who = shown(os.read(handle, 100).decode(errors="replace"))
            os.close(handle)
            if isinstance(error, BlockingIOError):
                why = f"Another process ({who}) {doing} {folder}; wait for it, or choose another folder."
            else:
                why = f"{folder} is on a file system without locks ({error.strerror}); choose another folder."
            raise UserError(why) from None
        with suppress(FileNotFoundError):  # Whoever held it has just ended, and has taken the file away.
            if os.path.samestat(os.fstat(handle), path.stat()):
                os.truncate(handle, 0)
                os.write(handle, f"{os.getpid()} on {socket.gethostname()}".encode())
                return handle
        os.close(handle)
