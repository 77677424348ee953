"""What decoding a token reads from memory, found before anything is written: nothing here was measured."""

from __future__ import annotations

from dataclasses import dataclass

from edgebit.board import resolve_target
from edgebit.decoder import canonical
from edgebit.decoder.canonical import norm_width, norms_of
from edgebit.decoder.model import PROJECTIONS, Decoder, DecoderSpec
from edgebit.decoder.precision import choose_precision
from edgebit.errors import UsageError
from edgebit.layouts.base import round_up

from .decoder import weights_of
from .decoder_firmware import plan_firmware
from .decoder_plan import UNIT, DecoderPlan, plan_decoder
from .decoder_weights import pack_projection, row_bytes


@dataclass(frozen=True)
class Traffic:
    """Bytes of one export. projections, head, rest (scales, biases, normalisations): weights read for a token."""

    plan: DecoderPlan
    projections: int
    head: int
    rest: int

    @property
    def bits_per_weight(self) -> float:
        return 8.0 * self.projections / weights_of(self.plan.spec)

    @property
    def bytes_per_token(self) -> int:
        return self.projections + self.head + self.rest

    def tokens_per_second(self, bandwidth: float, position: int) -> float:
        """An upper bound: weights, and keys and values of `position` positions, at `bandwidth` bytes a second."""
        return bandwidth / (self.bytes_per_token + position * self.plan.kv_bytes_per_position)


def parameters(spec: DecoderSpec) -> dict[str, int]:
    """How many numbers the model has, scales and biases left out."""
    tables = (1 if spec.tied else 2) * spec.vocab * spec.width
    norms = spec.width + spec.layers * sum(norm_width(spec, role) for role in norms_of(spec))
    ternary = weights_of(spec)
    return {
        "total": ternary + tables + norms,
        "ternary": ternary,
        "embedding_and_head": tables,
        "norms": norms,
    }


def traffic(
    decoder: Decoder, target: str, *, context: int | None, kv: str, matrix: str, acts: str = "int8"
) -> Traffic:
    """What an export for a target would read for each token. The first layer is packed and stands for all.

    UsageError for a target that is no board; FitError for a microcontroller that is too small; ModelError for a model
    that is not usable.
    """
    core, board = resolve_target(target)
    if board is None:
        raise UsageError(f"--board {target}: language models run on boards (rpi5, pico, host)")
    spec = decoder.spec
    precision = choose_precision(spec, kv=kv, matrix=matrix, acts=acts)
    source_matrix = decoder.weights.matrix("embed").dtype
    choose = plan_firmware if core.is_cortex_m else plan_decoder
    plan = choose(spec, precision, source_matrix, core, board, context=context)
    trits = small = 0
    for role in PROJECTIONS:
        p = canonical.projection(decoder, role, 0, precision)
        trits += _place(len(pack_projection(p, plan)))
        small += _place(p.factors.nbytes) + (0 if p.bias is None else _place(p.bias.nbytes))
    for role in norms_of(spec):
        small += _place(4 * round_up(norm_width(spec, role), 16))
    head = _place(spec.vocab * row_bytes(plan.matrix, spec.width))
    scales = (1 if spec.tied else 2) * _place(4 * spec.vocab) if plan.matrix in ("s8", "s4") else 0
    rest = spec.layers * small + scales + _place(4 * round_up(spec.width, 16))
    return Traffic(plan, spec.layers * trits, head, rest)


def _place(nbytes: int) -> int:
    return round_up(nbytes, UNIT)
