"""GGUF files to a Decoder: ternary models of llama.cpp, of microsoft/BitNet and of the Bonsai family.

Reads TQ1_0, TQ2_0, I2_S, Q2_0, PQ2_0, PTQ1_0 and Q1_0 tensors, and float ones that are ternary in value; embeddings
and heads also as Q4_0, Q5_0, Q8_0, Q4_K, Q5_K and Q6_K. Where a file does not say what its model computes (the
activation of `bitnet`) or says something EdgeBit does not compute, it is refused with the reason.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgebit.decoder.model import Decoder
from edgebit.importers._gguf_config import ARCHS, Metadata, read_spec
from edgebit.importers._gguf_read import read_gguf
from edgebit.importers._gguf_tokenizer import tokenizer_files
from edgebit.importers._gguf_weights import FREQS, GgufWeights, vector
from edgebit.importers.base import DecoderOptions

__all__ = ["load_decoder", "sniff", "suffixes"]

suffixes: tuple[str, ...] = (".gguf",)


def sniff(path: Path) -> bool:
    """Does the file start with GGUF's magic number?"""
    try:
        with path.open("rb") as f:
            return f.read(4) == b"GGUF"
    except OSError:
        return False


def load_decoder(path: Path, options: DecoderOptions) -> Decoder:
    """The language model in the file at `path`. Weights stay on disk until asked for; raises ModelError."""
    file = read_gguf(path)
    metadata = Metadata(file)
    freqs = vector(file.tensors[FREQS]) if FREQS in file.tensors else None
    spec = options.applied(read_spec(file, metadata, options, freqs))
    weights = GgufWeights(file, spec, metadata.arch, options)
    first = weights.projection("q", 0)  # a model that is not ternary is refused here
    arch = ARCHS[metadata.arch]
    notes = [f"read as {metadata.arch}; the activation is {spec.activation}"]
    if arch.act_quant is None and options.act_quant is None and options.masters is None:
        spec = replace(spec, act_quant="token" if first.scale.size == 1 else "none")
        weights.spec = spec
        how = "one scale a matrix: taken as trained with int8 activations, as BitNet is"
        if spec.act_quant == "none":
            how = "several scales a matrix: taken as trained with float activations"
        notes.append(how)
    if any(t.type.name == "I2_S" for t in file.tensors.values()):
        notes.append(
            f"I2_S tensors are read in layout {options.i2_s}; their bytes do not tell which they have"
        )
    files, said = tokenizer_files(metadata)
    return Decoder(spec, weights, files, source=file.name, notes=(*notes, *said))
