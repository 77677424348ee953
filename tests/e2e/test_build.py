"""Building exports: programs for every board, named, sealed, checked, and never built twice."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.board import load_board, resolve_target
from edgebit.errors import ModelError, ToolchainError, UsageError
from edgebit.ir import Affine, Graph, Node, Tensor, TernaryWeights
from edgebit.ops.base import infer_all
from edgebit.plan.plan import make_plan
from edgebit.toolchain.base import find_toolchain, first_errors, run, toolchains
from edgebit.toolchain.build import BuildResult, build_export, read_build
from edgebit.toolchain.elf import Image
from edgebit.toolchain.recipe import read_recipe
from edgebit.toolchain.uf2 import boot2_is_sealed, read_uf2

pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")
BOARDS = ("host", "mps2-an386", "nucleo-f446re", "pico", "pico2", "rpi5")
MICRO = ("mps2-an386", "nucleo-f446re", "pico", "pico2")


def export_to(out: Path, target: str) -> Path:
    """A small network for a target."""
    rng = np.random.default_rng(1)
    g = Graph("small")
    g.tensors["x"] = Tensor("x", (1, 24))
    g.inputs, g.outputs = ["x"], ["y"]
    g.consts["w"] = TernaryWeights(rng.integers(-1, 2, (10, 24)).astype(np.int8), np.ones(10, np.float32))
    g.nodes = [Node("dense", "fc", ["x", "w"], ["y"], {"epilogue": Affine(scale=np.ones(10, np.float32))})]
    infer_all(g)
    core, board = (resolve_target(target)[0], None) if target == "cortex-m7" else resolve_target(target)
    meta = pipeline.ExportMeta(name="small", target=target, source_name="made up", source_sha256="0" * 64)
    vector = {"x": rng.standard_normal((1, 24)).astype(np.float32)}
    return Path(pipeline.export_model(make_plan(g, core, board), [vector], out, meta=meta))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, BuildResult]]:
    """The export for a board and its build with the default toolchain, made once."""
    root = tmp_path_factory.mktemp("builds")
    made: dict[str, tuple[Path, BuildResult]] = {}

    def get(board: str) -> tuple[Path, BuildResult]:
        if board not in made:
            folder = export_to(root / board, board)
            made[board] = (folder, build_export(folder))
        return made[board]

    return get


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_gets_a_named_and_measured_program(board: str, built: Any) -> None:
    folder, result = built(board)
    assert result.folder == folder.with_name(board + ".build")
    assert result.fresh
    image = Image(result.elf)
    symbol = image.symbol("eb_image_id")
    assert image.read(symbol.address, 16).hex() == result.image_id
    raw = result.bin.read_bytes()
    assert raw.count(bytes.fromhex(result.image_id)) == 1
    unnamed = raw.replace(bytes.fromhex(result.image_id), bytes(16))
    assert hashlib.sha256(unnamed).hexdigest()[:32] == result.image_id
    record = json.loads((result.folder / "build.json").read_text())
    assert record["sizes"] == result.sizes
    assert result.toolchain.startswith("zig ")
    if board != "host":
        assert result.sizes["stack"]
    assert str(folder.parent) not in (result.folder / "build.json").read_text()
    assert str(folder.parent).encode() not in result.elf.read_bytes()


@pytest.mark.parametrize("board", MICRO)
def test_firmware_lies_in_the_memories_of_its_board(board: str, built: Any) -> None:
    _, result = built(board)
    image, facts = Image(result.elf), load_board(board)
    for s in image.sections:
        homes = [
            m for m in facts.memories if m.origin <= s.address and s.address + s.size <= m.origin + m.length
        ]
        assert len(homes) == 1, s
        assert (homes[0].kind == "ram") == s.writable
    ram = next(m for m in facts.memories if m.kind == "ram")
    flash = next(m for m in facts.memories if m.kind == "flash")
    stack, reset = struct.unpack("<II", image.read(flash.origin, 8))
    assert stack == ram.origin + ram.length
    assert reset & 1
    assert reset & ~1 == image.symbol("Reset").address == image.entry


@pytest.mark.parametrize("board", ["pico", "pico2"])
def test_uf2_holds_the_image_at_the_start_of_flash(board: str, built: Any) -> None:
    _, result = built(board)
    assert result.uf2 is not None
    origin, image = read_uf2(result.uf2.read_bytes(), load_board(board).flash_methods["uf2"]["family"])
    assert origin == 0x10000000
    assert image.startswith(result.bin.read_bytes())


def test_the_pico_has_a_second_boot_stage_its_rom_accepts(built: Any) -> None:
    _, result = built("pico")
    block = result.bin.read_bytes()[:256]
    assert boot2_is_sealed(block)
    assert any(block[:252])


def test_the_pico2_has_an_image_definition_its_rom_finds(built: Any) -> None:
    _, result = built("pico2")
    block = struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
    at = result.bin.read_bytes().find(block)
    assert 0 <= at <= 4096 - len(block)
    assert at % 4 == 0


def test_only_rp2_boards_get_a_uf2(built: Any) -> None:
    assert built("nucleo-f446re")[1].uf2 is None
    assert built("host")[1].uf2 is None


def test_the_same_sources_give_the_same_image_anywhere(built: Any, tmp_path: Path) -> None:
    folder, result = built("pico")
    copy = tmp_path / "elsewhere" / "deep"
    shutil.copytree(folder, copy)
    again = build_export(copy)
    assert again.image_id == result.image_id
    assert again.elf.read_bytes() == result.elf.read_bytes()


def test_nothing_is_built_twice_and_damage_is(tmp_path: Path) -> None:
    folder = export_to(tmp_path / "m", "mps2-an386")
    assert read_build(folder) is None
    said: list[str] = []
    first = build_export(folder, progress=said.append)
    assert first.fresh
    assert len(said) == 1
    stamp = first.elf.stat().st_mtime_ns
    second = build_export(folder, progress=said.append)
    assert not second.fresh
    assert len(said) == 1
    assert second.elf.stat().st_mtime_ns == stamp
    assert read_build(folder) == second
    first.elf.write_bytes(b"damaged")
    third = build_export(folder)
    assert third.fresh
    assert third.image_id == first.image_id
    before = sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    (folder / "app" / "trace.c").write_text((folder / "app" / "trace.c").read_text() + "\n// changed\n")
    assert build_export(folder).fresh
    assert len(before) == len([p for p in folder.rglob("*") if p.is_file()])


def test_a_compiler_error_is_shown_and_leaves_no_build(tmp_path: Path) -> None:
    folder = export_to(tmp_path / "m", "host")
    (folder / "app" / "trace.c").write_text("int main(void) { return what; }\n")
    with pytest.raises(ToolchainError, match=r"app/trace\.c:1:\d+: error: .*what") as e:
        build_export(folder)
    assert e.value.exit_code == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


def test_what_cannot_be_built_is_said(tmp_path: Path) -> None:
    library = export_to(tmp_path / "lib", "cortex-m7")
    with pytest.raises(UsageError, match="no program"):
        build_export(library)
    with pytest.raises(UsageError, match="not an export folder"):
        build_export(tmp_path)
    folder = export_to(tmp_path / "m", "host")
    with pytest.raises(UsageError, match="no toolchain named 'tcc'; there are: gcc, zig"):
        build_export(folder, toolchain="tcc")
    manifest = json.loads((folder / "edgebit.json").read_text())
    for bad in ("../outside.c", "/etc/passwd", "missing.c"):
        manifest["build"]["sources"] = [bad]
        (folder / "edgebit.json").write_text(json.dumps(manifest))
        with pytest.raises(ModelError, match="does not say how to build"):
            build_export(folder)
    (folder / "edgebit.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        build_export(folder)


@pytest.mark.parametrize("board", ["host", "mps2-an386", "pico", "rpi5"])
def test_gcc_builds_too_and_is_kept(board: str, tmp_path: Path) -> None:
    core = load_board(board).core
    try:
        find_toolchain("gcc").version(core)
    except ToolchainError as e:
        pytest.skip(f"{e}; the gcc build for {board} was not tested")
    folder = export_to(tmp_path / board, board)
    result = build_export(folder, toolchain="gcc")
    assert "gcc" in result.toolchain
    kept = build_export(folder)
    assert not kept.fresh
    assert kept.image_id == result.image_id
    assert build_export(folder, toolchain="zig").image_id != result.image_id


@pytest.mark.parametrize("chain", ["gcc", "zig"])
@pytest.mark.parametrize("board", BOARDS)
def test_ports_and_application_compile_without_a_warning(
    board: str, chain: str, built: Any, tmp_path: Path
) -> None:
    folder, _ = built(board)
    tool = find_toolchain(chain)
    try:
        command = tool.command(read_recipe(folder).job(tmp_path / "out.elf"))
    except ToolchainError as e:
        pytest.skip(f"{e}; {board} was not checked with {chain}")
    flags = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
    run([*command, *flags], folder, tool.environment(), what="with warnings")


@pytest.mark.parametrize("board", ["host", "rpi5"])
def test_a_linux_program_ends_when_its_host_does(board: str, built: Any) -> None:
    runner: list[str] = []
    if board == "rpi5":
        if shutil.which("qemu-aarch64") is None:
            pytest.skip("qemu-aarch64 is not installed; the rpi5 program was not run")
        runner = ["qemu-aarch64", "-cpu", "cortex-a76"]
    elif sys.platform != "linux":
        pytest.skip("the program for this machine is not a Linux one")
    done = subprocess.run(
        [*runner, str(built(board)[1].elf)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_toolchains_are_found_by_their_files() -> None:
    assert set(toolchains()) >= {"gcc", "zig"}


def test_the_first_errors_are_picked_from_a_long_output() -> None:
    text = "warning: x\n" * 50 + "a.c:1: error: bad\n  here\n" + "note\n" * 50
    assert first_errors(text).splitlines()[:2] == ["a.c:1: error: bad", "  here"]
    assert len(first_errors(text).splitlines()) == 8
    assert first_errors("") == "(it printed nothing)"
