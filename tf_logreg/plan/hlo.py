"""The text of an optimised HLO module -> what running it moves and computes, loops times their trips.

The compiler's own cost analysis counts a loop's body once and does not tell the chip's on-chip memory
from its main memory. This reads the scheduled module: each instruction's shapes, the memory space in
which the compiler has placed them (S(1) and above are on the chip) and, for fusions, what of an
operand is read.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

from tf_logreg.errors import brief

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2}
_BYTES |= {"s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8, "c64": 8, "token": 0}
_SHAPE = re.compile(r"([a-z]\w*)\[([^\]]*)\](?:\{([^}]*)\})?")
_LINE = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = (.*)$")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "while", "call"}
_FREE |= {"copy-done", "slice-done", "async-done", "partition-id", "replica-id", "opt-barrier", "iota"}


@dataclasses.dataclass(frozen=True)
class Shape:
    """One array: dtype, dimensions, whether it lies in main memory, and its bytes there, padding included."""

    dtype: str
    dimensions: tuple[int, ...]
    in_memory: bool
    nbytes: int


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line: `shapes` are the arrays of its result, `operands` names, `text` what follows the '='."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    text: str
    root: bool

    def attribute(self, name: str) -> str:
        """The value of `name=...`, without %; '' when there is none."""
        found = re.search(rf"[ ,]{name}=%?([\w.\-]+|\{{[^}}]*\}})", self.text)
        return found.group(1) if found else ""


@dataclasses.dataclass
class Work:
    """What a run of a computation does.

    Attributes:
        bytes_read, bytes_written: from and to main memory.
        product_flops: of matrix products, 2 m n k each, whatever their precision.
        product_passes: the same, each as often as the matrix unit makes it in bfloat16. A float32 is three
            bfloat16 parts; XLA's highest precision multiplies the six pairs that matter, 'high' three.
            Where one operand is bfloat16 to begin with there are three pairs, or two.
        cycles: the compiler's own estimate.
    """

    bytes_read: float = 0.0
    bytes_written: float = 0.0
    product_flops: float = 0.0
    product_passes: float = 0.0
    cycles: float = 0.0

    def add(self, other: "Work", times: int = 1) -> None:
        """Adds `other`, done so many times."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + times * getattr(other, field.name))


class Module:
    """A parsed module: `computations` by name, each its instructions by name; `entry` is one's name."""

    def __init__(self, text: str):
        """Parses what `HloModule.to_string()` gives."""
        self.text, self.entry = text, ""
        self.computations: dict[str, dict[str, Instruction]] = {}
        current: dict[str, Instruction] = {}
        for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
            if head := _HEAD.match(line):
                current = self.computations.setdefault(head.group(2), {})
                if head.group(1):
                    self.entry = head.group(2)
            elif found := _LINE.match(line):
                instruction = _instruction(*found.groups())
                current[instruction.name] = instruction

    def work(self, computation: str = "") -> Work:
        """What one run does.

        Raises:
            ValueError: a loop whose trips are not plain to see.
        """
        total, body = Work(), self.computations[computation or self.entry]
        for instruction in body.values():
            if instruction.opcode == "while":
                trips = self.trips(instruction, body)
                total.add(self.work(instruction.attribute("body")), trips)
                total.add(self.work(instruction.attribute("condition")), trips)
            elif instruction.opcode == "call":
                total.add(self.work(instruction.attribute("to_apply")))
            elif instruction.opcode == "conditional":
                raise ValueError(f"{instruction.name}: a branch; what it costs depends on the data.")
            total.add(self._own_work(instruction, body))
        return total

    def trips(self, loop: Instruction, body: dict[str, Instruction]) -> int:
        """How often a loop of the form `for i = constant; i < constant; i += constant` goes round."""
        condition = self.computations[loop.attribute("condition")]
        compare = next(i for i in condition.values() if i.root)
        at, limit = (_source(condition, name) for name in compare.operands)
        if compare.attribute("direction") != "LT" or limit.opcode != "constant":
            raise ValueError(f"{loop.name}: a loop that does not count up to a constant: {compare.text}")
        index = int(at.attribute("index"))
        start = _source(body, _source(body, loop.operands[0]).operands[index])
        inside = self.computations[loop.attribute("body")]
        root = next(i for i in inside.values() if i.root)
        step = _source(inside, root.operands[index])
        steps = [_source(inside, name) for name in step.operands]
        by = next((i for i in steps if i.opcode == "constant"), None)
        if start.opcode != "constant" or step.opcode != "add" or by is None:
            raise ValueError(f"{loop.name}: a loop that does not count by a constant: {step.text}")
        return max(0, -(-(_constant(limit) - _constant(start)) // _constant(by)))

    def products(self) -> Iterator[Instruction]:
        """All matrix products."""
        for computation in self.computations.values():
            yield from (i for i in computation.values() if i.opcode in ("convolution", "dot"))

    def _own_work(self, instruction: Instruction, body: dict[str, Instruction]) -> Work:
        if instruction.opcode in _FREE:
            return Work()
        cycles = re.search(r'"estimated_cycles":"(\d+)"', instruction.text)
        work = Work(cycles=float(cycles.group(1)) if cycles else 0.0)
        called = self.computations.get(instruction.attribute("calls"), {})
        if instruction.opcode == "fusion":
            for part in self._inside(called):
                work.add(self._product(*part))
        elif instruction.opcode in ("convolution", "dot"):
            work.add(self._product(instruction, body))
        for place, name in enumerate(instruction.operands):
            operand = body[name]
            if len(operand.shapes) == 1 and operand.shapes[0].in_memory:
                work.bytes_read += self._read(instruction, place, operand.shapes[0].nbytes, called)
        work.bytes_written = self._written(instruction, body, called)
        return work

    def _inside(self, computation: dict[str, Instruction]) -> Iterator[tuple[Instruction, dict]]:
        """Products of a fusion and of the fusions in it, each with the computation it stands in."""
        for instruction in computation.values():
            if instruction.opcode in ("convolution", "dot"):
                yield instruction, computation
            elif instruction.opcode == "fusion":
                yield from self._inside(self.computations[instruction.attribute("calls")])

    def _product(self, product: Instruction, body: dict[str, Instruction]) -> Work:
        """2 m n k: the result's numbers times those of an operand that are summed over."""
        size = math.prod(product.shapes[0].dimensions)
        left = body[product.operands[0]].shapes[0].dimensions
        if product.opcode == "dot":
            axes = [int(a) for a in re.findall(r"\d+", product.attribute("lhs_contracting_dims"))]
        else:  # 'bf_io->bf': f is what is summed over; '01bf_...' has a window, of size 1 or summed over
            labels = product.attribute("dim_labels").split("_")[0]
            labels = labels or re.search(r"dim_labels=(\w+?)_", product.text).group(1)
            axes = [labels.index("f")]
            window = re.search(r"window=\{size=([\dx]+)", product.text)
            spatial = math.prod(int(n) for n in window.group(1).split("x")) if window else 1
            size *= spatial
        flops = 2.0 * size * math.prod(left[axis] for axis in axes)
        precision = product.attribute("operand_precision")
        exact = any(self._is_bfloat16(body, name) for name in product.operands)
        passes = (3 if exact else 6) if "highest" in precision else (2 if exact else 3)
        passes = passes if "high" in precision else 1
        return Work(product_flops=flops, product_passes=passes * flops)

    def _is_bfloat16(self, body: dict[str, Instruction], name: str) -> bool:
        """Whether an operand of a product was bfloat16 before it was widened."""
        value = body[name]
        if value.shapes[0].dtype == "bf16":
            return True
        if value.opcode in ("bitcast", "copy", "convert", "transpose", "reshape"):
            return self._is_bfloat16(body, value.operands[0])
        called = self.computations.get(value.attribute("calls"))
        return bool(called) and self._is_bfloat16(called, next(i.name for i in called.values() if i.root))

    def _read(self, instruction: Instruction, place: int, whole: int, called: dict) -> int:
        """Bytes of an operand that are read: of a slice only what is sliced."""
        if instruction.opcode in ("dynamic-slice", "slice", "gather") and place == 0:
            return min(whole, sum(shape.nbytes for shape in instruction.shapes))
        if instruction.opcode == "dynamic-update-slice" and place == 0:
            return 0
        if instruction.opcode == "slice-start":
            return min(whole, instruction.shapes[1].nbytes)
        if not called:
            return whole
        parameter = next(
            i for i in called.values() if i.opcode == "parameter" and f"parameter({place})" in i.text
        )
        return min(whole, self._read_inside(parameter, called, whole))

    def _read_inside(self, value: Instruction, called: dict[str, Instruction], whole: int) -> int:
        total = 0
        for user in called.values():
            for place, name in enumerate(user.operands):
                if name != value.name:
                    continue
                if user.opcode == "bitcast":
                    total += self._read_inside(user, called, whole)
                else:
                    nested = self.computations.get(user.attribute("calls"), {})
                    total = max(total, self._read(user, place, whole, nested))
        return total

    def _written(self, instruction: Instruction, body: dict, called: dict) -> int:
        """Bytes of the result that go to main memory; an update in place writes the update."""
        root = next((i for i in called.values() if i.root), instruction)
        inside = called if called else body
        while root.opcode == "bitcast":
            root = inside[root.operands[0]]
        if root.opcode == "dynamic-update-slice":
            return inside[root.operands[1]].shapes[0].nbytes if instruction.shapes[0].in_memory else 0
        if instruction.opcode in (
            "copy-start",
            "slice-start",
        ):  # (result, operand, ...), (operand, result, ...)
            result = instruction.shapes[instruction.opcode == "slice-start"]
            return result.nbytes if result.in_memory else 0
        return sum(shape.nbytes for shape in instruction.shapes if shape.in_memory)


def _instruction(root: str | None, name: str, text: str) -> Instruction:
    """One line after '%name = '."""
    end = _closing(text) + 1 if text.startswith("(") else text.index(" ")
    shapes, rest = text[:end], text[end:].strip()
    opcode = rest[: rest.index("(")]
    inside = rest[len(opcode) + 1 : _closing(rest, len(opcode))]
    operands = tuple(re.findall(r"%([\w.\-]+)", inside))
    return Instruction(name, opcode, tuple(map(_shape, _SHAPE.findall(shapes))), operands, rest, bool(root))


def _closing(text: str, start: int = 0) -> int:
    """Where the parenthesis at `start` closes."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if not depth:
            return i
    raise ValueError(f"unbalanced: {brief(text, 80)}")


def _shape(found: tuple[str, str, str]) -> Shape:
    """('f32', '131072,784', '0,1:T(8,128)S(1)') -> Shape; the tile pads the two minor dimensions."""
    dtype, dimensions, layout = found
    sizes = tuple(int(n) for n in re.findall(r"\d+", dimensions))
    order, _, tiles = layout.partition(":")
    padded = [sizes[int(axis)] for axis in order.split(",") if axis] if order else list(sizes[::-1])
    if tile := re.match(r"T\(([\d,]+)\)", tiles):
        for place, multiple in enumerate(reversed(tile.group(1).split(","))):
            if place < len(padded):
                padded[place] = -(-padded[place] // int(multiple)) * int(multiple)
    space = re.search(r"S\((\d+)\)", layout)
    return Shape(dtype, sizes, space is None, math.prod(padded) * _BYTES.get(dtype, 4))


def _source(body: dict[str, Instruction], name: str) -> Instruction:
    """Where a value comes from, through copies."""
    found = body[name]
    while found.opcode in ("copy", "bitcast", "copy-done", "copy-start"):
        found = body[found.operands[0]]
    return found


def _constant(instruction: Instruction) -> int:
    return int(re.match(r"constant\((-?\d+)\)", instruction.text).group(1))
