"""Train `shakespeare`: a BitNet language model that writes verse, for a Raspberry Pi Pico.

    python -m examples.shakespeare.train --text FILE [--minutes 45] [--compile] [-o DIR]

FILE is any plain text of a megabyte or more in the public domain. The shipped model learned from 1.1 MB of
Shakespeare's plays, the file that karpathy/char-rnn on GitHub holds as data/tinyshakespeare/input.txt; Project
Gutenberg has all of them. The first nine tenths are trained on, the rest is held out. Writes config.json,
model.safetensors, tokenizer.json and perplexity.json, each time the perplexity of the held-out text is the lowest so far.

The shipped model had 4500 steps of 1024 tokens, which took 26 minutes of one core with bfloat16 products (AMX) and
--compile. Needs torch, safetensors and tokenizers; docs/microcontroller-language-models.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional as F

from examples.shakespeare.network import BitNet, Shape, save_checkpoint

Run: TypeAlias = Callable[[Tensor], Tensor]
BATCH, PEAK, WARM, EVERY = 4, 2e-3, 200, 500
DROPOUT, DECAY = 0.1, 0.05


def train_tokenizer(text: str, vocab: int) -> Tokenizer:
    """Byte-level BPE with GPT-2's words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


@torch.no_grad()
def held_out_loss(net: BitNet, tokens: Tensor) -> float:
    """Nats a token over whole windows of the context, each predicted from its own start."""
    net.eval()
    n = net.s.max_position_embeddings
    total, count = 0.0, 0
    for start in range(0, len(tokens) - 1, n):
        x = tokens[start : start + n + 1]
        logits = net(x[None, :-1])[0]
        total += float(F.cross_entropy(logits, x[1:], reduction="sum"))
        count += len(x) - 1
    net.train()
    return total / count


def rate(progress: float, step: int) -> float:
    """Learning rate: a short rise, then half a cosine down to a fiftieth."""
    return PEAK * min(1.0, (step + 1) / WARM) * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)


def fit(
    net: BitNet, run: Run, train: Tensor, held: Tensor, held_bytes: int, minutes: float, out: Path
) -> None:
    """AdamW for that many minutes on `run`, which is `net` or compiled from it; the checkpoint of the lowest held-out loss stays in `out`."""
    matrices = [p for p in net.parameters() if p.ndim == 2]
    rest = [p for p in net.parameters() if p.ndim != 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99))
    window = torch.arange(net.s.max_position_embeddings + 1)
    start, best, step, mean = time.monotonic(), math.inf, 0, 0.0
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1 or step % EVERY:
        for group in optimiser.param_groups:
            group["lr"] = rate(min(progress, 1.0), step)
        at = torch.randint(0, len(train) - len(window), (BATCH, 1))
        x = train[at + window]
        loss = F.cross_entropy(run(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        mean += loss.item() / EVERY
        if step % EVERY == 0:
            nats = held_out_loss(net, held)
            print(
                f"{progress:4.0%}  step {step}  loss {mean:.4f}  held out {nats:.4f}, perplexity {math.exp(nats):.2f}",
                flush=True,
            )
            mean = 0.0
            if nats < best:
                best = nats
                save_checkpoint(net, out)
                bits = nats * (len(held) - 1) / math.log(2) / held_bytes
                result = {
                    "held_out_perplexity": round(math.exp(nats), 3),
                    "held_out_bits_per_byte": round(bits, 4),
                    "held_out_bytes": held_bytes,
                    "steps": step,
                }
                (out / "perplexity.json").write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="plain text to learn from, UTF-8")
    parser.add_argument("--minutes", type=float, default=45.0, help="how long to train (default 45)")
    parser.add_argument("--compile", action="store_true", help="twice as fast, needs a C++ compiler")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent, help="where to write")
    args = parser.parse_args()
    torch.manual_seed(1)
    text = args.text.read_text(encoding="utf-8")
    cut = text.rindex("\n\n", 0, len(text) * 9 // 10) + 2
    shape = Shape()
    tokenizer = train_tokenizer(text[:cut], shape.vocab_size)
    args.output.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.output / "tokenizer.json"))
    train, held = (torch.tensor(tokenizer.encode(part).ids) for part in (text[:cut], text[cut:]))
    net = BitNet(shape, DROPOUT)
    print(
        f"{sum(p.numel() for p in net.parameters())} parameters, {len(train)} tokens to train on, {len(held)} held out",
        flush=True,
    )
    run = torch.compile(net) if args.compile else net
    fit(net, run, train, held, len(text[cut:].encode()), args.minutes, args.output)


if __name__ == "__main__":
    main()
