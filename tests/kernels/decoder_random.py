"""Random decoders of any shape for tests, and how to export, build and run them."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgebit.bench.language_model import command_line, open_language_model
from edgebit.decoder.canonical import norm_width, shape_of
from edgebit.decoder.model import Decoder, DecoderSpec, FloatTensor, TernaryMatrix
from edgebit.ir.graph import F32Array

exporter: Any = importlib.import_module("edgebit.exporters.decoder")
Scales = Literal["one", "row", "group"]


@dataclass
class RandomWeights:
    """Weights by seed. scales: one a matrix, one a row, or one for every `group` inputs of a row."""

    spec: DecoderSpec
    seed: int = 0
    scales: Scales = "one"
    group: int = 0
    bias: bool = False
    dtype: Literal["f32", "f16", "bf16"] = "f32"
    density: float = 0.67
    _made: dict[tuple[str, int | None], Any] = field(default_factory=dict)

    def _rng(self, role: str, layer: int | None) -> np.random.Generator:
        return np.random.default_rng([self.seed, sum(map(ord, role)), -1 % 1000 if layer is None else layer])

    def projection(self, role: str, layer: int) -> TernaryMatrix:
        rng = self._rng(role, layer)
        rows, cols = shape_of(self.spec, role)
        trits = rng.integers(-1, 2, (rows, cols)).astype(np.int8)
        trits[rng.random((rows, cols)) > self.density * 1.5] = 0
        groups = -(-cols // self.group) if self.scales == "group" else 1
        shape = (1, 1) if self.scales == "one" else (rows, groups)
        scale = (rng.uniform(0.5, 1.5, shape) / np.sqrt(cols)).astype(np.float32)
        bias = rng.standard_normal(rows).astype(np.float32) * np.float32(0.1) if self.bias else None
        return TernaryMatrix(trits, scale, self.group if self.scales == "group" else 0, bias)

    def norm(self, role: str, layer: int | None) -> F32Array:
        n = self.spec.width if role == "final_norm" else norm_width(self.spec, role)
        return self._rng(role, layer).uniform(0.5, 1.5, n).astype(np.float32)

    def matrix(self, role: str) -> FloatTensor:
        data = self._rng(role, None).standard_normal((self.spec.vocab, self.spec.width)).astype(np.float32)
        if self.dtype == "f16":
            return FloatTensor(data.astype(np.float16), "f16")
        if self.dtype == "bf16":
            return FloatTensor((data.view(np.uint32) >> 16).astype(np.uint16), "bf16")
        return FloatTensor(data, "f32")


def random_decoder(spec: DecoderSpec, **weights: Any) -> Decoder:
    """A decoder with RandomWeights."""
    return Decoder(spec, RandomWeights(spec, **weights), {}, spec.name)


def small_spec(**changes: Any) -> DecoderSpec:
    """A tiny shape with grouped heads; changes replace its fields."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "vocab": 77,
        "width": 48,
        "layers": 2,
        "heads": 6,
        "kv_heads": 2,
        "head_dim": 16,
        "ffn": 80,
        "max_context": 300,
        "norm_eps": 1e-5,
        "activation": "relu2",
    }
    return DecoderSpec(**(fields | changes))


def export(decoder: Decoder, target: str, out: Path, **options: Any) -> Path:
    """An export folder."""
    return Path(exporter.export_decoder(decoder, target, out, **options))


def run(
    folder: Path, args: Sequence[str], *, emulate: str | None = None, toolchain: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program of an export folder."""
    command, _ = command_line(open_language_model(folder), emulate=emulate, toolchain=toolchain)
    return subprocess.run([*command, *args], capture_output=True, check=False, timeout=300)


def logits(folder: Path, ids: Sequence[int], vocab: int, *more: str) -> F32Array:
    """What the program prints as logits after each of some tokens, (tokens, vocab)."""
    return logits_of(
        run(folder, ["--logits", "--prompt-ids", " ".join(map(str, ids)), *more]), len(ids), vocab
    )


def logits_of(done: subprocess.CompletedProcess[bytes], tokens: int, vocab: int) -> F32Array:
    """What a run with --logits printed, (tokens, vocab)."""
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, "<f4").reshape(tokens, vocab)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "edgebit.json").read_text())
    return found
