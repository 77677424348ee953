"""What bench programs for every machine have in common: the application and its view of the model.

A program is recorded in the manifest under "build":

    kind                   "cortex-m", "linux", or "linux-libc": a static program with a C library of its own
    sources                C and assembly files every build compiles
    freestanding, hosted   further ones for builds without and with a C library
    includes               include folders; freestanding_includes: more of them without a C library
    defines                preprocessor definitions
    entry, script          where execution starts; the linker script ("" for the linker's own)
    boot2                  the symbol of the RP2040's second boot stage, or None
    uf2_family             the family id of the .uf2 file, or None
"""

from __future__ import annotations

from typing import Any

from edgebit.resources import data_dir

from .ctext import banner, comment
from .pipeline import Export


def add_application(export: Export) -> list[str]:
    """Copy the application and write app_model.h; the C files to compile, the model's included."""
    root = data_dir("runtime_c")
    sources = [f"{export.name}.c", f"{export.name}_weights.c"]
    sources += [p for p in export.files if p.startswith("runtime/") and p.endswith(".c")]
    for path in sorted((root / "app").glob("*.[ch]")):
        export.add(f"app/{path.name}", path.read_bytes())
        if path.suffix == ".c":
            sources.append(f"app/{path.name}")
    link = "runtime/include/edgebit/eb_link.h"
    if link not in export.files:
        export.add(link, (root / "include" / "edgebit" / "eb_link.h").read_bytes())
    export.add("app/app_model.h", app_model(export))
    export.add("port/eb_port.h", (root / "port" / "eb_port.h").read_bytes())
    return sources


def add_freestanding(export: Export) -> list[str]:
    """The memory functions of programs without a C library."""
    root = data_dir("runtime_c") / "port" / "freestanding"
    export.add("port/freestanding/mem.c", (root / "mem.c").read_bytes())
    export.add("port/freestanding/string.h", (root / "string.h").read_bytes())
    return ["port/freestanding/mem.c"]


def program(kind: str, sources: list[str], **more: Any) -> dict[str, Any]:
    """The manifest's "build" record."""
    record: dict[str, Any] = {
        "kind": kind,
        "sources": sorted(sources),
        "freestanding": [],
        "hosted": [],
        "includes": [".", "app", "port", "runtime/include", "runtime/kernels"],
        "freestanding_includes": ["port/freestanding"],
        "defines": ["EB_TRACE"],
        "entry": "",
        "script": "",
        "boot2": None,
        "uf2_family": None,
    }
    return record | more


def app_model(export: Export) -> str:
    """app_model.h: the model as the application sees it. Macros, so that no function pointer is left."""
    p, big = export.name, export.name.upper()
    board = "" if export.plan.board is None else export.plan.board.name
    identity = ", ".join(f"0x{export.model_id[i : i + 2]}" for i in range(0, 16, 2))

    def table(names: list[str]) -> str:
        entries = [f"{{{export.plan.offsets[n]}, {export.graph.tensors[n].nbytes}}}" for n in names]
        return "{" + ", ".join(entries) + "}"

    defines = [
        ("MODEL_NAME", f'"{p}"'),
        ("BOARD_NAME", f'"{comment(board)}"'),
        ("MODEL_ID", f"{{{identity}}}"),
        ("INPUTS", f"{big}_INPUTS"),
        ("OUTPUTS", f"{big}_OUTPUTS"),
        ("LAYERS", f"{big}_LAYERS"),
        ("SEGMENTS", f"{big}_SEGMENTS"),
        ("ARENA_BYTES", f"{big}_ARENA_BYTES"),
        ("STATE_BYTES", f"{big}_STATE_BYTES"),
        ("CTX", f"{p}_ctx"),
        ("INIT", f"{p}_init"),
        ("RESET", f"{p}_reset"),
        ("RUN", f"{p}_run"),
        ("INPUT_TABLE", table(export.graph.inputs)),
        ("OUTPUT_TABLE", table(export.graph.outputs)),
        ("SEGMENT_TABLE", f"{p}_segments"),
    ]
    lines = [f"#define EB_APP_{name:13} {value}" for name, value in defines]
    return "\n".join(
        [
            banner(["The model as the bench application sees it. Tables hold {offset in the arena, bytes}."]),
            "#ifndef EB_APP_MODEL_H\n#define EB_APP_MODEL_H\n",
            f'#include "{p}.h"\n',
            *lines,
            "\n#endif\n",
        ]
    )
