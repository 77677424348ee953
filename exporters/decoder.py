"""A language model as a folder: weights to map into memory, C for one core, a manifest, and a certificate.

    export_decoder(decoder, "rpi5", Path("build/model-rpi5"))

The certificate is SHA-256 over the model's id, the golden prompts, the tokens that the reference adds to them, every
layer's output for every token, and the logits. Nothing of target, kernel, layout or threads is in it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgebit
from edgebit.board import resolve_target
from edgebit.decoder import canonical
from edgebit.decoder.canonical import shape_of
from edgebit.decoder.model import PROJECTIONS, Decoder, DecoderSpec
from edgebit.decoder.precision import Precision, choose_precision
from edgebit.decoder.reference import Reference
from edgebit.decoder.text import compile_text
from edgebit.decoder.text.table import Flag
from edgebit.errors import UsageError
from edgebit.ir.graph import F32Array
from edgebit.resources import data_dir, folder_atomically

from .c_library import sources_with_headers
from .ctext import model_prefix
from .decoder_firmware import (
    account,
    arena_bytes,
    check_fit,
    check_text,
    firmware_build,
    firmware_files,
    plan_firmware,
)
from .decoder_plan import DecoderPlan, plan_decoder
from .decoder_text import config, layer_table, needs
from .decoder_weights import Packed, write_weights
from .pipeline import exported_files

KIND = "decoder"
_LIBRARY = ("memory.c", "pool.c", "session.c", "start.c")  # of decoder/linux: what the library shares
_SMALL = 50_000_000  # weights; larger models get fewer golden tokens, which the reference takes minutes for


@dataclass(frozen=True)
class Golden:
    """A prompt, the tokens that follow, and CRC-32s of what came before them: of every layer's outputs (the
    final normalisation last), one token after the other, and of the logits that a token was chosen from."""

    prompt: list[int]
    tokens: list[int]
    layer_crcs: list[int]
    logits_crc: int


def golden_run(
    ref: Reference,
    prompt: Sequence[int],
    count: int,
    digest: Any,
    say: Callable[[str], None] = lambda _: None,
) -> Golden:
    """The reference's greedy continuation by `count` tokens; everything it computes goes into `digest`."""
    ref.reset()
    crcs = [0] * (ref.decoder.spec.layers + 1)
    logits_crc = 0
    tokens: list[int] = []
    given = list(prompt)
    while len(tokens) < count:
        say(f"running the reference: token {len(tokens) + 1} of {count} after a prompt of {len(prompt)}")
        logits = np.ascontiguousarray(ref.run(given, last_only=True)[-1], "<f4")
        for layer, h in enumerate(ref.hidden):
            raw = _bytes(h)
            crcs[layer] = zlib.crc32(raw, crcs[layer])
            digest.update(raw)
        logits_crc = zlib.crc32(logits.tobytes(), logits_crc)
        digest.update(logits.tobytes())
        given = [int(np.argmax(logits))]
        tokens += given
    digest.update(json.dumps([list(prompt), tokens]).encode())
    return Golden(list(prompt), tokens, crcs, logits_crc)


def _bytes(h: F32Array) -> bytes:
    return np.ascontiguousarray(h, "<f4").tobytes()


def weights_of(spec: DecoderSpec) -> int:
    """How many weights the projections hold."""
    return spec.layers * sum(r * c for r, c in (shape_of(spec, role) for role in PROJECTIONS))


def golden_prompts(spec: DecoderSpec, context: int) -> list[tuple[list[int], int]]:
    """Prompts made up from the vocabulary, and how many tokens to add to each: one within a tile, one longer."""
    rng = np.random.default_rng(1)
    lengths = [(9, 12), (40, 12)] if weights_of(spec) <= _SMALL else [(6, 3)]
    found = []
    for length, count in lengths:
        count = max(1, min(count, context // 3))
        length = max(1, min(length, context - count + 1))
        found.append((rng.integers(0, spec.vocab, length).tolist(), count))
    return found


def export_decoder(
    decoder: Decoder,
    target: str,
    out: Path,
    *,
    context: int | None = None,
    kv: str = "f16",
    matrix: str = "int8",
    acts: str = "int8",
    optimize: str = "balanced",
    golden: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the folder `out`, replacing it whole; returns it. golden: run the reference and certify.

    UsageError for a target that is no board; FitError for a microcontroller that is too small; ModelError
    for a model that is not usable; a failure leaves nothing behind.
    """
    core, board = resolve_target(target)
    if board is None:
        raise UsageError(f"--target {target}: language models are exported for boards (rpi5, pico, host)")
    precision = choose_precision(decoder.spec, kv=kv, matrix=matrix, acts=acts)
    source_matrix = decoder.weights.matrix("embed").dtype
    choose = plan_firmware if core.is_cortex_m else plan_decoder
    plan = choose(
        decoder.spec,
        precision,
        source_matrix,
        core,
        board,
        context=context,
        optimize=optimize,
        whole=not has_groups(decoder, precision),
    )
    name = model_prefix(decoder.spec.name)
    table = compile_text(decoder)
    text = b"" if table is None else table.to_bytes()
    with folder_atomically(Path(out), set(exported_files(Path(out)))) as folder:
        weights = folder / f"{name}.bin"
        packed = write_weights(decoder, plan, weights, text, say)
        fit = None
        if core.is_cortex_m:
            check_text(table)
            fit = account(plan, packed.total, nfc=table is not None and Flag.NFC in table.flags)
            check_fit(fit)
            files = firmware_files(plan, packed, name, weights.read_bytes())
        else:
            files = program_files(plan, packed, name)
        certificate, vectors = certify(decoder, plan, packed, golden=golden, say=say)
        record = manifest(decoder, plan, packed, name, sorted(files), certificate, vectors)
        record["chat"] = table is not None and table.chat is not None
        record["notes"] += [] if table is None else table.notes
        if fit is not None:
            record["build"] = firmware_build(plan, sorted(files), table)
            record["fit"] = fit.to_dict()
            record["arena_bytes"] = arena_bytes(plan)
            record["weight_crcs"] = [zlib.crc32(weights.read_bytes())]
        files["edgebit.json"] = (json.dumps(record, indent=1) + "\n").encode()
        for path, data in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return Path(out)


def has_groups(decoder: Decoder, precision: Precision) -> bool:
    """Whether the first layer, which is taken to stand for all, has scales for groups of inputs."""
    found = ((role, canonical.projection(decoder, role, 0, precision)) for role in PROJECTIONS)
    return any(p.group < shape_of(decoder.spec, role)[1] for role, p in found)


def certify(
    decoder: Decoder, plan: DecoderPlan, packed: Packed, *, golden: bool, say: Callable[[str], None]
) -> tuple[str | None, list[Golden]]:
    """The certificate and the golden runs under it; None and none when they are not wanted."""
    if not golden:
        return None, []
    prompts = golden_prompts(decoder.spec, plan.context)
    longest = max(len(p) + n for p, n in prompts)
    ref = Reference(decoder, plan.precision, min(plan.context, longest))
    digest = hashlib.sha256(bytes.fromhex(packed.model_id))
    vectors = [golden_run(ref, p, n, digest, say) for p, n in prompts]
    return digest.hexdigest(), vectors


def program_files(plan: DecoderPlan, packed: Packed, name: str) -> dict[str, bytes]:
    """All C of the folder, by path."""
    root = data_dir("runtime_c") / "decoder"
    text = data_dir("runtime_c") / "text"
    files = {
        "decoder_config.h": config(plan, packed, name).encode(),
        f"{name}_layers.c": layer_table(packed, name).encode(),
    }
    for path in sorted(p for part in (".", "linux", "library") for p in (root / part).glob("*.[ch]")):
        files[f"decoder/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    files |= {f"text/{path.name}": path.read_bytes() for path in sorted(text.glob("*.[ch]"))}
    wanted = [f"kernels/{s.split('__')[0]}/{s}.c" for s in plan.stems]
    wanted += ["include/edgebit/eb_lanes.h", "include/edgebit/eb_status.h", "include/edgebit/eb_math.h"]
    wanted += [
        f"kernels/{f}/{f}.h"
        for f in ("tmatvec_s8", "tmatvec_f32", "tmatmat_s8", "rowdots", "rowdots_s4", "attend")
    ]
    files |= {f"runtime/{path}": raw for path, raw in sources_with_headers(wanted).items()}
    return files


def manifest(
    decoder: Decoder,
    plan: DecoderPlan,
    packed: Packed,
    name: str,
    files: list[str],
    certificate: str | None,
    vectors: list[Golden],
) -> dict[str, Any]:
    """What edgebit.json says. Sizes in bytes; nothing here was measured."""
    spec = plan.spec
    board = "" if plan.board is None else plan.board.name
    hwcap = any(need == "NEEDS_HWCAP" for need, _ in needs(plan))
    return {
        "edgebit": edgebit.__version__,
        "kind": KIND,
        "name": name,
        "target": board or plan.core.name,
        "board": board,
        "core": plan.core.name,
        "source_name": decoder.source,
        "notes": list(decoder.notes),
        "tokenizer": packed.text_bytes > 0,
        "model_id": packed.model_id,
        "certificate": certificate,
        "spec": asdict(spec),
        "precision": asdict(plan.precision) | {"matrix": plan.matrix},
        "context": plan.context,
        "tile": plan.tile,
        "kernels": list(plan.stems),
        "layout": plan.layout,
        "weights": {
            "count": weights_of(spec),
            "bits_per_weight": 8.0 * packed.projection_bytes / weights_of(spec),
            "file_bytes": packed.total,
            "projection_bytes": packed.projection_bytes,
            "head_bytes": packed.matrix_bytes,
            "other_bytes": packed.rest_bytes,
            "bytes_per_token": packed.token_bytes,
        },
        "kv_bytes_per_position": plan.kv_bytes_per_position,
        "golden": [asdict(v) for v in vectors],
        "build": _recipe(files, ["EB_D_TRACE"]) | {"entry": "eb_start" if hwcap else ""},
        **(
            {}
            if plan.core.is_cortex_m
            else {"library": _recipe(files, ["EB_D_LIBRARY"]) | {"kind": "linux-shared"}}
        ),
        "licences": {
            "runtime, program": "Apache-2.0",
            "generated code": "Apache-2.0",
            "weights": "those of the model",
        },
        "files": sorted([*files, f"{name}.bin", "edgebit.json"]),
    }


def _recipe(files: list[str], defines: list[str]) -> dict[str, Any]:
    """How to compile the program, or the library if that is what `defines` say; edgebit/toolchain/recipe.py."""
    library = "EB_D_LIBRARY" in defines

    def wanted(path: str) -> bool:
        if path.startswith("decoder/linux/"):
            return not library or path.rpartition("/")[2] in _LIBRARY
        return library or not path.startswith("decoder/library/")

    return {
        "kind": "linux-libc",
        "sources": [f for f in files if f.endswith(".c") and wanted(f)],
        "freestanding": [],
        "hosted": [],
        "includes": [".", "decoder", "runtime/include", "runtime/kernels"],
        "freestanding_includes": [],
        "defines": ["_GNU_SOURCE", *defines, "EB_D_YIELD=eb_d_yield"],
        "entry": "",
        "script": "",
        "boot2": None,
        "uf2_family": None,
    }
