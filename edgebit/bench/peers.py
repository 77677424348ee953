"""What other runtimes need for the same shapes, for docs/performance.md. Measured or published elsewhere.

Figures are in the metric of the core they stand under, per multiply-accumulate. Each names its runtime; SOURCES says
which version and how the figure came about.
"""

from __future__ import annotations

Figures = dict[str, tuple[str, ...]]

_M0: Figures = {
    "fc-256x64": ("CMSIS-NN s8 8.61", "s4 9.46", "BitNetMCU 13.3"),
    "fc-640x128": ("CMSIS-NN s8 8.27", "s4 9.10", "BitNetMCU 13.3"),
    "fc-1024x1024": ("CMSIS-NN s8 8.14", "s4 9.01"),
    "conv3x3-64-64": ("CMSIS-NN s8 8.96", "s4 9.79"),
    "conv1x1-64-64": ("CMSIS-NN s8 9.91", "s4 13.0"),
}
_M4: Figures = {
    "fc-640x128": ("CMSIS-NN s8 2.38", "s4 5.60", "BitNetMCU 8.1"),
    "fc-1024x1024": ("CMSIS-NN s8 2.34", "s4 5.56"),
    "conv3x3-64-64": ("CMSIS-NN s8 2.04", "s4 3.92"),
    "conv1x1-64-64": ("CMSIS-NN s8 2.43", "s4 4.16"),
}
_M55: Figures = {
    "fc-640x128": ("CMSIS-NN s8 0.243 cycles", "s4 0.55 cycles"),
    "conv1x1-64-64": ("CMSIS-NN s8 0.417 cycles", "s4 0.82 cycles"),
    "conv3x3-64-64": ("CMSIS-NN s8 0.20 cycles",),
}
_A76: Figures = {
    "gemv-2bit": ("ggml TQ2_0 0.35", "bitnet.cpp I2_S 0.198-0.254", "TL1 0.257 (table build excluded)"),
    "gemv-1.6bit": ("ggml TQ1_0 0.52",),
    "gemm4-2bit": ("bitnet.cpp I2_S, 8 tokens 0.134",),
}
_A72: Figures = {"gemv-2bit": ("ggml TQ2_0 0.40",), "gemv-1.6bit": ("ggml TQ1_0 0.56",)}

PEERS: dict[str, Figures] = {
    "cortex-m0plus": _M0,
    "cortex-m4f": _M4,
    "cortex-m55": _M55,
    "cortex-a76": _A76,
    "cortex-a72": _A72,
}
"""By core, then by shape (convolutions without their number of pixels)."""

NETWORKS: dict[str, dict[str, str]] = {
    "cortex-m4f": {"kws": "5.2 M", "ic": "19.8 M", "ad": "0.49 M", "vww": "10.7 M"},
    "cortex-m0plus": {"kws": "30 M", "ic": "97 M", "ad": "2.6 M", "vww": "90 M"},
}
"""By core, then by task: the best published int8 result, latency times clock."""

SOURCES = (
    "CMSIS-NN of July 2026, s8 and s4 (4-bit weights), GCC 12 at -Ofast (clang for M55): emulated, priced with the same "
    "instruction timings as the rows above, packing and requantisation included. The M55 figures are cycles of a "
    "per-instruction trace. CMSIS-NN is not the best possible int8 code: by hand about 4.5 cycles a product are within "
    "reach on M0+ and 1.5 on M4.",
    "BitNetMCU of January 2026, -O3, priced in the same way.",
    "ggml (llama.cpp) and bitnet.cpp as of 2026, K = 2560: executed instructions under qemu-user with a counting plugin; "
    "formats of 2.06 (TQ2_0), 1.69 (TQ1_0) and 2 bits (I2_S, TL1) a weight.",
    "MLPerf Tiny v1.1 to v1.3, latency of real boards times their clock: ST and Plumerai on an STM32L4R5 at 120 MHz for "
    "M4, Bosch on an STM32G0B1 at 64 MHz for M0+. Trained int8 networks of the same shapes; flash wait states are in "
    "these figures and not in ours.",
)
