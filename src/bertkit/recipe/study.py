"""A study: a question, and the recipes whose runs answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bertkit.errors import UserError, check_at_least, check_choice, nearest
from bertkit.recipe.base import add_settings, from_table, read_table
from bertkit.recipe.finetune import Recipe
from bertkit.recipe.pretrain import PretrainRecipe

StageKind = Literal["pretrain", "finetune"]
RECIPES: dict[str, type[Recipe] | type[PretrainRecipe]] = {"pretrain": PretrainRecipe, "finetune": Recipe}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One kind of run that every variant has.

    Attributes:
        kind: what makes the run.
        recipe: a recipe file, found from the study's file; empty: the defaults.
        start: an earlier stage, whose run of the same variant and seed gives the weights.
        set: what the study changes in the recipe, for all variants, each as `section.key=value`.
    """

    kind: StageKind
    recipe: str = ""
    start: str = ""
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("stage", "kind", self.kind, StageKind)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One answer that is tried.

    Attributes:
        name: as tables and pictures call it.
        after: another variant whose changes it has too; it is compared with that one.
        set: for each stage what changes, each as `section.key=value`.
        seeds: how many of the study's seeds; 0 is all of them.
        note: what a reader should know.
    """

    name: str
    after: str = ""
    set: Mapping[str, list[str]] = field(default_factory=dict)
    seeds: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        check_at_least("variant", "seeds", self.seeds, 0)
        for stage, texts in self.set.items():
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise UserError(f"Variant {self.name!r}: set.{stage} is a list of texts, not {texts!r}.")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question, its stages in order, and the variants; the first variant is what others start from.

    `path` is the study's file, from which the paths of recipes begin.
    """

    name: str
    question: str
    stages: Mapping[str, Stage]
    variants: tuple[Variant, ...]
    seeds: int = 3
    path: Path = Path()

    def __post_init__(self) -> None:
        check_at_least("study", "seeds", self.seeds, 1)
        if not (self.stages and self.variants):
            raise UserError("study: there must be at least one stage and one variant.")
        for name, stage in self.stages.items():
            before = list(self.stages)[: list(self.stages).index(name)]
            if stage.start and stage.start not in before:
                raise UserError(f"stages.{name}: start names no earlier stage: {stage.start!r}.")
        names: list[str] = []
        for variant in self.variants:
            if variant.name in names:
                raise UserError(f"Two variants are called {variant.name!r}.")
            if variant.after and variant.after not in names:
                hint = nearest(variant.after, names)
                raise UserError(
                    f"Variant {variant.name!r} comes after {variant.after!r}, which no variant above it is "
                    f"called.{hint}"
                )
            for changed in variant.set:
                if changed not in self.stages:
                    hint = nearest(changed, list(self.stages))
                    raise UserError(f"Variant {variant.name!r} changes a stage {changed!r}.{hint}")
            names.append(variant.name)

    @classmethod
    def from_toml(cls, path: Path) -> Study:
        """Read a study.

        Raises:
            UserError: no such file, not TOML, an unknown key (the nearest is offered), a value out of range.
        """
        table = read_table(path, "study")
        known = ["question", "seeds", "stages", "variants"]
        stages, variants = table.get("stages", {}), table.get("variants", [])
        question = table.get("question")
        try:
            for key in table:
                if key not in known:
                    raise UserError(f"There is no key {key!r} in a study.{nearest(key, known)}")
            if not isinstance(stages, dict) or not all(isinstance(part, dict) for part in stages.values()):
                raise UserError("stages are tables: [stages.NAME].")
            if not isinstance(variants, list) or not all(isinstance(part, dict) for part in variants):
                raise UserError("variants are tables: [[variants]].")
            if not isinstance(question, str) or not question:
                raise UserError("The key 'question' is missing: what is to be answered, in one sentence.")
            return cls(
                name=path.stem,
                question=question,
                seeds=table.get("seeds", 3),
                stages={name: from_table(Stage, part, f"stages.{name}.") for name, part in stages.items()},
                variants=tuple(
                    from_table(Variant, part, f"variants[{place}].") for place, part in enumerate(variants, 1)
                ),
                path=path,
            )
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def lineage(self, variant: Variant) -> list[Variant]:
        """The variant and those it comes after, the first one first."""
        by_name = {other.name: other for other in self.variants}
        line = [variant]
        while line[0].after:
            line.insert(0, by_name[line[0].after])
        return line

    def recipe_of(
        self, variant: Variant, stage: str, settings: Sequence[str] = ()
    ) -> Recipe | PretrainRecipe:
        """The recipe of a variant in a stage, with the user's own `settings` last.

        Raises:
            UserError: a recipe that can't be read, or a setting that it has no key for.
        """
        plan = self.stages[stage]
        kind = RECIPES[plan.kind]
        recipe = kind.from_toml(self.path.parent / plan.recipe) if plan.recipe else kind()
        texts = [*plan.set]
        for one in self.lineage(variant):
            texts += one.set.get(stage, [])
        try:
            return recipe.with_changes(add_settings({}, [*texts, *settings], recipe.model.options))
        except UserError as error:
            raise UserError(f"variant {variant.name!r}, stage {stage!r}: {error}") from None


def settings_by_stage(settings: Sequence[str], stages: Sequence[str]) -> dict[str, list[str]]:
    """What follows each `STAGE.` of settings that a user makes; a study of one stage may leave it out.

    Raises:
        UserError: no stage is named, and there are several.
    """
    found: dict[str, list[str]] = {}
    for text in settings:
        stage, dot, rest = text.partition(".")
        if not dot or stage not in stages:
            if len(stages) > 1:
                raise UserError(f"--set {text}: begin with the stage, one of {', '.join(stages)}.")
            stage, rest = stages[0], text
        found.setdefault(stage, []).append(rest)
    return found
