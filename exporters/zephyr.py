"""A Zephyr module: name the export folder in EXTRA_ZEPHYR_MODULES (or west.yml) and set CONFIG_EDGEBIT_<NAME>=y."""

from __future__ import annotations

from .package import FLOAT_FLAG, Packaging, add_check, library_sources
from .pipeline import Export


class Zephyr(Packaging):
    """Written with --as zephyr."""

    name = "zephyr"

    def export(self, export: Export) -> None:
        add_check(export)
        p = export.name
        export.add(
            "zephyr/module.yml",
            f"name: edgebit-{p.replace('_', '-')}\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n",
        )
        export.add("zephyr/Kconfig", kconfig(export))
        export.add("zephyr/CMakeLists.txt", lists(export))


def kconfig(export: Export) -> str:
    """Two options: the library, and its check."""
    big = export.name.upper()
    return f"""# SPDX-License-Identifier: Apache-2.0
config EDGEBIT_{big}
    bool "Neural network {export.name} (EdgeBit)"
    help
      A neural network with ternary weights. Its arena of {export.plan.arena_bytes} bytes belongs to
      the application; see {export.name}.h.

config EDGEBIT_{big}_CHECK
    bool "Golden vector of {export.name}"
    depends on EDGEBIT_{big}
    help
      Adds {export.name}_check(), which compares a run with the reference.
"""


def lists(export: Export) -> str:
    """zephyr/CMakeLists.txt, included by Zephyr's build."""
    p, big = export.name, export.name.upper()
    sources = "\n".join(f"    ../{s}" for s in library_sources(export))
    return f"""# SPDX-License-Identifier: Apache-2.0
# Written by EdgeBit {export.version}; do not edit: export the model again.
if(CONFIG_EDGEBIT_{big})
  zephyr_include_directories(.. ../runtime/include)
  zephyr_library_named(edgebit_{p})
  zephyr_library_sources(
{sources}
  )
  zephyr_library_sources_ifdef(CONFIG_EDGEBIT_{big}_CHECK ../check/{p}_check.c)
  zephyr_library_include_directories(../runtime/kernels ../check)
  # Results must not depend on the machine: no fused multiply-add.
  zephyr_library_compile_options({FLOAT_FLAG})
endif()
"""
