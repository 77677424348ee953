"""The architectures, layer by layer, as the reference models of MLPerf Tiny v1 have them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from .builder import Builder, Network, Weights, build


@dataclass(frozen=True)
class Task:
    """One network. shape: of one input (C, H, W) or (K,). first: weights of its first layer by default.

    The convolutional networks keep int8 weights in the layer that sees the raw input, as ternary networks
    usually do; the autoencoder is ternary throughout, since its first layer is a third of it.
    """

    title: str
    network: Network
    shape: tuple[int, ...]
    first: Weights
    seed: int


def keyword_spotting(b: Builder) -> tuple[str, int]:
    """DS-CNN: 49 x 10 MFCC features, 12 words."""
    size = (25, 5)
    x = b.conv(b.input(), "conv", 1, 64, (10, 4), 2, size=(49, 10))
    for i in range(1, 5):
        x = b.conv(x, f"depthwise{i}", 64, 64, (3, 3), size=size, depthwise=True)
        x = b.conv(x, f"pointwise{i}", 64, 64, (1, 1), size=size)
    return b.classes(b.mean(x, "mean"), "words", 64, 12), 12


def image_classification(b: Builder) -> tuple[str, int]:
    """ResNet-8: 32 x 32 colour images, 10 classes."""
    side, channels = 32, 16
    x = b.conv(b.input(), "conv", 3, channels, (3, 3), size=(side, side))
    for i, outs in enumerate((16, 32, 64), start=1):
        stride = 1 if outs == channels else 2
        size = (side, side)
        side = -(-side // stride)
        y = b.conv(x, f"stack{i}.first", channels, outs, (3, 3), stride, size=size)
        y = b.conv(y, f"stack{i}.second", outs, outs, (3, 3), size=(side, side), relu=False)
        if stride != 1:
            x = b.conv(x, f"stack{i}.shortcut", channels, outs, (1, 1), stride, size=size, relu=False)
        x = b.add(x, y, f"stack{i}.add")
        channels = outs
    return b.classes(b.mean(x, "mean"), "classes", 64, 10), 10


def anomaly_detection(b: Builder) -> tuple[str, int]:
    """Autoencoder of five spectrogram frames: 640 values in, 640 out."""
    x, ins = b.input(), 640
    for i, outs in enumerate((128, 128, 128, 128, 8, 128, 128, 128, 128, 640), start=1):
        x = b.dense(x, f"fc{i}", ins, outs, relu=outs != 640)
        ins = outs
    return x.removesuffix(".dq"), 640


def visual_wake_words(b: Builder) -> tuple[str, int]:
    """MobileNet v1, width 0.25: 96 x 96 colour images, person or not."""
    side, channels = 48, 8
    x = b.conv(b.input(), "conv", 3, channels, (3, 3), 2, size=(96, 96))
    steps = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for i, (outs, stride) in enumerate(steps, start=1):
        x = b.conv(x, f"depthwise{i}", channels, channels, (3, 3), stride, size=(side, side), depthwise=True)
        side = -(-side // stride)
        x = b.conv(x, f"pointwise{i}", channels, outs, (1, 1), size=(side, side))
        channels = outs
    return b.classes(b.mean(x, "mean"), "person", 256, 2), 2


TASKS: dict[str, Task] = {
    "kws": Task("keyword spotting DS-CNN", keyword_spotting, (1, 49, 10), "int8", 1),
    "ic": Task("image classification ResNet-8", image_classification, (3, 32, 32), "int8", 2),
    "ad": Task("anomaly detection autoencoder", anomaly_detection, (640,), "ternary", 3),
    "vww": Task("visual wake words MobileNet v1 0.25", visual_wake_words, (3, 96, 96), "int8", 4),
}


def make_model(task: str, first: Weights | None = None) -> onnx.ModelProto:
    """The ONNX model of a task. first: weights of the first layer, by default the task's."""
    t = TASKS[task]
    return build(task, t.network, t.shape, t.seed, first or t.first)
