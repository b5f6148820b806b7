"""A run that was begun again after a collapse: how that is told, and the settings that its command needs."""

from __future__ import annotations

from html import escape

from bertkit.runs.findings import Change
from bertkit.runs.history import History
from bertkit.runs.restarts import Restart


def begun_again(run: History) -> str:
    """Each restart, with the collapse that it follows; "" of a run that never was begun again."""
    return " ".join(
        ("" if track.seed is None else f"Seed {track.seed}: ") + _told(restart)
        for track in run.tracks
        for restart in track.restarts
    )


def begun_again_section(run: History) -> str:
    """The same as a section of a page."""
    words = begun_again(run)
    if not words:
        return ""
    return (
        f"<section><h2>Begun again</h2><p>{escape(words)}</p>"
        "<p class=quiet>What else is told here is of the last attempt.</p></section>"
    )


def typed_settings(run: History) -> dict[str, str]:
    """What restarts changed, by key, as `--set` takes it: the run's recipe file says what was asked for."""
    return {key: Change(key, value).typed.removeprefix("--set ") for key, value in run.settings.items()}


def _told(restart: Restart) -> str:
    return f"After step {restart.step:,} it began again {restart.how}. {restart.seen}"
