"""Packs a language model's weights into one file that a program maps into memory, one tensor after the other.

    offset 0     header, 64 bytes: "EBDECODE", u32 version 1, u32 CRC-32 of everything from `body` on, u64 size
                 of the file, u64 body, the model's SHA-256; little endian
    body         65536; sections start at multiples of 65536 (pages are up to 64 KiB), tensors at multiples of 64
                 (body 64 and no sections for a microcontroller, whose program holds the file as it is):
                   embedding and head   (vocab, width rounded up to 16) as stored, or four bits a number
                   projections          trits in the kernel's layout
                   the rest             scales, biases, normalisations, angles; binary32; the tokenizer's table

Places are in units of 64 bytes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgebit.decoder import canonical
from edgebit.decoder.canonical import S4_GROUP, Projection, Rows
from edgebit.decoder.model import PROJECTIONS, Decoder
from edgebit.decoder.rope import tables
from edgebit.errors import ModelError
from edgebit.ir.graph import Array
from edgebit.layouts.base import layout_of, round_up

from .decoder_plan import UNIT, DecoderPlan, cuts

MAGIC = b"EBDECODE"
VERSION = 1


@dataclass(frozen=True)
class Matrix:
    """Places of one projection; bias 0: none. scale: of Projection.factors. by_row: every row has its own."""

    trits: int
    scale: int
    bias: int
    group: int
    by_row: bool


@dataclass
class Packed:
    """What was written. norms and matrices by layer and role; token_bytes: weights read for one token."""

    model_id: str = ""
    total: int = 0
    embed: int = 0
    head: int = 0
    embed_scale: int = 0
    head_scale: int = 0
    rope: int = 0
    final_norm: int = 0
    norms: list[dict[str, int]] = field(default_factory=list)
    matrices: list[dict[str, Matrix]] = field(default_factory=list)
    text: int = 0
    text_bytes: int = 0
    token_bytes: int = 0
    projection_bytes: int = 0
    matrix_bytes: int = 0
    rest_bytes: int = 0


class _Writer:
    """Appends tensors to the file, with a running checksum."""

    def __init__(self, out: BinaryIO, body: int) -> None:
        self.out = out
        self.at = body
        self.crc = 0
        out.write(bytes(body))

    def put(self, raw: bytes | memoryview) -> int:
        """The place of a tensor that starts here."""
        place = self.at // UNIT
        self.more(raw)
        self.align(UNIT)
        return place

    def more(self, raw: bytes | memoryview) -> None:
        self.out.write(raw)
        self.crc = zlib.crc32(raw, self.crc)
        self.at += len(raw)

    def align(self, multiple: int) -> None:
        self.more(bytes(-self.at % multiple))


def _little(a: Array) -> bytes:
    return np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")).tobytes()


def pack_projection(p: Projection, plan: DecoderPlan) -> bytes:
    """The trits of a projection: panels of rows, and in each its groups of inputs one after the other."""
    layout = layout_of(plan.layout)
    rows, cols = p.trits.shape
    if p.group >= cols:
        return layout.pack(p.trits)
    if not cuts(layout):
        raise ModelError(
            f"scales for groups of {p.group} inputs in some layers but not in the first; kernels of {plan.core.title} "
            "are chosen by the first"
        )
    parts = []
    for r in range(0, rows, plan.panel):
        for g in range(0, cols, p.group):
            block = np.ascontiguousarray(p.trits[r : r + plan.panel, g : g + p.group])
            parts.append(layout.pack(block))
    return b"".join(parts)


def row_bytes(kind: str, width: int) -> int:
    """Stored bytes of a row of embedding or head (four bits: EB_S4_ROW_BYTES of rowdots_s4.h)."""
    if kind == "s4":
        cols = round_up(width, 2 * S4_GROUP)
        return cols // 2 + round_up(cols // S4_GROUP, 16)
    return round_up(width, 16) * {"s8": 1, "f16": 2, "bf16": 2, "f32": 4}[kind]


def pack_four_bits(q: Array, codes: Array) -> Array:
    """Rows as rowdots_s4.h has them: (n, row_bytes) uint8 of q (n, width) in -8..7 and codes (n, groups)."""
    rows, width = q.shape
    cols = round_up(width, 2 * S4_GROUP)
    u = np.full((rows, cols), 8, np.uint8)
    u[:, :width] = (q + np.int8(8)).view(np.uint8)
    pairs = u.reshape(rows, -1, 2, S4_GROUP)
    out = np.zeros((rows, row_bytes("s4", width)), np.uint8)
    out[:, : cols // 2] = (pairs[:, :, 0] | (pairs[:, :, 1] << 4)).reshape(rows, -1)
    out[:, cols // 2 : cols // 2 + codes.shape[1]] = codes
    return out


def _put_rows(w: _Writer, matrix: Rows, width: int) -> int:
    place = w.at // UNIT
    padding = round_up(width, 16) - width
    for start in range(0, len(matrix.data), 4096):
        part = matrix.data[start : start + 4096]
        if matrix.codes is not None:
            w.more(pack_four_bits(part, matrix.codes[start : start + 4096]).tobytes())
            continue
        w.more(_little(np.pad(part, ((0, 0), (0, padding)))))
    w.align(UNIT)
    return place


def write_weights(
    decoder: Decoder,
    plan: DecoderPlan,
    path: Path,
    text: bytes = b"",
    say: Callable[[str], None] = lambda _: None,
) -> Packed:
    """Write the file; no tensor but the one at hand is in memory, and at the end what is small. text: the
    tokenizer's table."""
    spec, precision = decoder.spec, plan.precision
    packed = Packed()
    digest = hashlib.sha256(canonical.spec_json(spec, precision))
    small: list[tuple[Callable[[int], None], bytes]] = []

    def later(use: Callable[[int], None], array: Array) -> None:
        small.append((use, _little(array)))

    with path.open("wb") as out:
        w = _Writer(out, plan.section)
        for role in ("embed",) if spec.tied else ("embed", "head"):
            say(f"packing {role}")
            matrix = canonical.rows(decoder, role, precision)
            digest.update(canonical.tensor_digest(role, matrix.data, matrix.scale))
            digest.update(b"" if matrix.codes is None else canonical.tensor_digest("codes", matrix.codes))
            start = w.at
            setattr(packed, role, _put_rows(w, matrix, spec.width))
            if role == ("embed" if spec.tied else "head"):
                packed.matrix_bytes = w.at - start
            if matrix.scale is not None:
                name = f"{role}_scale"
                later(lambda place, name=name: setattr(packed, name, place), matrix.scale)  # type: ignore[misc]
            del matrix
        if spec.tied:
            packed.head = packed.embed
        w.align(plan.section)
        start = w.at
        for layer in range(spec.layers):
            say(f"packing layer {layer + 1} of {spec.layers}")
            norms: dict[str, int] = {}
            matrices: dict[str, Matrix] = {}
            packed.norms.append(norms)
            packed.matrices.append(matrices)
            for role in canonical.norms_of(spec):
                weight = canonical.norm(decoder, role, layer)
                digest.update(canonical.tensor_digest(role, weight))
                later(lambda place, t=norms, r=role: t.__setitem__(r, place), _padded(weight))  # type: ignore[misc]
            for role in PROJECTIONS:
                p = canonical.projection(decoder, role, layer, precision)
                digest.update(canonical.tensor_digest(role, p.trits, p.factors, p.bias))
                by_row = p.scale.shape[0] > 1
                matrices[role] = Matrix(w.put(pack_projection(p, plan)), 0, 0, p.group, by_row)

                def place_scale(place: int, t: dict[str, Matrix] = matrices, r: str = role) -> None:
                    m = t[r]
                    t[r] = Matrix(m.trits, place, m.bias, m.group, m.by_row)

                def place_bias(place: int, t: dict[str, Matrix] = matrices, r: str = role) -> None:
                    m = t[r]
                    t[r] = Matrix(m.trits, m.scale, place, m.group, m.by_row)

                later(place_scale, p.factors)
                if p.bias is not None:
                    later(place_bias, p.bias)
        packed.projection_bytes = w.at - start
        w.align(plan.section)
        start = w.at
        final = canonical.norm(decoder, "final_norm", None)
        digest.update(canonical.tensor_digest("final_norm", final))
        later(lambda place: setattr(packed, "final_norm", place), _padded(final))
        for use, raw in small:
            use(w.put(raw))
        packed.rest_bytes = w.at - start
        angles = tables(spec.rope, spec.head_dim, plan.context)
        packed.rope = w.put(_little(angles))
        packed.text, packed.text_bytes = w.put(text), len(text)
        w.align(plan.section)
        if spec.tied:
            packed.head_scale = packed.embed_scale
        packed.total = w.at
        packed.model_id = digest.hexdigest()
        packed.token_bytes = packed.projection_bytes + packed.matrix_bytes + packed.rest_bytes
        out.seek(0)
        header = struct.pack("<8sIIQQ32s", MAGIC, VERSION, w.crc, w.at, plan.section, digest.digest())
        out.write(header)
    return packed


def _padded(weight: Array) -> Array:
    return np.pad(weight, (0, round_up(len(weight), 16) - len(weight)))
