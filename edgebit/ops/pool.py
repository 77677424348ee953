"""Sliding windows over channels-last maps: geometry, taps, and how far a pool may overlap its input.

The C kernels go over images, output rows, output columns, channels, and read a window's valid taps in order
of (kh, kw) just before they write that channel; the overlap below counts on that order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgebit.ir.graph import Array, DType, Graph, Node, Tensor
from edgebit.ops.support import activation, arity, bad, integers

_MAX = 1 << 20


@dataclass(frozen=True)
class Window:
    """Geometry of one pool. pads are (top, left, bottom, right); count is kernel[0] * kernel[1]."""

    batch: int
    size: tuple[int, int]
    channels: int
    out: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.batch, *self.out, self.channels)

    @property
    def count(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def work(self) -> dict[str, float]:
        """pixel; and of values made and of their taps: output and word where channels come in fours, quad in
        place of word for windows of 2 x 2, odd and byte where channels do not."""
        pixels = float(self.batch * self.out[0] * self.out[1])
        taps = float(self.batch * int(self.counts().sum()) * self.channels)
        if self.channels % 4:
            return {"pixel": pixels, "odd": pixels * self.channels, "byte": taps}
        return {
            "pixel": pixels,
            "output": pixels * self.channels,
            "quad" if self.kernel == (2, 2) else "word": taps,
        }

    def steps(self) -> dict[str, float]:
        """What every kernel does once: call; line: rows of outputs; pixel; outside: taps that eb_pool_taps steps
        over because they lie in the padding, once a line and once a pixel; window_row: valid rows of the windows of
        all values made."""
        missing = [int((self.positions(a) < 0).sum()) for a in (0, 1)]
        lines = self.batch * self.out[0]
        rows = self.batch * (self.out[0] * self.kernel[0] - missing[0])
        return {
            "call": 1.0,
            "line": float(lines),
            "pixel": float(lines * self.out[1]),
            "outside": float(self.batch * missing[0] + lines * missing[1]),
            "window_row": float(rows * self.out[1] * self.channels),
        }

    def word_work(self, *, pairs: bool) -> dict[str, float]:
        """Counts of kernels that take four channels at once (max_pool2d_s8/words.h, avg_pool2d_s8/words.h), by the
        loops they run: of such words, word: made; word_row: valid rows of their windows; word_tap: valid taps.
        Where channels do not come in fours the same of single values, byte, byte_row and byte_tap. pairs: words
        of windows of 2 x 2 valid taps have a loop of their own and are four instead."""
        h, w = ((self.positions(a) >= 0).sum(axis=1) for a in (0, 1))
        own = np.multiply.outer(h == 2, w == 2) & (pairs and self.channels % 4 == 0)
        times = float(self.batch * self.channels) / (1 if self.channels % 4 else 4)
        unit = "byte" if self.channels % 4 else "word"
        steps = {n: v for n, v in self.steps().items() if n != "window_row"}
        return steps | {
            "four": times * int(own.sum()),
            unit: times * int((~own).sum()),
            f"{unit}_row": times * int((np.multiply.outer(h, np.ones_like(w)) * ~own).sum()),
            f"{unit}_tap": times * int((self.counts() * ~own).sum()),
        }

    def eight_work(self) -> dict[str, float]:
        """Counts of kernels that take eight channels at once: of such, eight: made; eight_row: valid rows of their
        windows, one where they are whole lines; eight_tap: valid taps. Of channels left over the same, byte, byte_row
        and byte_tap."""
        w = (self.positions(1) >= 0).sum(axis=1)
        return self._lane_work({"eight": self.channels // 8, "byte": self.channels % 8}, w == self.size[1])

    def sixteen_work(self) -> dict[str, float]:
        """The same of kernels that take sixteen channels at once (sixteen, ...), then eight, and each row by itself."""
        units = {"sixteen": self.channels // 16, "eight": self.channels % 16 // 8, "byte": self.channels % 8}
        return self._lane_work(units, np.zeros(self.out[1], np.bool_))

    def _lane_work(self, units: dict[str, int], lines: Array) -> dict[str, float]:
        """lines: output columns whose windows count as one row."""
        h = (self.positions(0) >= 0).sum(axis=1)
        rows = np.where(lines, 1, h[:, None])
        counts = {"": rows.size, "_row": int(rows.sum()), "_tap": int(self.counts().sum())}
        steps = {n: v for n, v in self.steps().items() if n != "window_row"}
        return steps | {u + c: float(self.batch * m * n) for u, m in units.items() for c, n in counts.items()}

    def c_shape(self) -> str:
        """The C initialiser of eb_pool2d_shape."""
        names = ("out", "kernel", "stride", "dilation")
        pairs = zip(names, (self.out, self.kernel, self.strides, self.dilations), strict=True)
        split = {f"{n}_{axis}": v[i] for n, v in pairs for i, axis in enumerate("hw")}
        (h, w), (top, left) = self.size, self.pads[:2]
        whole = {"batch": self.batch, "in_h": h, "in_w": w, "channels": self.channels}
        values = whole | split | {"pad_top": top, "pad_left": left}
        return "{" + ", ".join(f".{k} = {v}" for k, v in values.items()) + "}"

    def positions(self, axis: int) -> Array:
        """Input coordinate of (output index, tap) along an axis, -1 where it lies in the padding."""
        o = np.arange(self.out[axis], dtype=np.int64)[:, None] * self.strides[axis] - self.pads[axis]
        p = o + np.arange(self.kernel[axis], dtype=np.int64)[None, :] * self.dilations[axis]
        return np.asarray(np.where((p >= 0) & (p < self.size[axis]), p, -1))

    def counts(self) -> Array:
        """Valid taps per output pixel, (out_h, out_w)."""
        h, w = ((self.positions(a) >= 0).sum(axis=1) for a in (0, 1))
        return np.asarray(np.multiply.outer(h, w))

    def taps(self, x: Array) -> Iterator[tuple[tuple[slice, slice], Array]]:
        """In order of (kh, kw): the output rows and columns for which that tap is valid, and its values."""
        py, px = self.positions(0), self.positions(1)
        for i in range(self.kernel[0]):
            oy = np.flatnonzero(py[:, i] >= 0)
            for j in range(self.kernel[1]):
                ox = np.flatnonzero(px[:, j] >= 0)
                if oy.size and ox.size:
                    where = (slice(oy[0], oy[-1] + 1), slice(ox[0], ox[-1] + 1))
                    yield where, x[:, py[oy, i]][:, :, px[ox, j]]

    def overlap(self, element: int) -> int:
        """The largest offset of the output over the input, in bytes, exact for the kernels' loop order."""
        first = [np.where(p < 0, np.iinfo(np.int64).max, p).min(axis=1) for p in map(self.positions, (0, 1))]
        image = np.arange(self.batch, dtype=np.int64)[:, None, None] * self.size[0]
        pixel = ((image + first[0][None, :, None]) * self.size[1] + first[1][None, None, :]).reshape(-1)
        ahead = np.minimum.accumulate(pixel[::-1])[::-1] - np.arange(pixel.size)
        if self.channels == 1:
            ahead = ahead[1:]  # the only reads of the first pixel come before its only write
        if ahead.size == 0:
            return self.batch * self.size[0] * self.size[1] * element
        return int(ahead.min()) * self.channels * element


def window_of(node: Node, graph: Graph) -> tuple[Tensor, Window]:
    """The checked input and geometry of a pool node. Every window must see at least one input pixel."""
    arity(node, 1)
    x = activation(node, graph, 0, DType.F32, DType.S8)
    if len(x.shape) != 4:
        raise bad(node, f"takes (N, H, W, C), got {x.shape}")
    n, h, w, c = x.shape
    kernel = integers(node, "kernel", 2, 1, _MAX)
    strides = integers(node, "strides", 2, 1, _MAX, (1, 1))
    pads = integers(node, "pads", 4, 0, _MAX, (0, 0, 0, 0))
    dilations = integers(node, "dilations", 2, 1, _MAX, (1, 1))
    out = []
    for axis, size in enumerate((h, w)):
        span = (kernel[axis] - 1) * dilations[axis] + 1
        room = size + pads[axis] + pads[axis + 2] - span
        if room < 0:
            raise bad(node, f"the window spans {span}, more than the padded input's {room + span}")
        out.append(room // strides[axis] + 1)
    g = Window(n, (h, w), c, (out[0], out[1]), kernel, strides, pads, dilations)  # type: ignore[arg-type]
    for axis in (0, 1):
        if not (g.positions(axis) >= 0).any(axis=1).all():
            raise bad(node, "a window lies in the padding alone; use smaller pads")
    return x, g


def random_window(rng: np.random.Generator, *, dilate: bool) -> tuple[tuple[int, ...], dict[str, list[int]]]:
    """A random input shape and pool attributes that `window_of` accepts."""
    while True:
        kernel, strides = (rng.integers(1, 5, 2).tolist() for _ in range(2))
        dilations = rng.integers(1, 3, 2).tolist() if dilate else [1, 1]
        pads = rng.integers(0, 3, 4).tolist()
        h, w = rng.integers(1, 10, 2).tolist()
        if rng.random() < 0.2:
            kernel, dilations, pads = [h, w], [1, 1], [0, 0, 0, 0]
        shape = (int(rng.integers(1, 3)), h, w, int(rng.choice([1, 2, 3, 8])))
        attrs = {"kernel": kernel, "strides": strides, "pads": pads}
        if dilate:
            attrs["dilations"] = dilations
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        if h + pads[0] + pads[2] < spans[0] or w + pads[1] + pads[3] < spans[1]:
            continue
        out = (
            (h + pads[0] + pads[2] - spans[0]) // strides[0] + 1,
            (w + pads[1] + pads[3] - spans[1]) // strides[1] + 1,
        )
        g = Window(
            shape[0],
            (h, w),
            shape[3],
            out,
            (kernel[0], kernel[1]),
            (strides[0], strides[1]),
            (pads[0], pads[1], pads[2], pads[3]),
            (dilations[0], dilations[1]),
        )
        if (g.counts() > 0).all():
            return shape, attrs
