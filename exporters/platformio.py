"""A PlatformIO project with a platform of its own, which needs nothing from the PlatformIO registry.

    pio run, pio run -t upload, pio run -t verify, pio device monitor

The platform hands building and flashing to EdgeBit (pip install 'edgebit[platformio]'), so that the image PlatformIO uploads is
sealed, measured and proven like any other. `edgebit build --with platformio` drives it without a PlatformIO set up before.
"""

from __future__ import annotations

import json

import jinja2

from edgebit.errors import UsageError
from edgebit.resources import data_dir

from .ctext import comment
from .package import Packaging
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
        export.add("platformio.ini", project(export.name, board.name, board.uart.baud, protocols))
        export.add("platformio/platform.json", json.dumps(platform, indent=2) + "\n")
        export.add("platformio/platform.py", _PLATFORM)
        export.add(f"platformio/boards/{board.name}.json", json.dumps(facts, indent=2) + "\n")
        export.add("platformio/builder/main.py", builder)


def project(name: str, board: str, baud: int, protocols: list[str]) -> str:
    """platformio.ini."""
    return f"""; Written by EdgeBit. Needs: pip install 'edgebit[platformio]', in the Python that runs PlatformIO.
[platformio]
default_envs = {board}
src_dir = app
; beside the export, which never changes
workspace_dir = ../{name}-{board}.pio
platforms_dir = ../{name}-{board}.pio/platforms

[env:{board}]
platform = symlink://platformio
board = {board}
monitor_speed = {baud}
; how pio run -t upload flashes: {", ".join(protocols)} (edgebit: the first that fits)
upload_protocol = edgebit
; yes: the board is emulated
custom_emulate = no
; zig or gcc; zig when empty
custom_toolchain =
"""
