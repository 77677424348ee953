"""A PlatformIO project with two environments.

    pio run, pio run -t upload, pio device monitor          BOARD: the stock platform of PlatformIO's registry
    pio run -e BOARD_edgebit, ... -t upload, ... -t verify  a platform that comes with the project

The first compiles the C library and src/main.cpp, which runs the golden vector, with the platform's own compiler and framework;
it is there for boards that the registry knows. The second needs nothing from the registry: it hands building and flashing to
EdgeBit (pip install 'edgebit[platformio]'), so that the image is sealed, measured and proven like any other.
`edgebit build --with platformio` drives the second without a PlatformIO set up before.
"""

from __future__ import annotations

import json

import jinja2

from edgebit.board import Board
from edgebit.errors import UsageError
from edgebit.resources import data_dir

from .arduino import sketch
from .ctext import comment
from .package import FLOAT_FLAG, Packaging, add_check, library_sources
from .pipeline import Export

_PLATFORM = """# SPDX-License-Identifier: Apache-2.0
from platformio.platform.base import PlatformBase


class EdgebitPlatform(PlatformBase):
    def is_embedded(self):
        return True
"""


class PlatformIO(Packaging):
    """Written with --as platformio, for boards with firmware."""

    name = "platformio"

    def export(self, export: Export) -> None:
        board = export.plan.board
        if board is None or not board.core.is_cortex_m or board.uart is None:
            raise UsageError(
                "--as platformio: PlatformIO builds firmware for boards; choose one as --target, e.g. pico"
            )
        template = (data_dir("exporters") / "platformio_builder.py.jinja").read_text()
        builder = jinja2.Template(template, keep_trailing_newline=True).render(title=comment(board.title))
        platform = {
            "name": "edgebit",
            "title": "EdgeBit",
            "description": "Trained ternary networks as firmware, proven bit-exact",
            "version": export.version,
            "license": "Apache-2.0",
            "packages": {},
            "frameworks": {},
        }
        protocols = ["edgebit", *board.flash_methods]
        facts = {
            "name": board.title,
            "vendor": "EdgeBit",
            "url": "",
            "build": {"mcu": board.core.name, "cpu": board.core.name, "f_cpu": f"{board.clock_hz}L"},
            "upload": {
                "maximum_size": board.flash_bytes,
                "maximum_ram_size": board.ram_bytes,
                "protocol": "edgebit",
                "protocols": protocols,
            },
        }
        check = add_check(export)[-1] if board.platformio else ""
        if board.platformio:
            export.add(
                "src/main.cpp", sketch(export).replace("#include", "#include <Arduino.h>\n#include", 1)
            )
        sources = [*library_sources(export), check]
        export.add("platformio.ini", project(export, board, protocols, sources))
        export.add("platformio/platform.json", json.dumps(platform, indent=2) + "\n")
        export.add("platformio/platform.py", _PLATFORM)
        export.add(f"platformio/boards/{board.name}.json", json.dumps(facts, indent=2) + "\n")
        export.add("platformio/builder/main.py", builder)


OWN = "_edgebit"
"""What follows a board's name in the name of the environment that EdgeBit builds."""


def project(export: Export, board: Board, protocols: list[str], sources: list[str]) -> str:
    """platformio.ini. protocols: ways to flash that EdgeBit has; sources: the C files of the library, and its check."""
    assert board.uart is not None
    stock = stock_environment(board, sources) if board.platformio else ""
    return f"""; Written by EdgeBit.
[platformio]
default_envs = {environment(board)}{"" if board.platformio else OWN}
src_dir = .
; beside the export, which never changes
workspace_dir = ../{export.name}-{board.name}.pio
platforms_dir = ../{export.name}-{board.name}.pio/platforms

{stock}; Builds and flashes by EdgeBit. Needs: pip install 'edgebit[platformio]', in the Python that runs PlatformIO.
[env:{environment(board)}{OWN}]
platform = symlink://platformio
board = {board.name}
monitor_speed = {board.uart.baud}
; how pio run -t upload flashes: {", ".join(protocols)} (edgebit: the first that fits)
upload_protocol = edgebit
; yes: the board is emulated
custom_emulate = no
; zig or gcc; zig when empty
custom_toolchain =
"""


def environment(board: Board) -> str:
    """A board's name as PlatformIO takes it: no dots."""
    return board.name.replace(".", "_")


def stock_environment(board: Board, sources: list[str]) -> str:
    """The environment of the registry's platform: the library, its check, and what lies in src/."""
    flags = "".join(f"    {flag}\n" for flag in board.platformio.get("flags", ()))
    files = "\n".join(f"    +<{path}>" for path in sources)
    return f"""; The stock platform of PlatformIO's registry. src/main.cpp proves the build on the board; your program goes there.
[env:{environment(board)}]
platform = {board.platformio["platform"]}
board = {board.platformio["board"]}
framework = {board.platformio["framework"]}
monitor_speed = 115200
; no fused multiply-add: results must not depend on the machine
build_flags =
    {FLOAT_FLAG}
    -I.
    -Iruntime/include
    -Iruntime/kernels
    -Icheck
{flags}build_src_filter =
    -<*>
    +<src/>
{files}

"""
