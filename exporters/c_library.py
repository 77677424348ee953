"""The model as a C library: <name>.h, <name>.c, <name>_weights.h, <name>_weights.c, and the runtime it uses.

The generated <name>.c is meant to be read: what the model is, where each tensor lies, then one call a layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from edgebit.errors import EdgebitError
from edgebit.ir.graph import DType, Tensor
from edgebit.ops.support import c_float
from edgebit.plan.plan import PlannedLayer
from edgebit.resources import data_dir

from .ctext import CTYPES, WIDTH, banner, comment, count, identifier, rows, shape, values, wrap
from .pipeline import Export

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
_COMMON_HEADERS = ("edgebit/eb_model.h", "edgebit/eb_status.h", "edgebit/eb_types.h", "edgebit/eb_math.h")


class CLibrary:
    """Always written; every other exporter builds on it."""

    name = "c_library"

    def wanted(self, export: Export) -> bool:
        return True

    def export(self, export: Export) -> None:
        p = export.name
        export.add(f"{p}.h", header(export))
        export.add(f"{p}.c", model(export))
        export.add(f"{p}_weights.h", weights_header(export))
        export.add(f"{p}_weights.c", weights(export))
        for name, text in runtime(export).items():
            export.add(f"runtime/{name}", text)


def _provenance(export: Export) -> list[str]:
    m, plan = export.meta, export.plan
    where = plan.core.title if plan.board is None else f"{plan.board.title}, {plan.core.title}"
    return [
        f"Written by EdgeBit {export.version} from {comment(m.source_name)} (SHA-256 {m.source_sha256[:16]}...).",
        f"For {where}. Activations {comment(m.activations)}, optimised for {comment(m.optimize)}.",
        f"Model {export.model_id[:16]}..., certificate {export.certificate[:16]}...",
        "Do not edit: export the model again.",
    ]


# The public header


def header(export: Export) -> str:
    """<name>.h: sizes, shapes, and the functions."""
    p, big = export.name, export.name.upper()
    plan = export.plan
    usage = [
        "",
        f"    static uint8_t arena[{big}_ARENA_BYTES] __attribute__((aligned(16)));",
        f"    {p}_ctx ctx;",
        f"    {p}_init(&ctx, NULL, 0, arena, sizeof arena);",
        f"    memcpy({p}_input_0(&ctx), values, {big}_INPUT_0_BYTES);",
        f"    if ({p}_run(&ctx) == EB_OK) ...          // read {p}_output_0(&ctx)",
        "",
        "The arena holds inputs, outputs and everything between: write the inputs anew before every run.",
        "Between reading outputs and writing inputs it may serve other purposes.",
    ]
    out = [
        banner([f"{p}: a neural network.", *_provenance(export), *usage]),
        f"#ifndef EDGEBIT_MODEL_{big}_H\n#define EDGEBIT_MODEL_{big}_H\n",
        '#include <stddef.h>\n#include <stdint.h>\n\n#include "edgebit/eb_model.h"\n#include "edgebit/eb_status.h"\n',
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        f'#define {big}_MODEL_ID    "{export.model_id}"',
        f"#define {big}_ARENA_BYTES {plan.arena_bytes} // aligned to 16",
        f"#define {big}_STATE_BYTES {plan.state_bytes}",
        f"#define {big}_LAYERS      {len(plan.layers)}",
        f"#define {big}_SEGMENTS    {len(export.segments)}",
        f"#define {big}_INPUTS      {len(export.graph.inputs)}",
        f"#define {big}_OUTPUTS     {len(export.graph.outputs)}\n",
    ]
    for kind, names in (("INPUT", export.graph.inputs), ("OUTPUT", export.graph.outputs)):
        for k, name in enumerate(names):
            out.append(_tensor_defines(f"{big}_{kind}_{k}", export.graph.tensors[name]))
    out += [
        f"typedef struct {{\n    uint8_t *arena;\n    uint8_t *state;\n    uint32_t tag; // set by {p}_init\n}} {p}_ctx;\n",
        f"// Ties a context to its buffers, both aligned to 16 bytes and owned by the caller, and resets it. `state`"
        f"\n// may be NULL when {big}_STATE_BYTES is 0.",
        wrap(
            f"eb_status {p}_init(",
            [f"{p}_ctx *ctx", "void *state", "size_t state_bytes", "void *arena", "size_t arena_bytes"],
            ");\n",
            " " * len(f"eb_status {p}_init("),
        ),
        "// Forgets what earlier runs left in the state.",
        f"eb_status {p}_reset({p}_ctx *ctx);\n",
        "// Computes the outputs from the inputs in the arena.",
        f"eb_status {p}_run({p}_ctx *ctx);\n",
        "// Where to write inputs and read outputs; NULL before init.",
    ]
    for k, name in enumerate(export.graph.inputs):
        out.append(f"{CTYPES[export.graph.tensors[name].dtype]} *{p}_input_{k}({p}_ctx *ctx);")
    for k, name in enumerate(export.graph.outputs):
        out.append(f"const {CTYPES[export.graph.tensors[name].dtype]} *{p}_output_{k}(const {p}_ctx *ctx);")
    out += [
        f"\n// Every constant array, with the layer it belongs to; {big}_SEGMENTS entries.",
        f"extern const eb_segment {p}_segments[];\n",
        "#ifdef __cplusplus\n}\n#endif\n",
        "#endif\n",
    ]
    return "\n".join(out)


def _tensor_defines(stem: str, t: Tensor) -> str:
    lines = [f'// "{comment(t.name)}", {shape(t)}, channels last']
    if t.source_shape is not None and t.source_shape != t.shape:
        lines[0] += f"; in the model file {t.source_shape}"
    lines += [
        f"#define {stem}_SHAPE      {{{', '.join(str(d) for d in t.shape)}}}",
        f"#define {stem}_RANK       {len(t.shape)}",
        f"#define {stem}_ELEMENTS   {t.elements}",
        f"#define {stem}_BYTES      {t.nbytes}",
    ]
    if t.quant is not None:
        lines.append(f"#define {stem}_SCALE      {c_float(t.quant.scale)} // real = scale * (q - zero point)")
        lines.append(f"#define {stem}_ZERO_POINT ({t.quant.zero_point})")
    return "\n".join(lines) + "\n"


# The straight-line program


def model(export: Export) -> str:
    """<name>.c: the arena map, then the layers in order."""
    p, big, plan = export.name, export.name.upper(), export.plan
    families = sorted({k.split("__")[0] for k in plan.kernel_stems()})
    includes, preludes = _preludes(plan.layers)
    includes |= {f"{f}/{f}.h" for f in families}
    out = [
        banner([f"{p}: the network, layer by layer.", *_provenance(export), "", *_arena_map(export)]),
        f'#include "{p}.h"\n',
        '#include "edgebit/eb_math.h"\n#include "edgebit/eb_types.h"',
        *(f'#include "{i}"' for i in sorted(includes)),
        f'\n#include "{p}_weights.h"\n',
        f"enum {{ TAG = 0x{export.model_id[:7]} }}; // of an initialised context\n",
        f'_Static_assert({_arena_end(export)} <= {big}_ARENA_BYTES, "the arena map does not fit the arena");',
    ]
    if plan.board is not None and plan.board.ram_bytes:
        out.append(f"_Static_assert({big}_ARENA_BYTES + {big}_STATE_BYTES <= {plan.board.ram_bytes},")
        out.append(f'               "{plan.board.name} has {plan.board.ram_bytes} bytes of RAM");')
    out += ["", *preludes, *_params(export), _places(export), _life(export), _accessors(export)]
    out.append(_run(export))
    return "\n".join(out)


def _preludes(layers: list[PlannedLayer]) -> tuple[set[str], list[str]]:
    """The headers the layers' helper functions include, and those functions, each block once."""
    includes: set[str] = set()
    blocks: dict[str, None] = {}
    for layer in layers:
        includes |= set(_INCLUDE.findall(layer.lowered.prelude))
        text = "\n".join(s for s in layer.lowered.prelude.splitlines() if not _INCLUDE.match(s))
        for block in re.split(r"\n\n+", text.strip()):
            if block.strip():
                blocks.setdefault(block.strip("\n") + "\n")
    return includes, list(blocks)


def _arena_map(export: Export) -> list[str]:
    steps = "Steps: 0 before the first layer, i + 1 during layer i, the last after all."
    lines = ["The arena:", "", "      offset     bytes  steps      what"]
    for e in export.arena:
        span = f"{e.first}..{e.last}" if e.last > e.first else str(e.first)
        lines.append(f"    {e.offset:8}  {e.nbytes:8}  {span:9}  {comment(e.what, 70)}")
    return [*lines, "", steps]


def _arena_end(export: Export) -> int:
    return max((e.offset + e.nbytes for e in export.arena), default=0)


def _params(export: Export) -> list[str]:
    out = []
    for layer in export.plan.layers:
        if layer.lowered.params is not None and not layer.lowered.alias:
            ctype, fields = layer.lowered.params
            head = f"static const {ctype} l{layer.index}_params = {{"
            items = [f".{k} = {v}" for k, v in fields.items()]
            one = head + ", ".join(items) + "};"
            out.append(one if len(one) <= WIDTH else f"{head}\n{rows(items)}\n}};")
    return [*out, ""] if out else []


def _life(export: Export) -> str:
    p, big = export.name, export.name.upper()
    stateful = export.plan.state_bytes > 0
    signature = wrap(
        f"eb_status {p}_init(",
        [f"{p}_ctx *ctx", "void *state", "size_t state_bytes", "void *arena", "size_t arena_bytes"],
        ") {",
        " " * len(f"eb_status {p}_init("),
    )
    checks = [
        "    if (ctx == NULL) {\n        return EB_ERR_NULL;\n    }",
        "    ctx->tag = 0;",
        f"    if (arena == NULL{' || state == NULL' if stateful else ''}) {{\n        return EB_ERR_NULL;\n    }}",
        f"    if (arena_bytes < {big}_ARENA_BYTES) {{\n        return EB_ERR_ARENA_SIZE;\n    }}",
    ]
    aligned = "(uintptr_t)arena | (uintptr_t)state" if stateful else "(uintptr_t)arena"
    if stateful:
        checks.append(
            f"    if (state_bytes < {big}_STATE_BYTES) {{\n        return EB_ERR_STATE_SIZE;\n    }}"
        )
    else:
        checks.append("    (void)state_bytes;")
    checks += [
        f"    if ((({aligned}) & (EB_ALIGN - 1)) != 0) {{\n        return EB_ERR_ALIGN;\n    }}",
        "    ctx->arena = arena;",
        "    ctx->state = state;",
        "    ctx->tag = TAG;",
        f"    return {p}_reset(ctx);",
    ]
    forget = f"    memset(ctx->state, 0, {big}_STATE_BYTES);\n" if stateful else ""
    return (
        signature + "\n" + "\n".join(checks) + "\n}\n\n"
        f"eb_status {p}_reset({p}_ctx *ctx) {{\n"
        "    if (ctx == NULL) {\n        return EB_ERR_NULL;\n    }\n"
        "    if (ctx->tag != TAG) {\n        return EB_ERR_NOT_INITIALISED;\n    }\n"
        f"{forget}    return EB_OK;\n}}\n"
    )


def _accessors(export: Export) -> str:
    out = []
    for kind, const, names in (
        ("input", "", export.graph.inputs),
        ("output", "const ", export.graph.outputs),
    ):
        for k, name in enumerate(names):
            ctype = CTYPES[export.graph.tensors[name].dtype]
            out.append(
                f"{const}{ctype} *{export.name}_{kind}_{k}({const}{export.name}_ctx *ctx) {{\n"
                f"    return ctx != NULL && ctx->tag == TAG ? (void *)(ctx->arena + {export.plan.offsets[name]}) : NULL;\n"
                "}\n"
            )
    return "\n".join(out)


def _places(export: Export) -> str:
    """The enum of arena offsets, one for each tensor."""
    g = export.graph
    wheres = [f"    {_place(export, n)} = {export.plan.offsets[n]}," for n in export.tensors]
    column = min(max(map(len, wheres)), 72)
    lines = [f"{w:{column}} // {shape(g.tensors[n])}" for w, n in zip(wheres, export.tensors, strict=True)]
    return "\n".join(["// Where each tensor starts in the arena, in bytes.", "enum {", *lines, "};", ""])


def _place(export: Export, tensor: str) -> str:
    return f"T{export.tensors.index(tensor)}_{identifier(tensor, 20).upper()}"


def _pointer(export: Export, tensor: str) -> str:
    """The C expression for a tensor's address inside <name>_run."""
    return f"EB_AT({CTYPES[export.graph.tensors[tensor].dtype]}, arena, {_place(export, tensor)})"


def _run(export: Export) -> str:
    p, g = export.name, export.graph
    out = [
        f"eb_status {p}_run({p}_ctx *ctx) {{",
        "    if (ctx == NULL) {\n        return EB_ERR_NULL;\n    }",
        "    if (ctx->tag != TAG) {\n        return EB_ERR_NOT_INITIALISED;\n    }",
        "    uint8_t *const arena = ctx->arena;",
    ]
    for name in (n for n in g.inputs if g.tensors[n].dtype is DType.F32):
        out.append(f"    if (!eb_all_finite({_pointer(export, name)}, {g.tensors[name].elements})) {{")
        out.append("        return EB_ERR_NOT_FINITE;\n    }")
    for layer in export.plan.layers:
        out += ["", *_layer(export, layer)]
    return "\n".join([*out, "", "    return EB_OK;", "}", ""])


def _layer(export: Export, layer: PlannedLayer) -> list[str]:
    node, low, g = layer.node, layer.lowered, export.graph
    made = ", ".join(shape(g.tensors[o]) for o in node.outputs)
    taken = ", ".join(shape(g.tensors[i]) for i in node.inputs if i in g.tensors)
    out = [f"    // {layer.index}: {node.op} {comment(node.name)}: {taken} -> {made}"]
    facts = [low.kernel] if low.kernel else []
    if low.layout:
        facts.append(f"layout {low.layout}, {low.bits_per_weight:.2f} bits a weight")
    facts += [f"{layer.weight_bytes} bytes of constants"] if layer.weight_bytes else []
    facts += [f"{layer.macs} multiply-accumulates"] if layer.macs else []
    if facts:
        out.append(f"    //    {', '.join(facts)}")
    if low.alias:
        out.append("    //    the same bytes under another shape")
    else:
        args = [f"&l{layer.index}_params"] if low.params is not None else []
        args += [_pointer(export, node.inputs[k]) for k in low.inputs]
        args += [f"{export.name}_l{layer.index}_{c.suffix}" for c in low.consts if not c.symbol]
        args += [_pointer(export, o) for o in node.outputs]
        if low.scratch_bytes > 0:
            args.append(f"EB_AT(void, arena, {export.plan.scratch_offset[layer.index]})")
        head = f"    {low.function}("
        out.append(wrap(head, args, ");", " " * (len(head) if len(head) <= 40 else 8)))
    out += [
        f"    EB_LAYER_END({layer.index}, {_pointer(export, o)}, {g.tensors[o].nbytes});"
        for o in node.outputs
    ]
    return out


# The constants


def weights_header(export: Export) -> str:
    """<name>_weights.h: declares the constant arrays."""
    p = export.name
    lines = [f"extern const {s.const.ctype} {s.symbol}[{count(s.const)}];" for s in export.segments]
    return "\n".join(
        [
            banner([f"{p}: constants of the layers, defined in {p}_weights.c."]),
            f"#ifndef EDGEBIT_MODEL_{p.upper()}_WEIGHTS_H\n#define EDGEBIT_MODEL_{p.upper()}_WEIGHTS_H\n",
            '#include "edgebit/eb_types.h"\n',
            *lines,
            "\n#endif\n",
        ]
    )


def weights(export: Export) -> str:
    """<name>_weights.c: the constant arrays and the table of them."""
    p = export.name
    out = [
        banner([f"{p}: constants of the layers.", *_provenance(export)]),
        f'#include "{p}_weights.h"\n\n#include "{p}.h"\n',
    ]
    last = -1
    for s in export.segments:
        if s.const.symbol:
            continue  # machine code: defined where the layer's function is
        if s.layer != last:
            node = export.plan.layers[s.layer].node
            out.append(f"// layer {s.layer}: {node.op} {comment(node.name)}")
            last = s.layer
        align = 16 if len(s.const.raw) >= 16 else 4
        out.append(f"EB_ALIGNED({align}) const {s.const.ctype} {s.symbol}[{count(s.const)}] = {{")
        out.append(rows(values(s.const)))
        out.append("};\n")
    out.append(f"const eb_segment {p}_segments[] = {{")
    out += [f"    {{{s.symbol}, {len(s.const.raw)}, {s.layer}}}," for s in export.segments]
    out += [] if export.segments else ["    {NULL, 0, 0}, // the model has no constants"]
    return "\n".join([*out, "};", ""])


# The runtime


def runtime(export: Export) -> dict[str, bytes]:
    """The kernels and headers the model uses, by path below runtime/."""
    todo = [f"kernels/{s.split('__')[0]}/{s}.c" for s in export.plan.kernel_stems()]
    todo += [f"include/{h}" for h in _COMMON_HEADERS]
    for layer in export.plan.layers:
        todo += [_find(i) for i in _INCLUDE.findall(layer.lowered.prelude)]
    todo += [_find(f"{f}/{f}.h") for f in sorted({s.split("__")[0] for s in export.plan.kernel_stems()})]
    return sources_with_headers(todo)


def sources_with_headers(wanted: Sequence[str]) -> dict[str, bytes]:
    """Files of the runtime, by path, with all the headers that they include."""
    root = data_dir("runtime_c")
    found: dict[str, bytes] = {}
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        path = root / name
        if not path.is_file():
            raise EdgebitError(f"the runtime has no file {name}")
        found[name] = path.read_bytes()
        for include in _INCLUDE.findall(found[name].decode()):
            beside = str(PurePosixPath(name).parent / include)
            todo.append(beside if (root / beside).is_file() else _find(include))
    return dict(sorted(found.items()))


def _find(include: str) -> str:
    """The runtime file an #include names."""
    root = data_dir("runtime_c")
    for folder in ("include", "kernels"):
        if (root / folder / include).is_file():
            return f"{folder}/{include}"
    raise EdgebitError(f"no runtime header {include!r}")
