"""The tensors of a Hugging Face checkpoint as a decoder's weights, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

import numpy as np

from edgebit.decoder.canonical import norm_width, norms_of, shape_of
from edgebit.decoder.model import FloatTensor, TernaryMatrix
from edgebit.errors import ModelError
from edgebit.importers._blob import check_finite, row_blocks, widen
from edgebit.importers._hf_config import HfConfig
from edgebit.importers._safetensors import FLOATS, Entry
from edgebit.importers._ternary_values import find_scales, quantise_masters, signs, unpack_bands, whole_bytes
from edgebit.importers.base import DecoderOptions, printable
from edgebit.ir.graph import Array, F32Array, S8Array

MODULES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
EMBED, HEAD, FINAL = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
IGNORED = ("rotary_emb.inv_freq", "self_attn.masked_bias")
MIN_SCALE, MAX_SCALE = 2.0**-24, 32.0
"""What the mean magnitude of a trained matrix can be; published ones are between 0.005 and 5."""


class HfWeights:
    """A `WeightSource` over safetensors. `spec` is the configuration's, with `tied` as the tensors have it."""

    def __init__(self, config: HfConfig, tensors: Mapping[str, Entry], options: DecoderOptions) -> None:
        self.config, self.options = config, options
        self._tensors = tensors
        self.spec = config.spec
        self.notes: list[str] = []
        self._convention = options.weight_scale or config.convention
        self._check_names()
        self._tie()

    def _module(self, role: str, layer: int) -> str:
        return f"model.layers.{layer}.{MODULES[role]}"

    def _norm_name(self, role: str, layer: int | None) -> str:
        if layer is None:
            return FINAL
        attn, ffn = self.config.family.sub_norms or ("", "")
        local = {
            "attn_norm": "input_layernorm",
            "ffn_norm": "post_attention_layernorm",
            "q_norm": "self_attn.q_norm",
            "k_norm": "self_attn.k_norm",
            "attn_sub_norm": attn,
            "ffn_sub_norm": ffn,
        }[role]
        return f"model.layers.{layer}.{local}.weight"

    def _check_names(self) -> None:
        """Every tensor there must be, with its shape, and none that would be left out of the model."""
        spec, used = self.spec, {FINAL, EMBED, HEAD}
        self._entry(FINAL, [(spec.width,)])
        for name in (EMBED, HEAD):
            if name in self._tensors:
                self._entry(name, [(spec.vocab, spec.width)])
        biased = {r: self.config.biases[r in ("gate", "up", "down")] for r in MODULES}
        for layer in range(spec.layers):
            for role in norms_of(spec):
                name = self._norm_name(role, layer)
                self._entry(name, [(norm_width(spec, role),)])
                used.add(name)
            for role in MODULES:
                module, (out, k) = self._module(role, layer), shape_of(spec, role)
                self._refuse_left_float(module)
                self._entry(f"{module}.weight", [(out, k), (-(-out // 4), k)])
                used |= {f"{module}.weight", f"{module}.weight_scale"}
                if biased[role]:
                    self._entry(f"{module}.bias", [(out,)])
                    used.add(f"{module}.bias")
        for name, entry in self._tensors.items():
            if name not in used and not name.endswith(IGNORED):
                raise ModelError(
                    f"{entry.where}: a {self.config.architecture} of {spec.layers} layers has no such tensor, so its "
                    "effect would be lost"
                )

    def _refuse_left_float(self, module: str) -> None:
        for pattern in self.config.left_float:
            if module.endswith(pattern) or module.startswith(f"{pattern}."):
                raise ModelError(
                    f"config.json: modules_to_not_convert leaves {module} unquantised; EdgeBit takes models in which "
                    "all projections of a layer are ternary"
                )

    def _entry(self, name: str, shapes: list[tuple[int, ...]]) -> Entry:
        """The entry of that name, which must have one of the shapes."""
        if name not in self._tensors:
            raise ModelError(
                f"{self._file()}: there is no tensor {name}; config.json says it is a {self.config.architecture} of "
                f"{self.spec.layers} layers"
            )
        entry = self._tensors[name]
        if entry.shape not in shapes:
            want = " or ".join(str(list(s)) for s in dict.fromkeys(shapes))
            raise ModelError(
                f"{entry.where}: its shape is {list(entry.shape)}, but by config.json it is {want}"
            )
        return entry

    def _file(self) -> str:
        return printable(next(iter(self._tensors.values())).path.name)

    def _tie(self) -> None:
        """Whether the embedding is the head: as configured, unless both are there and differ, as transformers has it."""
        embed, head = self._tensors.get(EMBED), self._tensors.get(HEAD)
        tied = self.spec.tied
        if (embed is None and not tied) or (embed is None and head is None):
            raise ModelError(f"{self._file()}: there is no tensor {EMBED}")
        if head is None and not tied:
            raise ModelError(f"{self._file()}: there is no tensor {HEAD}, and config.json does not tie it")
        if tied and embed is not None and head is not None and not _same(embed, head):
            self.notes.append(
                "config.json ties head and embedding, but the file holds two different ones: both kept"
            )
            self.spec = replace(self.spec, tied=False)
        self._embed_name = EMBED if embed is not None else HEAD

    def projection(self, role: str, layer: int) -> TernaryMatrix:
        """One of PROJECTIONS of a layer; ModelError when its weights are not ternary."""
        if not 0 <= layer < self.spec.layers:
            raise IndexError(layer)
        module, (out, _) = self._module(role, layer), shape_of(self.spec, role)
        entry = self._tensors[f"{module}.weight"]
        stored = self._tensors.get(f"{module}.weight_scale")
        if stored is not None:
            trits = self._trits(entry, out)
            scale, divisor = self._scale(stored)
            group, before = 0, self._convention == "multiply"
        elif entry.shape[0] != out:
            raise ModelError(f"{entry.where}: packed, but there is no {module}.weight_scale")
        else:
            trits, scale, group = self._values(entry)
            divisor, before = None, False
        bias = None
        if f"{module}.bias" in self._tensors:
            bias = self._vector(self._tensors[f"{module}.bias"])
            if before:
                bias = bias * scale[0, 0]
        return TernaryMatrix(trits, scale, group, bias, divisor)

    def _trits(self, entry: Entry, out: int) -> S8Array:
        """Trits of a weight that has a weight_scale: packed in bands, or stored as -1, 0, 1."""
        data = entry.data()
        if entry.dtype not in ("U8", "I8", *FLOATS):
            raise ModelError(f"{entry.where}: {entry.dtype} is no type of packed weights")
        if entry.shape[0] == out and out > 1:
            if entry.dtype == "U8":
                raise ModelError(
                    f"{entry.where}: U8 weights should be packed four to a byte, but these are not"
                )
            return self._plain(entry, data)
        if entry.dtype in FLOATS:
            packed: Array = np.empty(data.shape, np.uint8)
            for rows, values in row_blocks(data, FLOATS[entry.dtype], entry.where):
                packed[rows] = whole_bytes(values, entry.where)
            data = packed
        return unpack_bands(data.view(np.uint8), out, entry.where)

    def _plain(self, entry: Entry, data: Array) -> S8Array:
        trits: S8Array = np.empty(data.shape, np.int8)
        blocks = (
            [(slice(None), data)]
            if entry.dtype == "I8"
            else row_blocks(data, FLOATS[entry.dtype], entry.where)
        )
        for rows, values in blocks:
            if not np.all((values == 0) | (np.abs(values) == 1)):
                raise ModelError(f"{entry.where}: has a weight_scale, but values other than -1, 0 and 1")
            trits[rows] = values
        return trits

    def _scale(self, entry: Entry) -> tuple[F32Array, float | None]:
        """weight_scale in the convention of config.json, as what to multiply trits by; and itself where it divides."""
        if entry.nbytes == 0 or np.prod(entry.shape) != 1:
            raise ModelError(
                f"{entry.where}: {list(entry.shape)} values, where a packed matrix has one scale"
            )
        stored = np.float32(self._vector(entry).reshape(-1)[0])
        if not stored > 0:
            raise ModelError(f"{entry.where}: is {stored}, and a scale is positive")
        if self._convention is None:
            raise ModelError(
                f"{entry.where}: config.json has no quantization_config that says how it is used; say so with "
                "--weight-scale multiply or --weight-scale divide"
            )
        with np.errstate(over="ignore"):
            scale = stored if self._convention == "multiply" else np.float32(1) / stored
        if not (isfinite(scale) and MIN_SCALE <= scale <= MAX_SCALE):
            other = "divide" if self._convention == "multiply" else "multiply"
            raise ModelError(
                f"{entry.where}: {stored} makes weights of magnitude {scale:.3g} when used to {self._convention}, which "
                f"no trained network has; if config.json states the wrong convention, use --weight-scale {other}"
            )
        return np.full((1, 1), scale, np.float32), None if self._convention == "multiply" else float(stored)

    def _values(self, entry: Entry) -> tuple[S8Array, F32Array, int]:
        """Trits, scale and group of a weight stored as floats without a weight_scale."""
        if entry.dtype not in FLOATS:
            raise ModelError(f"{entry.where}: {entry.dtype} is no type of weights EdgeBit reads")
        data, dtype, how = entry.data(), FLOATS[entry.dtype], self.options.masters
        found = None if self.config.online else find_scales(data, dtype, entry.where)
        if found is not None:
            return signs(data, dtype, entry.where), *found
        if how is None:
            what = "float masters" if self.config.online or self.config.family.quantised else "not ternary"
            raise ModelError(
                f"{entry.where}: its values are {what}; if the network was trained to be quantised from them as it "
                "runs, say how with --masters absmean (BitNet b1.58) or --masters sign (the first BitNet)"
            )
        trits, one = quantise_masters(data, dtype, how, entry.where)
        return trits, np.full((1, 1), one, np.float32), 0

    def _vector(self, entry: Entry) -> F32Array:
        if entry.dtype not in FLOATS:
            raise ModelError(f"{entry.where}: {entry.dtype}, where EdgeBit takes F32, F16 or BF16")
        return widen(entry.data(), FLOATS[entry.dtype], entry.where)

    def norm(self, role: str, layer: int | None) -> F32Array:
        """One of NORMS of a layer, or "final_norm" of layer None, as binary32."""
        return self._vector(self._tensors[self._norm_name(role, layer)])

    def matrix(self, role: str) -> FloatTensor:
        """ "embed" or "head" (the embedding when tied), mapped from the file in the type it is stored in."""
        name = self._embed_name if role == "embed" or self.spec.tied else HEAD
        entry = self._tensors[name]
        if entry.dtype == "F32":
            tensor = FloatTensor(entry.data(), "f32")
        elif entry.dtype == "F16":
            tensor = FloatTensor(entry.data(), "f16")
        elif entry.dtype == "BF16":
            tensor = FloatTensor(entry.data(), "bf16")
        else:
            raise ModelError(f"{entry.where}: {entry.dtype}, where EdgeBit takes F32, F16 or BF16")
        check_finite(tensor.data, tensor.dtype, entry.where)
        return tensor


def _same(a: Entry, b: Entry) -> bool:
    """Do two matrices of equal shape hold the same bytes?"""
    if a.dtype != b.dtype:
        return False
    x, y = a.data().view(np.uint8), b.data().view(np.uint8)
    return all(np.array_equal(x[i : i + 1024], y[i : i + 1024]) for i in range(0, len(x), 1024))
