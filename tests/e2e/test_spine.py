"""The whole path: a model file in, the emulated board's bytes out, equal to the reference."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.npz import read_npz
from edgebit.board import list_boards, load_board

TARGETS = ("pico", "nucleo-f446re", "rpi5", "host")
MODELS = (
    "a_cnn_dynamo",
    "a_cnn_ts_nofold",
    "a_mlp_dynamo",
    "a_mlp_ts_nofold",
    "b_dq_int2_opset25",
    "b_dq_int4_opset23",
    "b_dq_int8_opset21",
    "b_qdq_int8",
    "c_matmulnbits_b2_blk32_nozp",
    "c_matmulnbits_b2_blk32_zpu8",
    "d_ternary_qcdq",
    "f_cnn_float_dynamo",
    "f_mlp_float_ts",
)


@pytest.mark.parametrize("model", MODELS)
def test_every_shared_model_is_bit_exact_everywhere(
    model: str, shared: Path, edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    certificates = set()
    for target in TARGETS:
        out = tmp_path / target
        exported = edgebit(
            "export", shared / f"models/onnx/{model}.onnx", "-t", target, "-o", out, "--json"
        ).json
        verified = edgebit("verify", out, "--emulate", "--json").json
        assert verified["bit_exact"] is True
        assert verified["vectors"] >= 2
        assert verified["certificate"] == exported["certificate"]
        certificates.add(verified["certificate"])
    assert len(certificates) == 1


def test_what_is_not_supported_is_refused_with_a_sentence(
    shared: Path, edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    model = "d_ternary_qonnx"
    ran = edgebit(
        "export", shared / f"models/onnx/{model}.onnx", "-t", "pico", "-o", tmp_path / "o", "--json", code=3
    )
    assert model in ran.json["error"]
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def mnist(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    golden = read_npz(shared / "models/bitnetcnn/mnist_ternary_cnn_golden.npz")
    path = tmp_path_factory.mktemp("mnist") / "images.npz"
    np.savez(path, x=golden["x_u8"].astype(np.float32) / np.float32(255), y=golden["y"])
    return shared / "models/bitnetcnn/mnist_ternary_cnn_float_folded.onnx", path


def test_mnist_keeps_its_top1_on_the_golden_images(
    mnist: tuple[Path, Path], edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    model, images = mnist
    edgebit("export", model, "-t", "host", "-o", tmp_path / "m", "--vectors", images, "--json")
    verified = edgebit("verify", tmp_path / "m", "--json").json
    assert verified["bit_exact"] is True
    assert verified["vectors"] == 256
    assert verified["top1_agreement"] == 1.0
    assert verified["max_abs_error_vs_source"] < 1e-3


@pytest.mark.parametrize("target", ["pico", "nucleo-f446re", "rpi5"])
def test_mnist_is_bit_exact_on_boards(
    target: str, mnist: tuple[Path, Path], edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    model, images = mnist
    out = tmp_path / "m"
    exported = edgebit(
        "export", model, "-t", target, "-o", out, "--vectors", images, "--limit", 2, "--json"
    ).json
    verified = edgebit("verify", out, "--emulate", "--json").json
    assert verified["bit_exact"] is True
    assert verified["vectors"] == 2
    if target == "nucleo-f446re":
        # the first strided convolution's 100 352-byte input and 50 176-byte output share memory
        assert exported["arena_bytes"] < 100_352 + 50_176
        assert exported["arena_bytes"] + exported["stack_bytes"] < 128 * 1024


BOARD_OF_CORE = {load_board(b).core.name: b for b in reversed(list_boards())}
"""One board a core; tests/emulated/test_board_folders.py runs digits on every board."""


@pytest.mark.parametrize(
    ("example", "board"),
    [("digits", "pico"), ("digits", "host"), *(("gesture", b) for b in sorted(BOARD_OF_CORE.values()))],
)
def test_examples_run_on_every_core(
    example: str, board: str, edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    emulators = load_board(board).emulators
    if set(emulators) == {"qemu"} and shutil.which(emulators["qemu"]["program"]) is None:
        pytest.skip(f"{board} is emulated by {emulators['qemu']['program']} alone, which is not installed")
    root = Path(__file__).resolve().parents[2] / "examples" / example
    args = ["--vectors", root / "test.npz", "--limit", 4, "-o", tmp_path / "e", "--json"]
    if 0 < load_board(board).ram_bytes < 32 << 10:  # the faster kernels' scratch does not fit
        args += ["--optimize", "size"]
    edgebit("export", root / f"{example}.onnx", "-t", board, *args)
    verified = edgebit("verify", tmp_path / "e", "--emulate", "--json").json
    assert verified["bit_exact"] is True
    assert verified["vectors"] == 4
    assert verified["top1_agreement"] == 1.0
    measured = edgebit("bench", tmp_path / "e", "--emulate", "--json").json
    assert set(measured) >= {"board", "metric", "per_inference", "layers"}
    assert measured["per_inference"] > 0
    if board != "host":
        assert sum(row["value"] for row in measured["layers"]) == measured["per_inference"]


@pytest.mark.parametrize(("board", "program"), [("mps2-an386", "qemu-system-arm"), ("rpi5", "qemu-aarch64")])
def test_qemu_agrees(
    board: str, program: str, digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    assert edgebit("verify", digits(board), "--emulate=qemu", "--json").json["bit_exact"] is True
