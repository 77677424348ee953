"""config.json and generation_config.json: the shape of a decoder and how its weights are stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any, Literal

from edgebit.decoder.model import Activation, DecoderSpec, Rope, RopeKind
from edgebit.errors import ModelError
from edgebit.importers._blob import parse_json_object, read_bytes
from edgebit.importers._decoder_spec import check_spec
from edgebit.importers.base import printable

MAX_CONFIG = 1 << 20
CONFIG = "config.json"


@dataclass(frozen=True)
class Family:
    """What an architecture's class in transformers (or its publisher's) fixes. sub_norms: names of the two norms."""

    model_type: str
    theta: float
    eps: float
    activation: Activation
    context: int
    sub_norms: tuple[str, str] | None = None
    qk_norm: bool = False
    quantised: bool = False


FAMILIES = {
    "BitNetForCausalLM": Family(
        "bitnet", 5e5, 1e-5, "relu2", 2048, ("self_attn.attn_sub_norm", "mlp.ffn_sub_norm"), quantised=True
    ),
    "BitnetForCausalLM": Family(
        "", 1e4, 1e-6, "silu", 2048, ("self_attn.inner_attn_ln", "mlp.ffn_layernorm"), quantised=True
    ),
    "LlamaForCausalLM": Family("llama", 1e4, 1e-6, "silu", 2048),
    "Qwen3ForCausalLM": Family("qwen3", 1e4, 1e-6, "silu", 32768, qk_norm=True),
}
"""By the name in `architectures`; model_type decides where there is none."""


@dataclass(frozen=True)
class HfConfig:
    """What the configuration says. convention: of a packed weight's scale, None without quantisation; online: weights
    are float masters that the library quantises as it runs; left_float: names of modules that are not quantised."""

    spec: DecoderSpec
    family: Family
    architecture: str
    convention: Literal["multiply", "divide"] | None
    online: bool
    left_float: tuple[str, ...]
    biases: tuple[bool, bool]


def read_object(folder: Path, name: str) -> dict[str, Any]:
    return parse_json_object(read_bytes(folder / name, MAX_CONFIG, name), name)


def read_config(folder: Path, name: str) -> HfConfig:
    """The configuration of the model in `folder`, which is to be called `name`; raises ModelError."""
    c = read_object(folder, CONFIG)
    architecture, family = _family(c)
    width, heads = _int(c, "hidden_size"), _int(c, "num_attention_heads")
    if width < 1 or heads < 1:
        raise ModelError(f"{CONFIG}: hidden_size {width} and num_attention_heads {heads} must be positive")
    default_dim = 128 if family.qk_norm else width // heads
    activation = c.get("hidden_act", family.activation)
    known: dict[Any, Activation] = {"silu": "silu", "swish": "silu", "relu2": "relu2"}
    if not isinstance(activation, str) or activation not in known:
        raise ModelError(f"{CONFIG}: hidden_act {printable(activation)} is not supported; silu and relu2 are")
    context = _int(c, "max_position_embeddings", family.context)
    convention, online, left = _quantisation(c)
    trained_so = family.quantised or convention or online or _bool(c, "is_bitnet_config", False)
    generation = (
        read_object(folder, "generation_config.json") if (folder / "generation_config.json").exists() else {}
    )
    bos = [*_tokens(generation, "bos_token_id"), *_tokens(c, "bos_token_id")]
    eos = [*_tokens(generation, "eos_token_id"), *_tokens(c, "eos_token_id")]
    spec = DecoderSpec(
        name=name,
        vocab=_int(c, "vocab_size"),
        width=width,
        layers=_int(c, "num_hidden_layers"),
        heads=heads,
        kv_heads=_int(c, "num_key_value_heads", heads),
        head_dim=_int(c, "head_dim", default_dim),
        ffn=_int(c, "intermediate_size"),
        max_context=context,
        norm_eps=_float(c, "rms_norm_eps", family.eps),
        activation=known[activation],
        rope=_rope(c, family.theta, context),
        qk_norm=family.qk_norm,
        sub_norms=family.sub_norms is not None,
        tied=_bool(c, "tie_word_embeddings", False),
        act_quant="token" if trained_so else "none",
        bos=bos[0] if bos else None,
        eos=tuple(dict.fromkeys(eos)),
    )
    _refuse_what_changes_attention(c)
    attention, mlp = _bool(c, "attention_bias", False), _bool(c, "mlp_bias", False)
    return HfConfig(
        check_spec(spec, CONFIG), family, architecture, convention, online, left, (attention, mlp)
    )


def _family(c: dict[str, Any]) -> tuple[str, Family]:
    names, kind = c.get("architectures"), c.get("model_type")
    if isinstance(names, list) and names:
        name = names[0]
    else:
        name = next((n for n, f in FAMILIES.items() if kind and f.model_type == kind), None)
    if not isinstance(name, str) or name not in FAMILIES:
        what = printable(name if name is not None else f"model_type {kind}")
        raise ModelError(
            f"{CONFIG}: architecture {what} is not supported; EdgeBit reads ternary models of {', '.join(FAMILIES)}"
        )
    if name == "BitnetForCausalLM":
        for key, want in (("weight_bits", 1), ("input_bits", 8)):
            if _int(c, key, want) != want:
                raise ModelError(f"{CONFIG}: {key} is {_int(c, key)}; EdgeBit takes {want}")
    return name, FAMILIES[name]


def _quantisation(c: dict[str, Any]) -> tuple[Literal["multiply", "divide"] | None, bool, tuple[str, ...]]:
    if isinstance(c.get("quantization"), dict):
        raise ModelError(
            f"{CONFIG}: these are MLX weights; EdgeBit reads the unpacked checkpoint they were made from, or its GGUF"
        )
    q = c.get("quantization_config")
    if q is None:
        return None, False, ()
    if not isinstance(q, dict):
        raise ModelError(f"{CONFIG}: quantization_config is not an object")
    if q.get("quant_method") != "bitnet":
        raise ModelError(
            f"{CONFIG}: quantisation method {printable(q.get('quant_method'))} is not ternary; EdgeBit takes bitnet"
        )
    if _bool(q, "use_rms_norm", False):
        raise ModelError(
            f"{CONFIG}: use_rms_norm puts a normalisation before every projection, which EdgeBit does not support"
        )
    linear, mode = q.get("linear_class", "bitlinear"), q.get("quantization_mode", "offline")
    if linear not in ("bitlinear", "autobitlinear") or mode not in ("offline", "online"):
        raise ModelError(
            f"{CONFIG}: linear_class {printable(linear)} with quantization_mode {printable(mode)}"
        )
    left = q.get("modules_to_not_convert")
    if left is not None and not (isinstance(left, list) and all(isinstance(m, str) and m for m in left)):
        raise ModelError(f"{CONFIG}: modules_to_not_convert is not a list of names")
    if linear == "autobitlinear" and mode == "online":
        return None, True, tuple(left or ())
    return "divide" if linear == "bitlinear" else "multiply", False, tuple(left or ())


def _rope(c: dict[str, Any], theta: float, context: int) -> Rope:
    """Rotary parameters, nested (rope_parameters) or in the older spelling (rope_theta beside rope_scaling)."""
    nested = c.get("rope_scaling") or c.get("rope_parameters") or {}
    if not isinstance(nested, dict) or any(isinstance(v, dict) for v in nested.values()):
        raise ModelError(f"{CONFIG}: rotary parameters that differ between layers are not supported")
    p = {**{k: c[k] for k in ("rope_theta", "partial_rotary_factor") if k in c}, **nested}
    kind = p.get("rope_type", p.get("type", "default"))
    if _float(p, "partial_rotary_factor", 1.0) != 1.0:
        raise ModelError(f"{CONFIG}: a rotary embedding of part of a head is not supported")
    base = Rope(theta=_float(p, "rope_theta", theta))
    if kind == "default":
        return base
    kinds: dict[Any, RopeKind] = {"linear": "linear", "llama3": "llama3", "yarn": "yarn"}
    if not isinstance(kind, str) or kind not in kinds:
        raise ModelError(
            f"{CONFIG}: rotary embedding {printable(kind)} is not supported; default, linear, llama3 and yarn are"
        )
    rope = replace(base, kind=kinds[kind])
    if kind == "linear":
        return replace(rope, factor=_float(p, "factor"))
    original = _int(
        c, "original_max_position_embeddings", _int(p, "original_max_position_embeddings", context)
    )
    rope = replace(rope, original_max_position=original)
    if kind == "llama3":
        return replace(
            rope,
            factor=_float(p, "factor"),
            low_freq_factor=_float(p, "low_freq_factor"),
            high_freq_factor=_float(p, "high_freq_factor"),
        )
    if not _bool(p, "truncate", True):
        raise ModelError(f"{CONFIG}: a yarn rotary embedding with truncate false is not supported")
    factor = _float(p, "factor", context / original if original > 0 else 0.0)
    attention = _float(p, "attention_factor", 0.0) or _mscale(p, factor)
    return replace(
        rope,
        factor=factor,
        beta_fast=_float(p, "beta_fast", 32.0) or 32.0,
        beta_slow=_float(p, "beta_slow", 1.0) or 1.0,
        attention_factor=attention,
    )


def _mscale(p: dict[str, Any], factor: float) -> float | None:
    """yarn's attention factor from mscale and mscale_all_dim; None where the usual 0.1 ln(factor) + 1 holds."""
    one, other = _float(p, "mscale", 0.0), _float(p, "mscale_all_dim", 0.0)
    if not (one and other):
        return None
    if factor <= 1:
        return 1.0
    return (0.1 * one * log(factor) + 1.0) / (0.1 * other * log(factor) + 1.0)


def _refuse_what_changes_attention(c: dict[str, Any]) -> None:
    if _bool(c, "use_sliding_window", False):
        raise ModelError(f"{CONFIG}: sliding-window attention is not supported")
    kinds = c.get("layer_types")
    if kinds is not None and not (isinstance(kinds, list) and all(k == "full_attention" for k in kinds)):
        raise ModelError(f"{CONFIG}: layer_types other than full_attention are not supported")


def _int(c: dict[str, Any], key: str, default: int | None = None) -> int:
    value = c.get(key)
    if value is None and default is not None:
        return default
    if type(value) is not int:
        raise ModelError(f"{CONFIG}: {key} is {printable(value)}, not a whole number")
    return value


def _float(c: dict[str, Any], key: str, default: float | None = None) -> float:
    value = c.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e30:
        raise ModelError(f"{CONFIG}: {key} is {printable(value)}, not a number")
    return float(value)


def _bool(c: dict[str, Any], key: str, default: bool) -> bool:
    value = c.get(key)
    if value is None:
        return default
    if type(value) is not bool:
        raise ModelError(f"{CONFIG}: {key} is {printable(value)}, neither true nor false")
    return value


def _tokens(c: dict[str, Any], key: str) -> list[int]:
    value = c.get(key)
    found = value if isinstance(value, list) else [] if value is None else [value]
    if len(found) > 64 or any(type(t) is not int for t in found):
        raise ModelError(f"{CONFIG}: {key} is {printable(value)}, neither a token nor a list of tokens")
    return found
