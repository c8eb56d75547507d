"""Seeded cases for the command line: an .npz and flags, and what the answer must be.

A case is a planted problem with a few things done to it: layouts, dtypes, scales, labels, weights, names,
config values. What only changes how numbers are written must change nothing; what cannot be used must be refused.
"""

import dataclasses
import io
import zipfile

import numpy as np
import reference

FITS, REFUSED, EITHER = "fits", "refused", "either"
_INTEGERS = ("i1", "u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8")
_FLOATS = ("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "g")
_JUNK = (
    "",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e400",
    "1e-400",
    "None",
    "[]",
    "()",
    "x" * 300,
    "0x10",
    "1,2",
    "é",
)


@dataclasses.dataclass
class Case:
    """What is given, and what must come.

    Attributes:
        seed: of the draw. arrays: of the .npz. content: its bytes, after any damage.
        flags: beside --config, the path and --workdir.
        expected: FITS, REFUSED or EITHER: what comes must then be right all the same.
        problem: what must be solved; None where nothing can be compared.
        weight: [n], the rows' own weights, by which the answer is measured.
        told: what was done, for the message of a failure.
    """

    seed: int
    arrays: dict
    flags: list
    expected: str
    problem: reference.Problem | None
    told: list
    weight: np.ndarray | None = None
    content: bytes = b""

    def expect(self, what: str, told: str) -> None:
        """One refusal is enough; what may be refused may no longer be expected to fit."""
        order = (FITS, EITHER, REFUSED)
        self.expected = max(self.expected, what, key=order.index)
        self.told.append(told)


def draw(seed: int, fields: tuple = ()) -> Case:
    """The case of a seed. `fields` are the config's, by dotted name, that may be given junk."""
    rng = np.random.default_rng(seed)
    n, p, classes = int(rng.integers(8, 120)), int(rng.integers(1, 9)), int(rng.choice([2, 2, 2, 3, 4]))
    if rng.random() < 0.1:
        n, p = 20, 60  # more columns than rows
    x = rng.normal(size=(n, p))
    noise = rng.gumbel(size=(n, classes)) * rng.choice([0.1, 1.0, 1.0])
    y = (x @ rng.normal(size=(p, classes)) + noise).argmax(axis=1)
    y[: 2 * classes] = np.tile(np.arange(classes), 2)
    case = Case(seed, {"x": x, "y": y}, [], FITS, None, [f"seed {seed}: {n} x {p}, {classes} classes"])
    _columns(case, rng)
    case.weight = _weights(case, rng, n)
    _labels(case, rng)
    _names(case, rng)
    case.problem = _settings(case, rng, y, case.weight)
    if rng.random() < 0.1:
        _refusal(case, rng)
    if fields and rng.random() < 0.1:
        flag = f"--config.{rng.choice(fields)}={rng.choice(_JUNK)}"
        case.flags.append(flag)
        case.expect(EITHER, flag)
        case.problem = None
    file = io.BytesIO()
    (np.savez if rng.random() < 0.8 else np.savez_compressed)(file, **case.arrays)
    case.content = file.getvalue()
    if rng.random() < 0.03:
        cut = int(rng.integers(0, len(case.content)))
        case.content = case.content[:cut]
        case.expect(REFUSED, f"cut after {cut} bytes")
    elif rng.random() < 0.05:
        case.content = _with_huge_member(case.content)
        case.told.append("a member that nobody asks for claims a terabyte")
    return case


def _columns(case: Case, rng: np.random.Generator) -> None:
    """Dtype, layout, scale and mean of x."""
    x, kind = case.arrays["x"], rng.random()
    if kind < 0.25:
        dtype = rng.choice(_INTEGERS)
        x = np.clip(np.rint(20 * x + (60 if "u" in dtype else 0)), 0 if "u" in dtype else -120, 120).astype(
            dtype
        )
    elif kind < 0.3:
        dtype, x = "?", x > 0
    else:
        dtype = rng.choice(_FLOATS)
        mild = dtype in ("<f2", ">f2")
        x = x * 10.0 ** rng.uniform(-1 if mild else -3, 1 if mild else 3, x.shape[1])
        if rng.random() < 0.15 and not mild:
            single = dtype in ("<f4", ">f4")
            scale = rng.choice(
                [1e-30, 1e-37, 1e-41, 1e12] if single else [1e-30, 1e-150, 1e-170, 1e-308, 1e15]
            )
            x[:, int(rng.integers(x.shape[1]))] *= scale
            case.expect(EITHER, f"a column times {scale:g}")
        if rng.random() < 0.15:
            shift = 10.0 ** rng.uniform(0, 2 if mild else 5 if "f4" in dtype else 9)
            x = x + shift * np.abs(x).mean(axis=0)
            case.told.append(f"means of {shift:.0e} times the spread")
        if rng.random() < 0.1:
            x[:, int(rng.integers(x.shape[1]))] = 3.0
            case.told.append("a constant column")
        x = x.astype(dtype)
    if rng.random() < 0.1:
        x = np.hstack([x, x[:, :1]])
        case.told.append("a column twice")
    layout = rng.choice(["C", "F", "strided"])
    case.arrays["x"] = np.repeat(x, 2, axis=0)[::2] if layout == "strided" else np.array(x, order=layout)
    case.told.append(f"x {dtype} {layout}")


def _weights(case: Case, rng: np.random.Generator, n: int) -> np.ndarray:
    """Row weights in some dtype and unit; ones as the plain float64 that is returned where there are none."""
    if rng.random() < 0.5:
        return np.ones(n)
    weight = rng.integers(1, 5, n).astype(float)
    if rng.random() < 0.3:
        weight[2 * 4 :: 3] = 0.0
    dtype = rng.choice(["<f4", ">f4", "<f8", ">f8", "<i4", ">i8", "u1", "g"])
    unit = (
        rng.choice([1e-39, 1e-36, 1e36, 1e-200])
        if dtype in ("<f8", ">f8", "g") and rng.random() < 0.3
        else 1.0
    )
    case.arrays["weight"] = (weight * unit).astype(dtype)
    case.told.append(f"weights {dtype} times {unit:g}")
    return weight


def _labels(case: Case, rng: np.random.Generator) -> None:
    """Labels of another coding that sorts alike."""
    y, kind = case.arrays["y"], int(rng.integers(10))
    k = int(y.max()) + 1
    coded = {
        0: y - 1,
        1: (10 * y + 7).astype(">i4"),
        2: y.astype(">f8"),
        3: y * 1e300,
        4: y * 2.0**63,
        5: np.array([f"class {c}" for c in range(k)])[y],
        6: np.array([f"é{c}".encode() for c in range(k)])[y],
        7: y.astype(np.uint64) + np.uint64(2**63),
        8: y == 1 if k == 2 else y,
        9: y,
    }[kind]
    case.arrays["y"] = coded
    if kind in (3, 4):
        case.expect(EITHER, f"labels coded {coded.dtype} up to {coded.max():g}")
    else:
        case.told.append(f"labels {coded.dtype}")
    if kind == 9 and rng.random() < 0.5:
        names = np.array([f"name {c}" for c in range(k)])
        if rng.random() < 0.3:
            names[:] = "same"
        case.arrays["class_names"] = names.astype("S") if rng.random() < 0.3 else names
        case.told.append(f"class names {names.tolist()}")


def _names(case: Case, rng: np.random.Generator) -> None:
    """Names of the columns: odd ones are fine, what is no text or no name for each is not."""
    p, kind = case.arrays["x"].shape[1], int(rng.integers(24))
    names = {
        0: np.array(["same"] * p),
        1: np.array([""] * p),
        2: np.array([f"é,=\n{j}" for j in range(p)]),
        3: np.array([f"b{j}".encode() for j in range(p)]),
        4: np.array([f"x{j}" for j in range(p + 1)]),
        5: np.array(["\ud800"] * p),
        6: np.array([b"\xff\xfe"] * p),
    }.get(kind)
    if names is not None:
        case.arrays["feature_names"] = names
        if kind in (4, 5, 6):
            case.expect(REFUSED, f"feature names {names[0]!r} of {len(names)}")
        else:
            case.told.append(f"feature names {names[0]!r}")


def _settings(case: Case, rng: np.random.Generator, y: np.ndarray, weight: np.ndarray) -> reference.Problem:
    """Penalties, output, method and dtype; the problem that they make of the rows."""
    x = case.arrays["x"].astype(np.longdouble)
    p, classes = x.shape[1], int(y.max()) + 1
    l2 = float(rng.choice([0.0, 1e-300, 1e-40, 1e-12, 1e-6, 1e-4, 1e-2, 1e-2, 1.0, 1e6]))
    l1 = float(rng.choice([1e-3, 1e-2, 1.0])) if rng.random() < 0.2 else 0.0
    standardize, bias = bool(rng.random() < 0.7), bool(rng.random() < 0.85)
    output = str(
        rng.choice(["sigmoid" if classes == 2 else "softmax", "softmax", "one_vs_rest"], p=[0.7, 0.2, 0.1])
    )
    solver = "auto" if l1 or rng.random() < 0.7 else str(rng.choice(["newton", "lbfgs"]))
    dtype = str(rng.choice(["float32", "float32", "float64", "bfloat16"]))
    factor = np.ones(p)
    if rng.random() < 0.1:
        factor = rng.choice([0.0, 1.0, 2.0], p)
        case.flags.append(f"--config.penalty_factor=({','.join(map(str, factor))},)")
    case.flags += [
        f"--config.l2={l2}", f"--config.l1={l1}", f"--config.standardize={standardize}", f"--config.model.bias={bias}",
        f"--config.model.output={output}", f"--config.solver.name={solver}", f"--dtype={dtype}",
        "--config.correct_prior=False",
    ]  # fmt: skip
    unit = np.ones(p)
    if standardize:  # by the rows' own weights
        unit = reference.Problem(x, y, weight, unit, unit, bias, output).deviation
    if rng.random() < 0.1 and output != "one_vs_rest":
        case.flags.append("--config.class_weight=balanced")
        sums = np.bincount(y, weight)
        weight = weight * (sums.sum() / (classes * sums))[y]
    if rng.random() < 0.05:
        case.flags.append(f"--config.solver.max_passes={rng.integers(3)}")
    return reference.Problem(x, y, weight, l1 * factor * unit, l2 * factor * np.square(unit), bias, output)


def _refusal(case: Case, rng: np.random.Generator) -> None:
    """Something that no run can use."""
    x, y, p = case.arrays["x"], case.arrays["y"], case.arrays["x"].shape[1]
    row, column = int(rng.integers(len(x))), int(rng.integers(p))
    bad = float(rng.choice([np.nan, np.inf, 1e100]))
    floats, weights = np.array(x, np.float64), np.ones(len(x))
    floats[row, column] = bad
    weights[row] = rng.choice([np.nan, np.inf, -1.0])
    changes = [
        {"x": floats},
        {"weight": weights},
        {"weight": np.zeros(len(x))},
        {"y": np.zeros(len(x), int)},
        {"y": np.arange(len(x)) + 0.5},
        {"y": np.array([None] * len(x), object)},
        {"x": np.array(x, object)},
        {"x": np.array(x, "U20")},
        {"x": x[:, 0]},
        {"x": x[:0], "y": y[:0]},
        {"y": y[:-1]},
        {"x": np.array(x, complex)},
        {"x": np.zeros((len(x), p), "M8[s]")},
    ]
    change = changes[int(rng.integers(len(changes)))]
    case.arrays |= change
    case.arrays.pop("class_names", None)
    case.expect(REFUSED, f"unusable {', '.join(change)}")


def _with_huge_member(content: bytes) -> bytes:
    """The same .npz with a further array that claims a terabyte and holds nothing."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f8", "fortran_order": False, "shape": (10**11,)}
        )
        archive.writestr("unused.npy", header.getvalue())
    return file.getvalue()
