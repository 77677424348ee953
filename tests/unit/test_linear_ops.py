"""dense and conv2d against an independent loop, onnxruntime, and a byte-by-byte model of memory overlap."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgebit.errors import EdgebitError, ModelError
from edgebit.ir.graph import (
    Affine,
    Array,
    DType,
    Graph,
    Int8Weights,
    Node,
    Quant,
    Requant,
    Tensor,
    TernaryWeights,
)
from edgebit.ops.base import Sample, execute, infer_all, op_of, registry
from edgebit.ops.conv2d import window_of
from edgebit.ops.linear import acc_bounds, lane_sums, plain_weights

F = np.float32


def samples(op: str, seed: int, count: int, most_macs: int = 5000) -> Iterator[Sample]:
    rng = np.random.default_rng(seed)
    while count:
        s = registry()[op].samples(rng)
        assert s is not None
        if op_of(s.graph.nodes[0]).macs(s.graph.nodes[0], s.graph) <= most_macs:
            count -= 1
            yield s


# An independent meaning: plain loops over scalars.


def as_conv(s: Sample) -> tuple[Node, Array, Array, dict[str, Any]]:
    """Any sample as a convolution: (node, x (N,H,W,C), w (OC,KH,KW,IC), attrs)."""
    node = s.graph.nodes[0]
    x, w = s.inputs["x"], plain_weights(s.graph.consts["w"]).values
    if node.op == "conv2d":
        return node, x, w, node.attrs
    attrs = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    return node, x[None, None], w[:, None, None], attrs


def window(
    x: Array, n: int, oy: int, ox: int, o: int, w: Array, a: dict[str, Any]
) -> Iterator[tuple[Any, Any]]:
    """Pairs (input or None for padding, weight) in summation order."""
    outs, kh, kw, ins = w.shape
    first = o // (outs // a["groups"]) * ins
    for ky, kx, c in product(range(kh), range(kw), range(ins)):
        y = oy * a["strides"][0] - a["pads"][0] + ky * a["dilations"][0]
        z = ox * a["strides"][1] - a["pads"][1] + kx * a["dilations"][1]
        inside = 0 <= y < x.shape[1] and 0 <= z < x.shape[2]
        yield (x[n, y, z, first + c] if inside else None), w[o, ky, kx, c]


def naive(s: Sample) -> Array:
    node, x, w, a = as_conv(s)
    out = s.graph.tensors["y"]
    shape = out.shape if node.op == "conv2d" else (1, 1, *out.shape)
    y = np.zeros(shape, out.dtype.numpy)
    e = node.attrs["epilogue"]
    quant = s.graph.tensors["x"].quant
    zero = 0 if quant is None or len(node.inputs) == 3 else quant.zero_point
    depthwise = a["groups"] == x.shape[3] and a["groups"] > 1
    with np.errstate(all="ignore"):
        for n, oy, ox, o in product(*(range(d) for d in shape)):
            pairs = list(window(x, n, oy, ox, o, w, a))
            if x.dtype == np.int8:
                acc: Any = sum((zero if v is None else int(v)) * int(t) for v, t in pairs)
            else:
                lanes = [F(0)] * (1 if depthwise else 8)
                for i, (v, t) in enumerate(pairs):
                    if v is not None:
                        lanes[i % len(lanes)] += F(v) * F(t)
                while len(lanes) > 1:
                    h = len(lanes) // 2
                    lanes = [lanes[j] + lanes[j + h] for j in range(h)]
                acc = lanes[0]
            at = lambda v, o=o: v[o] if len(v) > 1 else v[0]  # noqa: E731
            if isinstance(e, Requant):
                t = (acc + ((1 << e.pre_shift) >> 1)) >> e.pre_shift
                q = (t * int(at(e.mul)) + int(at(e.add))) >> int(at(e.shift))
                y[n, oy, ox, o] = min(max(q, e.qmin), e.qmax)
                continue
            v = F(acc if e.corr is None else acc + int(at(e.corr)))
            v = v if e.scale is None else v * at(e.scale)
            if len(node.inputs) == 3:
                v = v * s.inputs["d"][ox if node.op == "dense" else n]
            v = v if e.bias is None else v + at(e.bias)
            v = F(e.lo) if v < F(e.lo) else v
            y[n, oy, ox, o] = F(e.hi) if v > F(e.hi) else v
    return y.reshape(out.shape)


@pytest.mark.parametrize("op", ["dense", "conv2d"])
def test_meaning_is_the_plain_loop(op: str) -> None:
    for s in samples(op, 1, 60, 3000):
        have = execute(s.graph, s.inputs)["y"]
        assert have.tobytes() == naive(s).tobytes(), s.note


def test_lane_sums_do_not_depend_on_which_side_is_longer() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 37)).astype(F)
    w = rng.choice([-1, 0, 1], (9, 37)).astype(np.int8)
    whole = lane_sums(x, w)
    rows = np.stack([lane_sums(x[i : i + 1], w)[0] for i in range(40)])
    assert whole.tobytes() == rows.tobytes()


# Against onnxruntime


def test_float_convolutions_agree_with_onnxruntime() -> None:
    checked = 0
    for s in samples("conv2d", 4, 60, 50000):
        node = s.graph.nodes[0]
        if s.inputs["x"].dtype != F:
            continue
        a, e = node.attrs, node.attrs["epilogue"]
        w = plain_weights(s.graph.consts["w"]).values.astype(F)
        x = np.ascontiguousarray(s.inputs["x"].transpose(0, 3, 1, 2))
        conv = helper.make_node(
            "Conv",
            ["x", "w"],
            ["y"],
            strides=a["strides"],
            pads=a["pads"],
            dilations=a["dilations"],
            group=a["groups"],
        )
        weights = onnx.numpy_helper.from_array(np.ascontiguousarray(w.transpose(0, 3, 1, 2)), "w")
        graph = helper.make_graph(
            [conv],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [weights],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (want,) = session.run(None, {"x": x})
        node.attrs["epilogue"] = Affine()
        have = execute(s.graph, s.inputs)["y"].transpose(0, 3, 1, 2)
        node.attrs["epilogue"] = e
        room = 1e-5 * float(np.abs(w).max(initial=0) * np.abs(x).max(initial=0) + 1e-30) * w[0].size
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=room)
        checked += 1
    assert checked >= 8


# Memory overlap, by listing every byte each pixel reads and writes


def smallest_conflict(s: Sample) -> int | None:
    """The smallest (output - input) offset D at which a write spoils an input byte still to be read."""
    node, x, w, a = as_conv(s)
    out = s.graph.tensors["y"]
    oh, ow, outs = out.shape[-3:] if node.op == "conv2d" else (1, *out.shape)
    pixel_in, pixel_out = x.shape[3] * x.itemsize, outs * out.dtype.bytes
    reads: list[set[int]] = []
    for n, oy, ox in product(range(x.shape[0]), range(oh), range(ow)):
        seen: set[int] = set()
        for ky, kx in product(range(w.shape[1]), range(w.shape[2])):
            y = oy * a["strides"][0] - a["pads"][0] + ky * a["dilations"][0]
            z = ox * a["strides"][1] - a["pads"][1] + kx * a["dilations"][1]
            if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                seen.add(((n * x.shape[1] + y) * x.shape[2] + z) * pixel_in)
        reads.append(seen)
    worst: int | None = None
    for i in range(len(reads)):
        last_written = (i + 1) * pixel_out - 1
        for later in reads[i + 1 :]:
            for r in later:
                # The promise forbids reading any index <= last_written + D.
                worst = r - last_written if worst is None else min(worst, r - last_written)
    return worst


@pytest.mark.parametrize("op", ["dense", "conv2d"])
def test_overlap_is_safe_and_as_large_as_it_can_be(op: str) -> None:
    for s in samples(op, 5, 60, 20000):
        node = s.graph.nodes[0]
        have = op_of(node).overlap(node, s.graph)
        conflict = smallest_conflict(s)
        total = s.graph.tensors["x"].nbytes
        want = total if conflict is None else min(total, conflict - 1)
        assert have[0] == want, s.note
        assert have[1:] == [None] * (len(node.inputs) - 1)


def test_strided_pointwise_convolution_writes_over_its_input() -> None:
    g = conv_graph(x=(1, 8, 8, 16), w=(32, 1, 1, 16), strides=(2, 2))
    (distance, _) = op_of(g.nodes[0]).overlap(g.nodes[0], g)
    assert distance is not None
    assert distance >= 0


# Refusals


def conv_graph(x: tuple[int, ...], w: tuple[int, ...], **attrs: Any) -> Graph:
    g = Graph("g", ["x"], ["y"])
    g.tensors["x"] = Tensor("x", x, DType.S8, Quant(0.1, -3))
    g.consts["w"] = TernaryWeights(np.ones(w, np.int8), np.ones(w[0], F))
    r = Requant(np.full(1, 100, np.int32), np.zeros(1, np.int32), np.full(1, 12, np.int32))
    g.nodes = [Node("conv2d", "n", ["x", "w"], ["y"], {"epilogue": r, "out_quant": Quant(0.1, 0)} | attrs)]
    infer_all(g)
    return g


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": (0, 1)}, "strides"),
        ({"pads": (0, 0, -1, 0)}, "pads"),
        ({"groups": 3}, "groups"),
        ({"groups": 2}, "do not fit"),
        ({"dilations": (9, 1)}, "larger than"),
        ({"epilogue": None}, "epilogue"),
        ({"epilogue": Affine(lo=1.0, hi=0.0)}, "empty"),
        ({"epilogue": Affine(bias=np.array([np.nan], F))}, "NaN"),
        ({"epilogue": Affine(bias=np.zeros(3, F))}, "bias"),
        ({"out_quant": None}, "out_quant"),
        (
            {"epilogue": Requant(*(np.array([v], np.int32) for v in (40000, 0, 12)))},
            "16 bits",
        ),
        (
            {"epilogue": Requant(*(np.array([v], np.int32) for v in (30000, 2**31 - 1, 12)))},
            "32 bits",
        ),
        ({"epilogue": Requant(*(np.array([v], np.int32) for v in (1, 0, 31)))}, "shifts"),
    ],
)
def test_malformed_convolutions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as e:
        conv_graph((1, 6, 6, 8), (4, 3, 3, 8), **change)
    assert "'n'" in str(e.value)


def test_sums_that_could_leave_32_bits_are_refused() -> None:
    k = 140000
    g = Graph("g", ["x"], ["y"])
    g.tensors["x"] = Tensor("x", (1, k), DType.S8, Quant(0.1, 0))
    g.consts["w"] = Int8Weights(np.full((1, k), -128, np.int8), np.ones(1, F))
    g.nodes = [Node("dense", "n", ["x", "w"], ["y"], {"epilogue": Affine()})]
    with pytest.raises(ModelError, match="32 bits"):
        infer_all(g)
    assert acc_bounds(g.consts["w"]).tolist() == [k * 128 * 128]


def test_wrong_kernels_and_layouts_are_refused() -> None:
    from edgebit.ops.base import KernelChoice

    g = conv_graph((1, 6, 6, 8), (4, 3, 3, 8))
    op = op_of(g.nodes[0])
    for choice in (KernelChoice("matvec_s8__ref", "s8"), KernelChoice("tmatvec_s8__ref", "s8")):
        with pytest.raises(EdgebitError, match="'n'"):
            op.lower(g.nodes[0], g, choice)


def test_work_counts_agree_with_macs() -> None:
    for op in ("dense", "conv2d"):
        for s in samples(op, 6, 20, 10**6):
            node = s.graph.nodes[0]
            work = op_of(node).work(node, s.graph)
            assert work["mac"] == op_of(node).macs(node, s.graph) > 0
            assert work["row"] == s.graph.tensors["y"].elements
    node = Node("conv2d", "n", [], [], {"groups": 8})
    assert window_of(node, (1, 4, 4, 8), (16, 1, 1, 1)).depthwise
