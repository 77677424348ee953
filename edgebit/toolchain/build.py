"""Builds an export folder into <folder>.build/: the program, its flash image, and build.json."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from edgebit.board import Board
from edgebit.core import Core
from edgebit.errors import FitError, ModelError, ToolchainError, WriteError
from edgebit.resources import folder_atomically
from edgebit.toolchain.base import Toolchain, between, find_toolchain, toolchains
from edgebit.toolchain.decode import check_isa
from edgebit.toolchain.elf import Image
from edgebit.toolchain.recipe import Recipe, read_recipe
from edgebit.toolchain.stack import stack_usage
from edgebit.toolchain.uf2 import BOOT2_BYTES, boot2_is_sealed, seal_boot2, write_uf2

RECORD = "build.json"
ELF, BIN, UF2 = "firmware.elf", "firmware.bin", "firmware.uf2"
_FILES = (RECORD, ELF, BIN, UF2)
_ID_SYMBOL = "eb_image_id"
_ID_BYTES = 16


@dataclass(frozen=True)
class BuildResult:
    """A built program. sizes in bytes: code const data bss flash ram stack, stack None when not known.

    image_id is the 32 hex digits the program reports over the link. fresh is False when the folder already
    held this build.
    """

    folder: Path
    elf: Path
    bin: Path
    uf2: Path | None
    image_id: str
    sizes: dict[str, int | None]
    toolchain: str
    fresh: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON for the command line."""
        return {
            "elf": str(self.elf),
            "bin": str(self.bin),
            "uf2": None if self.uf2 is None else str(self.uf2),
            "image_id": self.image_id,
            "sizes": self.sizes,
            "toolchain": self.toolchain,
            "fresh": self.fresh,
        }

    @property
    def record(self) -> dict[str, Any]:
        """What build.json says."""
        found: dict[str, Any] = json.loads((self.folder / RECORD).read_text())
        return found


def build_folder(export: Path) -> Path:
    """Where the build of an export folder goes: beside it, since exports never change."""
    return export.with_name(export.name + ".build")


def build_export(
    export_dir: Path,
    *,
    toolchain: str | None = None,
    as_it_lies: bool = False,
    progress: Callable[[str], None] | None = None,
) -> BuildResult:
    """Compile, link and check the program in an export folder.

    Nothing is done when <folder>.build already holds the result of the same sources, compiler and flags. An
    image that changed since is built again, unless as_it_lies: verifying must see a damaged image, not mend it.
    Without a toolchain's name, the one of an earlier build is used, else the default.
    """
    recipe, chain, version, inputs = _inputs(export_dir, toolchain)
    export, core = recipe.folder, recipe.core
    out = build_folder(export)
    done = _existing(out, inputs, version, as_it_lies=as_it_lies)
    if done is not None:
        return done
    if progress is not None:
        progress(f"compiling with {version} for {core.title}")
    with folder_atomically(out, _FILES) as tmp:
        chain.build(recipe.job(tmp / ELF))
        record = _finish(tmp, recipe)
        record.update(
            inputs=inputs,
            chain=chain.name,
            toolchain=version,
            export=export.name,
            model_id=recipe.model_id,
        )
        (tmp / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    result = _existing(out, inputs, version)
    if result is None:
        raise WriteError(f"another run replaced {out} at the same time; run this again")
    return BuildResult(**{**result.__dict__, "fresh": True})


def current_build(export_dir: Path, *, toolchain: str | None = None) -> BuildResult | None:
    """What build_export would leave as it is; None when it would build."""
    recipe, _, version, inputs = _inputs(export_dir, toolchain)
    return _existing(build_folder(recipe.folder), inputs, version)


def _inputs(export_dir: Path, toolchain: str | None) -> tuple[Recipe, Toolchain, str, str]:
    """What to build, with what, its version, and a digest of all of these."""
    recipe = read_recipe(Path(export_dir).resolve())
    out = build_folder(recipe.folder)
    chain = find_toolchain(toolchain or _last_toolchain(out))
    version = chain.version(recipe.core)
    return recipe, chain, version, fingerprint(recipe, chain, version, out)


def changed_files(build: BuildResult) -> list[str]:
    """The files of a build that are no longer what the compiler made."""
    try:
        files = build.record["files"].items()
        return sorted(n for n, d in files if n in _FILES and _digest(build.folder / n) != d)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def read_build(export_dir: Path) -> BuildResult | None:
    """The build beside an export folder, None when there is none or it is damaged."""
    out = build_folder(Path(export_dir).resolve())
    try:
        record = json.loads((out / RECORD).read_text())
        return _result(out, record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _last_toolchain(out: Path) -> str | None:
    """The name of the toolchain that made what is in a build folder; None when it is not there any more."""
    try:
        name = json.loads((out / RECORD).read_text())["chain"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if name in toolchains() else None


def fingerprint(recipe: Recipe, chain: Toolchain, version: str, out: Path) -> str:
    """SHA-256 of everything the program depends on."""
    h = hashlib.sha256()
    job = recipe.job(out / ELF)
    files = {str(job.output), str(between(job))}
    commands = [[a for a in c if a not in files][1:] for c in chain.commands(job)]
    h.update(json.dumps([version, commands, recipe.boot2, recipe.uf2_family], sort_keys=True).encode())
    found = (p for p in recipe.folder.rglob("*") if p.suffix in (".c", ".h", ".S", ".ld"))
    try:
        for path in sorted({*found, *(recipe.folder / s for s in job.sources)}):
            if path.is_file():
                h.update(path.relative_to(recipe.folder).as_posix().encode() + b"\0")
                h.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError as e:
        raise ModelError(f"{e.filename}: cannot be read: {e.strerror}") from e
    return h.hexdigest()


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, in hex; None when it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _existing(out: Path, inputs: str, version: str, *, as_it_lies: bool = False) -> BuildResult | None:
    """The build in `out` when it came from these inputs and (unless as_it_lies) nobody has touched it since."""
    try:
        record = json.loads((out / RECORD).read_text())
        if record["inputs"] != inputs or record["toolchain"] != version:
            return None
        result = _result(out, record)
        for name, digest in record["files"].items():
            found = _digest(out / name)
            if found is None or (found != digest and not as_it_lies):
                return None
        return result
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _result(out: Path, record: dict[str, Any]) -> BuildResult:
    files, sizes, image_id = record["files"], dict(record["sizes"]), str(record["image_id"])
    if not {ELF, BIN} <= set(files) <= set(_FILES) or not re.fullmatch("[0-9a-f]{32}", image_id):
        raise ValueError("not a record of a build")
    if not all(v is None or type(v) is int for v in sizes.values()):
        raise ValueError("sizes are numbers")
    uf2 = out / UF2
    return BuildResult(
        folder=out,
        elf=out / ELF,
        bin=out / BIN,
        uf2=uf2 if UF2 in files else None,
        image_id=image_id,
        sizes=sizes,
        toolchain=str(record["toolchain"]),
        fresh=False,
    )


def _finish(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Seal, name, check and measure a linked program; the record of it."""
    elf, core = folder / ELF, recipe.core
    image = Image(elf)
    if recipe.boot2 is not None:
        address = image.symbol(recipe.boot2).address
        block = image.read(address, BOOT2_BYTES)
        _patch(elf, address, block, seal_boot2(block))
    image_id = _name_image(elf, core)
    image = Image(elf)
    origin, flat = image.flat() if core.is_cortex_m else (0, elf.read_bytes())
    (folder / BIN).write_bytes(flat)
    if recipe.boot2 is not None and not boot2_is_sealed(flat[:BOOT2_BYTES]):
        raise ToolchainError("the second boot stage is not the first thing in the image")
    files = [ELF, BIN]
    if recipe.uf2_family is not None:
        (folder / UF2).write_bytes(write_uf2(flat, origin, recipe.uf2_family))
        files.append(UF2)
    found = image.sizes()
    sizes: dict[str, int | None] = {
        key: int(getattr(found, key)) for key in ("code", "const", "data", "bss", "flash", "ram")
    }
    sizes["stack"] = None
    record: dict[str, Any] = {
        "image_id": image_id,
        "origin": origin,
        "sizes": sizes,
        "board": recipe.board.name,
    }
    if core.family != "host":
        check_isa(elf, core)
    if core.family != "host" and not recipe.libc:  # a C library calls through pointers
        report = stack_usage(elf, core)
        sizes["stack"] = report.bytes
        record["stack_path"] = [list(p) for p in report.path]
        _check_ram(recipe.board, found.ram, report.bytes)
    record["files"] = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in files}
    return record


def _check_ram(board: Board, ram: int, stack: int) -> None:
    """The linker has seen to flash; the deepest stack is only known now."""
    if board.ram_bytes and ram + stack > board.ram_bytes:
        raise FitError(
            f"does not fit {board.title}: data takes {ram:,} B and the stack {stack:,} B "
            f"of {board.ram_bytes:,} B of RAM",
            details={"ram": ram, "stack": stack, "total": board.ram_bytes},
        )


def _name_image(elf: Path, core: Core) -> str:
    """Write into the program what it answers when asked who it is: a digest of itself."""
    image = Image(elf)
    symbol = image.symbol(_ID_SYMBOL)
    if symbol.size not in (0, _ID_BYTES) or image.read(symbol.address, _ID_BYTES) != bytes(_ID_BYTES):
        raise ToolchainError(f"{_ID_SYMBOL} is not {_ID_BYTES} zero bytes; was the application changed?")
    whole = image.flat()[1] if core.is_cortex_m else elf.read_bytes()
    digest = hashlib.sha256(whole).digest()[:_ID_BYTES]
    _patch(elf, symbol.address, bytes(_ID_BYTES), digest)
    return digest.hex()


def _patch(elf: Path, address: int, old: bytes, new: bytes) -> None:
    """Replace bytes at a run-time address in an ELF file."""
    raw = bytearray(elf.read_bytes())
    for p in ELFFile(io.BytesIO(raw)).iter_segments():
        start = int(p["p_vaddr"])
        if p["p_type"] == "PT_LOAD" and start <= address and address + len(old) <= start + p["p_filesz"]:
            at = int(p["p_offset"]) + address - start
            break
    else:
        raise ToolchainError(f"{elf.name} stores nothing at {address:#x}")
    if len(old) != len(new) or raw[at : at + len(old)] != old:
        raise ToolchainError(f"{elf.name}: unexpected bytes at {address:#x}")
    raw[at : at + len(new)] = new
    elf.write_bytes(raw)
