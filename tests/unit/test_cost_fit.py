"""How prices are fitted to counted layers (tests/tools/measure_core.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture
def tool() -> Iterator[ModuleType]:
    sys.path.insert(0, str(TOOLS))
    try:
        import measure_core

        yield measure_core
    finally:
        sys.path.remove(str(TOOLS))


def test_what_costs_nothing_is_never_paid_for(tool: ModuleType) -> None:
    """Where more work takes less time the price is 0, not negative."""
    rows = [({("k", "mac"): 10.0, ("k", "row"): r}, 100.0 - r) for r in (1.0, 2.0, 3.0)]
    prices = tool.fit_costs(rows)
    assert prices["k", "row"] == 0
    assert prices["k", "mac"] == pytest.approx(9.8, abs=0.1)


def test_layers_with_int8_outputs_come_first(tool: ModuleType) -> None:
    """Float outputs that cost more in a way that no count tells do not change what int8 layers pay."""
    rng = np.random.default_rng(3)
    rows = []
    for is_float in (False, True):
        for _ in range(20):
            mac, out = rng.integers(10, 1000), rng.integers(1, 50)
            odd = out**2 if is_float else 0
            rows.append(
                (
                    {
                        ("k", "mac"): float(mac),
                        ("k", "element"): float(out),
                        ("k", "step"): float(out * is_float),
                    },
                    0.5 * mac + 3 * out + odd,
                )
            )
    prices = tool.fit_in_turn(rows, [value for _, value in rows])
    assert prices["k", "mac"] == pytest.approx(0.5)
    assert prices["k", "element"] == pytest.approx(3)
    assert prices["k", "step"] > 1
    assert tool.fit_costs(rows)["k", "mac"] != pytest.approx(0.5, rel=0.01)
