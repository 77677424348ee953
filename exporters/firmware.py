"""The bench application for a Cortex-M board: start-up, UART, USB, linker script, and the model."""

from __future__ import annotations

from pathlib import Path

from edgebit.board import Board, Usb
from edgebit.errors import EdgebitError
from edgebit.resources import data_dir

from .ctext import banner
from .pipeline import Export
from .program import add_application, add_freestanding, program

MIN_STACK = 1024


class Firmware:
    """Written for every board with a Cortex-M core."""

    name = "firmware"

    def wanted(self, export: Export) -> bool:
        return export.plan.board is not None and export.plan.core.is_cortex_m

    def export(self, export: Export) -> None:
        board = export.plan.board
        assert board is not None
        if board.uart is None or "start" not in board.port:
            raise EdgebitError(f"boards/{board.name}/board.toml states no uart or no port.start")
        sources = add_application(export)
        for path in port_files(board):
            export.add(f"port/{path.name}", path.read_bytes())
            sources += [f"port/{path.name}"] if path.suffix != ".h" else []
        export.add("port/board_config.h", board_config(board))
        template = (data_dir("runtime_c") / "port" / "cortex_m" / "link.ld").read_text()
        export.add("port/link.ld", linker_script(board, template, MIN_STACK))
        uf2 = board.flash_methods.get("uf2")
        export.program = program(
            "cortex-m",
            sources,
            freestanding=add_freestanding(export),
            entry="Reset",
            script="port/link.ld",
            boot2="eb_boot2" if "boot2" in board.port else None,
            uf2_family=None if uf2 is None else uf2["family"],
        )


def port_files(board: Board) -> list[Path]:
    """The C, assembly and header files of a Cortex-M board's port."""
    names = [
        "cortex_m/start.c",
        "cortex_m/cycles.c",
        *(f"cortex_m/{h}" for h in ("eb_board.h", *board.port.get("headers", ()))),
    ]
    if board.uart is not None:
        names.append(f"uart/{board.uart.model}.c")
    if board.usb is not None:
        model = sorted(p.name for p in (data_dir("runtime_c") / "port/usb").glob(f"{board.usb.model}*.c"))
        names += [f"usb/{n}" for n in ("eb_usb.h", *model, "cdc.c", "both.c")]
    return [*(data_dir("runtime_c") / "port" / n for n in names), *board.port_sources()]


def board_config(board: Board) -> str:
    """board_config.h: the constants of board.toml that the port needs."""
    assert board.uart is not None
    values = {
        "EB_CLOCK_HZ": f"{board.clock_hz}u",
        "EB_UART_BASE": f"0x{board.uart.base:08X}u",
        "EB_UART_CLOCK_HZ": f"{board.port['uart_clock_hz']}u",
        "EB_UART_BAUD": f"{board.uart.baud}u",
        **({} if board.usb is None else _usb_config(board, board.usb)),
        **{f"EB_{k}": f"{v}u" for k, v in board.port.get("constants", {}).items()},
    }
    return "\n".join(
        [
            banner([f"{board.title}."]),
            "#ifndef EB_BOARD_CONFIG_H\n#define EB_BOARD_CONFIG_H\n",
            *(f"#define {k:16} {v}" for k, v in values.items()),
            "\n#endif\n",
        ]
    )


def _usb_config(board: Board, usb: Usb) -> dict[str, str]:
    vid, pid = usb.ids
    return {
        "EB_USB_BASE": f"0x{usb.base:08X}u",
        "EB_USB_MEMORY": f"0x{usb.memory:08X}u",
        "EB_USB_VENDOR": f"0x{vid:04X}u",
        "EB_USB_PRODUCT": f"0x{pid:04X}u",
        "EB_USB_NAME": f'"EdgeBit {board.name}"',
    }


def linker_script(board: Board, template: str, stack: int) -> str:
    """The memory map of board.toml in the port's linker script."""
    lines = []
    for m in board.memories:
        access = "rwx" if m.kind == "ram" else "rx"
        lines.append(f"  {m.name:5} ({access:3}) : ORIGIN = 0x{m.origin:08X}, LENGTH = 0x{m.length:X}")
    first = [m.name for m in board.memories if m.kind == "boot"]
    boot = "".join(f"  .boot2 :\n  {{\n    KEEP(*(.boot2))\n  }} > {name}\n" for name in first)
    filled = {"@MEMORY@": "\n".join(lines), "@BOOT@\n": boot, "@STACK@": str(stack)}
    for mark, text in filled.items():
        if mark not in template:
            raise EdgebitError(f"the linker script template has no {mark.strip()}")
        template = template.replace(mark, text)
    return template
