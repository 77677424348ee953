"""Checks on what a model file says about a decoder, before anything is allocated by it."""

from __future__ import annotations

from dataclasses import asdict

from edgebit.decoder import canonical
from edgebit.decoder.model import DecoderSpec
from edgebit.decoder.rope import inverse_frequencies
from edgebit.errors import ModelError


def check_spec(spec: DecoderSpec, where: str) -> DecoderSpec:
    """`spec`, or a ModelError that says which of its numbers no decoder has. `where` names the file."""
    try:
        canonical.check_spec(spec)
        for name, value in asdict(spec.rope).items():
            if isinstance(value, float) and not 1e-6 <= value <= 1e12:
                raise ModelError(f"rotary position embedding with a {name} of {value}")
        inverse_frequencies(spec.rope, spec.head_dim)
    except ModelError as e:
        raise ModelError(f"{where}: {e}") from None
    except (ArithmeticError, ValueError):
        raise ModelError(
            f"{where}: rotary position embedding with the absurd parameters {spec.rope}"
        ) from None
    return spec
