"""Standard output and standard error that bear what a shell does to them: no UTF-8, closed, gone."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from bertkit.errors import one_line

GONE = (errno.EPIPE, errno.EIO)
"""What a system says where the reader of a pipe, or the terminal, is no longer there."""
OUTPUT, ERRORS = 1, 2


class _Output(io.FileIO):
    """One of the two as bytes. When it is gone, what is written goes nowhere; or that is an error.

    Another error of standard output, as of a full disk, is raised once; what follows it goes nowhere.

    Args:
        number: `OUTPUT` or `ERRORS`.
        needed: raise `BrokenPipeError` when it is gone.
    """

    def __init__(self, number: int, *, needed: bool) -> None:
        super().__init__(number, "wb", closefd=False)
        self.number, self.needed = number, needed

    def write(self, content: Any, /) -> int:
        """See `io.FileIO.write`."""
        try:
            return super().write(content)
        except OSError as error:
            lead_nowhere(self.fileno())  # Else the end of the process would write, and fail, once more.
            if error.errno not in GONE and self.number == OUTPUT:
                raise OSError(error.errno, error.strerror, "standard output") from None
            if self.needed:
                raise BrokenPipeError(*error.args) from None
            return len(content)


def mend_streams(*, output_needed: bool) -> None:
    """Let the process write on whatever its two streams are.

    What their encoding lacks is written with escapes. One that is closed leads nowhere, and so does standard
    error when it is gone.

    Args:
        output_needed: when standard output is gone, writing raises `BrokenPipeError`; else that, too, is
            borne, for whoever leaves its results in files.
    """
    for number in (0, OUTPUT, ERRORS):  # In this order: the lowest free number is taken.
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _mended(sys.stdout, OUTPUT, needed=output_needed)
    sys.stderr = _mended(sys.stderr, ERRORS, needed=False)


def tell(message: object) -> None:
    """Say a sentence on standard error; nothing of a stranger's in it can harm a terminal."""
    print(f"bertkit: {one_line(str(message))}", file=sys.stderr, flush=True)


def lead_nowhere(number: int) -> None:
    """Let what is written to a file descriptor go nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _mended(stream: TextIO | None, number: int, *, needed: bool) -> TextIO:
    """The stream in place of one of the process's own; what a notebook or a test put there stays."""
    if stream is None:  # It was closed.
        return io.TextIOWrapper(io.BufferedWriter(_Output(number, needed=needed)), "utf-8")
    if isinstance(raw := getattr(getattr(stream, "buffer", None), "raw", None), _Output):
        raw.needed = needed
        return stream
    if not isinstance(stream, io.TextIOWrapper) or stream not in (sys.__stdout__, sys.__stderr__):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(number, needed=needed)),
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
