"""Views of a tensor as strided copies: what slice and transpose come down to.

The kernel eb_strided_copy writes its output in order, `block` bytes at a time, from
x + offset + sum(i[d] * stride[d]) for i over n[0] x ... x n[5] (row-major, strides in bytes).
"""

from __future__ import annotations

from collections.abc import Sequence

from edgebit.ir.graph import Node
from edgebit.ops.base import KernelChoice, Lowered
from edgebit.ops.support import alias, bad, c_int, c_list, call

RANK = 6


def lower_view(
    node: Node,
    choice: KernelChoice | None,
    sizes: Sequence[int],
    strides: Sequence[int],
    offset: int,
    element: int,
    total: int,
) -> Lowered:
    """The copy of a view of `sizes` elements, strides and offset in elements, out of a tensor of `total`.

    Adjacent axes that walk evenly are merged, and a contiguous last axis becomes the block. A view of the
    whole tensor in order is an alias.
    """
    axes: list[tuple[int, int]] = []
    for n, s in zip(sizes, strides, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == n * s:
            axes[-1] = (axes[-1][0] * n, s)
        else:
            axes.append((n, s))
    block = element
    if axes and axes[-1][1] == 1:
        block *= axes.pop()[0]
    if not axes and offset == 0 and block == total * element:
        return alias()
    if len(axes) > RANK:
        raise bad(node, f"moves data along {len(axes)} independent axes, at most {RANK} are supported")
    fill = RANK - len(axes)
    fields = {
        "n": c_list([1] * fill + [n for n, _ in axes]),
        "stride": c_list([0] * fill + [s * element for _, s in axes]),
        "offset": c_int(offset * element),
        "block": c_int(block),
    }
    return call("strided_copy", choice, fields)


def row_major(shape: Sequence[int]) -> list[int]:
    """Strides, in elements, of a contiguous tensor."""
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        strides[d] = strides[d + 1] * shape[d + 1]
    return strides
