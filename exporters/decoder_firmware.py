"""A language model in the flash of a microcontroller: what it takes there, and the program round it.

The weights are the file of `decoder_weights`, as one constant array. Keys and values, and what a token is worked out
in, are one static arena. The bench application of such a program (runtime_c/decoder/firmware) takes text or tokens
over the link and answers with text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from edgebit.board import Board
from edgebit.core import Core
from edgebit.decoder.canonical import shape_of
from edgebit.decoder.model import PROJECTIONS, DecoderSpec
from edgebit.decoder.ops import POSITIONS
from edgebit.decoder.precision import Precision
from edgebit.decoder.text.table import Flag, TextTable
from edgebit.errors import FitError, ModelError, UsageError
from edgebit.layouts.base import layout_of, round_up
from edgebit.plan.account import FLASH, RAM, FitRow, FitTable
from edgebit.resources import data_dir

from .c_library import sources_with_headers
from .ctext import banner, comment, rows
from .decoder_plan import UNIT, DecoderPlan, plan_decoder
from .decoder_text import config, layer_table
from .decoder_weights import Packed
from .firmware import MIN_STACK, board_config, linker_script, port_files

TEXT_BYTES = 1024
"""Of a prompt that the device turns into tokens itself."""
CODE, CONST, STACK, DATA = 65536, 16384, 8192, 8192
"""Upper bounds in bytes for every model and core: code, constants beside the weights (Unicode tables without
normalisation), the deepest stack, and the program's own data beside arena, tokens and text."""
NFC_CONST = 32768
_INCLUDE = re.compile(r'#include "(\w+/\w+\.h)"')
_STEP_TEXT = 500  # bytes of text in the reply to a step
_MIN_CONTEXT = 16


def kv_bytes(plan: DecoderPlan) -> int:
    """Of keys and values; attention.c lays them out."""
    spec = plan.spec
    entries = 2 * spec.layers * spec.kv_heads * plan.context
    element = {"f32": 4, "f16": 2, "int8": 1}[plan.precision.kv]
    units = 4 * entries if plan.precision.kv == "int8" else 0
    return round_up(entries * round_up(spec.head_dim, 8) * element, UNIT) + units


def scratch_bytes(plan: DecoderPlan) -> int:
    """Of one token under way; scratch.c lays it out."""
    spec = plan.spec
    inner, kv_width = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    cols = max(round_up(n, 16) for n in (spec.width, inner, spec.ffn))
    act_steps = -(-cols // plan.precision.act_block) if plan.precision.act_block else 1
    head = round_up(spec.head_dim, 8)
    parts = -(-plan.context // POSITIONS) * plan.tile * spec.heads
    four_bits = 3 * round_up(spec.width, 64) // 4 if plan.matrix == "s4" else 0
    own = 4 * max(3 * min(4, plan.tile) * plan.chunk, four_bits) + plan.matvec_scratch
    sizes = (
        plan.tile * round_up(spec.width, 16) * 4,
        plan.tile * cols * 4,
        plan.tile * cols * (4 if plan.precision.act == "f32" else 1),
        plan.tile * act_steps * 4,
        plan.tile * (inner + 2 * kv_width) * 4,
        plan.tile * spec.heads * head * 4,
        parts * head * 4,
        parts * 2 * 4,
        round_up(spec.vocab, 16) * 4,
        own,
    )
    return sum(round_up(n, UNIT) for n in sizes)


def arena_bytes(plan: DecoderPlan) -> int:
    """Of the one array that holds both."""
    return kv_bytes(plan) + scratch_bytes(plan)


def least_weights(plan: DecoderPlan) -> int:
    """Bytes that the weights take without scales, normalisations, angles and text."""
    spec, layout = plan.spec, layout_of(plan.layout)
    trits = 0
    for out, cols in (shape_of(spec, role) for role in PROJECTIONS):
        blocks = -(-out // layout.row_multiple)
        trits += blocks * plan.block_bytes(cols)
    element = {"s4": 4, "s8": 8, "f16": 16, "bf16": 16, "f32": 32}[plan.matrix]
    matrices = 1 if spec.tied else 2
    return spec.layers * trits + matrices * spec.vocab * spec.width * element // 8


def account(plan: DecoderPlan, weights: int, *, nfc: bool = False) -> FitTable:
    """What the program takes of its board's memories. weights: bytes of the packed file."""
    assert plan.board is not None
    kv, scratch = kv_bytes(plan), scratch_bytes(plan)
    tokens = 4 * (plan.context + 1) + TEXT_BYTES
    rows = (
        FitRow(FLASH, "weights", weights, "exact"),
        FitRow(FLASH, "code", CODE, "upper bound"),
        FitRow(FLASH, "other constants", CONST + (NFC_CONST if nfc else 0), "upper bound"),
        FitRow(RAM, f"keys and values, {plan.context} positions", kv, "exact"),
        FitRow(RAM, "scratch of a token", scratch, "exact"),
        FitRow(RAM, "prompt and tokens", tokens, "exact"),
        FitRow(RAM, "stack", STACK, "upper bound"),
        FitRow(RAM, "program data", DATA, "upper bound"),
    )
    memory = {FLASH: plan.board.flash_bytes, RAM: plan.board.ram_bytes}
    largest = {
        FLASH: (("weights", weights), ("code", CODE)),
        RAM: (("keys and values", kv), ("scratch of a token", scratch)),
    }
    return FitTable(plan.board.title, rows, memory, largest, False)


def check_fit(table: FitTable) -> None:
    """FitError, with the account and the way out, unless everything fits."""
    if table.fits:
        return
    short = {m: -left for m, left in table.free().items() if left < 0}
    parts = [f"{m} is {missing:,} B too small" for m, missing in short.items()]
    out = "a smaller model" if FLASH in short else "a shorter --context, --kv int8"
    raise FitError(
        f"does not fit {table.title}: {'; '.join(parts)}.\n{table.text()}\n"
        f"Try {out}, or a board with more memory.",
        details={"fit": table.to_dict()},
    )


def plan_firmware(
    spec: DecoderSpec,
    precision: Precision,
    source_matrix: str,
    core: Core,
    board: Board,
    *,
    context: int | None = None,
    optimize: str = "balanced",
    whole: bool = False,
) -> DecoderPlan:
    """As plan_decoder, for a board with flash and RAM. Without a context, the longest that the RAM has room for.

    FitError when it is certain already that the model does not fit, UsageError for a board without a port.
    """
    if board.uart is None or "start" not in board.port:
        raise UsageError(f"--target {board.name}: it has no program to put a language model into")
    plan = plan_decoder(
        spec, precision, source_matrix, core, board, context=context, optimize=optimize, whole=whole
    )
    least = least_weights(plan)
    if context is None:
        while account(plan, least).free()[RAM] < 0 and plan.context > _MIN_CONTEXT:
            plan = replace(plan, context=(plan.context - 1) // _MIN_CONTEXT * _MIN_CONTEXT)
    check_fit(account(plan, least))
    return plan


def check_text(table: TextTable | None) -> None:
    """ModelError when a token has more text than a reply of the link holds."""
    longest = max(map(len, table.tokens.values()), default=0) if table is not None else 0
    if 3 * (longest + 3) > _STEP_TEXT:
        raise ModelError(
            f"a token of the vocabulary has {longest} bytes of text, more than a microcontroller's link carries at once"
        )


def firmware_files(plan: DecoderPlan, packed: Packed, name: str, weights: bytes) -> dict[str, bytes]:
    """All C of the folder, by path, and the linker script."""
    board = plan.board
    assert board is not None
    root = data_dir("runtime_c")
    found = {
        "decoder_config.h": config(plan, packed, name).encode(),
        f"{name}_layers.c": layer_table(packed, name).encode(),
        f"{name}_weights.c": _weights_c(weights).encode(),
        "app/app_model.h": _app_model(plan, packed, name).encode(),
        "port/board_config.h": board_config(board).encode(),
        "port/link.ld": linker_script(
            board, (root / "port" / "cortex_m" / "link.ld").read_text(), MIN_STACK
        ).encode(),
        "port/eb_port.h": (root / "port" / "eb_port.h").read_bytes(),
    }
    for folder, place in (
        ("decoder", root / "decoder"),
        ("app", root / "app"),
        ("app", root / "decoder" / "firmware"),  # whose main.c takes the other's place
        ("text", root / "text"),
        ("port/freestanding", root / "port" / "freestanding"),
    ):
        found |= {f"{folder}/{path.name}": path.read_bytes() for path in sorted(place.glob("*.[ch]"))}
    found |= {f"port/{path.name}": path.read_bytes() for path in port_files(board)}
    wanted = [f"kernels/{s.split('__')[0]}/{s}.c" for s in plan.stems]
    named = {n for raw in found.values() for n in _INCLUDE.findall(raw.decode())}
    wanted += [f"{d}/{n}" for d in ("include", "kernels") for n in named if (root / d / n).is_file()]
    return found | {f"runtime/{path}": raw for path, raw in sources_with_headers(wanted).items()}


def firmware_build(plan: DecoderPlan, files: list[str], table: TextTable | None) -> dict[str, Any]:
    """The manifest's "build" record; exporters/program.py says what the fields mean."""
    board = plan.board
    assert board is not None
    uf2 = board.flash_methods.get("uf2")
    sources = [f for f in files if f.endswith((".c", ".S")) and not f.startswith("port/freestanding/")]
    nfc = table is not None and Flag.NFC in table.flags
    return {
        "kind": "cortex-m",
        "sources": sources,
        "freestanding": [f for f in files if f.startswith("port/freestanding/") and f.endswith(".c")],
        "hosted": [],
        "includes": [".", "app", "decoder", "port", "runtime/include", "runtime/kernels"],
        "freestanding_includes": ["port/freestanding"],
        "defines": ["EB_D_TRACE", *([] if nfc else ["EB_TEXT_WITHOUT_NFC"])],
        "entry": "Reset",
        "script": "port/link.ld",
        "boot2": "eb_boot2" if "boot2" in board.port else None,
        "uf2_family": None if uf2 is None else uf2["family"],
    }


def _weights_c(weights: bytes) -> str:
    """<name>_weights.c: the file, a word at a time."""
    words = np.frombuffer(weights, "<u4")
    return "\n".join(
        [
            banner(
                ["All weights, angles and the tokenizer's table; exporters/decoder_weights.py says where."]
            ),
            '#include "decoder.h"\n',
            "// clang-format off",
            "extern const uint32_t EB_D(weights)[EB_D_WEIGHT_BYTES / 4];",
            "const uint32_t EB_D(weights)[EB_D_WEIGHT_BYTES / 4] __attribute__((aligned(EB_D_UNIT))) = {",
            rows(f"{w:#x}" for w in words.tolist()),
            "};",
            "// clang-format on\n",
        ]
    )


def _app_model(plan: DecoderPlan, packed: Packed, name: str) -> str:
    """app_model.h: the model as the bench application sees it."""
    assert plan.board is not None
    identity = ", ".join(f"0x{packed.model_id[i : i + 2]}" for i in range(0, 16, 2))
    defines = [
        ("MODEL_NAME", f'"{name}"'),
        ("BOARD_NAME", f'"{comment(plan.board.name)}"'),
        ("MODEL_ID", f"{{{identity}}}"),
        ("INPUTS", "3"),
        ("OUTPUTS", "1"),
        ("LAYERS", str(plan.spec.layers + 2)),
        ("SEGMENTS", "1"),
        ("ARENA_BYTES", f"{arena_bytes(plan)}u"),
        ("TEXT_BYTES", f"{TEXT_BYTES}u"),
    ]
    return "\n".join(
        [
            banner(["The model as the bench application sees it; layers are the model's, the last"])
            + "\n// normalisation, and the head.",
            "#ifndef EB_APP_MODEL_H\n#define EB_APP_MODEL_H\n",
            "#include <stdint.h>\n",
            *(f"#define EB_APP_{key:13} {value}" for key, value in defines),
            "\n#endif\n",
        ]
    )
