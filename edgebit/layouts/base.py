"""What a packed-weight layout is, and how layouts are found.

A layout is one file in this folder with one subclass of `Layout`. It turns a matrix of weights (rows are
outputs, columns are inputs; for depthwise convolutions rows are taps and columns are output channels) into
the exact bytes a kernel reads, and back. The file is found by discovery; there is no list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array


class Layout(ABC):
    """One packed layout. Subclasses are stateless.

    name: what the third argument of EB_KERNEL holds. element: what a weight is ("trit", "s8" or "f32").
    row_multiple: a kernel of this layout writes accumulators for rows rounded up to this.
    col_multiple: columns are padded to this with zero weights. windows: whether convolutions give kernels of
    tmatmat_s8 with this layout the windows of several pixels.
    """

    name: ClassVar[str]
    element: ClassVar[Literal["trit", "s8", "f32"]]
    row_multiple: ClassVar[int] = 1
    col_multiple: ClassVar[int] = 1
    windows: ClassVar[bool] = False

    @abstractmethod
    def pack(self, weights: Array) -> bytes:
        """The bytes of a (rows, cols) matrix: int8 trits in {-1, 0, 1}, int8, or float32."""

    @abstractmethod
    def unpack(self, raw: bytes, rows: int, cols: int) -> Array:
        """The (rows, cols) matrix that `pack` packed."""

    def limits(self, weights: Array) -> str | None:
        """Why these weights cannot be packed exactly in this layout, or None when they can."""
        return None

    def bits_per_weight(self, rows: int, cols: int) -> float:
        """Packed bits divided by rows * cols, padding included."""
        return 8.0 * len(self.pack(self.blank(rows, cols))) / (rows * cols)

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        """Bytes of scratch the kernel `stem` needs for one product with a (rows, cols) matrix.

        The kernel's C file states the same formula in a comment.
        """
        return 0

    def work(self, weights: Array) -> Mapping[str, float]:
        """Counts of one product that depend on the weights, by name, for the cost table (see Op.work)."""
        return {}

    def blank(self, rows: int, cols: int) -> Array:
        """A zero matrix of this layout's element type."""
        return np.zeros((rows, cols), np.float32 if self.element == "f32" else np.int8)


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def check_trits(weights: Array) -> None:
    """Raise EdgebitError unless `weights` is an int8 matrix of -1, 0 and +1."""
    if weights.ndim != 2 or weights.dtype != np.int8:
        raise EdgebitError(f"trits must be an int8 matrix, not {weights.dtype} {weights.shape}")
    if weights.size and (weights.min() < -1 or weights.max() > 1):
        raise EdgebitError("trits must be -1, 0 or +1")


@cache
def registry() -> Mapping[str, Layout]:
    """All layouts, by name, found by importing every module of this package."""
    import edgebit.layouts as package

    found: dict[str, Layout] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"edgebit.layouts.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Layout)
                and value.__module__ == module.__name__
                and isinstance(getattr(value, "name", None), str)
            ):
                found[value.name] = value()
    return found


def layout_of(name: str) -> Layout:
    """The layout called `name`."""
    try:
        return registry()[name]
    except KeyError:
        raise EdgebitError(f"no weight layout named {name!r}; known: {sorted(registry())}") from None
