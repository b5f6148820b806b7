"""Recipes: everything about one run, as frozen values and as a TOML file."""

from bertkit.recipe.base import BaseRecipe, from_table
from bertkit.recipe.finetune import (
    OF_FILES,
    OF_ROWS,
    USUAL_DEV,
    Alike,
    BatchRecipe,
    LabelAs,
    Recipe,
    TaskRecipe,
    TrainingRecipe,
    VocabularyAlgorithm,
    VocabularyRecipe,
    fold_of,
    names_file,
    share_of,
)
from bertkit.recipe.parts import OWN_RATES, ModelRecipe, OptimiserName, OptimiserRecipe, Schedule
from bertkit.recipe.pretrain import ObjectiveRecipe, PretrainRecipe

__all__ = [
    "OF_FILES",
    "OF_ROWS",
    "OWN_RATES",
    "USUAL_DEV",
    "Alike",
    "BaseRecipe",
    "BatchRecipe",
    "LabelAs",
    "ModelRecipe",
    "ObjectiveRecipe",
    "OptimiserName",
    "OptimiserRecipe",
    "PretrainRecipe",
    "Recipe",
    "Schedule",
    "TaskRecipe",
    "TrainingRecipe",
    "VocabularyAlgorithm",
    "VocabularyRecipe",
    "fold_of",
    "from_table",
    "names_file",
    "share_of",
]
