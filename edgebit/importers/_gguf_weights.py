"""The tensors of a GGUF file as a decoder's weights, one at a time."""

from __future__ import annotations

from math import prod

import numpy as np

from edgebit.decoder.canonical import norm_width, norms_of, shape_of
from edgebit.decoder.model import DecoderSpec, FloatTensor, TernaryMatrix
from edgebit.errors import ModelError
from edgebit.importers._blob import BLOCK_ELEMENTS, check_finite, widen
from edgebit.importers._gguf_config import ARCHS
from edgebit.importers._gguf_read import GgufFile, GgufTensor
from edgebit.importers._gguf_types import TERNARY, decode_blocks, decode_floats, decode_i2_s
from edgebit.importers._ternary_values import find_scales, quantise_masters, shared_scales, signs
from edgebit.importers.base import DecoderOptions
from edgebit.ir.graph import Array, F32Array, S8Array

PROJECTION_NAMES = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
NORM_NAMES = {"q_norm": "attn_q_norm", "k_norm": "attn_k_norm"}
EMBED, HEAD, FINAL, FREQS = "token_embd.weight", "output.weight", "output_norm.weight", "rope_freqs.weight"
_PLAIN = {"F32": ("<f4", "f32"), "F16": ("<f2", "f16"), "BF16": ("<u2", "bf16")}


def vector(t: GgufTensor) -> F32Array:
    """A float tensor of one dimension as binary32."""
    if t.type.name not in _PLAIN or len(t.shape) != 1:
        raise ModelError(
            f"{t.where}: {t.type.name} of shape {list(t.shape)}, where EdgeBit takes a vector of floats"
        )
    view, dtype = _PLAIN[t.type.name]
    return widen(t.data().view(view), dtype, t.where)


class GgufWeights:
    """A `WeightSource` over a GGUF file."""

    def __init__(self, file: GgufFile, spec: DecoderSpec, arch: str, options: DecoderOptions) -> None:
        self.spec, self.options = spec, options
        self._file, self._tensors, self._arch = file, file.tensors, ARCHS[arch]
        used = {FREQS, EMBED, FINAL, HEAD}
        self._entry(EMBED, (spec.vocab, spec.width))
        self._entry(FINAL, (spec.width,))
        if HEAD in self._tensors:
            self._entry(HEAD, (spec.vocab, spec.width))
        for layer in range(spec.layers):
            for role in norms_of(spec):
                self._entry(self._norm_name(role, layer), (norm_width(spec, role),))
                used.add(self._norm_name(role, layer))
            for role, local in PROJECTION_NAMES.items():
                stem = f"blk.{layer}.{local}"
                out, k = shape_of(spec, role)
                self._entry(f"{stem}.weight", (out, k))
                for extra, shape in ((f"{stem}.bias", (out,)), (f"{stem}.scale", (1,))):
                    if extra in self._tensors:
                        self._entry(extra, shape)
                        used.add(extra)
                used.add(f"{stem}.weight")
        for name, t in self._tensors.items():
            if name not in used:
                raise ModelError(
                    f"{t.where}: a model of architecture {arch} with {spec.layers} layers has no such tensor, so its "
                    "effect would be lost"
                )

    def _norm_name(self, role: str, layer: int | None) -> str:
        return FINAL if layer is None else f"blk.{layer}.{NORM_NAMES.get(role, role)}.weight"

    def _entry(self, name: str, shape: tuple[int, ...]) -> GgufTensor:
        t = self._tensors.get(name)
        if t is None:
            raise ModelError(f"{self._file.name}: there is no tensor {name}; is it a whole model?")
        if t.shape != shape:
            raise ModelError(
                f"{t.where}: its shape is {list(t.shape)}, but by the metadata it is {list(shape)}"
            )
        return t

    def projection(self, role: str, layer: int) -> TernaryMatrix:
        """One of PROJECTIONS of a layer; ModelError when its weights are not ternary."""
        if not 0 <= layer < self.spec.layers:
            raise IndexError(layer)
        stem = f"blk.{layer}.{PROJECTION_NAMES[role]}"
        t = self._tensors[f"{stem}.weight"]
        trits, scale, group = self._matrix(t)
        if f"{stem}.scale" in self._tensors:
            factor = vector(self._tensors[f"{stem}.scale"])
            if not factor[0] > 0:
                raise ModelError(
                    f"{self._tensors[f'{stem}.scale'].where}: is {factor[0]}, and a scale is positive"
                )
            scale = scale * factor[0]
        bias = vector(self._tensors[f"{stem}.bias"]) if f"{stem}.bias" in self._tensors else None
        if self._arch.permuted and role in ("q", "k"):
            order = self._halves_first(role)
            trits = trits[order]
            scale = scale[order] if len(scale) > 1 else scale
            bias = None if bias is None else bias[order]
        return TernaryMatrix(trits, scale, group, bias)

    def _halves_first(self, role: str) -> Array:
        """Row numbers that undo llama.cpp's order: in each head it stores row i and row i + head_dim / 2 side by side."""
        heads = self.spec.heads if role == "q" else self.spec.kv_heads
        rows = np.arange(heads * self.spec.head_dim).reshape(heads, self.spec.head_dim // 2, 2)
        return rows.swapaxes(1, 2).reshape(-1)

    def _matrix(self, t: GgufTensor) -> tuple[S8Array, F32Array, int]:
        """Trits, scale and group, in the file's order of rows."""
        shape = (t.shape[0], t.shape[1])
        if t.type.name == "I2_S":
            trits, one = decode_i2_s(t.data(), shape, self.options.i2_s, t.where)
            return trits, np.full((1, 1), one, np.float32), 0
        if t.type.name in TERNARY:
            return self._blocks(t, shape)
        if t.type.name not in _PLAIN:
            raise ModelError(f"{t.where}: is stored as {t.type.name}, which is not ternary")
        view, dtype = _PLAIN[t.type.name]
        data = t.data().view(view).reshape(shape)
        found = find_scales(data, dtype, t.where)
        if found is not None:
            return signs(data, dtype, t.where), *found
        if self.options.masters is None:
            raise ModelError(
                f"{t.where}: its values are not ternary; if they are float masters that were trained to be quantised, "
                "say how with --masters absmean (BitNet b1.58) or --masters sign (the first BitNet)"
            )
        trits, one = quantise_masters(data, dtype, self.options.masters, t.where)
        return trits, np.full((1, 1), one, np.float32), 0

    def _blocks(self, t: GgufTensor, shape: tuple[int, int]) -> tuple[S8Array, F32Array, int]:
        out, k = shape
        per_row = k // t.type.block
        raw = t.data().reshape(out, per_row, t.type.bytes)
        trits: S8Array = np.empty(shape, np.int8)
        scale: F32Array = np.empty((out, per_row), np.float32)
        step = max(1, BLOCK_ELEMENTS // k)
        for first in range(0, out, step):
            part = raw[first : first + step]
            values, d = decode_blocks(t.type, part.reshape(-1, t.type.bytes), t.where)
            values[d == 0] = 0
            trits[first : first + step] = values.reshape(len(part), k)
            scale[first : first + step] = d.reshape(len(part), per_row)
        return trits, *shared_scales(trits, scale)

    def norm(self, role: str, layer: int | None) -> F32Array:
        """One of NORMS of a layer, or "final_norm" of layer None, as binary32."""
        return vector(self._tensors[self._norm_name(role, layer)])

    def matrix(self, role: str) -> FloatTensor:
        """ "embed" or "head" (the embedding when tied): mapped in the type it is stored in, or, from a quantised type,
        its values in binary32."""
        t = self._tensors[HEAD if role == "head" and not self.spec.tied else EMBED]
        if t.type.name == "F32":
            tensor = FloatTensor(t.data().view("<f4").reshape(t.shape), "f32")
        elif t.type.name == "F16":
            tensor = FloatTensor(t.data().view("<f2").reshape(t.shape), "f16")
        elif t.type.name == "BF16":
            tensor = FloatTensor(t.data().view("<u2").reshape(t.shape), "bf16")
        else:
            tensor = FloatTensor(self._dequantised(t), "f32")
        check_finite(tensor.data, tensor.dtype, t.where)
        return tensor

    def _dequantised(self, t: GgufTensor) -> F32Array:
        if t.type.name == "I2_S":
            trits, one = decode_i2_s(t.data(), (t.shape[0], t.shape[1]), self.options.i2_s, t.where)
            return trits * one
        raw = t.data().reshape(-1, t.type.bytes)
        values: F32Array = np.empty((len(raw), t.type.block), np.float32)
        step = max(1, BLOCK_ELEMENTS // t.type.block)
        for first in range(0, len(raw), step):
            part = raw[first : first + step]
            if t.type.name in TERNARY:
                trits, d = decode_blocks(t.type, part, t.where)
                values[first : first + step] = trits * d[:, None]
            else:
                with np.errstate(invalid="ignore", over="ignore"):
                    values[first : first + step] = decode_floats(t.type, part)
        assert values.size == prod(t.shape)
        return values.reshape(t.shape)
