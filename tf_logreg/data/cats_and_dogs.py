"""A small table of cats and dogs with words, numbers, dates and holes, drawn by a seed.

    python -m tf_logreg.data.cats_and_dogs > pets.csv
    python -m tf_logreg.data.cats_and_dogs 1 > others.csv

have it as CSV, for tests and documents, and other animals by another seed. A few animals look like the other
kind: no model is right about all.
"""

import csv
import datetime
import sys
from typing import Any

import numpy as np

ROWS = 480
HOLES = {"ears": 0.02, "coat": 0.05, "weight": 0.08, "tail": 0.12, "age": 0.04, "indoor": 0.06, "note": 0.05}
_EARS = ("pointed", "folded", "floppy")
_COATS = ("short", "long", "curly", "wiry", "hairless")
_VETS = ("Berg", "Linden", "Hafen", "Quay", "Mill Lane", "Old Town", "Station")
# Shares among cats, and among dogs.
_SHARES = {
    "ears": ((0.82, 0.12, 0.06), (0.4, 0.2, 0.4)),
    "coat": ((0.55, 0.35, 0.04, 0.02, 0.04), (0.45, 0.25, 0.15, 0.145, 0.005)),
    "vet": ((0.3, 0.3, 0.2, 0.12, 0.06, 0.015, 0.005), (0.35, 0.25, 0.2, 0.1, 0.08, 0.005, 0.015)),
}
_NOTES = ("sleeps", "eats", "hides", "plays", "scratches", "pulls", "limps", "jumps", "coughs", "travels")
_PLACES = ("at night", "in the garden", "with children", "a lot", "alone", "on the sofa", "outside", "early")


def table(seed: int = 0) -> dict[str, list]:
    """The table's columns.

    Args:
        seed: of all that is drawn.

    Returns:
        By name a list of `ROWS` values, None where one is missing: id, animal ('cat' or 'dog'), ears and coat
        and vet (words), weight in kg, tail in cm and age in years (numbers), indoor (bool), visited (a
        datetime.date) and note (a text).
    """
    rng = np.random.default_rng(seed)
    dog = rng.random(ROWS) < 0.45
    weight = np.exp(np.where(dog, rng.normal(2.25, 0.55, ROWS), rng.normal(1.45, 0.25, ROWS)))
    tail = np.where(dog, rng.normal(31, 9, ROWS), rng.normal(27, 3, ROWS)).clip(4)
    days = rng.integers(0, 365, ROWS).tolist()
    found: dict[str, list[Any]] = {
        "id": (rng.permutation(ROWS) + 1001).tolist(),
        "animal": np.where(dog, "dog", "cat").tolist(),
        "ears": _drawn("ears", _EARS, dog, rng),
        "coat": _drawn("coat", _COATS, dog, rng),
        "weight": weight.round(1).tolist(),
        "tail": tail.round().tolist(),
        "age": rng.gamma(2.5, 2.2, ROWS).round(1).tolist(),
        "indoor": (rng.random(ROWS) < np.where(dog, 0.35, 0.7)).tolist(),
        "vet": _drawn("vet", _VETS, dog, rng),
        "visited": [datetime.date(2025, 1, 1) + datetime.timedelta(day) for day in days],
        "note": _notes(dog, rng),
    }
    for name, share in HOLES.items():
        hole = (rng.random(ROWS) < share).tolist()
        found[name] = [None if gone else value for value, gone in zip(found[name], hole, strict=True)]
    return found


def _drawn(name: str, words: tuple[str, ...], dog: np.ndarray, rng: np.random.Generator) -> list[str]:
    """A word a row, by the shares of cats or of dogs."""
    cats, dogs = (rng.choice(words, ROWS, p=shares) for shares in _SHARES[name])
    return np.where(dog, dogs, cats).tolist()


def _notes(dog: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Three things that each animal does: cats rather the first ones, dogs rather the last."""
    weights = np.linspace(1.5, 0.5, len(_NOTES))
    shares = np.where(dog[:, None], weights[::-1], weights) / weights.sum()
    done = [rng.choice(_NOTES, 3, replace=False, p=share) for share in shares]
    places = rng.choice(_PLACES, (ROWS, 3))
    return [", ".join(map(" ".join, zip(*both, strict=True))) for both in zip(done, places, strict=True)]


def print_csv(seed: int = 0) -> None:
    """Prints the table as CSV: true and false, dates as 2025-03-01, nothing where a value is missing."""
    columns = table(seed)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([str(value).lower() if isinstance(value, bool) else value for value in row])


if __name__ == "__main__":
    print_csv(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
