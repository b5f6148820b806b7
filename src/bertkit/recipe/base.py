"""What every recipe can do: be read from a TOML file, be changed by name, be written back."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from bertkit.errors import UserError, check_choice, nearest

What = str | Path | Sequence[str | Path] | None
"""What a recipe learns from: one name or path, or, for a recipe that takes them, several texts."""


@dataclass(frozen=True, kw_only=True)
class BaseRecipe:
    """Sections, each a frozen dataclass with defaults: everything about one run.

    `PLACES` are the keys (section, key) that say only where something lies whose content a run knows itself,
    `ABOUT` is the one that says what is learned from, `SUBJECT` are all in its section that may say so, and
    `OF_TEXT` is how the names of keys begin that decide what a run makes of text before it begins.
    """

    PLACES: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    ABOUT: ClassVar[tuple[str, str]]
    SUBJECT: ClassVar[tuple[str, ...]]
    OF_TEXT: ClassVar[tuple[str, ...]] = ()

    @property
    def subject(self) -> str:
        """What is learned from, by the name that it was given; "" where nothing is."""
        section = getattr(self, self.ABOUT[0])
        first: str | tuple[str, ...] = next(filter(None, (getattr(section, key) for key in self.SUBJECT)), "")
        return first if isinstance(first, str) else first[0]

    def about(self, what: What) -> Self:
        """A copy that learns from `what`; the recipe itself if that is empty."""
        section, key = self.ABOUT
        return self.with_changes({section: {key: str(what)}}) if what else self

    def with_changes(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """A copy in which `{section: {key: value}}` replaces what was there.

        Raises:
            UserError: an unknown section or key (the nearest is offered), or a value of another type.
        """
        table = asdict(self)
        for section, part in changes.items():
            table[section] = {**table.get(section, {}), **part}
        return from_table(type(self), table, "")

    def flat(self) -> dict[str, Any]:
        """Each key, as `section.key`, with its value; without `PLACES`."""
        return {
            f"{section}.{key}": value
            for section, part in asdict(self).items()
            for key, value in part.items()
            if (section, key) not in self.PLACES
        }

    def to_toml(self) -> str:
        """The recipe as TOML text that `from_toml` reads back equal."""
        import tomli_w

        return tomli_w.dumps(asdict(self))

    @classmethod
    def of(cls, given: Self | str | Path | None) -> Self:
        """A recipe itself, the one that `find_toml` finds, or, of None, the defaults.

        Raises:
            UserError: see `from_toml`.
        """
        if given is None:
            return cls()
        return cls.from_toml(find_toml(given, "recipe")) if isinstance(given, str | Path) else given

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a recipe.

        Raises:
            UserError: no such file, not TOML, an unknown key (the nearest is offered), a value out of range.
        """
        table = read_table(path, "recipe")
        try:
            return from_table(cls, table, "")
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


T = TypeVar("T")

AUTO: Literal["auto"] = "auto"
Choice = bool | Literal["auto"]
"""Yes, no, or what fits what else is known."""

Changes = dict[str, dict[str, Any]]
"""What to change in a recipe: `{section: {key: value}}`."""


def add_settings(changes: Changes, settings: Sequence[str], options: Mapping[str, Any]) -> Changes:
    """Add each `SECTION.KEY=VALUE` of `settings` to `changes` of a recipe whose model has these `options`.

    A value is read as TOML, or taken as plain text where it is none.

    Raises:
        UserError: a setting that is not written so.
    """
    for text in settings:
        name, equals, given = text.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise UserError(f"A setting is written SECTION.KEY=VALUE, not {text!r}.")
        try:
            value = tomllib.loads(f"value = {given}")["value"]
        except tomllib.TOMLDecodeError:
            value = given.strip()
        if section == "model" and key.startswith("options."):
            changed = changes.setdefault("model", {}).setdefault("options", dict(options))
            changed[key.removeprefix("options.")] = value
        else:
            changes.setdefault(section, {})[key] = value
    return changes


OWN_FILES: Mapping[str, Path] = {
    "recipe": Path(__file__).parents[1] / "recipes",
    "study": Path(__file__).parents[1] / "recipes" / "studies",
}
"""Where the recipes and the studies are that belong to the package."""


def find_toml(given: str | Path, what: str) -> Path:
    """The TOML file that a user means: one of theirs by its path, or one of the package's by its name.

    Args:
        given: a path, or a name such as "micro".
        what: a key of `OWN_FILES`.

    Raises:
        UserError: there is none; those of the package are listed.
    """
    path = Path(given)
    if path.is_file():
        return path
    own = OWN_FILES[what] / f"{given}.toml"
    if path.parts == (path.stem,) and own.is_file():
        return own
    known = sorted(each.stem for each in OWN_FILES[what].glob("*.toml"))
    raise UserError(f"There is no {what} at {given}; give a TOML file or a name.{nearest(path.stem, known)}")


def read_table(path: Path, what: str) -> dict[str, Any]:
    """What a TOML file holds.

    Args:
        path: the file.
        what: what it ought to be, as the sentence about a missing file calls it: "recipe", "study".

    Raises:
        UserError: no such file, one that can't be read, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no {what} at {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from None


def from_table(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `kind` from a TOML table; types are checked, nothing is converted but int to float.

    Raises:
        UserError: an unknown key or a value of another type, with the key's full name.
    """
    hints = get_type_hints(kind)
    known = {spec.name: spec for spec in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}{key}"
        if key not in known:
            raise UserError(f"There is no recipe key {name!r}.{nearest(key, list(known))}")
        values[key] = _checked(hints[key], value, name)
    missing = [n for n, s in known.items() if n not in values and s.default is s.default_factory is MISSING]
    if missing:
        raise UserError(f"The recipe key {where}{missing[0]} is missing.")
    return kind(**values)


def _checked(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise UserError(f"The recipe key {name!r} is a table, not {value!r}.")
        return from_table(hint, value, f"{name}.")
    origin = get_origin(hint)
    if hint == Choice:
        if not (isinstance(value, bool) or value == AUTO):
            raise UserError(f"The recipe key {name!r} is true, false or {AUTO!r}, and {value!r} is not.")
        return value
    if origin is Literal:
        check_choice("recipe", name, value, hint)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"The recipe key {name!r} is a list, and {value!r} is not.")
        return tuple(_checked(get_args(hint)[0], item, name) for item in value)
    expected = Mapping if origin is not None else hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        kind = "table" if expected is Mapping else expected.__name__
        raise UserError(f"The recipe key {name!r} is of type {kind}, and {value!r} is not.")
    return value
