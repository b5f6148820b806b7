"""Findings are kept in a run's folder."""

from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.runs.findings import FINDINGS, Change, Finding, append_findings, read_findings


def of(check: str, seen: str = "Seen 3.") -> Finding:
    return Finding(check, "grave", "likely", seen, "Means much.", (Change("batch.shuffle", True),))


def test_findings_are_appended_in_order(tmp_path: Path) -> None:
    assert read_findings(tmp_path) == []
    append_findings(tmp_path, "preflight", 0, [])
    assert not (tmp_path / FINDINGS).exists()
    append_findings(tmp_path, "preflight", 0, [of("a"), of("b")])
    append_findings(tmp_path, "watch", 40, [of("a")])
    found = read_findings(tmp_path)
    assert [(e["moment"], e["step"], e["check"]) for e in found] == [
        ("preflight", 0, "a"), ("preflight", 0, "b"), ("watch", 40, "a"),
    ]  # fmt: skip
    assert found[0]["changes"] == [{"key": "batch.shuffle", "value": True, "words": "", "together": False}]


def test_what_is_found_again_at_the_same_step_is_there_once(tmp_path: Path) -> None:
    append_findings(tmp_path, "watch", 40, [of("a", "Seen 3."), of("b")])
    append_findings(tmp_path, "watch", 40, [of("a", "Seen 4.")])
    assert [(e["check"], e["seen"]) for e in read_findings(tmp_path)] == [("b", "Seen 3."), ("a", "Seen 4.")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        "[1]",
        '[{"moment": "watch"}]',
        '[{"moment": "watch", "step": 0, "check": "a", "seen": "", "means": "", "weight": "odd",'
        ' "sureness": "likely"}]',
        "\udc80",
    ],
)
def test_a_bad_file_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (tmp_path / FINDINGS).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"findings\.json"):
        append_findings(tmp_path, "watch", 1, [of("a")])
