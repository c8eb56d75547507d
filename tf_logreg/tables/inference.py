"""A schema from the training rows of a table: what each column is, is seen, not asked.

What a rule decides a person can overrule, column by column (data.columns), and is told where the rule may
be wrong: a code that looks like a number, an identifier, a column that tells the label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg import machine
from tf_logreg.errors import InputError
from tf_logreg.tables import encoding, kinds, leaks
from tf_logreg.tables.overrides import AskedCross, Override
from tf_logreg.tables.schema import Column, Cross, Schema
from tf_logreg.tables.values import Values, examples_of, seen_of, values_of

if TYPE_CHECKING:
    import pyarrow as pa

_MOSTLY = 0.9  # a share of distinct words above it: an identifier, or text
_FEW_ROWS = 20  # nothing is an identifier in so few
_FEW_VALUES = 12  # whole numbers of so few values may be codes


@dataclasses.dataclass(frozen=True)
class Rules:
    """What inference follows.

    Attributes:
        min_count: rows that a level, or a missing number, needs for a feature of its own.
        max_levels: most levels of a column.
        with_reference: whether the most frequent level has no feature, so that nothing is collinear.
        one_whole: whether the first column of levels keeps all of them, in the place of a bias.
        overrides: by column. crosses: asked for.
        words: columns whose texts are words, also where all of them are dates.
    """

    min_count: int = 5
    max_levels: int = 2000
    with_reference: bool = False
    one_whole: bool = False
    overrides: Mapping[str, Override] = dataclasses.field(default_factory=dict)
    crosses: tuple[AskedCross, ...] = ()
    words: frozenset[str] = frozenset()

    def takes_words(self, name: str) -> bool:
        """Whether someone says that a column has words, whatever they look like."""
        crossed = any(name in cross.columns for cross in self.crosses)
        override = self.overrides.get(name)
        kind = override.kind if override else ""
        return name in self.words or crossed or kind in ("categorical", "hashed", "text")


def infer(table: pa.Table, y: np.ndarray, weight: np.ndarray, rules: Rules, label: str = "") -> Schema:
    """The schema of a table.

    Args:
        table: training rows [n] with the columns that may become features.
        y: [n] int, class of each row, for warnings only.
        weight: [n] >= 0; means and quantiles are weighted, counts are of rows.
        rules: see there.
        label: name of the label, which the schema keeps.

    Raises:
        InputError: an override does not fit its column.
    """

    def column(name: str) -> Column:
        override = rules.overrides.get(name)
        values = values_of(table, name, weight, as_words=rules.takes_words(name))
        kind, notes = (_overruled(values, override, rules), []) if override else _kind(values, rules)
        if not isinstance(kind, kinds.Ignored) and values.type != "other":
            found = leaks.notes(values.numbers, values.words, y)
            notes += [f"{note} {_say(values.name, 'ignore')} leaves it out" for note in found]
        seen = dataclasses.replace(seen_of(values), notes=tuple(notes))
        return Column(name, values.type, kind, seen, examples_of(values))

    columns = list(machine.in_parallel(column, table.column_names))
    if rules.one_whole:
        _keep_one_whole(columns, rules)
    schema = Schema(tuple(columns), label=label)
    crosses = tuple(_cross(schema, table, asked, rules) for asked in rules.crosses)
    return dataclasses.replace(schema, crosses=crosses)


def _keep_one_whole(columns: list[Column], rules: Rules) -> None:
    """Gives the first column with a reference that no one named a feature for that level too."""
    for k, column in enumerate(columns):
        override = rules.overrides.get(column.name)
        if getattr(column.kind, "reference", -1) >= 0 and not (override and override.reference):
            columns[k] = dataclasses.replace(column, kind=dataclasses.replace(column.kind, reference=-1))
            return


def _kind(values: Values, rules: Rules) -> tuple[kinds.Kind, list[str]]:
    """What a column becomes by itself, and hints."""
    missing = int(values.missing.sum())
    known = len(values.missing) - missing
    if values.type == "other":
        return kinds.Ignored("neither numbers nor words"), []
    distinct = values.distinct
    if distinct + (missing > 0) <= 1:
        return kinds.Ignored("the same in all rows" if distinct else "always missing"), []
    if values.type == "date":
        return kinds.Ignored("a date"), [f"a date: {_say(values.name, 'date')} makes days of it"]
    if values.type in ("word", "boolean"):
        if known >= _FEW_ROWS and distinct > _MOSTLY * known:
            texts = np.mean([" " in word.strip() for word in values.words.words[:1000]]) > 0.5
            if texts:
                return kinds.Ignored("texts"), [f"texts: {_say(values.name, 'text')} makes words of them"]
            return kinds.Ignored("nearly all distinct"), ["an identifier? nearly every row has another value"]
        return _levels(values, rules)
    if values.type == "integer" and distinct <= 2:
        return _levels(values, rules)
    return _numeric(values, rules), _doubts(values, distinct, known)


def _levels(values: Values, rules: Rules) -> tuple[kinds.Kind, list[str]]:
    """Levels, where one is frequent enough."""
    found = _categorical(values, rules)
    _, count, missing = values.counts
    rare = int(count[len(found.levels) :].sum()) + missing * (not found.has_missing)
    if len(found.levels) + found.has_missing + (rare >= rules.min_count) > 1:
        return found, []
    why = f"no two values have {rules.min_count} rows (data.min_count)"
    return kinds.Ignored(why), [f"rare values only: {_say(values.name, 'hashed:1000')} keeps them"]


def _doubts(values: Values, distinct: int, known: int) -> list[str]:
    """Why a column of numbers may be something else."""
    if values.type != "integer":
        return []
    if distinct <= _FEW_VALUES:
        return [f"a code? {distinct} whole numbers: {_say(values.name, 'categorical')} makes levels of them"]
    if known >= _FEW_ROWS and distinct == known:
        return [f"an identifier? each row has another number: {_say(values.name, 'ignore')}"]
    return []


def _say(name: str, kind: str) -> str:
    """The flag that overrules a column, as far as its name goes into a flag."""
    return f"--config.data.columns.{name}={kind}" if name.isidentifier() else f"'{kind}'"


def _overruled(values: Values, override: Override, rules: Rules) -> kinds.Kind:
    """What a column becomes by someone's word."""
    kind, field = override.kind, f"data.columns.{values.name}"
    if kind == "ignore":
        return kinds.Ignored("as told")
    if values.type == "other" or (kind == "date") != (values.type == "date"):
        expected = "dates" if kind == "date" else "numbers or words"
        raise InputError(
            f"{field}: expected {expected} for {kind!r}. Received: a column of type {values.type!r}."
        )
    if kind in ("numeric", "log1p", "bucketized") and values.numbers is None:
        raise InputError(
            f"{field}: expected numbers for {kind!r}. Received: a column of type {values.type!r}."
        )
    if kind in ("categorical", "hashed", "text") and values.words is None:
        raise InputError(
            f"{field}: expected words or whole numbers for {kind!r}. "
            f"Received: a column of type {values.type!r}. 'bucketized:10' makes levels of numbers."
        )
    if kind == "hashed":
        return kinds.Hashed(override.number)
    if kind == "text":
        return kinds.Text(override.number)
    if kind == "categorical":
        return _categorical(values, rules, override)
    if kind == "bucketized":
        return _bucketized(values, override.number, rules)
    return _numeric(values, rules, is_log=kind == "log1p")


def _numeric(values: Values, rules: Rules, *, is_log: bool = False) -> kinds.Numeric | kinds.Date:
    """Numbers, with the mean that stands for missing ones."""
    x, missing = kinds.Numeric(is_log=is_log).known(values.numbers)
    if is_log and (low := np.flatnonzero(values.numbers <= -1)).size:
        raise InputError(
            f"data.columns.{values.name}: expected numbers above -1 for 'log1p'. Received: "
            f"{values.numbers[low[0]]:g} in a training row."
        )
    weight = np.where(missing, 0.0, values.weight)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # the scan of the training rows refuses such numbers, and says where
        mean = float(np.nan_to_num(x) @ weight / weight.sum()) if weight.sum() > 0 else 0.0
        mean32 = float(np.float32(mean))
    has_indicator = int(missing.sum()) >= rules.min_count
    if values.type == "date":
        return kinds.Date(float(np.floor(mean)), has_indicator)
    # As float32 holds it: what fills gaps should not alone be the reason to keep a column in float64.
    return kinds.Numeric(mean32, has_indicator, is_log)


def _bucketized(values: Values, count: int, rules: Rules) -> kinds.Bucketized:
    """Buckets of about equal weight."""
    known = np.flatnonzero(~values.missing)
    order = known[np.argsort(values.numbers[known], kind="stable")]
    x, share = values.numbers[order], np.cumsum(values.weight[order])
    at = np.searchsorted(share, share[-1] * np.arange(1, count) / count) if len(x) else []
    edges = np.unique(x[np.minimum(at, len(x) - 1)]) if len(x) else np.zeros(0)
    edges = edges[edges > x[0]] if len(x) else edges
    if not len(edges):
        raise InputError(
            f"data.columns.{values.name}: expected at least two numbers to put into buckets. Received: one."
        )
    has_missing = int(values.missing.sum()) >= rules.min_count
    found = kinds.Bucketized(tuple(edges.tolist()), has_missing)
    if not rules.with_reference:
        return found
    counts = np.bincount(np.searchsorted(edges, x, side="right"))
    return dataclasses.replace(found, reference=int(counts.argmax()))


def _categorical(values: Values, rules: Rules, override: Override | None = None) -> kinds.Categorical:
    """Levels from the most frequent; rare ones, and those beyond the most, are 'other'."""
    words, count, missing = values.counts
    most = (override and override.number) or rules.max_levels
    kept = int(min((count >= rules.min_count).sum(), most))
    levels, pooled = words[:kept], len(words) > kept
    has_missing = missing >= rules.min_count
    reference = 0 if rules.with_reference and kept else -1
    if override and override.reference:
        if override.reference not in levels:
            raise InputError(
                f"data.columns.{values.name}: expected a reference among its {kept} levels. Received: "
                f"{override.reference!r}."
            )
        reference = levels.index(override.reference)
    has_other = pooled or (missing > 0 and not has_missing)
    return kinds.Categorical(tuple(levels), has_other, has_missing, reference)


def _cross(schema: Schema, table: pa.Table, asked: AskedCross, rules: Rules) -> Cross:
    """A cross of two columns of words."""
    for name in asked.columns:
        if schema.column(name).type not in ("word", "boolean", "integer"):
            raise InputError(
                f"data.crosses: expected columns of words or whole numbers. Received: {name!r} of type "
                f"{schema.column(name).type!r}."
            )
    if asked.buckets:
        return Cross(asked.columns, kinds.Hashed(asked.buckets))
    pairs = encoding.crossed(*(encoding.words_of(table, schema.column(name)) for name in asked.columns))
    values = Values(" x ".join(asked.columns), "word", np.ones(len(pairs.code)), None, pairs)
    words, count, _ = values.counts
    kept = int(min((count >= rules.min_count).sum(), rules.max_levels))
    return Cross(asked.columns, kinds.Categorical(tuple(words[:kept]), len(words) > kept))
