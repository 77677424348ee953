"""Builds an export folder into <folder>.build/: the program, its flash image, and build.json."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.elf.elffile import ELFFile

from edgebit.board import Board, load_board
from edgebit.core import Core, load_core
from edgebit.errors import FitError, ModelError, ToolchainError, UsageError
from edgebit.resources import folder_atomically
from edgebit.toolchain.base import Job, Toolchain, find_toolchain, host_is_freestanding, toolchains
from edgebit.toolchain.decode import check_isa
from edgebit.toolchain.elf import Image
from edgebit.toolchain.stack import stack_usage
from edgebit.toolchain.uf2 import BOOT2_BYTES, boot2_is_sealed, seal_boot2, write_uf2

MANIFEST = "edgebit.json"
RECORD = "build.json"
ELF, BIN, UF2 = "firmware.elf", "firmware.bin", "firmware.uf2"
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
    export = Path(export_dir).resolve()
    manifest = _manifest(export)
    program = manifest["build"]
    core = load_core(str(manifest["core"]))
    out = build_folder(export)
    chain = find_toolchain(toolchain or _last_toolchain(out))
    version = chain.version(core)
    job = _job(export, program, core, out / ELF)
    inputs = _fingerprint(export, program, chain, version, job)
    done = _existing(out, inputs, version, as_it_lies=as_it_lies)
    if done is not None:
        return done
    if progress is not None:
        progress(f"compiling {len(job.sources)} files with {version} for {core.title}")
    with folder_atomically(out) as tmp:
        chain.build(_job(export, program, core, tmp / ELF))
        record = _finish(tmp, program, core, manifest)
        record.update(
            inputs=inputs,
            chain=chain.name,
            toolchain=version,
            export=export.name,
            model_id=manifest["model_id"],
        )
        (tmp / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    result = _existing(out, inputs, version)
    assert result is not None
    return BuildResult(**{**result.__dict__, "fresh": True})


def read_build(export_dir: Path) -> BuildResult | None:
    """The build beside an export folder, None when there is none or it is damaged."""
    out = build_folder(Path(export_dir).resolve())
    try:
        record = json.loads((out / RECORD).read_text())
        return _result(out, record)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _last_toolchain(out: Path) -> str | None:
    """The name of the toolchain that made what is in a build folder; None when it is not there any more."""
    try:
        name = json.loads((out / RECORD).read_text())["chain"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if name in toolchains() else None


def _manifest(export: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((export / MANIFEST).read_text())
    except FileNotFoundError:
        raise UsageError(f"{export}: not an export folder ({MANIFEST} is missing)") from None
    except (OSError, ValueError) as e:
        raise ModelError(f"{export / MANIFEST}: damaged ({e}); export the model again") from e
    if not isinstance(found, dict) or not found.get("build"):
        raise UsageError(
            f"{export} holds a C library for a core and no program; to build one, export for a board "
            "(edgebit boards lists them)"
        )
    return found


def _inside(export: Path, name: object) -> str:
    """A path of the manifest, which must stay in the folder and exist."""
    path = PurePosixPath(str(name))
    if path.is_absolute() or ".." in path.parts or not (export / path).exists():
        raise ModelError(
            f"{export / MANIFEST}: names {str(name)!r}, which is not in the folder; export again"
        )
    return str(path)


def _job(export: Path, program: dict[str, Any], core: Core, output: Path) -> Job:
    hosted = core.family == "host" and not host_is_freestanding()
    sources = program["sources"] + program["hosted" if hosted else "freestanding"]
    includes = [] if hosted else program["freestanding_includes"]
    return Job(
        folder=export,
        core=core,
        sources=tuple(_inside(export, s) for s in sorted(sources)),
        quoted=tuple(_inside(export, i) for i in program["includes"]),
        includes=tuple(_inside(export, i) for i in includes),
        defines=tuple(str(d) for d in program["defines"]),
        script=_inside(export, program["script"]) if program["script"] else "",
        entry="" if hosted else str(program["entry"]),
        output=output,
        hosted=hosted,
    )


def _fingerprint(export: Path, program: dict[str, Any], chain: Toolchain, version: str, job: Job) -> str:
    """SHA-256 of everything the program depends on."""
    h = hashlib.sha256()
    command = [a for a in chain.command(job) if a != str(job.output)][1:]
    h.update(json.dumps([version, command, program], sort_keys=True).encode())
    for path in sorted(p for p in export.rglob("*") if p.suffix in (".c", ".h", ".S", ".ld")):
        h.update(path.relative_to(export).as_posix().encode() + b"\0")
        h.update(hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def _existing(out: Path, inputs: str, version: str, *, as_it_lies: bool = False) -> BuildResult | None:
    """The build in `out` when it came from these inputs and (unless as_it_lies) nobody has touched it since."""
    try:
        record = json.loads((out / RECORD).read_text())
        if record["inputs"] != inputs or record["toolchain"] != version:
            return None
        for name, digest in () if as_it_lies else record["files"].items():
            if hashlib.sha256((out / name).read_bytes()).hexdigest() != digest:
                return None
        return _result(out, record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _result(out: Path, record: dict[str, Any]) -> BuildResult:
    uf2 = out / UF2
    return BuildResult(
        folder=out,
        elf=out / ELF,
        bin=out / BIN,
        uf2=uf2 if UF2 in record["files"] else None,
        image_id=str(record["image_id"]),
        sizes=dict(record["sizes"]),
        toolchain=str(record["toolchain"]),
        fresh=False,
    )


def _finish(folder: Path, program: dict[str, Any], core: Core, manifest: dict[str, Any]) -> dict[str, Any]:
    """Seal, name, check and measure a linked program; the record of it."""
    elf = folder / ELF
    image = Image(elf)
    if program["boot2"]:
        address = image.symbol(str(program["boot2"])).address
        block = image.read(address, BOOT2_BYTES)
        _patch(elf, address, block, seal_boot2(block))
    image_id = _name_image(elf, core)
    image = Image(elf)
    origin, flat = image.flat() if core.is_cortex_m else (0, elf.read_bytes())
    (folder / BIN).write_bytes(flat)
    if program["boot2"] and not boot2_is_sealed(flat[:BOOT2_BYTES]):
        raise ToolchainError("the second boot stage is not the first thing in the image")
    files = [ELF, BIN]
    if program["uf2_family"] is not None:
        (folder / UF2).write_bytes(write_uf2(flat, origin, int(program["uf2_family"])))
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
        "board": manifest["board"],
    }
    if core.family != "host":
        check_isa(elf, core)
        report = stack_usage(elf, core)
        sizes["stack"] = report.bytes
        record["stack_path"] = [list(p) for p in report.path]
        _check_ram(load_board(str(manifest["board"])), found.ram, report.bytes)
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
