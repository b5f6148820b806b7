import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.errors import UserError
from bertkit.recipe import ModelRecipe, OptimiserRecipe, PretrainRecipe, Recipe, TrainingRecipe
from bertkit.recipe.base import OWN_FILES, Changes, find_toml
from bertkit.recipe.keywords import with_last_word
from bertkit.recipe.pretrain import kind_of_recipe
from bertkit.recipe.study import Study

RECIPES = sorted(OWN_FILES["recipe"].glob("*.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "r.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = Recipe(
        optimiser=OptimiserRecipe(lr=3e-5, clip=0.0), training=TrainingRecipe(epochs=7, seeds=3)
    ).with_changes(
        {
            "model": {"start": "tiny", "freeze": True, "options": {"positions": "rotary", "layers": 3}},
            "head": {"pooling": "mean", "layers": [-2, -1], "combine": "concat"},
        }
    )
    assert recipe.head.layers == (-2, -1)
    assert Recipe.from_toml(write(tmp_path, recipe.to_toml())) == recipe


@given(
    lr=st.floats(0, 1, allow_nan=False, allow_subnormal=False),
    text=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_value_survives(tmp_path_factory: pytest.TempPathFactory, lr: float, text: str) -> None:
    recipe = Recipe().with_changes({"optimiser": {"lr": lr}, "task": {"train": text}})
    folder = tmp_path_factory.mktemp("r")
    assert Recipe.from_toml(write(folder, recipe.to_toml())) == recipe


def test_a_preset_is_fresh_and_a_folder_is_not() -> None:
    assert ModelRecipe(start="mini").fresh
    assert not ModelRecipe(start="runs/mini").fresh


def test_a_whole_number_serves_as_a_float(tmp_path: Path) -> None:
    assert Recipe.from_toml(write(tmp_path, "optimiser.clip = 2")).optimiser.clip == 2.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[optimizer]\nlr = 1.0", "no recipe key 'optimizer'. Did you mean 'optimiser'?"),
        ("[optimiser]\nlrr = 1.0", "no recipe key 'optimiser.lrr'. Did you mean 'lr'?"),
        ("[optimiser]\nlr = 'fast'", "'optimiser.lr' is of type float"),
        ("[training]\nepochs = 1.5", "'training.epochs' is of type int"),
        ("[training]\nepochs = true", "'training.epochs' is of type int"),
        ("[training]\nepochs = -1", "epochs must be a number of at least 0"),
        ("training = 3", "'training' is a table"),
        ("[head]\nlayers = -1", "'head.layers' is a list, and -1 is not"),
        ("[head]\nlayers = [-1, 2.5]", "'head.layers' is of type int, and 2.5 is not"),
        ("[head]\ncombine = 'add'", "combine"),
        ("[batch]\nshuffle = 1", "'batch.shuffle' is of type bool"),
        ("[batch]\nshuffle = false", "by_length = true needs shuffle"),
        ("[batch]\npad_to = 200", "beyond max_length"),
        ("[optimiser]\nname = 'adma'", "Did you mean 'adam'?"),
        ("[optimiser]\nname = 'adam'", "no weight decay"),
        ("[optimiser]\nmatrix_lr = 0.1", "'adamw' has one learning rate;"),
        ("[optimiser]\nname = 'muon'\nlr = 0\nmatrix_lr = 0.1", "with lr = 0 nothing is trained"),
        ("[optimiser]\nwarmup = 1.0", "must be below 1"),
        ("[training]\nlabel_smoothing = 1.0", "label_smoothing must be below 1, not 1.0"),
        ("[training]\nfocal = -1.0", "focal must be a number of at least 0"),
        ("[model]\nreinit_layers = -1", "reinit_layers must be a number of at least 0"),
        ("[model]\nreinit_layers = 1\nfreeze = true", "freeze keeps all layers as they are; leave"),
        ("[model]\nreinit_layers = 1\nstart = 'mini'", "mini is fresh anyway; leave reinit_layers out"),
        ("[optimiser]\nlayer_decay = 1.5", "layer_decay is above 0 and at most 1"),
        ("[optimiser]\nlayer_decay = 0.0", "layer_decay is above 0 and at most 1"),
        ("[training]\nprecision = 'fp16'", "precision"),
        ("[vocabulary]\nlowercase = 'yes'", "'vocabulary.lowercase' is true, false or 'auto'"),
        ("[vocabulary]\nalphabet_coverage = 0.0", "alphabet_coverage is from 0 to 1"),
        ("x =", "cannot be read as TOML"),
    ],
)
def test_a_bad_recipe_is_refused_with_its_file_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        Recipe.from_toml(path)
    assert str(path) in str(error.value)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("read", "what"),
    [(Recipe.from_toml, "recipe"), (kind_of_recipe, "recipe"), (Study.from_toml, "study")],
)
def test_a_file_that_holds_no_table_is_told_the_same_wherever_it_is_read(
    read: Callable[[Path], object], what: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    with pytest.raises(UserError, match=f"^There is no {what} at {path}\\.$"):
        read(path)
    for damage in (b"x =", b"\xff = 1"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=f"^{path} cannot be read as TOML: .*\\.$"):
            read(path)
    with pytest.raises(UserError, match=f"^{tmp_path} cannot be read as TOML: .*directory"):
        read(tmp_path)


def test_changes_are_checked_like_a_file() -> None:
    with pytest.raises(UserError, match=r"'optimiser.lr' is of type float"):
        Recipe().with_changes({"optimiser": {"lr": "abc"}})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_project_can_be_read(path: Path) -> None:
    if "[objective]" in path.read_text(encoding="utf-8"):
        recipe = PretrainRecipe.from_toml(path)
        assert bool(recipe.training.steps) != bool(recipe.training.budget)
    else:
        assert Recipe.from_toml(path).task.name == "cola"


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {"cola-blog", "cola-scratch", "cola-minilm", "cram-1h"}


def test_a_recipe_is_found_by_its_name_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert PretrainRecipe.of("micro") == PretrainRecipe.from_toml(OWN_FILES["recipe"] / "micro.toml")
    assert Study.from_toml(find_toml("why-stuck", "study")).name == "why-stuck"
    own = write(tmp_path, "optimiser.lr = 0.5")
    assert PretrainRecipe.of("r.toml").optimiser.lr == 0.5
    own.rename(tmp_path / "micro")
    assert PretrainRecipe.of("micro").optimiser.lr == 0.5, "what the user has comes first"
    with pytest.raises(UserError, match=r"no recipe at recipes/mikro\.toml; .* Did you mean 'micro'\?"):
        PretrainRecipe.of("recipes/mikro.toml")


def test_the_recipes_and_the_studies_belong_to_the_package() -> None:
    root = Path(__file__).parents[1]
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    patterns = {f"src/{package.replace('.', '/')}/{p}" for package, own in listed.items() for p in own}
    inside = {path for pattern in patterns for path in root.glob(pattern)}
    data = {path for path in root.glob("src/bertkit/**/*.*") if path.suffix not in (".py", ".pyc")}
    assert data == inside, "a file that no wheel would have"


@pytest.mark.parametrize(
    ("changes", "pooling"),
    [
        ({"model": {"start": "owner/other"}}, ""),
        ({"model": {"start": "owner/other"}, "head": {"pooling": "max"}}, "max"),
        ({"model": {"start": "owner/one"}}, "mean"),
        ({"model": {"start": "mini"}}, "mean"),
        ({"model": {"freeze": True}}, "mean"),
    ],
)
def test_another_trained_model_brings_its_own_pooling(changes: Changes, pooling: str) -> None:
    recipe = Recipe().with_changes({"model": {"start": "owner/one"}, "head": {"pooling": "mean"}})
    assert recipe.with_changes(with_last_word(recipe, changes)).head.pooling == pooling
