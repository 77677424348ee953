"""Float rewrites: channels-last, folding, clamps, naming. The prepared graph means what the source meant."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edgebit.errors import UsageError
from edgebit.ir.graph import Affine, Array, Const, DType, Graph, Node, Tensor, TernaryWeights
from edgebit.ir.printer import format_graph
from edgebit.ir.serial import graph_to_bytes
from edgebit.ops.base import execute, op_of
from edgebit.passes.channels_last import channels_last
from edgebit.passes.cleanup import merge_equal
from edgebit.passes.fold_affine import fold_affine
from edgebit.passes.fuse_activation import fuse_activation
from edgebit.passes.prepare import prepare
from edgebit.passes.source_layout import to_canonical, to_source
from edgebit.passes.view import View

INF = float("inf")
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


class Build:
    """Writes a graph as an importer would: NCHW tensors, transposes round channels-last ops."""

    def __init__(self, seed: int = 0) -> None:
        self.g = Graph("test")
        self.rng = np.random.default_rng(seed)

    def input(self, *shape: int) -> str:
        name = self.g.fresh("x")
        self.g.inputs.append(name)
        self.g.tensors[name] = Tensor(name, shape)
        return name

    def const(self, value: Const) -> str:
        name = self.g.fresh("w")
        self.g.consts[name] = value
        return name

    def op(self, op: str, *inputs: str, **attrs: Any) -> str:
        out = self.g.fresh(f"{op}.out")
        node = Node(op, f"{op}{len(self.g.nodes)}", list(inputs), [out], attrs)
        for t in op_of(node).infer(node, self.g):
            self.g.tensors[t.name] = t
        self.g.nodes.append(node)
        return out

    def f32(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(np.float32)

    def channels(self, x: str) -> int:
        return self.g.tensors[x].shape[1]

    def conv(self, x: str, outs: int, k: int = 3, *, ternary: bool = False, stride: int = 1) -> str:
        c, p = self.channels(x), k // 2
        scale = None
        weights: Const = self.f32(outs, k, k, c)
        if ternary:
            scale = np.abs(self.f32(outs)) + np.float32(0.1)
            weights = TernaryWeights(self.rng.integers(-1, 2, (outs, k, k, c)).astype(np.int8), scale)
        w = self.const(weights)
        attrs = {
            "epilogue": Affine(scale=scale, bias=self.f32(outs)),
            "strides": (stride, stride),
            "pads": (p, p, p, p),
            "dilations": (1, 1),
            "groups": 1,
        }
        t = self.op("transpose", x, perm=TO_NHWC)
        return self.op("transpose", self.op("conv2d", t, w, **attrs), perm=TO_NCHW)

    def pool(self, x: str) -> str:
        t = self.op("transpose", x, perm=TO_NHWC)
        y = self.op("max_pool2d", t, kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
        return self.op("transpose", y, perm=TO_NCHW)

    def norm(self, x: str) -> str:
        c = self.channels(x)
        t = self.op("transpose", x, perm=TO_NHWC)
        t = self.op("mul", t, self.const(self.f32(c)))
        t = self.op("add", t, self.const(self.f32(c)))
        return self.op("transpose", t, perm=TO_NCHW)

    def relu(self, x: str) -> str:
        return self.op("clip", x, lo=0.0, hi=INF)

    def dense(self, x: str, outs: int) -> str:
        k = self.g.tensors[x].shape[1]
        return self.op("dense", x, self.const(self.f32(outs, k)), epilogue=Affine(bias=self.f32(outs)))

    def flatten(self, x: str) -> str:
        shape = self.g.tensors[x].shape
        return self.op("reshape", x, shape=(shape[0], int(np.prod(shape[1:]))))

    def done(self, *outputs: str) -> Graph:
        self.g.outputs = list(outputs)
        self.g.check()
        return self.g


def both(graph: Graph, prepared: Graph, seed: int = 1) -> list[tuple[Array, Array]]:
    """(source, prepared) value of every output, both in the source layout, on random inputs."""
    prepared.check()
    rng = np.random.default_rng(seed)
    x = {i: rng.normal(size=graph.tensors[i].shape).astype(np.float32) for i in graph.inputs}
    before = execute(graph, x)
    after = execute(prepared, {i: to_canonical(prepared.tensors[i], x[i]) for i in prepared.inputs})
    assert len(graph.outputs) == len(prepared.outputs)
    return [
        (before[a], to_source(prepared.tensors[b], after[b]))
        for a, b in zip(graph.outputs, prepared.outputs, strict=True)
    ]


def assert_same(graph: Graph, prepared: Graph, *, exact: bool = False) -> None:
    for a, b in both(graph, prepared):
        assert a.shape == b.shape
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(np.abs(a).max(initial=1.0)))


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


def cnn(seed: int = 0) -> Graph:
    b = Build(seed)
    x = b.relu(b.norm(b.conv(b.input(2, 3, 8, 8), 6)))
    y = b.relu(b.norm(b.conv(x, 6, ternary=True)))
    x = b.relu(b.op("add", x, y))
    x = b.pool(x)
    x = b.conv(x, 4, 1)
    return b.done(b.dense(b.relu(b.flatten(x)), 5))


def test_cnn_has_no_layout_ops_left_but_the_flatten() -> None:
    g = cnn()
    p = prepare(g)
    assert ops(p) == ["conv2d", "conv2d", "add", "max_pool2d", "conv2d", "reshape", "dense"]
    t = p.tensors[p.inputs[0]]
    assert (t.shape, t.source_shape, t.source_perm) == ((2, 8, 8, 3), (2, 3, 8, 8), TO_NHWC)
    assert_same(g, p)


def test_channels_last_alone_is_exact() -> None:
    b = Build()
    x = b.conv(b.input(2, 3, 6, 5), 4)
    x = b.op("sigmoid", x)
    x = b.op("pad", x, pads=(0, 1, 2, 0, 0, 0, 1, 3), value=0.5)
    x = b.op("slice", x, starts=(0, 1, 0, 1), sizes=(2, 4, 3, 3), steps=(1, 1, 2, 2))
    x = b.op("concat", x, x, axis=1)
    g = b.done(b.conv(x, 3))
    p = channels_last(g)
    assert "transpose" not in ops(p)
    assert_same(g, p, exact=True)
    assert p.tensors[p.outputs[0]].source_perm == TO_NHWC


def test_input_read_in_both_layouts() -> None:
    b = Build()
    x = b.input(1, 4, 3, 5)
    g = b.done(b.op("add", b.conv(x, 4), b.op("tanh", x)), b.op("argmax", x, keepdims=False))
    p = prepare(g)
    assert_same(g, p)
    assert ops(p).count("transpose") == 1  # argmax wants the source's last axis


def test_unit_axes_become_reshapes() -> None:
    b = Build()
    x = b.op("transpose", b.input(1, 1, 6, 1), perm=TO_NHWC)
    g = b.done(b.op("softmax", b.op("reshape", x, shape=(2, 3))))
    p = prepare(g)
    assert_same(g, p, exact=True)
    assert "transpose" not in ops(p)


def test_sequence_input_is_n_1_l_c() -> None:
    b = Build()
    x = b.op("transpose", b.input(2, 3, 10), perm=(0, 2, 1))
    x = b.op("reshape", x, shape=(2, 1, 10, 3))
    w = b.const(b.f32(4, 1, 3, 3))
    attrs: dict[str, Any] = {"strides": (1, 1), "pads": (0, 1, 0, 1), "dilations": (1, 1), "groups": 1}
    x = b.op("conv2d", x, w, epilogue=Affine(), **attrs)
    x = b.op("transpose", b.op("reshape", x, shape=(2, 10, 4)), perm=(0, 2, 1))
    g = b.done(b.relu(x))
    p = prepare(g)
    assert ops(p) == ["conv2d"]
    assert p.tensors[p.inputs[0]].shape == (2, 1, 10, 3)
    assert p.tensors[p.inputs[0]].source_shape == (2, 3, 10)
    assert p.tensors[p.outputs[0]].shape == (2, 1, 10, 4)
    assert_same(g, p)


def test_dynamic_quantisation_of_a_flattened_map_is_per_image() -> None:
    b = Build()
    x = b.flatten(b.conv(b.input(2, 2, 4, 4), 3))
    g = b.g
    node = Node("dynamic_quantize", "dq", [x], ["xq", "d"])
    node.attrs = {"per": "row", "form": "div", "eps": 1e-5, "qmin": -128, "qmax": 127}
    for t in op_of(node).infer(node, g):
        g.tensors[t.name] = t
    g.nodes.append(node)
    scale = np.full(5, 0.25, np.float32)
    w = b.const(TernaryWeights(b.rng.integers(-1, 2, (5, 48)).astype(np.int8), scale))
    y = b.op("dense", "xq", w, "d", epilogue=Affine(scale=scale))
    p = prepare(b.done(y))
    assert ops(p) == ["conv2d", "dynamic_quantize", "reshape", "dense"]
    assert p.nodes[1].attrs["per"] == "image"
    assert_same(g, p, exact=True)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    b = Build(seed)
    rng = b.rng
    live = [b.input(int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(2, 7)), 4)]
    for _ in range(int(rng.integers(3, 12))):
        x = live[int(rng.integers(len(live)))]
        shape = b.g.tensors[x].shape
        kind = rng.choice(
            ["conv", "norm", "relu", "add", "silu", "pad", "concat", "slice", "scale", "turn", "fold"]
        )
        if kind == "conv":
            y = b.conv(x, int(rng.integers(1, 5)), int(rng.choice([1, 3])), ternary=bool(rng.random() < 0.5))
        elif kind == "norm":
            y = b.norm(x)
        elif kind == "relu":
            y = b.op("clip", x, lo=float(rng.choice([-INF, -1.0, 0.0])), hi=float(rng.choice([INF, 2.0])))
        elif kind == "add":
            same = [o for o in live if b.g.tensors[o].shape == shape]
            y = b.op(str(rng.choice(["add", "mul"])), x, same[int(rng.integers(len(same)))])
        elif kind == "silu":
            y = b.op("silu", x)
        elif kind == "pad":
            y = b.op("pad", x, pads=tuple(int(v) for v in rng.integers(0, 2, 8)), value=1.5)
        elif kind == "concat":
            y = b.op("concat", x, x, axis=int(rng.integers(4)))
        elif kind == "slice":
            y = b.op("slice", x, starts=(0,) * 4, sizes=tuple((d + 1) // 2 for d in shape), steps=(2,) * 4)
        elif kind == "scale":
            y = b.op("mul", x, b.const(np.array(rng.normal(), np.float32)))
        elif kind == "turn":
            y = b.op("transpose", x, perm=tuple(int(v) for v in rng.permutation(4)))
        else:
            y = b.op("reshape", b.op("reshape", x, shape=(shape[0], int(np.prod(shape[1:])))), shape=shape)
        if int(np.prod(b.g.tensors[y].shape)) < 3000:
            live.append(y)
    outputs = list(dict.fromkeys([live[-1], live[len(live) // 2]]))
    g = b.done(*[o for o in outputs if o not in b.g.inputs] or [b.relu(live[0])])
    assert_same(g, channels_last(g), exact=True)
    p = prepare(g)
    assert_same(g, p)
    assert p.outputs == g.outputs
    assert graph_to_bytes(p) == graph_to_bytes(prepare(g))
    assert ops(p).count("transpose") <= ops(g).count("transpose")
    again = prepare(p)
    assert ops(again) == ops(p)


def test_views_describe_any_chain() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        shape = tuple(int(d) for d in rng.choice([1, 2, 3, 4], int(rng.integers(1, 5))))
        x = np.arange(int(np.prod(shape))).reshape(shape)
        y, view = x, View.identity(shape)
        for _ in range(int(rng.integers(0, 4))):
            p = tuple(int(i) for i in rng.permutation(y.ndim))
            y, view = y.transpose(p), view.transpose(p)
            cut = (y.shape[0], int(np.prod(y.shape[1:])))
            shaped = view.reshape(cut)
            if shaped is not None:
                y, view = y.reshape(cut), shaped
        z = x
        for op, arg in view.steps():
            z = z.transpose(arg) if op == "transpose" else z.reshape(arg)
        np.testing.assert_array_equal(z, y)
        assert view.contiguous == bool((x.reshape(-1) == y.reshape(-1)).all())
        found = any(
            (x.transpose(p).reshape(-1) == y.reshape(-1)).all() for p in itertools.permutations(range(x.ndim))
        )
        assert (view.as_transpose() is not None) == found


def test_fold_keeps_trits_and_rounds_once() -> None:
    b = Build()
    x = b.input(2, 8)
    scale = np.full(4, 0.3, np.float32)
    trits = b.rng.integers(-1, 2, (4, 8)).astype(np.int8)
    y = b.op("dense", x, b.const(TernaryWeights(trits, scale)), epilogue=Affine(scale=scale, bias=b.f32(4)))
    m, a = -b.f32(4), b.f32(4)
    y = b.op("mul", y, b.const(m))
    y = b.op("add", y, b.const(a), lo=0.0, hi=6.0)
    g = b.done(y)
    p = prepare(g)
    assert ops(p) == ["dense"]
    ep = p.nodes[0].attrs["epilogue"]
    np.testing.assert_array_equal(ep.scale, (scale.astype(np.float64) * m).astype(np.float32))
    assert (ep.lo, ep.hi) == (0.0, 6.0)
    w = p.consts[p.nodes[0].inputs[1]]
    assert isinstance(w, TernaryWeights)
    np.testing.assert_array_equal(w.trits, trits)
    np.testing.assert_array_equal(w.scale, scale)
    assert_same(g, p)


def test_fold_into_float_weights_leaves_no_scale() -> None:
    b = Build()
    g = b.done(b.norm(b.conv(b.input(1, 2, 4, 4), 3)))
    p = prepare(g)
    assert ops(p) == ["conv2d"]
    assert p.nodes[0].attrs["epilogue"].scale is None
    assert_same(g, p)


def test_fold_stops_at_second_readers_and_clamps() -> None:
    b = Build()
    y = b.conv(b.input(1, 2, 4, 4), 3)
    g = b.done(b.norm(y), b.norm(b.relu(y)))
    p = prepare(g)
    assert_same(g, p)
    assert ops(p).count("mul") == 2


def test_constant_chains_merge() -> None:
    b = Build()
    x = b.op("sigmoid", b.input(3, 4))
    for _ in range(3):
        x = b.op("mul", x, b.const(b.f32(4)))
        x = b.op("add", x, b.const(b.f32(4)))
    g = b.done(b.op("sigmoid", x))
    p = fold_affine(g)
    assert ops(p) == ["sigmoid", "mul", "add", "sigmoid"]
    assert_same(g, p)


@pytest.mark.parametrize(
    "clamps", [((0, 6), (1, 2)), ((0, INF), (-INF, 4)), ((0, 1), (2, 3)), ((2, 3), (0, 1))]
)
def test_clamps_fuse_exactly(clamps: tuple[tuple[float, float], ...]) -> None:
    b = Build()
    x = b.op("add", b.input(4, 50), b.const(np.array(0.5, np.float32)))
    for lo, hi in clamps:
        x = b.op("clip", x, lo=lo, hi=hi)
    g = b.done(x)
    p = fuse_activation(g)
    assert ops(p) == ["add"]
    assert_same(g, p, exact=True)


def test_equal_nodes_merge_but_outputs_stay() -> None:
    b = Build()
    x = b.input(2, 3)
    s, t = b.op("sigmoid", x), b.op("sigmoid", x)
    g = b.done(b.op("add", s, t), t)
    p = merge_equal(g)
    assert ops(p) in (["sigmoid", "sigmoid", "add"], ["sigmoid", "add"])
    assert_same(g, p, exact=True)


def test_names_are_unique_and_outputs_keep_theirs() -> None:
    p = prepare(cnn())
    names = [n.name for n in p.nodes]
    assert len(set(names)) == len(names)
    assert p.outputs == cnn().outputs
    assert set(p.tensors) == {*p.inputs, *(o for n in p.nodes for o in n.outputs)}


def test_unknown_mode_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="as-trained"):
        prepare(cnn(), activations="int7")
    with pytest.raises(UsageError, match="calibration"):
        prepare(cnn(), activations="int8-static")


def test_printer_shows_every_node() -> None:
    p = prepare(cnn())
    text = format_graph(p)
    assert len(text.splitlines()) == 1 + len(p.inputs) + len(p.nodes) + len(p.outputs)
    assert "ternary[6x3x3x6]" in text
    assert p.tensors[p.outputs[0]].dtype is DType.F32
