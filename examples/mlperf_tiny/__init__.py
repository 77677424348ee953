"""The four networks of MLPerf Tiny with ternary weights, for measuring: right shapes, random weights.

The architectures are those of the reference models of MLPerf Tiny v1 (github.com/mlcommons/tiny): keyword
spotting, image classification, anomaly detection and visual wake words. Batch normalisation is folded. Input
and activations are int8 with static scales; weights are trits, half of them zero, with a scale per output
channel. They are drawn from a fixed seed and nothing is trained: the networks have a cost but no accuracy.

    python -m examples.mlperf_tiny kws kws.onnx
"""

from __future__ import annotations
