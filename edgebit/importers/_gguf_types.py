"""The tensor types of GGUF: their ids, sizes and contents.

Ternary types decode to trits with one scale a block; types of embeddings and heads to binary32. Layouts are those of
llama.cpp (`ggml-quants.c`), of microsoft/BitNet for I2_S, and of the Bonsai models' fork for PQ2_0 and PTQ1_0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import Array, F32Array, S8Array

_LUT = "whose layout depends on the kernels that it was made for; convert the model to I2_S or TQ2_0"


@dataclass(frozen=True)
class TensorType:
    """A type: `bytes` for each `block` elements of a row and `tail` bytes after the tensor. refusal: why it is not
    read."""

    name: str
    block: int
    bytes: int
    tail: int = 0
    refusal: str = ""

    def nbytes(self, shape: tuple[int, ...]) -> int:
        return prod(shape) * self.bytes // self.block + self.tail


TYPES = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    6: TensorType("Q5_0", 32, 22),
    8: TensorType("Q8_0", 32, 34),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    36: TensorType("I2_S", 4, 1, tail=32),
    38: TensorType("TL1", 4, 1, refusal=_LUT),
    39: TensorType("TL2 (or MXFP4, which has the same id)", 32, 17, refusal=_LUT),
    41: TensorType("Q1_0", 128, 18),
    142: TensorType("PQ2_0", 128, 34),
    143: TensorType("PTQ1_0", 128, 28),
}
"""By id. 42 is not here: `q2_types` decides which of its layouts a file has."""

Q2_64, Q2_128 = TensorType("Q2_0", 64, 18), TensorType("Q2_0", 128, 34)
TERNARY = ("TQ1_0", "TQ2_0", "I2_S", "Q1_0", "Q2_0", "PQ2_0", "PTQ1_0")


def q2_types(spans: list[tuple[str, tuple[int, ...], int]], alignment: int) -> dict[int, TensorType]:
    """What id 42 means in a file: {42: type}, from the room that each of its tensors has.

    The id stands for blocks of 64 in 18 bytes, for an older 128 in 34, and, in a proposed format that is not read,
    for 256 in 42. spans: (where, shape, bytes up to the next tensor) of every tensor of this id.
    """
    if not spans:
        return {}
    fits = [
        kind
        for kind in (Q2_64, Q2_128)
        if all(
            shape[-1] % kind.block == 0 and 0 <= room - kind.nbytes(shape) < max(alignment, 32)
            for _, shape, room in spans
        )
    ]
    if len(fits) == 1:
        return {42: fits[0]}
    where = spans[0][0]
    if fits:
        raise ModelError(
            f"{where}: its type 42 means Q2_0 in blocks of 64 or of 128, and this file is too small to tell which; "
            "convert the model to TQ2_0"
        )
    raise ModelError(
        f"{where}: type 42 is used for several formats, and the tensor sizes fit neither Q2_0 in blocks of 64 nor of "
        "128; is the file complete? If so convert the model to TQ2_0"
    )


def _halves(raw: Array, where: str) -> F32Array:
    """Scales from (blocks, 2) bytes of binary16; finite and not negative."""
    scale = np.ascontiguousarray(raw).view("<f2")[:, 0].astype(np.float32)
    if not (np.isfinite(scale).all() and (scale >= 0).all()):
        raise ModelError(f"{where}: has a scale that is negative, NaN or infinite")
    return scale


def _fields(raw: Array, shifts: tuple[int, ...]) -> Array:
    """The 2-bit fields of (..., n) bytes at each shift, (..., len(shifts), n)."""
    return np.stack([(raw >> s) & 3 for s in shifts], axis=-2)


def _from_codes(codes: Array, where: str) -> S8Array:
    if (codes == 3).any():
        raise ModelError(f"{where}: holds the code 3, which is no trit; its weights have four values")
    return codes.astype(np.int8) - np.int8(1)


def _base3(raw: Array, digits: int) -> S8Array:
    """Trits of (blocks, n) bytes, each holding `digits` of them, (blocks, digits * n): digit by digit."""
    parts = [
        ((raw * np.uint8(3**d)).astype(np.uint16) * 3 >> 8).astype(np.int8) - np.int8(1)
        for d in range(digits)
    ]
    return np.concatenate(parts, axis=1)


def decode_blocks(kind: TensorType, raw: Array, where: str) -> tuple[S8Array, F32Array]:
    """Trits (blocks, block) and scales (blocks,) of uint8 (blocks, bytes) of a ternary type with scales in its blocks."""
    b = len(raw)
    codes: Array
    match kind.name:
        case "TQ2_0":
            codes = _fields(raw[:, :64].reshape(b, 2, 32), (0, 2, 4, 6))
            return _from_codes(codes.reshape(b, 256), where), _halves(raw[:, 64:], where)
        case "TQ1_0":
            parts = [_base3(raw[:, :32], 5), _base3(raw[:, 32:48], 5), _base3(raw[:, 48:52], 4)]
            return np.concatenate(parts, axis=1), _halves(raw[:, 52:], where)
        case "PTQ1_0":
            parts = [_base3(raw[:, :16], 5), _base3(raw[:, 16:24], 5), _base3(raw[:, 24:26], 4)]
            return np.concatenate(parts, axis=1), _halves(raw[:, 26:], where)
        case "Q2_0" | "PQ2_0":
            codes = np.swapaxes(_fields(raw[:, 2:], (0, 2, 4, 6)), 1, 2).reshape(b, kind.block)
            return _from_codes(codes, where), _halves(raw[:, :2], where)
        case "Q1_0":
            bits = np.unpackbits(raw[:, 2:], axis=1, bitorder="little").astype(np.int8)
            return bits * np.int8(2) - np.int8(1), _halves(raw[:, :2], where)
    raise AssertionError(kind.name)


def decode_i2_s(raw: Array, shape: tuple[int, int], layout: str, where: str) -> tuple[S8Array, np.float32]:
    """Trits and the one scale of an I2_S tensor of bytes `raw`, in one of DecoderOptions.i2_s' layouts."""
    count = prod(shape)
    scale = np.frombuffer(raw[count // 4 : count // 4 + 4].tobytes(), "<f4")[0]
    if not (np.isfinite(scale) and scale > 0):
        raise ModelError(f"{where}: its scale is {scale}; is the tensor stored as I2_S?")
    unit = 4 * shape[1] if layout == "rows4" else int(layout)
    if count % unit:
        raise ModelError(
            f"{where}: {list(shape)} weights do not divide into the units of I2_S layout {layout}"
        )
    if layout == "rows4":
        grouped = raw[: count // 4].reshape(shape[0] // 4, shape[1])
    else:
        grouped = raw[: count // 4].reshape(-1, int(layout) // 4)
    trits: S8Array = np.empty((len(grouped), 4, grouped.shape[1]), np.int8)
    for i in range(4):
        codes = (grouped >> (6 - 2 * i)) & 3
        trits[:, i] = _from_codes(codes, where)
    return trits.reshape(shape), np.float32(scale)


def decode_floats(kind: TensorType, raw: Array) -> F32Array:
    """Values (blocks, block) of uint8 (blocks, bytes) of one of the types an embedding or head is stored in."""
    values: F32Array
    match kind.name:
        case "Q8_0":
            values = _f16(raw, 0) * raw[:, 2:].view(np.int8).astype(np.float32)
        case "Q4_0":
            values = _f16(raw, 0) * (_nibbles(raw[:, None, 2:]).astype(np.float32) - 8)
        case "Q5_0":
            fifth = np.unpackbits(raw[:, 2:6], axis=1, bitorder="little") << 4
            values = _f16(raw, 0) * ((_nibbles(raw[:, None, 6:]) | fifth).astype(np.float32) - 16)
        case "Q6_K":
            top = _fields(raw[:, 128:192].reshape(-1, 2, 32), (0, 2, 4, 6)).reshape(-1, 256)
            q = (_nibbles(raw[:, :128].reshape(-1, 2, 64)) | (top << 4)).astype(np.float32) - 32
            scale = _f16(raw, 208) * raw[:, 192:208].view(np.int8).astype(np.float32)
            values = np.repeat(scale, 16, axis=1) * q
        case "Q4_K" | "Q5_K":
            scale, least = _six_bit_scales(raw[:, 4:16])
            codes = _nibbles(raw[:, -128:].reshape(-1, 4, 32))
            if kind.name == "Q5_K":
                codes = codes | np.concatenate([((raw[:, 16:48] >> i) & 1) << 4 for i in range(8)], axis=1)
            d, m = _f16(raw, 0) * scale, _f16(raw, 2) * least
            values = np.repeat(d, 32, axis=1) * codes.astype(np.float32) - np.repeat(m, 32, axis=1)
        case _:
            raise AssertionError(kind.name)
    return values


def _f16(raw: Array, at: int) -> F32Array:
    """The binary16 at byte `at` of each block, (blocks, 1)."""
    return np.ascontiguousarray(raw[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(raw: Array) -> Array:
    """Of (blocks, parts, n) bytes: part by part the lower halves, then the upper ones; (blocks, parts * 2 * n)."""
    both: Array = np.stack([raw & 15, raw >> 4], axis=2)
    return both.reshape(len(raw), -1)


def _six_bit_scales(raw: Array) -> tuple[F32Array, F32Array]:
    """Eight 6-bit scales and minima of (blocks, 12) bytes: 4 + 4 plain, the upper four split between two bytes."""
    s, m, rest = raw[:, :4], raw[:, 4:8], raw[:, 8:]
    scale = np.concatenate([s & 63, (rest & 15) | ((s >> 6) << 4)], axis=1)
    least = np.concatenate([m & 63, (rest >> 4) | ((m >> 6) << 4)], axis=1)
    return scale.astype(np.float32), least.astype(np.float32)
