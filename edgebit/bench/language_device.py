"""A language model on a microcontroller, real or emulated, over the link: text in, text out, its certificate proved."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgebit.bench.language_model import LanguageModelFolder, Proof, compare_golden
from edgebit.devices.link import STATUS_NOT_FINITE
from edgebit.devices.open import Device, open_device
from edgebit.errors import LinkError, MismatchError, ModelError, UsageError
from edgebit.toolchain.build import build_export

IDS, TEXT, SETTINGS = 0, 1, 2
STEP, ENCODE = 0, 1
_END = 1
_HEAD = struct.Struct("<III")
_SETTINGS = struct.Struct("<ffffIIQ")
_TEXT_BYTES = 1024
_TOO_LONG, _NO_CHARACTER, _BAD_SETTING = -22, -23, -25
"""eb_text_status and eb_sample of runtime_c/text."""


@dataclass(frozen=True)
class Drawn:
    """A token the device drew, the bytes of text that it completes, and whether it ends the text."""

    token: int
    text: bytes
    end: bool


class LanguageDevice:
    """One sequence at a time: reset, then a prompt, then steps."""

    def __init__(self, folder: LanguageModelFolder, device: Device) -> None:
        self.folder, self.device = folder, device
        self.link = device.link
        self.context = int(folder.manifest["context"])
        self.count = 0
        self.hashing = False

    def reset(self, *, hash_layers: bool = False) -> None:
        """Start a sequence; hash_layers: keep checksums of everything that is worked out for it."""
        self.link.reset()
        self.count, self.hashing = 0, hash_layers

    def settings(
        self,
        *,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int = 0,
    ) -> None:
        """How tokens of this sequence are drawn."""
        if not (temperature >= 0 and 0 < top_p <= 1 and 0 <= min_p <= 1 and repetition_penalty > 0):
            raise UsageError(
                "--temperature is 0 or more, --top-p above 0 and at most 1, --min-p 0 to 1, --repetition-penalty above 0"
            )
        raw = _SETTINGS.pack(temperature, top_p, min_p, repetition_penalty, top_k, 0, seed)
        self.link.write_input(SETTINGS, raw)

    def prompt_ids(self, ids: Sequence[int]) -> None:
        """Tokens to start from."""
        vocab = int(self.folder.manifest["spec"]["vocab"])
        if not ids or not all(0 <= i < vocab for i in ids):
            raise UsageError(f"a prompt is at least one token of 0 to {vocab - 1}")
        self._fits(len(ids))
        self.link.write_input(IDS, struct.pack(f"<{len(ids)}I", *ids))
        self.count = len(ids)

    def prompt_text(self, text: str) -> None:
        """Text to start from, which the device turns into tokens."""
        raw = text.encode("utf-8", "replace")
        if not self.folder.manifest["tokenizer"]:
            raise UsageError("the model was exported without a tokenizer; give --prompt-ids")
        if len(raw) > _TEXT_BYTES:
            raise UsageError(f"the prompt has {len(raw)} bytes; a microcontroller takes {_TEXT_BYTES}")
        self.link.write_input(TEXT, raw)
        status, answer = self.link.call(ENCODE, offset=len(raw))
        found = struct.unpack("<I", answer)[0] if len(answer) == 4 else 0
        if status == _NO_CHARACTER:
            raise UsageError(
                f"the prompt has a character, after {found} tokens, that the model's vocabulary lacks"
            )
        if status == _TOO_LONG:
            raise UsageError(f"the prompt has more tokens than the context's {self.context} positions")
        if status != 0:
            raise ModelError(f"{self.device.title} cannot turn the prompt into tokens (status {status})")
        if not found:
            raise UsageError("a prompt of at least one token is needed")
        self.count = found

    def _fits(self, tokens: int) -> None:
        if tokens > self.context:
            raise UsageError(f"the prompt has {tokens} tokens and the context {self.context} positions")

    def step(self) -> Drawn | None:
        """One token taken in; what was drawn after the last of the sequence, None while there are more."""
        status, answer = self.link.call(STEP, hash_layers=self.hashing)
        if status == STATUS_NOT_FINITE:
            raise ModelError(f"{self.device.title}: activations overflow: the weights are damaged")
        if status == _BAD_SETTING:
            raise UsageError(f"{self.device.title} does not take these settings")
        if status != 0:
            raise ModelError(f"{self.device.title}: the logits are not finite: the weights are damaged")
        if len(answer) < _HEAD.size:
            return None
        token, count, flags = _HEAD.unpack_from(answer)
        if count != self.count + 1:
            raise LinkError(f"{self.device.title} is at token {count}, not {self.count + 1}; reset it")
        self.count = count
        return Drawn(token, answer[_HEAD.size :], bool(flags & _END))

    def generate(self, tokens: int, *, go_on: bool = False) -> Iterator[Drawn]:
        """Up to so many tokens, until one ends the text (unless go_on) or the context is full."""
        for _ in range(min(tokens, self.context - self.count + 1)):
            drawn = self.step()
            while drawn is None:
                drawn = self.step()
            yield drawn
            if drawn.end and not go_on:
                return

    def cycles(self) -> list[tuple[int, int]]:
        """(layer, cost) of the last step, where the device is emulated and counts: layers, the last normalisation,
        the head, and the choice of a token."""
        return [] if self.device.counter is None else list(self.device.counter.layers())


def check_device_folder(folder: LanguageModelFolder) -> None:
    """ModelError unless the manifest says all that is relied on here; UsageError when the board runs Linux."""
    folder.microcontroller()
    m = folder.manifest
    spec = m.get("spec")
    crcs = m.get("weight_crcs")
    good = (
        isinstance(spec, dict)
        and _natural(spec.get("vocab"))
        and all(_natural(m.get(key)) for key in ("context", "arena_bytes"))
        and isinstance(m.get("tokenizer"), bool)
        and isinstance(m.get("model_id"), str)
        and isinstance(crcs, list)
        and all(type(n) is int for n in crcs)
    )
    if not good:
        raise ModelError(f"{folder.path}: a damaged export folder; export the model again")


def _natural(n: object) -> bool:
    return type(n) is int and 1 <= n < 1 << 32


@contextmanager
def connect_language_model(
    folder: LanguageModelFolder,
    *,
    emulate: str | None = None,
    port: str | None = None,
    toolchain: str | None = None,
    count: bool = False,
) -> Iterator[LanguageDevice]:
    """The board that a folder was exported for, with its program running; WrongBoardError when it has another."""
    check_device_folder(folder)
    built = build_export(folder.path, toolchain=toolchain, as_it_lies=True)
    model = str(folder.manifest["model_id"])
    with open_device(folder.board, built, emulate=emulate, port=port, count=count, model_id=model) as device:
        device.link.hello()
        yield LanguageDevice(folder, device)


def prove_on_device(
    folder: LanguageModelFolder,
    *,
    emulate: str | None = None,
    port: str | None = None,
    toolchain: str | None = None,
) -> Proof:
    """Run the golden prompts on the board; every layer, logit and token must be the reference's.

    MismatchError names the first layer that differs, or says that the weights on the device are not the exported ones.
    """
    check_device_folder(folder)
    m = folder.manifest
    if m["certificate"] is None or not m["golden"]:
        raise UsageError(
            f"{folder.path} was exported without golden runs; export it again without --no-golden"
        )
    with connect_language_model(folder, emulate=emulate, port=port, toolchain=toolchain) as device:
        for index, crc in enumerate(m["weight_crcs"]):
            if device.link.segment_crc(index) != crc:
                raise MismatchError(
                    "the weights on the device are not the exported ones; flash the image again",
                    details={"bit_exact": False, "first_mismatch": {"kind": "weights"}},
                )
        for number, golden in enumerate(m["golden"]):
            found = _golden_run(device, golden)
            compare_golden(folder, device.device.title, 1, number, golden, found)
        where = device.device.title
    return Proof(where, (1,), len(m["golden"]), str(m["certificate"]))


def _golden_run(device: LanguageDevice, golden: dict[str, Any]) -> dict[str, Any]:
    """One golden prompt on the device, greedily; its checksums and tokens."""
    device.reset(hash_layers=True)
    device.prompt_ids(golden["prompt"])
    tokens = [drawn.token for drawn in device.generate(len(golden["tokens"]), go_on=True)]
    *layers, logits = device.link.hashes(len(golden["layer_crcs"]) + 1)
    return {"layer_crcs": layers, "logits_crc": logits, "tokens": tokens}
