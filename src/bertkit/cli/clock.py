"""When the time of a command began."""

from __future__ import annotations

import os
import time
from pathlib import Path


def process_began() -> float:
    """When this process started, as `time.monotonic` counts; on systems that do not tell, now."""
    try:
        # proc(5): field 22, in ticks since the system started. The name, field 2, may have any signs in it.
        fields = (
            Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        started = int(fields[22 - 3]) / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, AttributeError, IndexError, ValueError):
        return time.monotonic()
