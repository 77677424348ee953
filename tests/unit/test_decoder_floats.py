"""Each operation of a decoder, given what transformers' model gives its own: equal, or floats within their bounds.

The bounds are those of docs/numerics.md. Models: the shipped one, the shared character model in both its packings, and
random ones of every family.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import decoder_bounds as bounds
import numpy as np
import pytest
from decoder_files import Shape, library, write_1bitllm, write_folder
from decoder_oracle import TRAINED, WINDOWS, Tape, load_oracle, trace, trained

from edgebit.decoder import canonical, ops
from edgebit.decoder.model import NORMS, PROJECTIONS, Decoder
from edgebit.decoder.precision import Precision
from edgebit.importers.base import load_decoder

pytestmark = pytest.mark.filterwarnings("ignore")  # of the oracle's libraries
SOURCE = Precision(kv="f32", matrix="source")
SHAPES = {
    "three heads": Shape(layers=1),
    "five heads": Shape(vocab=130, width=160, layers=2, heads=5, kv_heads=5, head_dim=32, ffn=96),
    "seven heads": Shape(
        vocab=35, width=392, layers=1, heads=7, kv_heads=1, head_dim=56, ffn=520, context=160
    ),
    "wide heads": Shape(vocab=33, width=64, layers=2, heads=4, kv_heads=2, head_dim=40, ffn=132),
}


@pytest.fixture(scope="module")
def bitnet() -> Iterator[Any]:
    with library() as module:
        yield module


def check(decoder: Decoder, tape: Tape, ids: Any) -> dict[str, float]:
    """Assert all of it; the largest share of its bound that each kind of operation took."""
    spec = decoder.spec
    took: dict[str, float] = defaultdict(float)

    def bounded(what: str, share: float) -> None:
        took[what] = max(took[what], share)
        assert share <= 1, (what, share)

    def same(what: str, a: Any, b: Any) -> None:
        assert np.array_equal(a, b), what

    def both(what: str, found: list[float]) -> None:
        bounded(f"{what} : exact", found[0])
        bounded(what, found[1])

    embedded = canonical.rows(decoder, "embed", SOURCE).take(ids.reshape(-1))
    same("embedding", embedded, tape.seen["block", 0][0])
    for layer in range(spec.layers):
        seen = {role: tape.seen[role, layer] for role, at in tape.seen if at == layer}
        for role in NORMS:
            if role in seen:
                weight = canonical.norm(decoder, role, layer)
                both("norm", bounds.norm(*seen[role], weight, spec.norm_eps))
        for role in PROJECTIONS:
            project(decoder, tape, role, layer, both, bounded)
        q, k, cos, sin, q_turned, k_turned = seen["rope"]
        half = spec.head_dim // 2
        bounded("angles", bounds.angles(spec.rope, spec.head_dim, cos[:, :half], sin[:, :half]))
        table = np.stack([cos[:, :half], sin[:, :half]], axis=1)
        for before, after in ((q, q_turned), (k, k_turned)):
            for window, turned in zip(before, after, strict=True):
                same("turn", ops.rotate(window.swapaxes(0, 1), table), turned.swapaxes(0, 1))
        shared = spec.heads // spec.kv_heads
        for q, k, v, out in zip(*seen["attention"], strict=True):
            for g in range(spec.kv_heads):
                mine = slice(g * shared, (g + 1) * shared)
                both("attention", bounds.attention(q[:, mine], k[:, g], v[:, g], out[:, mine]))
        product = seen["ffn_sub_norm" if spec.sub_norms else "down"][0]
        if spec.activation == "silu":
            both("gate", bounds.silu(seen["gate"][1], seen["up"][1], product))
        else:
            same("gate", ops.gated(seen["gate"][1], seen["up"][1], spec.activation), product)
        first, last = seen["block"]
        middle = seen["ffn_norm"][0]
        same("sum", first + seen["o"][1], middle)
        same("sum", middle + seen["down"][1], last)
    weight = canonical.norm(decoder, "final_norm", None)
    both("norm", bounds.norm(*tape.seen["final_norm", None], weight, spec.norm_eps))
    x, logits = tape.seen["head", None]
    both("head", bounds.head(x, canonical.rows(decoder, "head", SOURCE), logits))
    return took


def project(decoder: Decoder, tape: Tape, role: str, layer: int, both: Any, bounded: Any) -> None:
    """One projection: the same int8 values, the same sums, then floats."""
    x, y = tape.seen[role, layer]
    if decoder.spec.act_quant == "none":
        p = canonical.projection(decoder, role, layer, Precision("f32", "source", "f32"))
        both("float inputs", bounds.floats(x, p, y))
        p = canonical.projection(decoder, role, layer, Precision("f32", "source", "block"))
        bounded("groups", bounds.grouped(*ops.quantize(x, 128), p))
        return
    p = canonical.projection(decoder, role, layer, SOURCE)
    q, step = ops.quantize(x, 0)
    (sums,) = ops.accumulate(q, p)
    if (role, layer) in tape.sums:
        theirs, their_sums = tape.sums[role, layer]
        assert np.array_equal(q, theirs), (role, layer)
        assert np.array_equal(sums, their_sums.astype(np.int64)), (role, layer)
        bounded("projection : exact", bounds.projection(q, step, p, y))
        return
    bias = 0 if p.bias is None else p.bias
    near = (y.astype(np.float64) - bias) * step / p.scale[:, 0]
    assert np.abs(near - np.rint(near)).max() < 0.25, "this oracle's floats must tell its sums"
    assert np.array_equal(sums, np.rint(near).astype(np.int64)), (role, layer)
    both("dequantised projection", bounds.dequantised(q, step, p, y))


def random_ids(s: Shape, windows: int, length: int) -> Any:
    return np.random.default_rng(0).integers(0, s.vocab, (windows, length))


def say(name: str, took: dict[str, float]) -> None:
    print(f"{name}: " + ", ".join(f"{what} {share:.3f}" for what, share in sorted(took.items())))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("storage", ["multiply", "divide"])
@pytest.mark.parametrize("family", ["BitNetForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM"])
def test_packed_checkpoints(tmp_path: Path, bitnet: Any, family: str, storage: str, shape: str) -> None:
    s = SHAPES[shape]
    if family == "BitNetForCausalLM" and s.heads * s.head_dim != s.width:
        pytest.skip("transformers' BitNet has heads as wide as the model")
    biased = family == "LlamaForCausalLM" and shape == "five heads"
    write_folder(tmp_path / "m", family, storage, s, bias=biased)
    ids = random_ids(s, 2, min(s.context, 140))
    say(
        f"{family} {storage}",
        check(load_decoder(tmp_path / "m"), trace(bitnet, load_oracle(bitnet, tmp_path / "m"), ids), ids),
    )


@pytest.mark.parametrize(
    ("family", "storage"),
    [("LlamaForCausalLM", k) for k in ("tensor", "rows", "columns", "binary")]
    + [("Qwen3ForCausalLM", "group")],
)
def test_checkpoints_trained_with_float_activations(
    tmp_path: Path, bitnet: Any, family: str, storage: str
) -> None:
    s = Shape(vocab=67, width=384, layers=2, heads=3, kv_heads=1, head_dim=128, ffn=640)
    write_folder(tmp_path / "m", family, storage, s, dtype="F16")
    ids = random_ids(s, 2, 48)
    say(
        f"{family} {storage}",
        check(load_decoder(tmp_path / "m"), trace(bitnet, load_oracle(bitnet, tmp_path / "m"), ids), ids),
    )


def test_1bitllms_architecture(tmp_path: Path, bitnet: Any) -> None:
    s = SHAPES["three heads"]
    write_1bitllm(tmp_path / "m", tmp_path / "twin", s)
    ids = random_ids(s, 2, 48)
    tape = trace(bitnet, load_oracle(bitnet, tmp_path / "twin"), ids)
    say("1bitLLM", check(load_decoder(tmp_path / "m", masters="absmean"), tape, ids))


@pytest.mark.parametrize("windows", [2, WINDOWS], ids=["some", "all"])
@pytest.mark.parametrize("name", TRAINED)
def test_trained_models(bitnet: Any, shared: Path, name: str, windows: int) -> None:
    """Teacher-forced, a few windows of tokens at a time; all of them are 10 240 positions."""
    folder, ids = trained(name, shared)
    decoder, model = load_decoder(folder, **TRAINED[name]), load_oracle(bitnet, folder)
    took: dict[str, float] = {}
    for part in np.array_split(ids[:windows], max(1, windows // 4)):
        for what, share in check(decoder, trace(bitnet, model, part), part).items():
            took[what] = max(took.get(what, 0.0), share)
    say(f"{name}, {ids[:windows].size} positions", took)
