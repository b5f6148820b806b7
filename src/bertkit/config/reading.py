"""How texts become sequences."""

from __future__ import annotations

from dataclasses import dataclass

from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, check_at_least

SHORTEST_WINDOW = 8


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the texts of a model become sequences.

    Attributes:
        max_length: tokens of a sequence at most, `[CLS]` and `[SEP]` counted; what is longer is cut, unless
            there are windows.
        pad_to: length up to which visible `[PAD]` tokens are appended, see `packing.encode_texts`; 0: none.
        window: tokens of a window, likewise: a longer text is read in several. 0: no windows.
        stride: tokens from the beginning of a window to that of the next, at most; 0: three quarters of what
            a window holds. So a token at an edge stands well inside the neighbour, for a third more work.
    """

    max_length: int
    pad_to: int = 0
    window: int = 0
    stride: int = 0

    def __post_init__(self) -> None:
        check_reading("texts", self.max_length, self.pad_to, self.window, self.stride)

    @property
    def longest(self) -> int:
        """The most tokens that a sequence may have."""
        return self.window or self.max_length


def check_reading(owner: str, max_length: int, pad_to: int, window: int, stride: int) -> None:
    """Raise `UserError` unless these can be the attributes of a `Reading`."""
    check_at_least(owner, "max_length", max_length, 3)
    for name, value in (("pad_to", pad_to), ("window", window), ("stride", stride)):
        check_at_least(owner, name, value, 0)
    if pad_to and window:
        raise UserError(f"{owner}: windows are not padded; leave out window or pad_to.")
    if pad_to > max_length:
        raise UserError(f"{owner}: pad_to {pad_to} is beyond max_length {max_length}.")
    if stride and not window:
        raise UserError(f"{owner}: stride is how far windows are apart; say with window how long they are.")
    if 0 < window < SHORTEST_WINDOW:
        raise UserError(f"{owner}: a window holds {SHORTEST_WINDOW} tokens or more, not {window}.")
    if window and stride > window - 3:  # [CLS] and one [SEP], or two
        raise UserError(
            f"{owner}: windows of {window} tokens, of which up to 3 are special, leave gaps with a stride of "
            f"{stride}; take one of {window - 3} or less."
        )


def check_positions(reading: Reading, config: ModelConfig) -> None:
    """Raise `UserError` if the model has not positions enough for such sequences."""
    if reading.longest > config.max_positions:
        name = "window" if reading.window else "max_length"
        raise UserError(
            f"{name} {reading.longest} is beyond the {config.max_positions} positions of the model; set "
            f"--{name.replace('_', '-')} {config.max_positions} or less."
        )
