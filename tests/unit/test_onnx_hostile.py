"""Damaged and hostile ONNX files: always one ModelError that names the file, never a traceback or a big
allocation."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import build, imported, node, save

from edgebit.errors import ModelError
from edgebit.importers.base import load_model

W = np.arange(32, dtype=np.float32).reshape(8, 4)


def good() -> onnx.ModelProto:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["c"]), node("Relu", ["c"])]
    return build(nodes, {"x": ("N", 8)}, consts={"w": W, "b": W[0]})


def refused(model: onnx.ModelProto, folder: Path, match: str) -> str:
    with pytest.raises(ModelError, match=match) as e:
        imported(model, folder)
    text = str(e.value)
    assert text.startswith("m.onnx")
    assert text.isascii()
    assert text.isprintable()
    return text


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    raw = good().SerializeToString()
    path = tmp_path / "m.onnx"
    for n in range(len(raw)):
        path.write_bytes(raw[:n])
        with pytest.raises(ModelError):
            load_model(path)


def test_random_damage_is_a_model_error_or_harmless(tmp_path: Path) -> None:
    raw = good().SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "m.onnx"
    for _ in range(1500):
        bad = bytearray(raw)
        for _ in range(int(rng.integers(1, 5))):
            bad[int(rng.integers(len(bad)))] = int(rng.integers(256))
        path.write_bytes(bytes(bad))
        with contextlib.suppress(ModelError):
            load_model(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not a model", bytes(range(64, 128))])
def test_other_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx"):
        load_model(path)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "missing.onnx")
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    with pytest.raises(ModelError, match="not a model file"):
        load_model(other)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError):
        load_model(tmp_path / "folder.onnx")


def test_onnx_is_found_by_content(tmp_path: Path) -> None:
    assert load_model(save(good(), tmp_path, "model.bin")).outputs == ["y"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["w", "b"])
def test_weights_that_are_not_finite(tmp_path: Path, value: float, name: str) -> None:
    m = good()
    t = next(i for i in m.graph.initializer if i.name == name)
    a = np.frombuffer(t.raw_data, np.float32).copy()
    a[2] = value
    t.raw_data = a.tobytes()
    refused(m, tmp_path, f"initialiser '{name}': contains (NaN|infinity)")


def test_folding_that_overflows(tmp_path: Path) -> None:
    nodes = [node("Div", ["w", "zero"], ["v"]), node("MatMul", ["x", "v"])]
    refused(build(nodes, {"x": (1, 8)}, consts={"w": W, "zero": np.float32(0)}), tmp_path, "not finite")


@pytest.mark.parametrize(
    "dims", [[-1, 4], [1 << 40, 1 << 40], [1 << 62], [2**31, 2], [1] * 9, [9, 4], [0, 4]]
)
def test_absurd_dimensions_allocate_nothing(tmp_path: Path, dims: list[int]) -> None:
    m = good()
    del m.graph.initializer[0].dims[:]
    m.graph.initializer[0].dims.extend(dims)
    tracemalloc.start()
    refused(m, tmp_path, "absurd dimensions|which takes")
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("dims", [[0, 8], [1 << 40, 8], [1 << 20, 1 << 20], [-5, 8]])
def test_absurd_inputs(tmp_path: Path, dims: list[int]) -> None:
    refused(build([node("Relu", ["x"])], {"x": dims}), tmp_path, "absurd|unsupported shape")


BOMBS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "expand": ([node("Expand", ["b", "s"], ["e"]), node("Add", ["x", "e"])], {"s": [1 << 20, 1 << 12, 4]}),
    "fill": ([node("ConstantOfShape", ["s"], ["e"]), node("Add", ["x", "e"])], {"s": [1 << 40]}),
    "negative": ([node("ConstantOfShape", ["s"], ["e"]), node("Add", ["x", "e"])], {"s": [-4]}),
    "range": ([node("Range", ["z", "n", "o"], ["e"]), node("Add", ["x", "e"])], {"n": 1 << 50, "z": 0, "o": 1}),
    "tile": ([node("Tile", ["b", "s"], ["e"]), node("Add", ["x", "e"])], {"s": [1 << 40]}),
    "pad": ([node("Pad", ["x", "s"])], {"s": [0, 0, 1 << 40, 1 << 40]}),
    "pads": ([node("Pad", ["x", "s"])], {"s": [0, 0, 1 << 18, 1 << 18]}),
    "outer": ([node("Expand", ["b", "s"], ["e"]), node("Mul", ["e", "b2"], ["f"]), node("Add", ["x", "f"])],
              {"s": [1 << 15, 4], "b2": np.ones((1 << 15, 1, 1), np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_small_files_that_ask_for_much_memory(tmp_path: Path, case: str) -> None:
    nodes, consts = BOMBS[case]
    arrays = {k: v if isinstance(v, np.ndarray) else np.array(v, np.int64) for k, v in consts.items()}
    tracemalloc.start()
    refused(
        build(nodes, {"x": (2, 4)}, consts={"b": W[0], **arrays}), tmp_path, "large or malformed|shape|pads"
    )
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("bad", ['"; system("x', "a\nb", "tab\t", "é", "a" * 600, "${x}{", "`id`", "a\\b"])
@pytest.mark.parametrize("where", ["initialiser", "node", "tensor", "input"])
def test_names_are_plain(tmp_path: Path, bad: str, where: str) -> None:
    if where == "node":
        m = build([node("Relu", ["x"], name=bad)], {"x": (1, 8)})
    elif where == "tensor":
        m = build([node("Neg", ["x"], [bad]), node("Relu", [bad])], {"x": (1, 8)})
    elif where == "input":
        m = build([node("Relu", [bad])], {bad: (1, 8)})
    else:
        m = build([node("MatMul", ["x", bad])], {"x": (1, 8)}, consts={bad: W})
    refused(m, tmp_path, "name")


def test_a_refused_name_is_shown_escaped(tmp_path: Path) -> None:
    m = build([node("Relu", ["x"], ['"; system("x\x1b[31m'])], {"x": (1, 8)}, [])
    m.graph.output.add().CopyFrom(helper.make_tensor_value_info('"; system("x\x1b[31m', 1, None))
    text = refused(m, tmp_path, "not allowed in names")
    assert '"; system("x\\x1b[31m' in text


def external(folder: Path, **entries: str) -> onnx.ModelProto:
    m = good()
    t = m.graph.initializer[0]
    (folder / "w.bin").write_bytes(b"\0" * 16 + t.raw_data)
    t.ClearField("raw_data")
    t.data_location = TensorProto.EXTERNAL
    for k, v in {"location": "w.bin", "offset": "16", "length": str(W.nbytes), **entries}.items():
        t.external_data.add(key=k, value=v)
    return m


def test_external_data(tmp_path: Path) -> None:
    g = imported(external(tmp_path), tmp_path)
    np.testing.assert_array_equal(g.consts["w"], W.T)


ESCAPES = {
    "absolute": ({"location": "/etc/passwd"}, "own folder"),
    "parent": ({"location": "../w.bin"}, "own folder"),
    "inner parent": ({"location": "sub/../../w.bin"}, "own folder"),
    "backslash": ({"location": "..\\w.bin"}, "own folder"),
    "drive": ({"location": "C:/w.bin"}, "own folder"),
    "empty": ({"location": ""}, "own folder"),
    "missing": ({"location": "other.bin"}, "missing"),
    "offset": ({"offset": "17"}, "complete"),
    "huge offset": ({"offset": str(1 << 70)}, "complete"),
    "negative": ({"offset": "-1"}, "external data"),
    "length": ({"length": "12"}, "takes"),
    "text": ({"offset": "x"}, "unreadable"),
    "link": ({"location": "link.bin"}, "outside"),
    "linked folder": ({"location": "up/secret.bin"}, "outside"),
}


@pytest.mark.parametrize("case", ESCAPES)
def test_external_data_stays_in_the_folder(tmp_path: Path, case: str) -> None:
    inside = tmp_path / "models"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 500)
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "up").symlink_to(tmp_path)
    entries, match = ESCAPES[case]
    refused(external(inside, **entries), inside, match)


def test_foreign_domains_and_control_flow(tmp_path: Path) -> None:
    m = build([node("FusedMatMul", ["x"], domain="com.microsoft")], {"x": (1, 8)})
    assert "QDQ" in refused(m, tmp_path, "com.microsoft")
    m = build([node("Quant", ["x"], domain="qonnx.custom_op.general")], {"x": (1, 8)})
    assert "export_onnx_qcdq" in refused(m, tmp_path, "QONNX")
    refused(build([node("Foo", ["x"], domain="my.domain")], {"x": (1, 8)}), tmp_path, "my.domain")
    body = good().graph
    refused(build([node("Loop", ["x"], body=body)], {"x": (1, 8)}), tmp_path, "control flow")


@pytest.mark.parametrize("opset", [8, 26, 99, -1])
def test_opset_range(tmp_path: Path, opset: int) -> None:
    m = good()
    m.opset_import[0].version = opset
    refused(m, tmp_path, f"opset {opset}")


def test_open_dimensions(tmp_path: Path) -> None:
    assert imported(good(), tmp_path, batch=3).tensors["x"].shape == (3, 8)
    refused(build([node("Relu", ["x"])], {"x": (1, "T")}), tmp_path, "dimension 1 is not fixed")
    with pytest.raises(ModelError, match="fixed batch 2"):
        imported(build([node("Relu", ["x"])], {"x": (2, 4)}), tmp_path, batch=3)


def test_broken_graphs(tmp_path: Path) -> None:
    relu = node("Relu", ["x"])
    refused(build([node("Relu", ["nothing"])], {"x": (1, 8)}), tmp_path, "which nothing before it makes")
    refused(build([relu, node("Neg", ["x"])], {"x": (1, 8)}), tmp_path, "a second time")
    refused(build([relu], {"x": (1, 8)}, ["z"]), tmp_path, "made by no node")
    refused(build([relu], {"x": (1, 8)}, []), tmp_path, "no outputs")
    refused(build([relu], {"x": (1, 8)}, ["y", "y"]), tmp_path, "same name")
    refused(build([node("Relu", [])], {"x": (1, 8)}), tmp_path, "has no inputs|missing")
    refused(build([node("Add", ["x"])], {"x": (1, 8)}), tmp_path, "missing")
    refused(build([node("Conv", ["x"])], {"x": (1, 8, 2, 2)}), tmp_path, "missing")
    refused(build([relu], {"x": (1, 8)}, elem=TensorProto.STRING), tmp_path, "STRING")
    refused(build([relu], {"x": (1, 8)}, elem=TensorProto.DOUBLE), tmp_path, "DOUBLE")
    sparse = good()
    sparse.graph.sparse_initializer.add()
    refused(sparse, tmp_path, "sparse")
    text = helper.make_tensor("s", TensorProto.STRING, [1], [b"x"])
    refused(build([node("Add", ["x", "s"])], {"x": (1, 8)}, consts={"s": text}), tmp_path, "STRING")
