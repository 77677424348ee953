"""What the op files share: checks of a node's inputs and attributes, C literals, random samples."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import Array, Const, DType, F32Array, Graph, Node, Quant, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Sample, op_of

INT32_MAX = 2**31 - 1


def bad(node: Node, why: str) -> ModelError:
    """The error for a node that is not well formed."""
    return ModelError(f"node {node.name!r} ({node.op}): {why}")


def arity(node: Node, inputs: int, outputs: int = 1) -> None:
    """Refuse a node that has not exactly this many inputs and outputs."""
    if len(node.inputs) != inputs or not all(node.inputs):
        raise bad(node, f"takes {inputs} input(s), has {sum(map(bool, node.inputs))}")
    if len(node.outputs) != outputs:
        raise bad(node, f"makes {outputs} output(s), has {len(node.outputs)}")


def activation(node: Node, graph: Graph, index: int = 0, *dtypes: DType) -> Tensor:
    """The activation at an input position, of one of `dtypes` (any when none is given)."""
    name = node.inputs[index]
    if name in graph.consts:
        raise bad(node, f"input {index} ({name!r}) must be an activation, it is a constant")
    t = graph.tensors.get(name)
    if t is None:
        raise bad(node, f"input {index} names {name!r}, which does not exist")
    if dtypes and t.dtype not in dtypes:
        want = " or ".join(d.value for d in dtypes)
        raise bad(node, f"input {index} ({name!r}) is {t.dtype.value}, only {want} is supported")
    if any(d < 1 for d in t.shape) or t.nbytes > INT32_MAX:
        raise bad(node, f"input {index} ({name!r}) has the unsupported shape {t.shape}")
    return t


def output(
    node: Node, shape: Sequence[int], dtype: DType, quant: Quant | None = None, index: int = 0
) -> Tensor:
    """The output tensor, refused when it is empty or too large for 32-bit offsets."""
    t = Tensor(node.outputs[index], tuple(int(d) for d in shape), dtype, quant)
    if any(d < 1 for d in t.shape) or t.nbytes > INT32_MAX:
        raise bad(node, f"the output would have the unsupported shape {t.shape}")
    return t


def integer(node: Node, key: str, lo: int, hi: int, default: int | None = None) -> int:
    """An integer attribute in lo..hi."""
    v = node.attrs.get(key, default)
    if isinstance(v, bool) or not isinstance(v, (int, np.integer)):
        raise bad(node, f"attribute {key!r} must be an integer, it is {v!r}")
    if not lo <= int(v) <= hi:
        raise bad(node, f"attribute {key!r} is {int(v)}, it must be in {lo}..{hi}")
    return int(v)


def integers(
    node: Node, key: str, count: int, lo: int, hi: int = INT32_MAX, default: Sequence[int] | None = None
) -> tuple[int, ...]:
    """An attribute of exactly `count` integers in lo..hi."""
    v = node.attrs.get(key, default)
    if not isinstance(v, (list, tuple)) or len(v) != count:
        raise bad(node, f"attribute {key!r} must be {count} integers, it is {v!r}")
    for e in v:
        if isinstance(e, bool) or not isinstance(e, (int, np.integer)) or not lo <= int(e) <= hi:
            raise bad(node, f"attribute {key!r} must hold integers in {lo}..{hi}, it is {v!r}")
    return tuple(int(e) for e in v)


def flag(node: Node, key: str, default: bool) -> bool:
    """A yes/no attribute (0 and 1 are accepted)."""
    v = node.attrs.get(key, default)
    if v not in (0, 1):
        raise bad(node, f"attribute {key!r} must be true or false, it is {v!r}")
    return bool(v)


def choice_of(node: Node, key: str, allowed: Sequence[str]) -> str:
    """A string attribute out of `allowed`."""
    v = node.attrs.get(key)
    if v not in allowed:
        raise bad(node, f"attribute {key!r} must be one of {', '.join(allowed)}, it is {v!r}")
    return str(v)


@np.errstate(over="ignore", under="ignore")
def real(node: Node, key: str, default: float | None = None, *, finite: bool = True) -> float:
    """A float attribute, rounded to binary32; never NaN."""
    v = node.attrs.get(key, default)
    if isinstance(v, bool) or not isinstance(v, (int, float, np.integer, np.floating)):
        raise bad(node, f"attribute {key!r} must be a number, it is {v!r}")
    f = float(np.float32(v))
    if np.isnan(f) or (finite and np.isinf(f)):
        raise bad(node, f"attribute {key!r} is {v!r}, it must be {'finite' if finite else 'a number'}")
    return f


def bounds(node: Node) -> tuple[float, float]:
    """The attributes lo and hi of a float clamp; lo <= hi, infinite when absent."""
    lo = real(node, "lo", float("-inf"), finite=False)
    hi = real(node, "hi", float("inf"), finite=False)
    if lo > hi:
        raise bad(node, f"the clamp has lo {lo} above hi {hi}")
    return lo, hi


def int8_bounds(node: Node) -> tuple[int, int]:
    """The attributes qmin and qmax of an int8 result."""
    qmin = integer(node, "qmin", -128, 127, -128)
    qmax = integer(node, "qmax", -128, 127, 127)
    if qmin > qmax:
        raise bad(node, f"qmin {qmin} is above qmax {qmax}")
    return qmin, qmax


def check_quant(node: Node, q: Any, what: str) -> Quant:
    """A usable static quantisation."""
    if not isinstance(q, Quant):
        raise bad(node, f"{what} has no scale and zero point")
    scale = float(np.float32(q.scale))
    if not (scale > 0 and np.isfinite(scale)):
        raise bad(node, f"{what} has the scale {q.scale!r}, it must be positive and finite in binary32")
    if not -128 <= q.zero_point <= 127:
        raise bad(node, f"{what} has the zero point {q.zero_point}, it must be in -128..127")
    return q


def out_quant(node: Node) -> Quant:
    """The attribute out_quant."""
    return check_quant(node, node.attrs.get("out_quant"), "the attribute out_quant")


def array(v: Array | Const | None) -> Array:
    """An argument of `run` that is a plain array."""
    assert isinstance(v, np.ndarray)
    return v


# C text


def stem_of(choice: KernelChoice | None, family: str) -> str:
    """The chosen kernel file's stem, or the portable one."""
    return choice.stem if choice is not None else f"{family}__ref"


def declare(family: str, stem: str) -> str:
    """The C declaration of a kernel, by the macro of its family's header."""
    return f"EB_{family.upper()}_DECL(eb_{stem});\n"


def call(
    family: str,
    choice: KernelChoice | None,
    fields: dict[str, str],
    inputs: tuple[int, ...] = (0,),
    **more: Any,
) -> Lowered:
    """A plain call of one kernel with a params struct."""
    stem = stem_of(choice, family)
    return Lowered(
        function=f"eb_{stem}",
        kernels=(stem,),
        inputs=inputs,
        params=(f"eb_{family}_params", fields),
        prelude=declare(family, stem),
        kernel=stem,
        **more,
    )


def alias() -> Lowered:
    """A layer whose output is its input's bytes."""
    return Lowered(function="", kernels=(), inputs=(0,), alias=True)


def c_ints(**values: int) -> dict[str, str]:
    """Struct fields with integer values."""
    return {k: c_int(v) for k, v in values.items()}


def c_int(v: int) -> str:
    """A C expression of type int for an int32 value."""
    return "(-2147483647 - 1)" if v == -(2**31) else str(int(v))


def c_list(values: Sequence[int]) -> str:
    """A brace list of integers."""
    return "{" + ", ".join(c_int(v) for v in values) + "}"


def c_float(v: float) -> str:
    """An exact C expression of type float (EB_INFINITY comes from edgebit/eb_math.h)."""
    f = float(np.float32(v))
    if np.isinf(f):
        return "EB_INFINITY" if f > 0 else "-EB_INFINITY"
    mantissa, exponent = f.hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}f"


def stream_overlap(steps: int, read: int, write: int) -> int:
    """How far a kernel may overlap that, in each of `steps` steps, reads the next `read` input bytes and then
    writes the next `write` output bytes: the smallest t * (read - write) for t = 1 .. steps - 1."""
    if steps == 1:
        return read
    return min(read - write, (steps - 1) * (read - write))


# Random samples for tests

_SPECIAL = np.array(
    [
        "0",
        "-0",
        "1e-45",
        "-1e-45",
        "1.1754942e-38",
        "-1.1754944e-38",
        "0.5",
        "-0.5",
        "1.5",
        "2.5",
        "-3",
        "6",
        "88.72284",
        "-88",
        "-103.9",
        "-104.5",
        "9.02",
        "17.4",
        "8388608",
        "-2147483648",
        "3e9",
        "3.4e38",
        "-3.4e38",
    ],
    np.float32,
)


def random_f32(
    rng: np.random.Generator, shape: Sequence[int], *, wild: bool = False, infinite: bool = False
) -> F32Array:
    """Normal values of a random spread; `wild` mixes in subnormals, ties and huge values."""
    spread = float(rng.choice([0.1, 1.0, 8.0, 100.0]))
    x: F32Array = np.asarray(rng.standard_normal(tuple(shape)) * spread, np.float32)
    extra = _SPECIAL if wild else _SPECIAL[:0]
    if infinite:
        extra = np.append(extra, np.array([np.inf, -np.inf], np.float32))
    if extra.size and rng.random() < 0.7:
        x = np.asarray(np.where(rng.random(x.shape) < 0.3, rng.choice(extra, x.shape), x), np.float32)
    return x


def random_s8(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Int8 values: uniform, or only extremes."""
    if rng.random() < 0.3:
        return np.asarray(rng.choice(np.array([-128, -127, -1, 0, 127], np.int8), tuple(shape)))
    return np.asarray(rng.integers(-128, 128, tuple(shape)), np.int8)


def random_of(rng: np.random.Generator, shape: Sequence[int], dtype: DType) -> Array:
    """Values of any element type."""
    if dtype is DType.F32:
        return random_f32(rng, shape, wild=True, infinite=True)
    if dtype is DType.S8:
        return random_s8(rng, shape)
    return np.asarray(rng.integers(-(2**31), 2**31, tuple(shape)), np.int32)


def random_shape(rng: np.random.Generator, rank: int | None = None, limit: int = 600) -> tuple[int, ...]:
    """A small awkward shape of rank 1..4."""
    r = int(rng.integers(1, 5)) if rank is None else rank
    shape = [int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17])) for _ in range(r)]
    while prod(shape) > limit:
        shape[shape.index(max(shape))] //= 2
    return tuple(shape)


def random_quant(rng: np.random.Generator) -> Quant:
    """A static quantisation as models have them."""
    scale = float(np.float32(np.exp(rng.uniform(np.log(1e-4), np.log(0.5)))))
    return Quant(scale, int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))])))


def sample(
    op: str,
    inputs: Sequence[tuple[Array, Quant | None]],
    attrs: dict[str, Any],
    consts: Sequence[Array] = (),
    outputs: int = 1,
    note: str = "",
) -> Sample:
    """A graph of one node over the given input values, followed by constants."""
    g = Graph("sample")
    names = []
    values: dict[str, Array] = {}
    for i, (value, quant) in enumerate(inputs):
        name = f"x{i}"
        dtype = {"float32": DType.F32, "int8": DType.S8, "int32": DType.S32}[value.dtype.name]
        g.tensors[name] = Tensor(name, tuple(value.shape), dtype, quant)
        g.inputs.append(name)
        names.append(name)
        values[name] = value
    for i, c in enumerate(consts):
        g.consts[f"c{i}"] = c
        names.append(f"c{i}")
    made = [f"y{i}" for i in range(outputs)]
    node = Node(op, "n", names, made, attrs)
    g.nodes.append(node)
    for t in op_of(node).infer(node, g):
        g.tensors[t.name] = t
    g.outputs = made
    g.check()
    return Sample(g, values, note)
