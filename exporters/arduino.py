"""An Arduino library in arduino/<name>/, to copy or zip into a sketchbook's libraries folder.

Its layout is that of the Arduino library specification 1.5: every source below src/, the only folder on the include path. The
Arduino build has no flags of a library's own, so each C file says itself that floats must not be fused.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from .ctext import comment
from .package import FLOAT_FLAG, Packaging, add_check, library_sources
from .pipeline import Export

_ARCHITECTURES = {
    "cortex-m0": "nRF5",
    "cortex-m0plus": "rp2040,mbed_rp2040,samd",
    "cortex-m3": "sam,stm32",
    "cortex-m4f": "mbed_nano,nrf52,stm32,samd",
    "cortex-m7": "teensy,stm32,mbed_portenta",
    "cortex-m33": "rp2040,stm32",
    "cortex-m55": "*",
}
_NO_FUSION = f"""#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("{FLOAT_FLAG}")
#else
#pragma STDC FP_CONTRACT OFF
#endif
"""


class Arduino(Packaging):
    """Written with --as arduino, for cores that Arduino boards have."""

    name = "arduino"

    def export(self, export: Export) -> None:
        p = export.name
        root = f"arduino/{p}"
        headers = [
            f"{p}.h",
            f"{p}_weights.h",
            *(f for f in export.files if f.startswith("runtime/") and f.endswith(".h")),
        ]
        for path in [*library_sources(export), *headers, *add_check(export)]:
            text = export.files[path].decode()
            export.add(f"{root}/src/{_place(path)}", (_NO_FUSION if path.endswith(".c") else "") + text)
        export.add(f"{root}/library.properties", properties(export))
        export.add(f"{root}/examples/Golden/Golden.ino", sketch(export))


def _place(path: str) -> str:
    """Where a file of the export goes below src/: what was on an include path comes directly below it."""
    for folder in ("runtime/include/", "runtime/kernels/", "check/"):
        if path.startswith(folder):
            return path.removeprefix(folder)
    return str(PurePosixPath(path))


def properties(export: Export) -> str:
    """library.properties."""
    p = export.name
    return f"""name={p}
version={export.version}
author=EdgeBit
maintainer=EdgeBit
sentence=A neural network with ternary weights, for {export.plan.core.title}.
paragraph=Compiled from {comment(export.meta.source_name)}. {len(export.plan.layers)} layers, an arena of {export.plan.arena_bytes} bytes.
category=Data Processing
url=
architectures={_ARCHITECTURES.get(export.plan.core.name, "*")}
includes={p}.h
"""


def sketch(export: Export) -> str:
    """A sketch that proves the build on the board."""
    p = export.name
    return f"""// SPDX-License-Identifier: Apache-2.0
// Runs a golden vector of {p} and says whether every byte of the outputs is the reference's.
#include <{p}.h>
#include <{p}_check.h>

void setup() {{
  Serial.begin(115200);
}}

void loop() {{
  const unsigned long start = micros();
  const int result = {p}_check();
  const unsigned long took = micros() - start;
  Serial.print(result == 0 ? "{p}: bit-exact, " : "{p}: WRONG, ");
  Serial.print(took);
  Serial.println(" us");
  delay(2000);
}}
"""
