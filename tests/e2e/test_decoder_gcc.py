"""Language models for Raspberry Pis, compiled by the distribution's cross compiler with its static C library."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from decoder_random import export, manifest, random_decoder, small_spec

from edgebit.bench.language_model import open_language_model, prove
from edgebit.toolchain.build import build_export
from edgebit.toolchain.elf import Image


@pytest.mark.parametrize("board", ["rpi5", "rpi4"])
def test_gcc_keeps_the_certificate(tmp_path: Path, board: str) -> None:
    for tool in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: programs of GCC for {board} were not tested")
    decoder = random_decoder(small_spec(layers=1))
    folder = export(decoder, board, tmp_path / "pi")
    built = build_export(folder, toolchain="gcc")
    assert "GNU" in built.toolchain or "gcc" in built.toolchain
    assert any(s.kind == "resolver" for s in Image(built.elf).symbols), (
        "its C library chooses functions at start-up"
    )
    proof = prove(open_language_model(folder), emulate="qemu", threads=(2,), toolchain="gcc")
    host = export(decoder, "host", tmp_path / "host")
    assert proof.certificate == manifest(host)["certificate"]
