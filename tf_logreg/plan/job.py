"""`Job`: what is planned; and the sizes that a plan can have."""

import dataclasses

from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg.data import dataset, sparse_arrays
from tf_logreg.devices import chips
from tf_logreg.errors import InputError
from tf_logreg.fit.path import batches, grid
from tf_logreg.plan import programs


@dataclasses.dataclass(frozen=True)
class Job:
    """What is planned: a config over rows of given sizes, on the chips of a slice.

    kind: the chips', as the compiler names it. dtype: of X on them.
    """

    config: ConfigDict
    kind: str
    slice_: chips.Topology
    num_rows: int
    num_features: int
    num_classes: int
    dtype: str

    @property
    def classes(self) -> int:
        """Classes that one problem tells apart: two where each is against the rest."""
        return 2 if self.config.model.output == "one_vs_rest" else self.num_classes

    @property
    def outputs(self) -> int:
        """Outputs m of one problem."""
        return programs.outputs_of(self.classes)

    @property
    def problems_in_all(self) -> int:
        """Strengths x folds x classes."""
        return configs.num_problems(self.config, self.num_classes)

    @property
    def num_problems(self) -> int:
        """How many of them share every pass; one batch of them follows the other."""
        shape = self.num_features, self.outputs
        together = self.problems_in_all // configs.num_penalties(self.config)
        worth = batches.worth_at_once(shape, self.config.model.bias, together)
        return min(self.problems_in_all, worth)

    @property
    def rows_a_chip(self) -> int:
        """Training rows that one chip holds."""
        return -(-self.num_rows // self.slice_.num_chips)

    @property
    def single(self) -> ConfigDict:
        """A path's config at the penalty in its middle, whose passes and certificate stand for all."""
        config, values = self.config, self.config.path["values"]
        if config.path.penalty and values:
            strength, shares = values[len(values) // 2], grid.shares(config)
            share = float(shares[len(shares) // 2])
            config = config.copy_and_resolve_references()
            config.l1, config.l2 = config.l1 + share * strength, config.l2 + (1 - share) * strength
            config.path.penalty = ""
        return config


def check_sizes(dtype: str, num_rows: int, num_features: int, num_classes: int) -> None:
    """Checks a dtype and sizes, of which 0 is one not given.

    Raises:
        InputError: a dtype that a TPU does not have, or a size that cannot be.
    """
    if dtype not in ("float32", "bfloat16"):
        raise InputError(f"--dtype: a TPU has no float64; expected float32 or bfloat16. Received: {dtype!r}.")
    for name, value, least in (
        ("rows", num_rows, 1),
        ("features", num_features, 1),
        ("classes", num_classes, 2),
    ):
        if value and value < least:
            raise InputError(f"--plan_{name}: expected at least {least}, or 0. Received: {value}.")


def sizes_of(config: ConfigDict, num_rows: int, num_features: int, num_classes: int) -> tuple[int, int, int]:
    """The three sizes; those that are 0 come from the config's source.

    Raises:
        InputError: the source cannot be read, or its rows are sparse.
    """
    if num_rows and num_features and num_classes:
        return num_rows, num_features, num_classes
    source, rows = dataset.read_data(config)
    if source.sparse:
        raise sparse_arrays.not_by_tensorflow()
    return (
        num_rows or len(rows["train"]),
        num_features or len(source.feature_names),
        num_classes or len(source.class_names),
    )
