"""From a study's file to its runs."""

from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.recipe.study import Study
from bertkit.studies.plan import distinct, plan


def test_each_variant_has_a_run_a_seed_with_its_changes(study: Study, tmp_path: Path) -> None:
    low, high, long = plan(study, tmp_path)
    assert [run.recipe.training.seed for run in low.runs["toy"]] == [0, 1]
    assert [v.runs["toy"][0].recipe.optimiser.lr for v in (low, high, long)] == [1e-4, 1e-3, 1e-3]
    assert [v.runs["toy"][0].recipe.training.epochs for v in (low, high, long)] == [2, 2, 7]
    assert len(distinct([low, high, long])) == 6


def test_the_first_seed_of_all_comes_first(study: Study, tmp_path: Path) -> None:
    seeds = [run.recipe.training.seed for run in distinct(plan(study, tmp_path))]
    assert seeds == [0, 0, 0, 1, 1, 1]


def test_equal_recipes_share_a_run_and_a_change_elsewhere_keeps_it(
    study: Study, study_file: Path, tmp_path: Path
) -> None:
    before = plan(study, tmp_path)
    text = study_file.read_text().replace("training.epochs=7", "training.epochs=2")
    study_file.write_text(text)
    after = plan(Study.from_toml(study_file), tmp_path)
    assert after[2].runs == after[1].runs
    assert after[:2] == before[:2]
    assert after[2].runs["toy"][0].folder != before[2].runs["toy"][0].folder


def test_a_run_is_named_by_what_is_not_a_default(study: Study, study_file: Path, tmp_path: Path) -> None:
    before = plan(study, tmp_path)
    text = study_file.read_text().replace("optimiser.lr=1e-3", 'optimiser.lr=1e-3", "optimiser.clip=1.0')
    study_file.write_text(text)
    assert plan(Study.from_toml(study_file), tmp_path) == before


def test_a_later_stage_starts_from_the_same_variant_and_seed_wherever_the_study_lies(tmp_path: Path) -> None:
    path = tmp_path / "stages.toml"
    path.write_text(
        'question = "?"\nseeds = 2\n'
        '[stages.first]\nkind = "pretrain"\nset = ["corpus.shards=shards"]\n'
        '[stages.second]\nkind = "finetune"\nstart = "first"\n'
        '[[variants]]\nname = "a"\n'
        '[[variants]]\nname = "b"\nset.first = ["optimiser.lr=2e-3"]\n'
    )
    here = plan(Study.from_toml(path), tmp_path / "here")
    there = plan(Study.from_toml(path), tmp_path / "there")
    for variant, moved in zip(here, there, strict=True):
        for first, second, other in zip(*variant.runs.values(), moved.runs["second"], strict=True):
            assert second.needs == first.folder
            assert second.recipe.model.start == str(first.folder)
            assert second.folder.name == other.folder.name
    # Another pretraining is another fine-tuning, though its own recipe is the same.
    assert here[0].runs["second"][0].folder != here[1].runs["second"][0].folder


def test_the_users_settings_come_last(study: Study, tmp_path: Path) -> None:
    planned = plan(study, tmp_path, settings={"toy": ["optimiser.lr=5e-5"]}, seeds=1)
    assert {variant.runs["toy"][0].recipe.optimiser.lr for variant in planned} == {5e-5}
    assert len(planned[0].runs["toy"]) == 1


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('question = "Does the rate matter?"', "", "'question' is missing"),
        ("seeds = 2", "seed = 2", "Did you mean 'seeds'"),
        ("seeds = 2", "seeds = 0", "seeds must be a number of at least 1"),
        ('kind = "finetune"', 'kind = "finetun"', "Did you mean 'finetune'"),
        ('name = "high and long"', 'name = "high"', "Two variants are called 'high'"),
        ('after = "high"', 'after = "hihg"', "Did you mean 'high'"),
        ('set.toy = ["training.epochs=7"]', 'set.tyo = ["a.b=1"]', "Did you mean 'toy'"),
        ('set.toy = ["training.epochs=7"]', 'set.toy = "training.epochs=7"', "is a list of texts"),
        ('set.toy = ["training.epochs=7"]', "set.toy = [7]", "is a list of texts"),
        ('"model.start=tiny"', "7", "is of type str, and 7 is not"),
        ("[[variants]]", "[[variant]]", "Did you mean 'variants'"),
        ("seeds = 2", "seeds =", "cannot be read as TOML"),
        ('kind = "finetune"', 'kind = "finetune"\nstart = "later"', "names no earlier stage"),
    ],
)
def test_a_wrong_study_is_refused_in_a_sentence(study_file: Path, before: str, after: str, said: str) -> None:
    study_file.write_text(study_file.read_text().replace(before, after))
    with pytest.raises(UserError, match=r"rates\.toml") as refused:
        Study.from_toml(study_file)
    assert said in str(refused.value)


def test_a_wrong_key_is_told_with_its_variant(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(study_file.read_text().replace("training.epochs=7", "training.epoch=7"))
    with pytest.raises(UserError, match=r"variant 'high and long', stage 'toy': .*'training\.epoch'"):
        plan(Study.from_toml(study_file), tmp_path)


def test_the_studies_that_come_with_it_can_be_planned(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "recipes" / "studies"
    names = sorted(path.stem for path in folder.glob("*.toml"))
    assert names == ["features", "masking", "nsp", "positions", "size", "why-stuck"]
    for name in names:
        study = Study.from_toml(folder / f"{name}.toml")
        assert len(distinct(plan(study, tmp_path))) >= len(study.variants)
