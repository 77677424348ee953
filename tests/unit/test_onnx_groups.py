"""Weights with a scale for each group of inputs: MatMulNBits, blocked DequantizeLinear, and float values."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx_models import build, imported, node, ops, save, trits

from edgebit.errors import ModelError
from edgebit.importers._onnx_groups import find_groups
from edgebit.importers.base import load_model
from edgebit.importers.onnx import describe_weights
from edgebit.importers.oracle import run_source
from edgebit.ir.graph import Graph, GroupTernaryWeights, TernaryWeights
from edgebit.ir.serial import graph_to_bytes
from edgebit.ops.base import execute
from edgebit.passes.prepare import prepare

Floats = np.ndarray[Any, Any]
ULP = 2.0**-24


def packed(codes: Floats, bits: int) -> Floats:
    """Rows of codes as bytes, the first one lowest."""
    per = 8 // bits
    wide = np.pad(codes.astype(np.uint8), ((0, 0), (0, -codes.shape[1] % per)))
    return (wide.reshape(len(codes), -1, per) << (bits * np.arange(per))).sum(axis=2).astype(np.uint8)


class NBits:
    """The parts of a model of one MatMulNBits node over random trits (N, K)."""

    def __init__(self, bits: int, block: int, k: int, n: int = 12, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.rng, self.k = rng, k
        self.attrs: dict[str, Any] = {"K": k, "N": n, "bits": bits, "block_size": block}
        self.blocks = -(-k // block)
        self.trits = trits(rng, (n, self.blocks * block)).astype(np.int16)
        self.scale = rng.uniform(0.1, 2, (n, self.blocks)).astype(np.float32)
        self.zero: Floats | None = None
        self.inputs: dict[str, Any] = {}
        self.store(self.trits + (1 << (bits - 1)))

    def store(self, codes: Floats) -> None:
        bits, block = self.attrs["bits"], self.attrs["block_size"]
        self.codes = codes
        self.inputs |= {
            "b": packed(codes, bits).reshape(len(codes), self.blocks, block * bits // 8),
            "s": self.scale,
        }

    @property
    def weights(self) -> Floats:
        zero = 1 << (self.attrs["bits"] - 1) if self.zero is None else self.zero
        each = np.broadcast_to(zero, self.scale.shape)[:, :, None]
        level = self.codes.reshape(*self.scale.shape, -1) - each
        w = level.astype(np.float32) * self.scale[:, :, None]
        return np.asarray(w.reshape(len(w), -1)[:, : self.k])

    def model(self, *batch: int) -> ModelProto:
        names = [i if i in self.inputs else "" for i in ("b", "s", "z", "order", "bias")]
        while not names[-1]:
            names.pop()
        made = node("MatMulNBits", ["x", *names], domain="com.microsoft", **self.attrs)
        m = build([made], {"x": (*(batch or (3,)), self.k)}, consts=self.inputs, opset=21)
        m.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        return m


def check(model: ModelProto, folder: Path, w: Floats, group: int = 0, x: Floats | None = None) -> Graph:
    """Import; against onnxruntime within what the two orders of sums may differ by, docs/numerics.md."""
    g = imported(model, folder)
    shape = g.tensors["x"].shape
    feed = {"x": np.random.default_rng(5).standard_normal(shape).astype(np.float32) if x is None else x}
    theirs, why = run_source(folder / "m.onnx", [feed])
    assert theirs is not None, why
    k = w.shape[1]
    largest = np.abs(feed["x"]) @ np.abs(w).T + 4
    units = group / 8 + 4 + (-(-k // group) if group else k / 8) + k + 2
    assert (np.abs(execute(g, feed)["y"] - theirs[0]["y"]) <= units * ULP * largest).all()
    return g


def groups_of(g: Graph) -> GroupTernaryWeights:
    (w,) = (c for c in g.consts.values() if isinstance(c, GroupTernaryWeights))
    return w


@pytest.mark.parametrize(
    ("bits", "block", "k"), [(2, 16, 48), (2, 32, 100), (2, 64, 256), (2, 128, 300), (4, 32, 96), (8, 64, 72)]
)
@pytest.mark.parametrize("zero", ["none", "packed", "float"])
def test_matmulnbits(tmp_path: Path, bits: int, block: int, k: int, zero: str) -> None:
    m = NBits(bits, block, k)
    flat = block == 32  # an older form
    if zero == "packed":  # zero points 1 and 2 in turn
        m.zero = 1 + np.arange(12 * m.blocks).reshape(12, -1) % 2
        m.store(m.trits + np.repeat(m.zero, block, axis=1))
        z = packed(m.zero, bits)
        m.inputs["z"] = z.reshape(-1) if flat else z
    elif zero == "float" and bits < 8:  # codes 0 and 1 for minus and plus one half
        m.zero = np.full((12, m.blocks), 0.5, np.float32)
        m.store((m.trits > 0).astype(np.uint8))
        m.inputs["z"] = m.zero.reshape(-1) if flat else m.zero
    if flat:
        m.inputs["s"] = m.scale.reshape(-1)
        m.inputs["bias"] = m.rng.standard_normal(12).astype(np.float32)
    g = check(m.model(*(2, 3) if k == 96 else ()), tmp_path, m.weights, block)
    assert ops(g) == ["dense_groups"]
    w = groups_of(g)
    assert w.group == block
    np.testing.assert_array_equal(w.dense(), m.weights)
    (info,) = describe_weights(g)
    assert (info.kind, info.scales) == ("ternary", m.scale.size)


def test_matmulnbits_with_codes_that_are_two_apart(tmp_path: Path) -> None:
    m = NBits(2, 32, 64)
    m.trits[:, 32:] = np.where(m.trits[:, 32:] > 0, 0, -2)  # one number in a block: -2 in half of them
    m.store(m.trits + 2)
    g = check(m.model(), tmp_path, m.weights, 32)
    np.testing.assert_array_equal(groups_of(g).dense(), m.weights)


def test_negative_scales_turn_trits_and_zero_scales_drop_them(tmp_path: Path) -> None:
    m = NBits(2, 16, 64)
    m.scale[:, 1] *= -1
    m.scale[3] = 0
    w = groups_of(check(m.model(), tmp_path, m.weights, 16))
    np.testing.assert_array_equal(w.dense(), m.weights + 0.0)
    assert (w.scale > 0).all()
    assert not w.trits[3].any()


@pytest.mark.parametrize(("alike", "group"), [(2, 32), (3, 48), (4, 64), (8, 0)])
def test_equal_scales_make_wider_groups(tmp_path: Path, alike: int, group: int) -> None:
    """Blocks of 16; with one scale in a row weights are plain ternary ones."""
    m = NBits(2, 16, 120)
    m.scale[:] = np.repeat(m.scale[:, ::alike], alike, axis=1)[:, :8]
    m.trits[5, :64] = 0
    m.scale[5, 1] = 7  # of a block of zeros: nobody asks
    m.store(m.trits + 2)
    g = check(m.model(), tmp_path, m.weights, group)
    assert ops(g) == ["dense_groups" if group else "dense"]
    (w,) = g.consts.values()
    assert isinstance(w, TernaryWeights)
    assert getattr(w, "group", 0) == group
    np.testing.assert_array_equal(w.dense(), m.weights)


def test_accuracy_levels_mean_the_same_network(tmp_path: Path) -> None:
    """Level 4 lets onnxruntime round activations to int8; what the weights say stays."""
    m = NBits(2, 32, 96)
    plain = graph_to_bytes(imported(m.model(), tmp_path))
    for level in range(5):
        m.attrs["accuracy_level"] = level
        assert graph_to_bytes(imported(m.model(), tmp_path)) == plain


def test_a_file_that_names_no_other_operators(tmp_path: Path) -> None:
    m = NBits(2, 32, 64)
    model = m.model()
    del model.opset_import[0]
    check(model, tmp_path, m.weights, 32)
    model.graph.node[0].op_type = "FusedMatMul"
    with pytest.raises(ModelError, match=r"node 'n_y' \(FusedMatMul\): operator of the domain com.microsoft"):
        imported(model, tmp_path)


def test_nodes_that_share_weights_and_trivial_orders(tmp_path: Path) -> None:
    m = NBits(2, 32, 64)
    m.inputs["order"] = (np.arange(64) // 32).astype(np.int32)
    model = m.model()
    again = node("MatMulNBits", ["x", "b", "s"], ["y2"], domain="com.microsoft", **m.attrs)
    model.graph.node.append(again)
    model.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, None))
    g = imported(model, tmp_path)
    assert len(g.consts) == 1
    assert ops(g) == ["dense_groups"] * 2


def broken(m: NBits, how: str) -> None:
    attrs, inputs = m.attrs, m.inputs
    changes: dict[str, Any] = {
        "bits": lambda: attrs.update(bits=3),
        "block": lambda: attrs.update(block_size=48),
        "huge block": lambda: attrs.update(block_size=1 << 40),
        "no K": lambda: attrs.pop("K"),
        "float K": lambda: attrs.update(K=100.0),
        "huge": lambda: attrs.update(K=1 << 62, N=1 << 62),
        "negative": lambda: attrs.update(N=-12),
        "K": lambda: attrs.update(K=200),
        "N": lambda: attrs.update(N=13),
        "B": lambda: inputs.update(b=inputs["b"][:, :, 1:]),
        "B elem": lambda: inputs.update(b=inputs["b"].astype(np.float32)),
        "scales": lambda: inputs.update(s=m.scale[:, 1:]),
        "scales elem": lambda: inputs.update(s=m.scale.astype(np.float64)),
        "NaN": lambda: inputs.update(s=np.where(m.scale > 1, np.nan, m.scale).astype(np.float32)),
        "overflow": lambda: m.store(m.trits * 2 + 2 * (m.trits < 0) + 2),
        "zero_points": lambda: inputs.update(z=np.zeros((12, 9), np.uint8)),
        "zero elem": lambda: inputs.update(z=np.zeros((12, m.blocks), np.int32)),
        "four": lambda: m.store(m.rng.integers(0, 4, m.codes.shape)),
        "g_idx": lambda: inputs.update(order=np.arange(100, dtype=np.int32)[::-1] // 32),
        "bias": lambda: inputs.update(bias=np.zeros(1, np.float32)),
        "prepacked": lambda: attrs.update(weight_prepacked=1),
        "level": lambda: attrs.update(accuracy_level=9),
        "no scales": lambda: inputs.pop("s"),
    }
    changes[how]()


BAD = {
    "bits": "3 bits", "block": "blocks of 48", "huge block": "blocks of 1099511627776", "no K": "K is missing",
    "float K": "K is not an integer", "huge": "not supported", "negative": "not supported", "K": r"weight B has shape",
    "N": "weight B has shape", "B": "weight B has shape", "B elem": "weight B is FLOAT", "scales": "scales has shape",
    "scales elem": "scales is DOUBLE", "NaN": "NaN", "zero_points": "zero_points has shape",
    "zero elem": "zero_points is INT32", "four": r"not ternary: in \d+ of its blocks.* are -2, -1, 0, 1, where",
    "g_idx": "g_idx", "bias": "its bias has shape", "prepacked": "weight_prepacked", "level": "accuracy_level 9",
    "no scales": "scales is missing",
}  # fmt: skip


@pytest.mark.parametrize("how", BAD)
def test_bad_matmulnbits_is_refused(tmp_path: Path, how: str) -> None:
    m = NBits(2, 32, 100)
    broken(m, how)
    with pytest.raises(ModelError, match=BAD[how]) as e:
        imported(m.model(), tmp_path)
    text = str(e.value)
    assert text.startswith(
        "m.onnx: initialiser 's'" if how == "NaN" else "m.onnx: node 'n_y' (MatMulNBits): "
    )
    assert text.isprintable()


def test_scales_that_overflow_are_refused(tmp_path: Path) -> None:
    m = NBits(4, 32, 64)
    m.scale[:] = 3e38
    m.store(m.trits * 7 + 8)
    with pytest.raises(ModelError, match="overflow"):
        imported(m.model(), tmp_path)


# ---- DequantizeLinear ---------------------------------------------------------------------------------------


STORED = [
    ("INT8", 0, 21), ("UINT8", 128, 21), ("INT4", 0, 21), ("UINT4", 7, 21), ("INT2", 0, 25), ("UINT2", 1, 25),
]  # fmt: skip


@pytest.mark.parametrize(("elem", "zero", "opset"), STORED)
@pytest.mark.parametrize(("k", "block", "gemm"), [(96, 32, False), (100, 32, True), (64, 16, True)])
def test_blocked_dequantisation(
    tmp_path: Path, elem: str, zero: int, opset: int, k: int, block: int, gemm: bool
) -> None:
    rng = np.random.default_rng(3)
    t = trits(rng, (12, k)).astype(np.int8)
    s = rng.uniform(0.1, 1, (12, -(-k // block))).astype(np.float32)
    w = t * np.repeat(s, block, axis=1)[:, :k]
    kind, bits = getattr(TensorProto, elem), int(elem[-1])

    def stored(values: Floats) -> TensorProto:
        values = values if gemm else values.T
        raw = packed((values.reshape(1, -1).astype(np.int16) & ((1 << bits) - 1)), bits)
        return helper.make_tensor("", kind, values.shape, raw.tobytes(), raw=True)

    consts: dict[str, Any] = {"w": stored(t.astype(np.int16) + zero), "s": s if gemm else s.T}
    if zero:
        consts["z"] = stored(np.full(s.shape, zero))
    nodes = [node("DequantizeLinear", list(consts), ["d"], axis=1 if gemm else 0, block_size=block)]
    nodes += [node("Gemm", ["x", "d"], transB=1) if gemm else node("MatMul", ["x", "d"])]
    g = check(build(nodes, {"x": (2, k)}, consts=consts, opset=opset), tmp_path, w, block)
    assert groups_of(g).group == block
    np.testing.assert_array_equal(groups_of(g).dense(), w)


@pytest.mark.parametrize("case", ["levels", "narrow", "columns"])
def test_blocks_that_are_no_groups_stay_float(tmp_path: Path, case: str) -> None:
    rng = np.random.default_rng(4)
    t = trits(rng, (12, 64)).T.astype(np.int8)
    block, axis = 32, 0
    if case == "levels":
        t = rng.integers(-8, 8, t.shape).astype(np.int8)
    elif case == "narrow":
        block = 8
    else:
        block, axis = 4, 1  # scales for outputs of each single input
    shape = [-(-d // block) if i == axis else d for i, d in enumerate(t.shape)]
    s = rng.uniform(0.1, 1, shape).astype(np.float32)
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["d"], axis=axis, block_size=block),
        node("MatMul", ["x", "d"]),
    ]
    m = build(nodes, {"x": (2, 64)}, consts={"w": t, "s": s}, opset=21)
    g = check(m, tmp_path, (t * np.repeat(s, block, axis=axis)).T)
    assert describe_weights(g)[0].kind == "float"


# ---- float values -------------------------------------------------------------------------------------------


def unpacked(k: int, group: int, outs: int = 70, seed: int = 0) -> Floats:
    """Float weights (outs, k) with a scale for each group."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.01, 0.1, (outs, -(-k // group))).astype(np.float32)
    return np.asarray(trits(rng, (outs, k)) * np.repeat(s, group, axis=1)[:, :k])


@pytest.mark.parametrize(
    ("k", "group"), [(256, 128), (300, 128), (130, 64), (96, 32), (80, 16), (144, 48), (512, 256)]
)
def test_float_values_in_groups(tmp_path: Path, k: int, group: int) -> None:
    w = unpacked(k, group)
    nodes = [node("Gemm", ["x", "w", "b"], transB=1)]
    g = check(build(nodes, {"x": (2, k)}, consts={"w": w, "b": w[:, 0].copy()}), tmp_path, w, group)
    assert groups_of(g).group == group
    np.testing.assert_array_equal(groups_of(g).dense(), w)


def test_noise_of_training_and_half_precision() -> None:
    rng = np.random.default_rng(1)
    clean = unpacked(192, 64)
    last_places = 1 + rng.integers(-3, 4, clean.shape) * 2.0**-23
    noisy = (clean * last_places + (clean == 0) * rng.uniform(-1e-9, 1e-9, clean.shape)).astype(np.float32)
    found = find_groups(noisy)
    assert isinstance(found, GroupTernaryWeights)
    assert found.group == 64
    np.testing.assert_allclose(found.dense(), clean, rtol=1e-5, atol=1e-7)
    half = clean.astype(np.float16).astype(np.float32)
    again = find_groups(half, half=True)
    assert isinstance(again, GroupTernaryWeights)
    np.testing.assert_array_equal(again.dense(), half)


def not_groups(case: str) -> Floats:
    rng = np.random.default_rng(2)
    w = rng.standard_normal((24, 128)).astype(np.float32)
    match case:
        case "random":
            return w
        case "pruned":  # a lone weight in each 16 inputs
            keep = np.zeros((24, 8, 16), bool)
            keep[np.arange(24)[:, None], np.arange(8), rng.integers(0, 16, (24, 8))] = True
            return np.asarray(w * keep.reshape(24, 128))
        case "averages":  # a constant for each 16 inputs
            return np.repeat(w[:, :8], 16, axis=1)
        case "nearly":
            exact = unpacked(128, 32)
            exact[7, 77] *= 1.01
            return exact
        case "levels":
            return np.asarray(np.rint(w) * 0.1)
        case "narrow":
            return unpacked(128, 8)
        case "small":
            return unpacked(32, 16, outs=1) * (np.arange(32) % 8 == 0)
        case _:
            return w[:, :16]


@pytest.mark.parametrize(
    "case", ["random", "pruned", "averages", "nearly", "levels", "narrow", "small", "short"]
)
def test_what_only_looks_grouped_stays_float(case: str) -> None:
    assert find_groups(not_groups(case).astype(np.float32)) is None


def test_one_scale_in_a_row_is_not_for_groups(tmp_path: Path) -> None:
    """What the detector of rows knows stays plain; what it refuses is not let in by another door."""
    g = imported(
        build([node("MatMul", ["x", "w"])], {"x": (1, 128)}, consts={"w": unpacked(128, 128).T}), tmp_path
    )
    assert ops(g) == ["dense"]
    assert find_groups(np.ones((4, 64), np.float32)) is None


def test_convolutions_have_no_groups(tmp_path: Path) -> None:
    w = unpacked(64, 32)[:, :, None, None]
    g = imported(build([node("Conv", ["x", "w"])], {"x": (1, 64, 2, 2)}, consts={"w": w}), tmp_path)
    assert describe_weights(g)[0].kind == "float"


# ---- passes -------------------------------------------------------------------------------------------------


def network(zero: int | None = None) -> tuple[ModelProto, Floats]:
    """x (2, 96) -> 24 -> 40 with groups of 32 and 16, batch norm's factor and a ReLU between; zero: of an unsigned
    quantisation before each layer."""
    rng = np.random.default_rng(9)
    w1, w2 = unpacked(96, 32, 24), unpacked(24, 16, 40, 1)
    consts: dict[str, Any] = {
        "w1": w1.T.copy(), "w2": w2.T.copy(), "gain": rng.uniform(-2, 2, 24).astype(np.float32),
        "b1": rng.standard_normal(24).astype(np.float32), "b2": rng.standard_normal(40).astype(np.float32),
        "s": np.float32(0.03), "z": np.array(zero or 0, np.uint8),
    }  # fmt: skip
    nodes, at = [], ["x", "r"]
    if zero is not None:
        for i, name in enumerate(at):
            nodes.append(
                [
                    node("QuantizeLinear", [name, "s", "z"], [f"q{i}"]),
                    node("DequantizeLinear", [f"q{i}", "s", "z"], [f"d{i}"]),
                ]
            )
        at = ["d0", "d1"]
    else:
        nodes = [[], []]
    made = [
        *nodes[0], node("MatMul", [at[0], "w1"], ["m"]), node("Mul", ["m", "gain"], ["g"]),
        node("Add", ["g", "b1"], ["a"]), node("Relu", ["a"], ["r"]),
        *nodes[1], node("MatMul", [at[1], "w2"], ["n"]), node("Add", ["n", "b2"]),
    ]  # fmt: skip
    if zero is None:
        consts = {k: v for k, v in consts.items() if k not in "sz"}
    return build(made, {"x": (2, 96)}, consts=consts), np.float32(rng.standard_normal((2, 96)))


def test_factors_biases_and_clamps_become_part_of_the_layer(tmp_path: Path) -> None:
    model, x = network()
    g = imported(model, tmp_path)
    p = prepare(g)
    assert [n.op for n in p.nodes] == ["dense_groups", "dense_groups"]
    assert p.nodes[0].attrs["epilogue"].lo == 0
    want = execute(g, {"x": x})["y"]
    np.testing.assert_allclose(execute(p, {"x": x})["y"], want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zero", [128, 100, 0])
def test_static_int8_is_read_as_it_is(tmp_path: Path, zero: int) -> None:
    model, x = network(zero)
    path = save(model, tmp_path)
    p = prepare(load_model(path))
    assert [n.op for n in p.nodes] == ["quantize", "dense_groups", "quantize", "dense_groups"]
    assert all(n.attrs["unit"] == float(np.float32(0.03)) for n in p.nodes if n.op == "dense_groups")
    theirs, why = run_source(path, [{"x": x}])
    assert theirs is not None, why
    got = execute(p, {"x": x})["y"]
    # a ReLU's output may fall on the neighbouring step: 0.03 times the largest weight of it
    assert np.abs(got - theirs[0]["y"]).max() <= 0.03 * 0.1 * 3 + 1e-4
    assert np.mean(np.abs(got - theirs[0]["y"]) < 1e-4) > 0.7


def test_int8_chosen_at_export(tmp_path: Path) -> None:
    model, x = network()
    g = imported(model, tmp_path)
    want = execute(g, {"x": x})["y"]
    dynamic = prepare(g, activations="int8-dynamic")
    assert [n.op for n in dynamic.nodes] == ["dynamic_quantize", "dense_groups"] * 2
    static = prepare(dynamic, activations="int8-static", calibration=[{"x": x}])
    assert [n.op for n in static.nodes] == ["quantize", "dense_groups"] * 2
    for p in (dynamic, static):
        assert np.abs(execute(p, {"x": x})["y"] - want).max() < 0.03 * np.abs(want).max()


def test_a_flattened_map_keeps_its_order(tmp_path: Path) -> None:
    """Channels-last would mix the groups, so the map is written out in the order of the model."""
    rng = np.random.default_rng(6)
    consts = {"k": rng.standard_normal((8, 2, 1, 1)).astype(np.float32), "w": unpacked(128, 32).T.copy()}
    nodes = [node("Conv", ["x", "k"], ["c"]), node("Flatten", ["c"], ["f"]), node("MatMul", ["f", "w"])]
    g = imported(build(nodes, {"x": (1, 2, 4, 4)}, consts=consts), tmp_path)
    x = rng.standard_normal((1, 2, 4, 4)).astype(np.float32)
    p = prepare(g)
    t = p.tensors["x"]
    assert t.source_perm is not None
    got = execute(p, {"x": x.transpose(t.source_perm).reshape(t.shape)})["y"]
    np.testing.assert_allclose(got, execute(g, {"x": x})["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("late", [False, True])
def test_activations_quantised_by_the_model(tmp_path: Path, late: bool) -> None:
    """BitNet's absmax rounding of each row in front of MatMulNBits; late: the division comes after the product."""
    m = NBits(2, 32, 96)
    m.inputs |= {"c": np.float32(127), "axes": np.array([-1])}
    model = m.model()
    product = model.graph.node.pop()
    scale = [
        node("Abs", ["x"], ["abs"]),
        node("ReduceMax", ["abs", "axes"], ["top"]),
        node("Div", ["c", "top"], ["f"]),
    ]
    rounded = [node("Mul", ["x", "f"], ["v"]), node("Round", ["v"], ["r"])]
    product.input[0] = "r" if late else "q"
    product.output[0] = "p" if late else "y"
    ends = (
        [product, node("Div", ["p", "f"], name="after")]
        if late
        else [node("Div", ["r", "f"], ["q"]), product]
    )
    model.graph.node.extend([*scale, *rounded, *ends])
    x = np.random.default_rng(8).standard_normal((3, 96)).astype(np.float32)
    g = check(model, tmp_path, m.weights, 32, x)
    assert ops(g) == ["dynamic_quantize", "dense_groups"]
    assert g.nodes[1].inputs[2] == g.nodes[0].outputs[1]


def test_random_damage_is_a_model_error_or_harmless(tmp_path: Path) -> None:
    m = NBits(2, 32, 100, 4)
    m.inputs["z"] = packed(np.full((4, m.blocks), 2), 2)
    raw = m.model().SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "m.onnx"
    for _ in range(400):
        bad = bytearray(raw)
        for at in rng.integers(0, len(raw), rng.integers(1, 5)):
            bad[at] = int(rng.integers(256))
        path.write_bytes(bytes(bad))
        with contextlib.suppress(ModelError):
            load_model(path)
