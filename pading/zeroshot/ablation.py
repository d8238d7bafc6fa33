"""The ablation as data: its tables, the variants that are their lines, and what each line is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pading.config import override
from pading.zeroshot.methods import METHODS, Method, MethodConfig


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A method with all its settings. Equal variants are fitted once, however many tables show them."""

    method: Method
    settings: MethodConfig


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table; `references` are the labels of the lines of the same table that it is compared with."""

    label: str
    variant: Variant
    references: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table, or one curve: then `axis` says what the labels are values of."""

    name: str
    title: str
    lines: tuple[Line, ...]
    axis: str = ""
    default: str = ""  # label of the line with a curve's default value


@dataclass(frozen=True, kw_only=True)
class Curve:
    """PADing at several values of one setting, named as in `pading.config.override`; its default is always one."""

    title: str
    axis: str
    field: str
    values: tuple[float, ...]


CURVES = {
    "primitives": Curve(
        title="Number of primitives (PADing, Tab. 3)",
        axis="primitives",
        field="primitive.num_primitives",
        values=(100, 200, 300, 400, 500, 600, 700, 800),
    ),
    "lambda": Curve(
        title="Weight of alignment and disentanglement, lambda (PADing, eq. 7)",
        axis="lambda",
        field="generator.structure_weight",
        values=(0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    ),
    "tau": Curve(
        title="Temperature of the alignment, tau (PADing, eq. 6)",
        axis="tau",
        field="generator.tau",
        values=(0.02, 0.05, 0.1, 0.2, 0.5),
    ),
}
TABLES = ("rows", "profiles", *CURVES)
FULL: Method = "pading"  # the method that the others are parts of


def ablation_tables(profiles: Mapping[str, MethodConfig], best: str, names: Sequence[str] = TABLES) -> list[Table]:
    """Return the tables of these names, in the order of TABLES; every line outside `profiles` starts at profile `best`.

    Raises:
        ValueError: if a table or the profile is unknown, or no table is named.
    """
    unknown = sorted(set(names) - set(TABLES))
    if unknown or not names:
        raise ValueError(f"no ablation table {', '.join(map(repr, unknown))}: choose from {', '.join(TABLES)}")
    if best not in profiles:
        raise ValueError(f"no profile {best!r}: there are {', '.join(profiles)}")
    made = [_rows(profiles[best]), _profiles(profiles, best), *(_curve(name, profiles[best]) for name in CURVES)]
    return [table for table in made if table.name in names]


def variants_of(tables: Sequence[Table]) -> list[Variant]:
    """Return each variant of some tables once, in the order in which it first appears."""
    return list(dict.fromkeys(line.variant for table in tables for line in table.lines))


# The method that each one adds an ingredient to, or has another generator than.
LESS: dict[Method, Method] = {
    "projection": "supervised",
    "gmmn": "projection",
    "wgan": "gmmn",
    "primitive": "gmmn",
    "primitive+align": "primitive",
    "pading": "primitive+align",
}


def _rows(settings: MethodConfig) -> Table:
    """Every method; each line against the one that it adds to, and against the full method."""
    lines = []
    for method in METHODS:
        references = dict.fromkeys(label for label in (LESS.get(method), FULL) if label not in (None, method))
        variant = Variant(method=method, settings=settings)
        lines.append(Line(label=method, variant=variant, references=tuple(map(str, references))))
    return Table(name="rows", title="Methods (PADing, Tab. 1)", lines=tuple(lines))


def _profiles(profiles: Mapping[str, MethodConfig], best: str) -> Table:
    lines = [
        Line(
            label=name,
            variant=Variant(method=FULL, settings=settings),
            references=() if name == best else (best,),
        )
        for name, settings in profiles.items()
    ]
    return Table(name="profiles", title="PADing by profile", lines=tuple(lines))


def _curve(name: str, settings: MethodConfig) -> Table:
    curve = CURVES[name]
    default = _value(settings, curve.field)
    lines = [
        Line(
            label=f"{value:g}",
            variant=Variant(method=FULL, settings=override(settings, {curve.field: value})),
            references=() if value == default else (f"{default:g}",),
        )
        for value in sorted({*curve.values, default})
    ]
    return Table(name=name, title=curve.title, lines=tuple(lines), axis=curve.axis, default=f"{default:g}")


def _value(settings: object, field: str) -> float:
    for name in field.split("."):
        settings = getattr(settings, name)
    assert isinstance(settings, (int, float))
    return settings
