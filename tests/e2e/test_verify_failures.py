"""What goes wrong is found, named, and has its own exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def pico(digits: Callable[[str], Path], edgebit: Callable[..., Any], tmp_path: Path) -> Path:
    """A private copy of the digits export for the Pico with its build."""
    source = digits("pico")
    edgebit("build", source, "--json")
    for suffix in ("", ".build"):
        shutil.copytree(source.with_name(source.name + suffix), tmp_path / f"d{suffix}")
    return tmp_path / "d"


def image_files(export: Path) -> list[Path]:
    return [
        p for p in export.with_name(export.name + ".build").iterdir() if p.suffix in (".elf", ".bin", ".uf2")
    ]


def flip_in(path: Path, needle: bytes) -> bool:
    raw = bytearray(path.read_bytes())
    at = raw.find(needle)
    if at < 0:
        return False
    raw[at + len(needle) // 2] ^= 0x01
    path.write_bytes(raw)
    return True


def weight_bytes(export: Path, layer: int) -> bytes:
    """A run of packed weight bytes of a layer, as the C source lists them."""
    text = (export / "digits_weights.c").read_text()
    start = text.index(f"_l{layer}_")
    body = text[text.index("{", start) + 1 : text.index("}", start)]
    numbers = [int(v, 0) & 0xFF for v in body.replace("\n", " ").split(",") if v.strip()]
    return bytes(numbers[:24])


def test_one_flipped_weight_byte_is_found_and_named(pico: Path, edgebit: Callable[..., Any]) -> None:
    assert edgebit("verify", pico, "--emulate", "--json").json["bit_exact"] is True
    manifest = json.loads((pico / "edgebit.json").read_text())
    layer = next(r for r in manifest["layers"] if r["kernel"].startswith("tmatvec"))
    needle = weight_bytes(pico, layer["index"])
    assert sum(flip_in(p, needle) for p in image_files(pico)) >= 1
    ran = edgebit("verify", pico, "--emulate", "--json", code=9)
    assert ran.json["first_mismatch"]["kind"] == "weights"
    assert ran.json["first_mismatch"]["name"] == layer["name"]
    assert layer["name"] in ran.json["error"]


def test_another_model_in_the_image_is_exit_7(
    pico: Path, edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    other = tmp_path / "g"
    edgebit("export", EXAMPLES / "gesture/gesture.onnx", "-t", "pico", "-o", other, "--json")
    edgebit("build", other, "--json")
    for p in image_files(other):
        shutil.copy(p, pico.with_name(pico.name + ".build") / p.name)
    ran = edgebit("verify", pico, "--emulate", "--json", code=7)
    assert "holds model 'gesture'" in ran.json["error"]


def test_another_board_is_exit_7(pico: Path, edgebit: Callable[..., Any]) -> None:
    ran = edgebit("verify", pico, "--board", "rpi5", "--emulate", "--json", code=7)
    assert "pico" in ran.json["error"]
    assert "rpi5" in ran.json["error"]


def test_no_board_is_exit_6(pico: Path, edgebit: Callable[..., Any]) -> None:
    ran = edgebit("verify", pico, "--json", code=6)
    assert "--emulate" in ran.json["error"]


def test_too_big_for_the_board_is_exit_4_with_the_table(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = __import__("numpy").random.default_rng(0)
    w = (rng.integers(-1, 2, (4096, 4096)) * 0.5).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w"], ["y"], transB=1),
        ],
        "big",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4096])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4096])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "big.onnx"
    onnx.save(model, path)
    ran = edgebit("export", path, "-t", "pico", "-o", tmp_path / "out", "--json", code=4)
    assert "weights" in ran.json["error"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big.onnx"]


def test_the_same_command_twice_gives_the_same_bytes(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    trees = []
    for k in ("one", "two"):
        out = tmp_path / k / "digits"
        edgebit("export", EXAMPLES / "digits/digits.onnx", "-t", "pico", "-o", out, "--json")
        trees.append({str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert trees[0] == trees[1]
    assert len(trees[0]) > 8
