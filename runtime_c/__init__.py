"""The C11 runtime: headers, kernels, ports and core definitions (data, not Python)."""
