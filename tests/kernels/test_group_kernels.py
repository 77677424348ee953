"""Dense layers with scales for groups of inputs: C against NumPy, on this machine and on emulated cores."""

from __future__ import annotations

import shutil
from pathlib import Path

import c_harness
import numpy as np
import pytest
from check_runner import kernels, planted, run_tester
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.bench.folder import open_export
from edgebit.bench.kernels import count_plan
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.errors import EdgebitError
from edgebit.ir.graph import Affine, Array, DType, Graph, GroupTernaryWeights, Node, Tensor, TernaryWeights
from edgebit.ir.serial import graph_from_bytes, graph_to_bytes
from edgebit.layouts.base import layout_of
from edgebit.ops.base import KernelChoice, Sample, execute, infer_all, op_of
from edgebit.ops.dense_groups import group_sample
from edgebit.plan.kernels import all_kernels, candidates
from edgebit.plan.plan import make_plan

FAMILIES = ("tgroups_s8", "tgroups_f32")


def test_random_layers() -> None:
    assert c_harness.check_samples(c_harness.random_samples("dense_groups", 4, 60)) >= 60


@pytest.mark.parametrize("stem", ["tgroups_", "tmatvec_"])
@pytest.mark.parametrize("isa", ["avx2", "avx512vnni", "avx512vnni_e16", "neon_dotprod", "neon"])
def test_the_kernels_of_this_machine(isa: str, stem: str) -> None:
    """Every variant of an instruction set the processor has, under the sanitizers; those of plain layers make the
    sums of one group at a time."""
    mine = {k.family: k for t in ("s8", "f32") for k in kernels("host", stem + t) if k.variant == isa}
    if not mine:
        pytest.skip(f"this machine has no {isa}")

    def choose(node: Node, graph: Graph) -> KernelChoice | None:
        k = next((mine[f] for f in op_of(node).families(node, graph) if f in mine), None)
        choice = KernelChoice(k.path.stem, k.layout) if k else None
        return choice if choice and op_of(node).takes(node, graph, choice) else None

    rng = np.random.default_rng(5)
    samples = [*c_harness.random_samples("dense_groups", 5, 40), *extremes()]
    samples += [group_sample(rng, 2, 700, 130, 128) for _ in range(6)]
    assert c_harness.check_samples(samples, choose=choose) >= 40


def extremes() -> list[Sample]:
    """Every sum at its bound, and the widest group."""
    found = []
    for group, cols in ((64, 257), (128, 128), (65536, 65536)):
        for value in (-128, 127):
            trits = np.ones((3, cols), np.int8)
            trits[1] = -1
            trits[2] = np.where(np.arange(cols) % 2, 1, -1)
            g = Graph("extreme", ["x", "d"], ["y"])
            g.tensors["x"], g.tensors["d"] = Tensor("x", (1, cols), DType.S8), Tensor("d", (1, 1))
            groups = -(-cols // group)
            g.consts["w"] = GroupTernaryWeights(trits, np.full((3, groups), 0.3, np.float32), group)
            g.nodes = [Node("dense_groups", "n", ["x", "w", "d"], ["y"], {"epilogue": Affine()})]
            infer_all(g)
            values: dict[str, Array] = {
                "x": np.full((1, cols), value, np.int8),
                "d": np.full((1, 1), 0.7, np.float32),
            }
            found.append(Sample(g, values, f"group {group}, x={value}"))
    return found


@pytest.mark.parametrize(
    "board_name", ["rpi5", "rpi4", "rpi3", "rpi2", "pico", "nucleo-f446re", "mps2-an385", "mps3-an547"]
)
def test_the_kernels_of_a_board(board_name: str, tmp_path: Path) -> None:
    """Every variant, in one program on the emulated board."""
    board = load_board(board_name)
    if set(board.emulators) == {"qemu"} and shutil.which(board.emulators["qemu"]["program"]) is None:
        pytest.skip(f"{board.emulators['qemu']['program']} is not installed")
    rng = np.random.default_rng(6)
    g = Graph("groups")
    forced: dict[str, str] = {}
    values: dict[str, Array] = {}
    for n, size in enumerate(((1, 300, 33, 64), (2, 130, 17, 128), (1, 640, 40, 128), (1, 256, 64, 128)) * 2):
        s = group_sample(rng, *size)
        for c in candidates(s.graph.nodes[0], s.graph, board.core):
            name = f"{n}.{c.stem}"
            at = {t: f"{name}.{t}" for t in [*s.graph.tensors, *s.graph.consts]}
            for t in s.graph.tensors.values():
                g.tensors[at[t.name]] = Tensor(at[t.name], t.shape, t.dtype)
            g.consts[at["w"]] = s.graph.consts["w"]
            node = s.graph.nodes[0]
            g.nodes.append(Node(node.op, name, [at[i] for i in node.inputs], [at["y"]], node.attrs))
            g.inputs += [at[i] for i in s.graph.inputs]
            g.outputs.append(at["y"])
            values |= {at[i]: v for i, v in s.inputs.items()}
            forced[name] = c.stem
    g.check()
    plan = make_plan(g, board.core, board, kernels=forced)
    meta = ExportMeta("groups", board.name, "groups", "0" * 64, source_note="random")
    folder = open_export(export_model(plan, [values], tmp_path / "groups", meta=meta))
    want = execute(g, values)
    with connect(folder, emulate="") as device:
        for at_input, i in enumerate(g.inputs):
            device.link.write_input(at_input, np.ascontiguousarray(values[i]).tobytes())
        device.link.run(hash_layers=False)
        for at_output, o in enumerate(g.outputs):
            assert device.link.read_output(at_output) == want[o].tobytes(), o


@pytest.mark.parametrize("board_name", ["nucleo-f446re", "pico", "rpi4"])
def test_prices(board_name: str) -> None:
    """What a layer of static int8 inputs is predicted to cost, and that it is made group by group on kernels of plain
    layers, which beat the reference of groups many times."""
    board, rng = load_board(board_name), np.random.default_rng(10)
    trits, scale = rng.integers(-1, 2, (64, 256)).astype(np.int8), rng.random((64, 4)).astype(np.float32)
    g = Graph("priced", ["x"], ["y"], consts={"w": GroupTernaryWeights(trits, scale, 64)})
    g.tensors["x"] = Tensor("x", (1, 256), DType.S8)
    bias = rng.standard_normal(64).astype(np.float32)
    g.nodes = [Node("dense_groups", "n", ["x", "w"], ["y"], {"epilogue": Affine(None, bias), "unit": 0.5})]
    infer_all(g)
    plan = make_plan(g, board.core, board)
    _, [(counted, exact)] = count_plan(plan, board, None)
    assert exact
    assert plan.layers[0].modelled
    assert plan.layers[0].lowered.kernel.startswith("tmatvec_s8__")
    assert plan.layers[0].cost == pytest.approx(counted, rel=0.1)


def test_one_group_is_a_dense_layer() -> None:
    """Scales of the whole row: the same bits as the op without groups."""
    rng = np.random.default_rng(7)
    trits, x = rng.integers(-1, 2, (9, 96)).astype(np.int8), rng.integers(-128, 128, (3, 96)).astype(np.int8)
    scale, d = rng.random(9).astype(np.float32), rng.random(3).astype(np.float32)
    bias = rng.standard_normal(9).astype(np.float32)
    made = []
    for weights, units, e in (
        (TernaryWeights(trits, scale), d, Affine(scale, bias)),
        (GroupTernaryWeights(trits, scale[:, None], 96), d[:, None], Affine(None, bias)),
    ):
        g = Graph("one", ["x", "d"], ["y"], consts={"w": weights})
        g.tensors["x"], g.tensors["d"] = Tensor("x", x.shape, DType.S8), Tensor("d", units.shape)
        op = "dense_groups" if isinstance(weights, GroupTernaryWeights) else "dense"
        g.nodes = [Node(op, "n", ["x", "w", "d"], ["y"], {"epilogue": e})]
        infer_all(g)
        made.append(execute(g, {"x": x, "d": units})["y"])
    assert made[0].tobytes() == made[1].tobytes()


def test_the_sums_mean_what_they_say() -> None:
    """Against binary64: scales by group, in the right places."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        s = group_sample(rng, 2, 200, 7, 64)
        w = s.graph.consts["w"]
        assert isinstance(w, GroupTernaryWeights)
        x = s.inputs["x"].astype(np.float64)
        at = s.graph.nodes[0].attrs
        if "d" in s.inputs:
            x = x * np.repeat(np.broadcast_to(s.inputs["d"].reshape(2, -1), (2, 4)), 64, axis=1)[:, :200]
        x = x * at.get("unit", 1.0)
        e = at["epilogue"]
        want = x @ w.dense().astype(np.float64).T + (0 if e.bias is None else e.bias)
        size = np.abs(x) @ np.abs(w.dense().astype(np.float64)).T + 1
        got = execute(s.graph, s.inputs)["y"]
        assert (np.abs(got - np.maximum(want, e.lo)) <= 1e-5 * size).all()


def test_a_graph_with_groups_is_stored_and_read_back() -> None:
    s = group_sample(np.random.default_rng(9), 1, 100, 5, 48)
    again = graph_from_bytes(graph_to_bytes(s.graph))
    assert execute(again, s.inputs)["y"].tobytes() == execute(s.graph, s.inputs)["y"].tobytes()
    assert isinstance(again.consts["w"], GroupTernaryWeights)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: setattr(w, "group", 24), "multiples of 16"),
        (lambda w: setattr(w, "group", 0), "multiples of 16"),
        (lambda w: setattr(w, "scale", w.scale[:, :1]), "scales must be"),
        (lambda w: setattr(w, "scale", np.full_like(w.scale, np.nan)), "finite"),
        (lambda w: setattr(w, "trits", w.trits * 2 + 2), "-1, 0 and"),
    ],
)
def test_bad_weights_are_refused(change: object, words: str) -> None:
    s = group_sample(np.random.default_rng(10), 1, 100, 5, 48)
    change(s.graph.consts["w"])  # type: ignore[operator]
    with pytest.raises(EdgebitError, match=words):
        op_of(s.graph.nodes[0]).infer(s.graph.nodes[0], s.graph)


def test_other_layers_refuse_groups() -> None:
    s = group_sample(np.random.default_rng(11), 1, 100, 5, 48)
    node = Node("dense", "n", s.graph.nodes[0].inputs, ["y"], {"epilogue": Affine(np.ones(1, np.float32))})
    with pytest.raises(EdgebitError, match="dense_groups"):
        op_of(node).infer(node, s.graph)


PLANTED = [
    ("cortex-a76", "tgroups_s8__neon_dotprod", "vsubq_s32(s->s0, total)", "s->s0"),
    ("cortex-a76", "tgroups_s8__neon_dotprod", "d += units > 1;", "(void)0;"),
    ("cortex-a76", "tgroups_f32__neon", "first ? term", "0 ? term"),
    ("host", "tgroups_s8__avx2", "scale += row_step;", "scale += rows;"),
    ("host", "tgroups_f32__avx2", "(groups + 3) & ~3", "(groups + 7) & ~3"),
]


@pytest.mark.parametrize(
    ("core", "stem", "text", "bug"), PLANTED, ids=[f"{p[1]}-{p[2][:12]}" for p in PLANTED]
)
def test_a_planted_bug_is_found(core: str, stem: str, text: str, bug: str, tmp_path: Path) -> None:
    family = stem.split("__")[0]
    if not any(k.path.stem == stem for k in kernels(core, family)):
        pytest.skip(f"this machine cannot run {stem}")
    runtime = planted(tmp_path, f"{stem}.c", text, bug)
    report = run_tester(core, tmp_path, [family], ["-Wno-error"], runtime=runtime)
    assert report.exit == 1, report.text
    assert report.variants[stem][1] > 0
    assert report.variants[f"{family}__ref"][1] == 0


def test_layouts_are_those_of_the_plain_kernels() -> None:
    """One packed matrix serves both: what differs is the scales."""
    plain: dict[str, Array | str] = {
        k.variant: k.layout for k in all_kernels().values() if k.family == "tmatvec_s8"
    }
    for k in all_kernels().values():
        if k.family == "tgroups_s8":
            assert k.layout == plain[k.variant]
            assert layout_of(k.layout).element == "trit"
