"""Strides, pads and dilations of convolutions and pools, from ONNX's several ways of giving them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgebit.importers._onnx_context import Context
from edgebit.importers._onnx_read import SourceNode

_MAX = 1 << 16


@dataclass(frozen=True)
class Window:
    """A sliding window over (H, W); a 1-D one has H = 1. pads are (top, left, bottom, right).

    extra: the rows and columns that ceil_mode adds at the bottom and right, included in pads.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    extra: tuple[int, int] = (0, 0)


def conv_window(ctx: Context, node: SourceNode, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a Conv or pool node over the spatial `size`, with kernel dimensions `kernel`."""
    n = len(size)
    if len(kernel) != n:
        ctx.fail(f"a kernel of {len(kernel)} dimensions over {n}")
    strides = _list(ctx, node, "strides", n, 1, 1)
    dilations = _list(ctx, node, "dilations", n, 1, 1)
    pads = _list(ctx, node, "pads", 2 * n, 0, 0)
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        ctx.fail(f"auto_pad {auto!r} is not known")
    begin, end, extra = [], [], []
    for i in range(n):
        if not 1 <= kernel[i] <= _MAX:
            ctx.fail(f"kernel {list(kernel)}")
        reach = (kernel[i] - 1) * dilations[i] + 1
        lo, hi = (0, 0) if auto == "VALID" else (pads[i], pads[n + i])
        if auto.startswith("SAME"):
            total = max(0, (-(-size[i] // strides[i]) - 1) * strides[i] + reach - size[i])
            small, large = total // 2, total - total // 2
            lo, hi = (small, large) if auto == "SAME_UPPER" else (large, small)
        if size[i] + lo + hi < reach:
            ctx.fail(f"a window of {reach} does not fit {size[i]} elements with pads {lo} and {hi}")
        more = 0
        if node.attrs.get("ceil_mode", 0):
            more = -(size[i] + lo + hi - reach) % strides[i]
            if more and (size[i] + lo + hi - reach + more) >= size[i] + lo:
                ctx.fail("ceil_mode makes a window that starts in the padding; export with ceil_mode=0")
        begin.append(lo)
        end.append(hi + more)
        extra.append(more)
    one = n == 1
    return Window(
        (1, kernel[0]) if one else (kernel[0], kernel[1]),
        (1, strides[0]) if one else (strides[0], strides[1]),
        (0, begin[0], 0, end[0]) if one else (begin[0], begin[1], end[0], end[1]),
        (1, dilations[0]) if one else (dilations[0], dilations[1]),
        (0, extra[0]) if one else (extra[0], extra[1]),
    )


def _list(ctx: Context, node: SourceNode, key: str, n: int, default: int, low: int) -> list[int]:
    values = node.attrs.get(key) or [default] * n
    if len(values) != n or any(not low <= v <= _MAX for v in values):
        ctx.fail(f"{key} {values[:8]}")
    return list(values)
