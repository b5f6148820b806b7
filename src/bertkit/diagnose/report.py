"""`report.html`: a run on one page that needs nothing but a browser."""

from __future__ import annotations

from pathlib import Path

from bertkit.diagnose.doctor import findings_in
from bertkit.diagnose.finetune_report import finetune_parts
from bertkit.diagnose.page import REPORT, write_page
from bertkit.diagnose.pretrain_report import pretrain_parts
from bertkit.errors import UserError
from bertkit.runs.folder import RESULT
from bertkit.runs.reader import read_history, read_result
from bertkit.version import __version__


def write_report(run: Path) -> Path:
    """Write `RUN/report.html` of a run of either kind from what it has logged so far, and return its path.

    A run that is not finished has a page too, without what only its result tells.

    Raises:
        UserError: the folder has neither a log nor a result, or one of them is damaged.
    """
    read = read_result(run)
    result = {} if read is None else dict(read.values)
    history = read_history(run, without_recipe=True)
    if not result and not history.tracks:
        raise UserError(
            f"{run} is no run folder: it has neither {RESULT} nor a log. Give the folder of a run."
        )
    # A log that somebody sent has curves, and no recipe that could be judged by.
    findings = findings_in(run, history) if history.known else []
    name = run.resolve().name
    if history.phase == "pretrain":
        name = f"{result['model']} from text" if result else name
        parts = pretrain_parts(run, name, result, findings, history)
    else:
        name = f"{result['task']} · {Path(result['model']).name}" if result else name
        parts = finetune_parts(run, name, result, findings, history)
    return write_page(run / REPORT, name, parts, result.get("version", __version__))
