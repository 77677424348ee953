"""The bench program for a Linux board or for this machine.

On Linux it needs no C library: one static program for Linux, qemu-user and emulators. The host's export
also holds the port for other systems, which the build takes where port/linux does not run. A program with
kernels for instructions that not every processor of its kind has is told which (EB_NEEDS_...), and looks for
them before it starts.
"""

from __future__ import annotations

from edgebit.plan.kernels import all_kernels
from edgebit.resources import data_dir

from .pipeline import Export
from .program import add_application, add_freestanding, program

_ASKED_FOR = ("avx2", "avx512vnni")
"""Instruction sets that port/linux looks for. The others are a matter of the board."""


class Linux:
    """Written for every board whose core is not a Cortex-M."""

    name = "linux"

    def wanted(self, export: Export) -> bool:
        return export.plan.board is not None and not export.plan.core.is_cortex_m

    def export(self, export: Export) -> None:
        sources = add_application(export)
        port = data_dir("runtime_c") / "port"
        hosted: list[str] = []
        export.add("port/port_linux.c", (port / "linux" / "port.c").read_bytes())
        if export.plan.core.family == "host":
            export.add("port/port_hosted.c", (port / "hosted" / "port.c").read_bytes())
            hosted.append("port/port_hosted.c")
        kernels = all_kernels()
        used = {kernels[stem].isa for stem in export.plan.kernel_stems() if stem in kernels}
        export.program = program(
            "linux",
            sources,
            defines=["EB_TRACE", *(f"EB_NEEDS_{isa.upper()}" for isa in _ASKED_FOR if isa in used)],
            freestanding=["port/port_linux.c", *add_freestanding(export)],
            hosted=hosted,
            entry="_start",
        )
