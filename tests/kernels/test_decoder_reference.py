"""The NumPy meaning of a decoder: its parts against float64, and what must not change its bytes."""

from __future__ import annotations

import dataclasses
import platform

import numpy as np
import pytest
from decoder_random import random_decoder, small_spec

from edgebit.decoder import canonical, ops
from edgebit.decoder.model import Rope, TernaryMatrix
from edgebit.decoder.precision import Precision, choose_precision
from edgebit.decoder.reference import Reference, greedy
from edgebit.decoder.rope import inverse_frequencies, tables
from edgebit.errors import ModelError, UsageError

KINDS = ("f32", "f16", "int8")


@pytest.mark.parametrize("kv", KINDS)
@pytest.mark.parametrize("act_quant", ["token", "none"])
def test_tiles_do_not_change_a_bit(kv: str, act_quant: str) -> None:
    spec = small_spec(act_quant=act_quant, activation="silu", qk_norm=True, sub_norms=True)
    decoder = random_decoder(spec, scales="row")
    precision = choose_precision(spec, kv=kv)
    ids = np.random.default_rng(0).integers(0, spec.vocab, 290).tolist()
    whole = Reference(decoder, precision, 300).run(ids)
    cut = Reference(decoder, precision, 300)
    parts = [cut.run(part) for part in (ids[:1], ids[1:127], ids[127:130], ids[130:257], ids[257:])]
    assert np.array_equal(whole.view(np.uint32), np.concatenate(parts).view(np.uint32))


def test_tokens_to_come_do_not_matter() -> None:
    decoder = random_decoder(small_spec())
    a = Reference(decoder, Precision(), 64).run([5, 6, 7, 8, 9])
    b = Reference(decoder, Precision(), 64).run([5, 6, 7])
    assert np.array_equal(a[:3], b)


def test_attention_is_attention() -> None:
    rng = np.random.default_rng(1)
    q = rng.standard_normal((3, 2, 24)).astype(np.float32)
    k, v = (rng.standard_normal((300, 24)).astype(np.float32) for _ in range(2))
    got = ops.attention(q, k, v, None, 297)
    for t in range(3):
        s = q[t].astype(np.float64) @ k[: 298 + t].astype(np.float64).T / np.sqrt(24.0)
        p = np.exp(s - s.max(axis=1, keepdims=True))
        want = p @ v[: 298 + t].astype(np.float64) / p.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(got[t], want, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("p", "n", "k", "lanes"), [(1, 1, 1, 8), (3, 5, 33, 8), (2, 7, 40, 16)])
def test_lane_sums_are_in_the_order_they_say(p: int, n: int, k: int, lanes: int) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((r, k)).astype(np.float32) for r in (p, n))
    got = ops.lane_dots(a, b, lanes)
    for i in range(p):
        for j in range(n):
            lane = [np.float32(0)] * lanes
            for e in range(k):
                lane[e % lanes] = lane[e % lanes] + a[i, e] * b[j, e]
            while len(lane) > 1:
                half = len(lane) // 2
                lane = [lane[x] + lane[x + half] for x in range(half)]
            assert got[i, j] == lane[0]


@pytest.mark.parametrize("n", [3, 8, 44, 100, 511, 512, 784, 2560, 8192, 8960, 17000])
def test_squares_add_up_as_in_torch(n: int) -> None:
    """Number by number, and against torch where it adds in that order."""
    x = np.random.default_rng(n).standard_normal((3, n)).astype(np.float32)
    got = ops.sum_of_squares(x)
    for row, total in zip(x, got, strict=True):
        lane = [[np.float32(0)] * 32 for _ in range(3)]
        for i in range(n // 32 * 32):
            lane[0][i % 32] += row[i] * row[i]
            if (i + 1) % 512 == 0:
                lane[1] = [a + b for a, b in zip(lane[1], lane[0], strict=True)]
                lane[0] = [np.float32(0)] * 32
            if (i + 1) % 8192 == 0:
                lane[2] = [a + b for a, b in zip(lane[2], lane[1], strict=True)]
                lane[1] = [np.float32(0)] * 32
        sums = [(a + b) + c for a, b, c in zip(*lane, strict=True)]
        for i in range(n // 32 * 32, n // 8 * 8):
            sums[i % 8] += row[i] * row[i]
        one = np.float32(0)
        for i in range(n // 8 * 8, n):
            one += row[i] * row[i]
        for j in range(8):
            one += ((sums[j] + sums[j + 8]) + sums[j + 16]) + sums[j + 24]
        assert one == total
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")
    if platform.machine() == "x86_64" and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert np.array_equal(got, torch.from_numpy(x).pow(2).sum(-1).numpy())


def test_quantisation_is_that_of_bitnet() -> None:
    x = np.array([[0.0, 1.0, -2.0, 0.5], [1e-9, 0, 0, 0], [3e38, -1e38, 1, 0]], np.float32)
    q, steps = ops.quantize(x, 0)
    assert q.tolist() == [[0, 64, -127, 32], [0, 0, 0, 0], [127, -42, 0, 0]]
    assert steps[0, 0] == np.float32(63.5)
    assert steps[1, 0] == (np.float32(1) / np.float32(1e-5)) * np.float32(127)
    blocks, units = ops.quantize(np.repeat(x, 64, axis=1), 128)
    assert units.shape == (3, 2)
    assert np.abs(blocks.astype(int)).max() == 127


def test_groups_add_in_order_and_equal_the_matrix_they_stand_for() -> None:
    rng = np.random.default_rng(3)
    trits = rng.integers(-1, 2, (7, 40)).astype(np.int8)
    scale = rng.uniform(0.5, 1, (7, 3)).astype(np.float32)
    x = rng.standard_normal((2, 40)).astype(np.float32)
    q, steps = ops.quantize(x, 0)
    got = ops.project(q, steps, canonical.Projection(trits, scale, 16, None))
    full = np.repeat(scale, 16, axis=1)[:, :40] * trits
    np.testing.assert_allclose(
        got, (q / steps).astype(np.float64) @ full.T.astype(np.float64), rtol=1e-5, atol=1e-6
    )


def test_a_divisor_divides_as_it_is_stored() -> None:
    """1.75 is not the inverse of a binary32 number's inverse."""
    decoder = random_decoder(small_spec())
    good = decoder.weights.projection("q", 0)
    one = np.float32(1.75)
    scale = np.full((1, 1), np.float32(1) / one)
    assert np.float32(1) / scale[0, 0] != one

    class Weights:
        def projection(self, role: str, layer: int) -> TernaryMatrix:
            return dataclasses.replace(good, scale=scale, divisor=float(one))

    other = dataclasses.replace(decoder, weights=Weights())  # type: ignore[arg-type]
    p = canonical.projection(other, "q", 0, Precision())
    q, steps = ops.quantize(np.linspace(-1, 2, 96, dtype=np.float32).reshape(2, 48), 0)
    (sums,) = ops.accumulate(q, p)
    assert np.array_equal(ops.project(q, steps, p), sums.astype(np.float32) / (steps * one))
    assert p.factors.tolist() == [[one]]
    assert canonical.projection(other, "q", 0, Precision(act="f32")).factors.tolist() == scale.tolist()


def test_angles_are_those_of_the_positions() -> None:
    t = tables(Rope(theta=10000.0), 8, 5000)
    inv, scale = inverse_frequencies(Rope(theta=10000.0), 8)
    assert scale == 1.0
    np.testing.assert_allclose(inv, 10000.0 ** (-np.arange(4) / 4), rtol=2e-7)
    np.testing.assert_allclose(t[4999, 0], np.cos(np.float32(4999) * inv), atol=2e-7)
    np.testing.assert_allclose(t[:, 0] ** 2 + t[:, 1] ** 2, 1, atol=3e-7)


ROPES = (
    Rope(theta=500000.0),
    Rope(theta=10000.0, kind="linear", factor=4.0),
    Rope(theta=500000.0, kind="llama3", factor=8.0, original_max_position=8192),
    Rope(theta=1e6, kind="yarn", factor=4.0, original_max_position=32768),
    Rope(theta=1e4, kind="yarn", factor=1.5, original_max_position=2048, attention_factor=1.25),
)


@pytest.mark.parametrize("rope", ROPES, ids=lambda r: f"{r.kind}-{r.factor}")
def test_frequencies_are_those_of_transformers(rope: Rope) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")
    pytest.importorskip("torch", reason="torch is not installed: nothing to compare with")
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    parameters: dict[str, object] = {"rope_type": rope.kind, "rope_theta": rope.theta, "factor": rope.factor}
    if rope.kind in ("llama3", "yarn"):
        parameters |= {"original_max_position_embeddings": rope.original_max_position}
    if rope.kind == "llama3":
        parameters |= {"low_freq_factor": rope.low_freq_factor, "high_freq_factor": rope.high_freq_factor}
    if rope.attention_factor is not None:
        parameters |= {"attention_factor": rope.attention_factor}
    config = LlamaConfig(
        hidden_size=256,
        num_attention_heads=2,
        max_position_embeddings=int(max(4096, rope.original_max_position * rope.factor)),
        rope_parameters=parameters,
    )
    got, scale = inverse_frequencies(rope, 128)
    if rope.kind == "default":
        want = 1.0 / (rope.theta ** (np.arange(0, 128, 2) / 128))
        factor = 1.0
    else:
        found, factor = ROPE_INIT_FUNCTIONS[rope.kind](config, "cpu")
        want = found.numpy()
    np.testing.assert_allclose(got, want, rtol=4e-7)
    assert scale == pytest.approx(factor)


@pytest.mark.parametrize(
    ("rope", "why"),
    [
        (Rope(kind="llama3", factor=8.0), "no original context"),
        (Rope(theta=-1.0), "base -1"),
        (Rope(kind="su", original_max_position=4), "'su' is not supported"),  # type: ignore[arg-type]
    ],
)
def test_senseless_angles_are_refused(rope: Rope, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        tables(rope, 8, 4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"heads": 5}, "5 heads do not share 2"),
        ({"head_dim": 15}, "head size 15 is odd"),
        ({"width": 0}, "width is 0"),
        ({"layers": 10**9}, "layers is 1000000000"),
        ({"norm_eps": float("nan")}, "epsilon is nan"),
        ({"eos": (77,)}, "token eos is 77"),
    ],
)
def test_senseless_shapes_are_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        canonical.check_spec(small_spec(**changes))


def test_weights_are_checked() -> None:
    decoder = random_decoder(small_spec())
    good = decoder.weights.projection("q", 0)

    class Broken:
        def __init__(self, m: TernaryMatrix) -> None:
            self.m = m

        def projection(self, role: str, layer: int) -> TernaryMatrix:
            return self.m

    cases = (
        (dataclasses.replace(good, trits=good.trits[:-1]), r"not int8 \(96, 48\)"),
        (dataclasses.replace(good, trits=good.trits * 2), "not -1, 0 or"),
        (dataclasses.replace(good, scale=np.full((1, 1), np.inf, np.float32)), "NaN or infinite"),
        (dataclasses.replace(good, scale=np.full((1, 1), 1e-39, np.float32)), "1e-39 has no inverse"),
        (dataclasses.replace(good, scale=np.ones((3, 1), np.float32)), r"scales of the shape \(3, 1\)"),
        (dataclasses.replace(good, divisor=3.0), "does not belong to its scale"),
        (dataclasses.replace(good, divisor=float("nan")), "does not belong to its scale"),
        (dataclasses.replace(good, group=20), "multiples of 16"),
        (dataclasses.replace(good, bias=np.ones(3, np.float32)), r"a bias of the shape \(3,\)"),
    )
    for m, why in cases:
        broken = dataclasses.replace(decoder, weights=Broken(m))  # type: ignore[arg-type]
        with pytest.raises(ModelError, match=why):
            canonical.projection(broken, "q", 0, Precision())


def test_a_full_context_and_foreign_tokens_are_refused() -> None:
    ref = Reference(random_decoder(small_spec()), Precision(), 4)
    with pytest.raises(UsageError, match=r"0\.\.76"):
        ref.run([77])
    ref.run([1, 2, 3])
    with pytest.raises(UsageError, match="context of 4 positions is full"):
        ref.run([1, 2])
    with pytest.raises(UsageError, match="at most 300"):
        Reference(random_decoder(small_spec()), Precision(), 301)


def test_greedy_stops_where_it_should() -> None:
    ref = Reference(random_decoder(small_spec()), Precision(), 32)
    out = greedy(ref, [1, 2], 20)
    assert len(out) == 20
    assert greedy(ref, [1, 2], 20, stop=(out[3],)) == out[: out.index(out[3]) + 1]
    assert len(greedy(ref, [1] * 30, 20)) == 3  # two more tokens fit, and the last is not taken in


def test_int8_rows_keep_half_a_step() -> None:
    decoder = random_decoder(small_spec())
    exact = canonical.rows(decoder, "embed", Precision(matrix="source"))
    rounded = canonical.rows(decoder, "embed", Precision(matrix="int8"))
    assert rounded.scale is not None
    ids = np.arange(77)
    assert (np.abs(rounded.take(ids) - exact.take(ids)) <= 0.5001 * rounded.scale[:, None]).all()
