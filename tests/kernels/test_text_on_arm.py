"""The same ids, text and drawn tokens on 64-bit Arm and on 32-bit Arm without an FPU, under QEMU."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from text_driver import Driver
from text_models import byte_level, corpus, sentencepiece_json, table_of

from edgebit.decoder.sampling import Rng, Sampling, sample

MACHINES = [("aarch64-linux-musl", "qemu-aarch64"), ("arm-linux-musleabi", "qemu-arm")]
TEXTS = ["to be 日本 e\u0301\u0323 \uac00\u11a8 <|end|> 'LL 12345\n\n  x", "\U0001f389" * 9, ""]


@pytest.fixture(params=MACHINES, ids=lambda m: m[1])
def machine(request: pytest.FixtureRequest) -> tuple[str, str]:
    target, emulator = request.param
    if shutil.which(emulator) is None:
        pytest.skip(f"{emulator} is not installed")
    return target, emulator


def test_ids_and_text(machine: tuple[str, str]) -> None:
    for table in (table_of(byte_level("qwen")), table_of(sentencepiece_json())):
        here, there = Driver(table), Driver(table, *machine)
        texts = [*TEXTS, corpus()[:20_000]]
        ids = here.encode(texts)
        assert there.encode(texts) == ids
        assert there.decode(ids) == here.decode(ids)


def test_drawn_tokens(machine: tuple[str, str]) -> None:
    there = Driver(table_of(byte_level("gpt2")), *machine)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        v = rng.normal(0, 4, 3000).astype(np.float32)
        how = Sampling(
            temperature=float(rng.uniform(0.1, 2)),
            top_k=int(rng.choice([0, 40])),
            top_p=float(rng.choice([0.9, 1.0])),
            min_p=float(rng.choice([0.0, 0.02])),
            repetition_penalty=1.1,
        )
        history = [int(i) for i in rng.integers(0, 3000, 50)]
        ours = Rng(seed)
        expected = [sample(v, how, history, ours) for _ in range(10)]
        assert there.sample(v, how, history, seed, times=10) == expected
