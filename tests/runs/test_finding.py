"""What a finding looks like."""

import json

import pytest

from bertkit.runs.findings import Change, Finding, by_weight, ways


@pytest.mark.parametrize(
    ("change", "typed"),
    [
        (Change("optimiser.lr", 1e-4), "--set optimiser.lr=0.0001"),
        (Change("batch.shuffle", True), "--set batch.shuffle=true"),
        (Change("model.options.positions", "rotary"), "--set model.options.positions=rotary"),
        (Change(words="remove the rows"), "remove the rows"),
        (Change("vocabulary.file", "FILE", "a cased one"), "--set vocabulary.file=FILE (a cased one)"),
    ],
)
def test_a_change_is_what_a_person_types(change: Change, typed: str) -> None:
    assert str(change) == typed


def test_a_finding_is_one_line_and_json() -> None:
    found = Finding("a", "grave", "likely", "Seen 3.", "Means much.", (Change("batch.shuffle", True),))
    assert found.line == "Seen 3. Means much. What may help: --set batch.shuffle=true."
    assert json.loads(json.dumps(found.to_json()))["changes"][0]["key"] == "batch.shuffle"


def test_what_acts_together_is_one_of_the_alternatives() -> None:
    steady = (Change("optimiser.lr", 1e-4, together=True), Change("optimiser.clip", 1.0, together=True))
    longer = (Change("training.epochs", 8), Change("training.steps", 0, together=True))
    other = Change(words="a pretrained model")
    found = Finding("a", "grave", "likely", "Seen.", "Means.", (*steady, *longer, other))
    assert ways(found.changes) == [[*steady], [*longer], [other]]
    assert found.line.endswith(
        "What may help: --set optimiser.lr=0.0001 with --set optimiser.clip=1 or --set training.epochs=8 "
        "with --set training.steps=0 or a pretrained model."
    )


def test_the_gravest_and_surest_come_first() -> None:
    def of(weight, sureness):
        return Finding(f"{weight} {sureness}", weight, sureness, "", "")

    mixed = [of("notable", "certain"), of("grave", "possible"), of("grave", "certain")]
    assert [f.check for f in by_weight(mixed)] == ["grave certain", "grave possible", "notable certain"]
