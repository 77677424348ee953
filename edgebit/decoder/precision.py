"""What an export decides about a decoder's numbers: how keys and values, the embedding, and inputs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from edgebit.decoder.model import DecoderSpec
from edgebit.errors import UsageError

KvKind: TypeAlias = Literal["f32", "f16", "int8"]
MatrixKind: TypeAlias = Literal["source", "int8", "int4"]
ActKind: TypeAlias = Literal["token", "block", "f32"]

ACTS = ("int8", "f32")
ACT_BLOCK = 128
"""Inputs that share a scale where a model was trained without quantised activations."""


@dataclass(frozen=True)
class Precision:
    """kv: keys and values as binary32, binary16, or int8 with a scale for each head and position.

    matrix: embedding and head as in the source, int8 with a scale for each row, or four bits with a scale for each
    32 numbers (a loss worth measuring: see edgebit perplexity). act: inputs of ternary projections have one scale for
    a token, as BitNet is trained, or one for every 128 inputs of a token; or they stay binary32.
    """

    kv: KvKind = "f16"
    matrix: MatrixKind = "int8"
    act: ActKind = "token"

    @property
    def act_block(self) -> int:
        """Inputs that share a scale; 0 when all of a token's do."""
        return ACT_BLOCK if self.act == "block" else 0


def choose_precision(
    spec: DecoderSpec, *, kv: str = "f16", matrix: str = "int8", acts: str = "int8"
) -> Precision:
    """The precision for a model; UsageError when there is no such choice.

    acts: inputs of projections of a model that was trained without quantising them, "int8" or "f32".
    """
    asked = (("--kv", kv, get_args(KvKind)), ("--head", matrix, get_args(MatrixKind)), ("--acts", acts, ACTS))
    for option, value, known in asked:
        if value not in known:
            raise UsageError(f"{option} {value}: choose one of {', '.join(known)}")
    if acts == "f32" and spec.act_quant == "token":
        raise UsageError(
            f"--acts f32: {spec.name} was trained with int8 inputs of projections, which are exact; leave --acts out"
        )
    act: ActKind = "token" if spec.act_quant == "token" else "f32" if acts == "f32" else "block"
    return Precision(kv=kv, matrix=matrix, act=act)  # type: ignore[arg-type]  # just checked
