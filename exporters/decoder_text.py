"""The generated C of a language model: decoder_config.h and the table of its layers."""

from __future__ import annotations

import json

from edgebit.decoder.model import PROJECTIONS
from edgebit.layouts.base import layout_of
from edgebit.layouts.fields import Fields
from edgebit.ops.support import c_float

from .ctext import banner, comment
from .decoder_plan import DecoderPlan
from .decoder_weights import Matrix, Packed

NORM_FIELDS = ("attn_norm", "ffn_norm", "q_norm", "k_norm", "attn_sub_norm", "ffn_sub_norm")
_KINDS = {
    "f32": "EB_D_F32",
    "f16": "EB_D_F16",
    "bf16": "EB_D_BF16",
    "s8": "EB_D_S8",
    "int8": "EB_D_S8",
    "s4": "EB_D_S4",
}
DOTPROD_HWCAP = (1 << 1) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 12) | (1 << 15) | (1 << 20)
"""asimd, crc32, atomics, fphp, asimdhp, asimdrdm, lrcpc, asimddp: what compilers take for granted of a Cortex-A76."""


def config(plan: DecoderPlan, packed: Packed, name: str) -> str:
    """decoder_config.h"""
    spec, precision = plan.spec, plan.precision
    layout = layout_of(plan.layout)
    if isinstance(layout, Fields):
        block = f"(EB_D_UP(cols, {layout.col_multiple}) * {layout.row_multiple} / {layout.fields})"
    else:
        block = f"({layout.row_multiple} * (EB_D_UP(cols, {layout.col_multiple}) / 4))"
    identity = ", ".join(f"0x{packed.model_id[i : i + 2]}" for i in range(0, 64, 2))
    lines = [
        ("WIDTH", spec.width),
        ("LAYERS", spec.layers),
        ("HEADS", spec.heads),
        ("KV_HEADS", spec.kv_heads),
        ("HEAD_DIM", spec.head_dim),
        ("FFN", spec.ffn),
        ("VOCAB", spec.vocab),
        ("CONTEXT", plan.context),
        ("CONTEXT_TEXT", f'"{plan.context}"'),
        ("TILE", plan.tile),
        ("MAX_THREADS", plan.max_threads),
        ("SILU", int(spec.activation == "silu")),
        ("QK_NORM", int(spec.qk_norm)),
        ("SUB_NORMS", int(spec.sub_norms)),
        ("ACT_BLOCK", precision.act_block),
        ("ACT_F32", int(precision.act == "f32")),
        ("KV_KIND", _KINDS[precision.kv]),
        ("MATRIX_KIND", _KINDS[plan.matrix]),
        ("NORM_EPS", c_float(spec.norm_eps)),
        ("ATTEND_SCALE", c_float(spec.head_dim**-0.5)),
        ("MATVEC", f"eb_{plan.matvec}"),
        *([("MATMAT", f"eb_{plan.matmat}")] if plan.matmat else []),
        ("ROWDOTS", f"eb_{plan.rowdots}"),
        ("ATTEND", f"eb_{plan.attend}"),
        ("ROW_MULTIPLE", layout.row_multiple),
        ("PANEL", plan.panel),
        ("CHUNK", plan.chunk),
        ("BLOCK_BYTES(cols)", block),
        ("MATVEC_SCRATCH", plan.matvec_scratch),
        ("EMBED", f"{packed.embed}u"),
        ("HEAD", f"{packed.head}u"),
        ("EMBED_SCALE", f"{packed.embed_scale}u"),
        ("HEAD_SCALE", f"{packed.head_scale}u"),
        ("ROPE", f"{packed.rope}u"),
        ("FINAL_NORM", f"{packed.final_norm}u"),
        ("TEXT", f"{packed.text}u"),
        ("TEXT_BYTES", f"{packed.text_bytes}u"),
        ("WEIGHT_BYTES", f"{packed.total}ull"),
        ("TOKEN_BYTES", f"{packed.token_bytes}ull"),
        ("MODEL_ID", f"{{{identity}}}"),
        ("EOS", "{" + ", ".join([*map(str, spec.eos), "-1"]) + "}"),
        ("PROGRAM_NAME", json.dumps(name)),
        ("WEIGHTS_NAME", json.dumps(f"{name}.bin")),
        ("CORE_TITLE", json.dumps(comment(plan.core.title))),
    ]
    lines += [(need, value) for need, value in needs(plan)]
    about = [f"Shape, numbers and kernels of {name}; see decoder.h for what they mean."]
    return "\n".join(
        [
            banner(about),
            "#ifndef EDGEBIT_DECODER_CONFIG_H\n#define EDGEBIT_DECODER_CONFIG_H\n",
            "// clang-format off",
            f"#define EB_D(symbol) {name}_##symbol",
            *(f"#define EB_D_{key} {value}" for key, value in lines),
            "// clang-format on\n",
            "#endif\n",
        ]
    )


def needs(plan: DecoderPlan) -> list[tuple[str, object]]:
    """What the processor must have beyond the least of its kind."""
    isas = {s.split("__")[1] for s in plan.stems}
    if any(i.startswith("avx512vnni") for i in isas):
        return [("NEEDS_AVX512VNNI", 1)]
    if any(i.startswith("avx2") for i in isas):
        return [("NEEDS_AVX2", 1)]
    if "neon_dotprod" in plan.core.isa:
        return [("NEEDS_HWCAP", f"{DOTPROD_HWCAP:#x}")]
    return []


def layer_table(packed: Packed, name: str) -> str:
    """<name>_layers.c"""

    def matrix(m: Matrix) -> str:
        return f"{{{m.trits}u, {m.scale}u, {m.bias}u, {m.group}, {int(m.by_row)}}}"

    rows = []
    for norms, matrices in zip(packed.norms, packed.matrices, strict=True):
        places = ", ".join(f"{norms.get(f, 0)}u" for f in NORM_FIELDS)
        rows.append(
            f"    {{{places},\n     " + ",\n     ".join(matrix(matrices[r]) for r in PROJECTIONS) + "},"
        )
    return "\n".join(
        [
            banner(["Where each layer's tensors lie in the weights file, in units of 64 bytes."]),
            '#include "decoder.h"\n',
            "// clang-format off",
            "const eb_d_layer EB_D(layers)[EB_D_LAYERS] = {",
            *rows,
            "};",
            "// clang-format on\n",
        ]
    )
