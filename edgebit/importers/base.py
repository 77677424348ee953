"""Finds the importer for a model file.

An importer is a module of this package with

    suffixes: tuple[str, ...]                 file name endings it claims, lower case, with the dot
    sniff(path: Path) -> bool                 does the content look like this format?
    load(path: Path, *, batch: int = 1) -> Graph

and is found by discovery: private modules (leading underscore) and modules without these are not importers.

An importer of language models has suffixes and sniff too, and instead of `load`

    load_decoder(path: Path, options: DecoderOptions) -> Decoder

`load_decoder` here finds it in the same way, for a file, a folder or the id of a model on the Hub.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args, get_type_hints

from edgebit.decoder.model import Activation, Decoder, DecoderSpec
from edgebit.errors import ModelError, UsageError
from edgebit.ir.graph import Graph


class Importer(Protocol):
    """What an importer module offers."""

    suffixes: tuple[str, ...]

    def sniff(self, path: Path) -> bool: ...

    def load(self, path: Path, *, batch: int = 1) -> Graph: ...


@dataclass(frozen=True)
class DecoderOptions:
    """What a caller may say about a language model, where its files do not or are wrong.

    masters: how float training weights are quantised (never done unasked). activation, act_quant: replace what the
    files say or leave out. weight_scale: how a packed checkpoint's scale is used. i2_s: the layout of I2_S tensors in a
    GGUF: 128-value blocks (official), 64-value blocks (made on ARM), or four interleaved rows. name: what to call it.
    """

    masters: Literal["absmean", "sign"] | None = None
    activation: Activation | None = None
    act_quant: Literal["token", "none"] | None = None
    weight_scale: Literal["multiply", "divide"] | None = None
    i2_s: Literal["128", "64", "rows4"] = "128"
    name: str | None = None

    @classmethod
    def of(cls, options: dict[str, Any]) -> DecoderOptions:
        """Options by name, each with a value it may have; UsageError otherwise."""
        hints = get_type_hints(cls)
        for name, value in options.items():
            if name not in hints:
                raise UsageError(f"load_decoder has no option {name}; it has {', '.join(sorted(hints))}")
            allowed = [v for hint in get_args(hints[name]) for v in (get_args(hint) or (hint,))] or [
                hints[name]
            ]
            if name != "name" and value is not None and value not in allowed:
                known = ", ".join(str(v) for v in allowed if isinstance(v, str))
                raise UsageError(f"{name} {printable(value)!r} is not known; it is one of {known}")
        return cls(**options)

    def applied(self, spec: DecoderSpec) -> DecoderSpec:
        """`spec` with what the caller said about it; masters imply quantised activations."""
        if self.masters is not None:
            spec = replace(spec, act_quant="token")
        if self.activation is not None:
            spec = replace(spec, activation=self.activation)
        return spec if self.act_quant is None else replace(spec, act_quant=self.act_quant)


class DecoderImporter(Protocol):
    """What an importer of language models offers."""

    suffixes: tuple[str, ...]

    def sniff(self, path: Path) -> bool: ...

    def load_decoder(self, path: Path, options: DecoderOptions) -> Decoder: ...


@cache
def _modules(entry: str) -> dict[str, Any]:
    """The importers of this package that have a function `entry`, by module name, in alphabetical order."""
    import edgebit.importers as package

    found: dict[str, Any] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        if module.__name__ != __name__ and all(hasattr(module, a) for a in ("suffixes", "sniff", entry)):
            found[info.name] = module
    return found


def importers() -> dict[str, Importer]:
    """All importers of graphs by module name, in alphabetical order."""
    return cast(dict[str, Importer], _modules("load"))


def decoder_importers() -> dict[str, DecoderImporter]:
    """All importers of language models by module name, in alphabetical order."""
    return cast(dict[str, DecoderImporter], _modules("load_decoder"))


def find_importer(path: Path) -> Importer:
    """The importer for `path`, by its ending, else by its content; raises ModelError when there is none."""
    if not path.exists():
        raise ModelError(f"{printable(path)}: there is no such file")
    known = importers()
    for module in known.values():
        if path.is_file() and path.suffix.lower() in module.suffixes:
            return module
    for module in known.values():
        if module.sniff(path):
            return module
    if find_decoder_importer(path) is not None:
        raise ModelError(
            f"{printable(path)}: a language model, which is read with load_decoder and not as a graph"
        )
    endings = ", ".join(sorted({s for m in known.values() for s in m.suffixes}))
    raise ModelError(f"{printable(path)}: not a model file EdgeBit can read (it reads {endings})")


def load_model(path: str | Path, **opts: Any) -> Graph:
    """Import a model file with the importer that fits it. `opts` go to the importer's `load` (e.g. batch=1)."""
    p = Path(path)
    return find_importer(p).load(p, **opts)


def find_decoder_importer(path: Path) -> DecoderImporter | None:
    """The importer for the language model at `path`, by its ending, else by its content; None when it is none."""
    known = decoder_importers()
    try:
        if path.is_file():
            for module in known.values():
                if path.suffix.lower() in module.suffixes:
                    return module
        return next((m for m in known.values() if m.sniff(path)), None)
    except OSError:
        return None


def is_decoder(path: str | Path) -> bool:
    """Is it a language model: a folder or file of one, or what could be the id of one on the Hub?"""
    return find_decoder_importer(Path(path)) is not None or _on_hub(str(path))


def load_decoder(path: str | Path, *, revision: str | None = None, **options: Any) -> Decoder:
    """Import a language model: a folder, a .gguf file, or an id on the Hub ("org/name", "org/name/file.gguf").

    options are the fields of DecoderOptions; revision is of a model on the Hub. Only headers are read; weights are
    read when asked for. Raises ModelError, or UsageError for an unknown option.
    """
    chosen = DecoderOptions.of(options)
    p = Path(path)
    if _on_hub(str(path)):
        p = _hub().download(str(path), revision)
        if chosen.name is None:
            stem = str(path).rsplit("/", 1)[-1].removesuffix(".gguf")
            chosen = replace(chosen, name=re.sub(r"[^A-Za-z0-9_.\-]", "_", stem)[:64])
    module = find_decoder_importer(p)
    try:
        if module is not None:
            return module.load_decoder(p, chosen)
        if not p.exists():
            raise ModelError(f"{printable(path)}: there is no such file or folder")
        if p.is_dir():
            there = next((f.name for f in sorted(p.iterdir()) if f.suffix == ".gguf"), None)
            hint = f"; to read {printable(there)} in it, name that file" if there else ""
            raise ModelError(f"{printable(path)}: not a language model: the folder has no config.json{hint}")
    except OSError as e:
        raise ModelError(f"{printable(path)}: cannot be read: {e.strerror or type(e).__name__}") from e
    raise ModelError(
        f"{printable(path)}: not a language model EdgeBit can read; it reads folders and .gguf files"
    )


def _on_hub(text: str) -> bool:
    """Is it nothing here but the id of a model on the Hub? A path whose folder is here, or whose name ends like a model
    file's, is a path that was mistyped."""
    parsed = _hub().hub_id(text)
    p = Path(text)
    if parsed is None or p.exists() or Path(p.parts[0]).is_dir():
        return False
    endings = {s for m in importers().values() for s in m.suffixes}
    endings |= {s for m in decoder_importers().values() for s in m.suffixes}
    return parsed[1] is not None or p.suffix.lower() not in endings


def _hub() -> Any:
    from edgebit.importers import _hub as module

    return module


def printable(text: object, limit: int = 120) -> str:
    """`text` for an error message: control and non-ASCII characters escaped, long text shortened."""
    s = ascii(str(text))[1:-1]
    return s if len(s) <= limit else s[: limit - 3] + "..."
