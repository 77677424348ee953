"""A trained model against transformers (float32, eager): accumulators, logits, choices, perplexity.

Teacher-forced over 10 240 characters of a play. The oracle's own rounding flips int8 activations now and then; a
choice may differ only where the oracle's two best logits are closer than such flips were seen to move logits.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.npz import read_npz
from edgebit.decoder import canonical, ops
from edgebit.decoder.model import PROJECTIONS, Decoder
from edgebit.decoder.precision import Precision
from edgebit.decoder.reference import Reference, greedy
from edgebit.importers.base import load_decoder
from edgebit.ir.graph import Array, F32Array

pytestmark = pytest.mark.filterwarnings("ignore")  # of the oracle's libraries
WINDOW, WINDOWS = 256, 40
FLIP_BOUND = 0.5
"""How far int8 flips moved a logit at most, with room: 0.3 was seen."""
MODULES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


@dataclass
class Oracle:
    """transformers' model, what went through its projections on the first window, and its logits on all."""

    decoder: Decoder
    ids: Array
    quantised: dict[tuple[str, int], tuple[Array, Array]]
    outputs: dict[str, F32Array]
    logits: F32Array
    model: Any


@pytest.fixture(scope="module")
def oracle(shared: Path) -> Oracle:
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: there is no oracle")
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.integrations import bitnet
    from transformers.utils.quantization_config import BitNetQuantConfig

    folder = shared / "models" / "charlm_bitnet" / "packed_bitlinear"
    decoder = load_decoder(folder)
    text = (shared / "data" / "text" / "tinyshakespeare.txt").read_text()
    chars = "".join(sorted(set(text)))
    start = 1_000_000
    ids = np.array([chars.index(c) for c in text[start : start + WINDOW * WINDOWS]]).reshape(WINDOWS, WINDOW)
    assert len(chars) == decoder.spec.vocab
    torch._dynamo.config.disable = True  # the oracle's helpers are wrapped in torch.compile
    torch.set_num_threads(1)
    config = AutoConfig.from_pretrained(folder)
    quant = BitNetQuantConfig(**config.quantization_config)
    del config.quantization_config  # its loader wants another package, its layers do not
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    bitnet.replace_with_bitnet_linear(model, ["lm_head"], quant)
    missing, unexpected = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}
    model.tie_weights()
    captured: dict[tuple[str, int], tuple[Array, Array]] = {}
    outputs: dict[str, F32Array] = {}

    def watch(role: str, layer: int, module: Any) -> None:
        act, finish = bitnet.BitLinear.activation_quant, bitnet.BitLinear.post_quant_process

        def activation_quant(x: Any, num_bits: int = 8) -> Any:
            q, scale = act(module, x, num_bits)
            captured[role, layer] = (q[0].numpy().copy(), np.empty(0))
            return q, scale

        def post_quant_process(y: Any, input_scale: Any, weight_scale: Any) -> Any:
            captured.setdefault((role, layer), (np.empty(0), np.empty(0)))
            captured[role, layer] = (captured[role, layer][0], y[0].numpy().copy())
            return finish(module, y, input_scale, weight_scale)

        module.activation_quant = activation_quant
        module.post_quant_process = post_quant_process

    for layer, block in enumerate(model.model.layers):
        for role, path in MODULES.items():
            watch(role, layer, block.get_submodule(path))
        block.register_forward_hook(
            lambda _m, _i, out, n=layer: outputs.__setitem__(
                f"layer{n}",
                (out[0] if isinstance(out, tuple) else out)
                .reshape(-1, decoder.spec.width)[:WINDOW]
                .numpy()
                .copy(),
            )
        )
    with torch.no_grad():
        model(torch.from_numpy(ids[:1]))
        first, hidden = dict(captured), dict(outputs)
        logits = np.concatenate([model(torch.from_numpy(row[None])).logits[0].numpy()[None] for row in ids])
    return Oracle(decoder, ids, first, hidden, logits, model)


def test_accumulators_are_equal_for_the_oracles_activations(oracle: Oracle) -> None:
    precision = Precision(kv="f32", matrix="source")
    assert len(oracle.quantised) == len(PROJECTIONS) * oracle.decoder.spec.layers
    for (role, layer), (q, sums) in oracle.quantised.items():
        p = canonical.projection(oracle.decoder, role, layer, precision)
        (ours,) = ops.accumulate(q.astype(np.int8), p)
        assert np.array_equal(ours, sums.astype(np.int64)), (role, layer)


def free_running(oracle: Oracle, precision: Precision, windows: int) -> F32Array:
    ref = Reference(oracle.decoder, precision, WINDOW)
    out = []
    for row in oracle.ids[:windows]:
        ref.reset()
        out.append(ref.run(row.tolist()))
    return np.stack(out)


def test_the_likeliest_characters_agree(oracle: Oracle) -> None:
    ours = free_running(oracle, Precision(kv="f32", matrix="source"), WINDOWS)
    same = ours.argmax(-1) == oracle.logits.argmax(-1)
    difference = np.abs(ours - oracle.logits).max(-1)
    assert same.size >= 10_000
    assert same.mean() >= 0.999, f"{same.mean():.5f}"
    best = np.sort(oracle.logits, axis=-1)
    gap = best[..., -1] - best[..., -2]
    assert (gap[~same] < 2 * difference[~same] + 1e-6).all()
    assert difference.max() < FLIP_BOUND, difference.max()
    assert np.median(difference) < 1e-4, np.median(difference)


def perplexity(logits: F32Array, ids: Array) -> float:
    x = logits[:, :-1].astype(np.float64)
    x -= x.max(-1, keepdims=True)
    log_p = np.take_along_axis(x, ids[:, 1:, None], -1)[..., 0] - np.log(np.exp(x).sum(-1))
    return float(np.exp(-log_p.mean()))


@pytest.mark.parametrize("kv", ["f32", "f16", "int8"])
@pytest.mark.parametrize("matrix", ["source", "int8"])
def test_perplexity_is_the_oracles(oracle: Oracle, kv: str, matrix: str) -> None:
    windows = 8
    want = perplexity(oracle.logits[:windows], oracle.ids[:windows])
    ours = free_running(oracle, Precision(kv=kv, matrix=matrix), windows)  # type: ignore[arg-type]
    got = perplexity(ours, oracle.ids[:windows])
    assert abs(got / want - 1) < 1e-3, (got, want)


def test_golden_logits(oracle: Oracle, shared: Path) -> None:
    golden = read_npz(shared / "models" / "charlm_bitnet" / "golden.npz")
    ref = Reference(oracle.decoder, Precision(kv="f32", matrix="source"), WINDOW)
    ours = ref.run(golden["input_ids"][0].tolist())
    assert np.abs(ours - golden["logits"][0]).max() < 1e-2  # the golden run was on the float masters
    assert (ours.argmax(-1) == golden["logits"][0].argmax(-1)).all()


def test_greedy_text_is_the_oracles(oracle: Oracle) -> None:
    """20 prompts; a difference may only start where the oracle's two best are nearly equal."""
    import torch

    ref = Reference(oracle.decoder, Precision(kv="f32", matrix="source"), WINDOW)
    for n in range(20):
        prompt = oracle.ids[n, : 8 + n].tolist()
        ours = greedy(ref, prompt, 40)
        with torch.no_grad():
            logits = oracle.model(torch.tensor([prompt + ours])).logits[0].numpy()
        for i, token in enumerate(ours):
            row = logits[len(prompt) - 1 + i]
            assert row[token] >= row.max() - 2 * FLIP_BOUND
            if row.argmax() != token:
                break
        else:
            continue
        assert i > 0 or row.max() - row[token] < FLIP_BOUND
