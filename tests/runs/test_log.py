"""What a run writes while it trains."""

from bertkit.runs.log import _flat


def test_numbers_of_inner_tables_have_both_names_but_those_of_metrics_their_own() -> None:
    values = {
        "loss": 0.5,
        "metrics": {"mcc": 0.1},
        "gradient_norms": {"layer 1": 2, "head": 3.0},
        "w": "x",
    }
    assert dict(_flat(values)) == {
        "loss": 0.5, "mcc": 0.1, "gradient_norms/layer 1": 2, "gradient_norms/head": 3.0,
    }  # fmt: skip
