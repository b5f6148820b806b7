"""bertkit trains a BERT of your own, from raw text to a measured model, and says whether it is learning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bertkit.errors import UserError
from bertkit.version import __version__

if TYPE_CHECKING:
    from bertkit.api import (
        compare,
        convert,
        cross_validate,
        doctor,
        evaluate,
        finetune,
        prepare,
        pretrain,
        study,
    )
    from bertkit.infer.model import load
    from bertkit.recipe import PretrainRecipe, Recipe, TaskRecipe
    from bertkit.text.tokenizer import Tokenizer

__all__ = [
    "PretrainRecipe",
    "Recipe",
    "TaskRecipe",
    "Tokenizer",
    "UserError",
    "__version__",
    "compare",
    "convert",
    "cross_validate",
    "doctor",
    "evaluate",
    "finetune",
    "load",
    "prepare",
    "pretrain",
    "study",
]

# Looked up when first used, so that `import bertkit` imports neither torch nor anything slow.
_HOMES = {
    **dict.fromkeys(__all__, "bertkit.api"),
    **dict.fromkeys(("PretrainRecipe", "Recipe", "TaskRecipe"), "bertkit.recipe"),
    "Tokenizer": "bertkit.text.tokenizer",
    "load": "bertkit.infer.model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bertkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
