"""A random language model that chats: its tokenizer, its templates, its export, and what it should say.

What it should say comes from elsewhere than what is tested: the `tokenizers` library and Jinja make the prompt, and
the program's plain run, which starts anew, continues it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from decoder_random import RandomWeights, export, small_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from edgebit.bench.language_model import command_line, open_language_model
from edgebit.bench.language_program import run_program
from edgebit.decoder.model import Decoder
from edgebit.decoder.text.render import render

NAME = "talker"
VOCAB = 420
CONTEXT = 20000
SPECIAL = ["<|end|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>"]
NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}" + CHATML.replace(
    "assistant\n{% endif", "assistant\n<think>\n\n</think>\n\n{% endif"
)
"""No system text, and the model is told to think nothing, of which past answers show no trace."""
_TEXT = "the cat sat on the mat and said to the other cats: who are you, and what do you want of us? 12 345\n"
_MORE = "日本語 ελληνικά e\u0301 🎉 "


@cache
def tokenizer() -> Tokenizer:
    """Byte-level BPE trained on a few words, so that most characters of other scripts are several tokens."""
    t = Tokenizer(models.BPE())
    t.decoder = decoders.ByteLevel()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - 8,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    t.train_from_iterator([_TEXT * 8, _MORE * 2], trainer)
    return t


def export_talker(
    out: Path, template: str | None = CHATML, eos: tuple[int, ...] = (4,), target: str = "host"
) -> Path:
    """The model's export; without a template it cannot chat."""
    spec = small_spec(name=NAME, vocab=VOCAB, max_context=CONTEXT, eos=eos)
    config = NAMES if template is None else {**NAMES, "chat_template": template}
    files = {
        "tokenizer.json": tokenizer().to_str().encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }
    weights = RandomWeights(spec, seed=3)
    return export(Decoder(spec, weights, files, NAME), target, out, golden=False, context=CONTEXT)


def messages(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    """Texts of a user and answers by turns, as clients send them."""
    first = [] if system is None else [{"role": "system", "content": system}]
    return first + [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]


def prompt_of(chat: list[dict[str, str]], template: str = CHATML) -> list[int]:
    """The tokens of a chat whose contents name no special token, as the library has them."""
    made = render({"template": template, "variables": NAMES, "chats": [[chat, True]]})
    assert made["texts"][0] is not None, made["errors"]
    tokenizer().encode_special_tokens = False
    return list(tokenizer().encode(made["texts"][0], add_special_tokens=False).ids)


def plain(text: str) -> list[int]:
    """The tokens of text in which nothing is special."""
    tokenizer().encode_special_tokens = True
    return list(tokenizer().encode(text, add_special_tokens=False).ids)


def text_of(ids: list[int]) -> str:
    """What the library makes of tokens."""
    return str(tokenizer().decode(ids, skip_special_tokens=True))


def fresh(folder: Path, ids: list[int], tokens: int, *more: object) -> list[int]:
    """The tokens that a plain run adds to a prompt, the one that ends it included."""
    command, _ = command_line(open_language_model(folder))
    asked = [
        "--prompt-ids",
        " ".join(map(str, ids)),
        "--tokens",
        str(tokens),
        "--json",
        "--threads",
        "1",
        *map(str, more),
    ]
    found: dict[str, Any] = json.loads(run_program([*command, *asked], NAME))
    return list(found["tokens"])


@cache
def endless(folder: Path, tokens: int) -> tuple[str, str]:
    """Two messages whose answers, alone, have at least so many tokens."""
    said = (
        f"{n} {word}" for n in ("one", "two", "the", "12", "all") for word in ("cat", "cats", "mat", "hat")
    )
    found = (s for s in said if len(fresh(folder, prompt_of(messages(s)), tokens)) == tokens)
    return next(found), next(found)
