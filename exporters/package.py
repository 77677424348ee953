"""What packagings have in common: the library's files, and a check that a build of it computes what the reference does.

A packaging is an exporter with `packaging = True`. It runs after the others, only when asked for (`edgebit export --as NAME`), and
wraps what they wrote for a build system. The check is two files that any of them can compile: <name>_golden.h holds the first
golden vector, and <name>_check.c runs it and compares every output byte.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .ctext import banner, comment, rows
from .pipeline import Export

FLOAT_FLAG = "-ffp-contract=off"
"""No fused multiply-add: results must not depend on the machine. Needed to compile the kernels and the model."""


class Packaging:
    """Base of the packagings: wanted when asked for by name."""

    packaging = True

    def wanted(self, export: Export) -> bool:
        return getattr(self, "name", None) in export.meta.packages


def library_sources(export: Export) -> list[str]:
    """The C files of the library, by path in the export folder."""
    own = [f"{export.name}.c", f"{export.name}_weights.c"]
    return own + sorted(p for p in export.files if p.startswith("runtime/") and p.endswith(".c"))


def public_headers(export: Export) -> list[str]:
    """What a user of the library includes, by path: <name>.h and what it includes."""
    return [
        f"{export.name}.h",
        *sorted(p for p in export.files if p.startswith("runtime/include/edgebit/eb_")),
    ]


def add_check(export: Export) -> list[str]:
    """Write <name>_golden.h and <name>_check.c, once; their paths."""
    paths = [f"check/{export.name}_golden.h", f"check/{export.name}_check.h", f"check/{export.name}_check.c"]
    if paths[0] not in export.files:
        for path, text in zip(
            paths, (golden_header(export), check_header(export), check_source(export)), strict=True
        ):
            export.add(path, text)
    return paths


def _bytes(name: str, values: Iterable[int]) -> str:
    return f"static const uint8_t {name}[] = {{\n{rows(str(v) for v in values)}\n}};\n"


def golden_header(export: Export) -> str:
    """The first golden vector: inputs and outputs as the bytes that lie in memory, little endian."""
    p, g = export.name, export.graph
    out = [
        banner([f"{p}: a golden vector, computed by the reference for {comment(export.meta.source_name)}."]),
        f"#ifndef EDGEBIT_GOLDEN_{p.upper()}_H\n#define EDGEBIT_GOLDEN_{p.upper()}_H\n",
        "#include <stdint.h>\n",
    ]
    for kind, names, values in (("in", g.inputs, export.vectors[0]), ("out", g.outputs, export.traces[0])):
        for k, name in enumerate(names):
            raw = np.ascontiguousarray(values[name], values[name].dtype.newbyteorder("<")).tobytes()
            out.append(_bytes(f"{p}_golden_{kind}{k}", raw))
    return "\n".join([*out, "#endif\n"])


def check_header(export: Export) -> str:
    p = export.name
    return "\n".join(
        [
            banner([f"{p}: proof that this build computes what the reference does."]),
            f"#ifndef EDGEBIT_CHECK_{p.upper()}_H\n#define EDGEBIT_CHECK_{p.upper()}_H\n",
            '#ifdef __cplusplus\nextern "C" {\n#endif\n',
            "// 0 when a run of the golden vector gives every output byte of the reference; 1 when some differ; else the",
            "// eb_status of what failed, negative.",
            f"int {p}_check(void);\n",
            "#ifdef __cplusplus\n}\n#endif\n",
            "#endif\n",
        ]
    )


def check_source(export: Export) -> str:
    p, big, g = export.name, export.name.upper(), export.graph
    stateful = export.plan.state_bytes > 0
    state = f"    static uint8_t state[{big}_STATE_BYTES] __attribute__((aligned(16)));\n" if stateful else ""
    given = "state, sizeof state" if stateful else "NULL, 0"
    copies = "".join(
        f"    memcpy({p}_input_{k}(&ctx), {p}_golden_in{k}, sizeof {p}_golden_in{k});\n"
        for k in range(len(g.inputs))
    )
    compares = "".join(
        f"    differs |= memcmp({p}_output_{k}(&ctx), {p}_golden_out{k}, sizeof {p}_golden_out{k}) != 0;\n"
        for k in range(len(g.outputs))
    )
    return (
        banner([f"{p}: runs the golden vector and compares every byte of the outputs."])
        + f'\n#include "{p}_check.h"\n\n#include <string.h>\n\n#include "{p}.h"\n#include "{p}_golden.h"\n\n'
        f"int {p}_check(void) {{\n"
        f"    static uint8_t arena[{big}_ARENA_BYTES] __attribute__((aligned(16)));\n{state}"
        f"    {p}_ctx ctx;\n"
        f"    eb_status status = {p}_init(&ctx, {given}, arena, sizeof arena);\n"
        "    if (status != EB_OK) {\n        return (int)status;\n    }\n"
        f"{copies}"
        f"    status = {p}_run(&ctx);\n"
        "    if (status != EB_OK) {\n        return (int)status;\n    }\n"
        "    int differs = 0;\n"
        f"{compares}"
        "    return differs;\n}\n"
    )
