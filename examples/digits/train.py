"""Train `digits`: 8x8 handwritten digits (UCI Optical Recognition of Handwritten Digits, as scikit-learn ships it).

    python -m examples.digits.train

Writes digits.onnx (int8 first layer, ternary rest), digits_float.onnx (the same net in float), test.npz and
accuracy.json beside this file. Takes about a minute on one core; needs torch, onnx and scikit-learn.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from examples.qat import LayerSpec, Net, accuracy, export_onnx, fit

HERE = Path(__file__).parent
SPECS = (
    LayerSpec("conv2d", 1, 16, weights="int8"),
    LayerSpec("conv2d", 16, 32, pool=2),
    LayerSpec("conv2d", 32, 48, pool=2),
    LayerSpec("fc", 48 * 2 * 2, 10, kernel=1, relu=False, norm=False),
)


def shift(x: torch.Tensor) -> torch.Tensor:
    """Move each image of a batch by up to one pixel: the usual augmentation for digits."""
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    dy, dx = (int(v) for v in torch.randint(0, 3, (2,)))
    return padded[:, :, dy : dy + 8, dx : dx + 8]


def main() -> None:
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32).reshape(-1, 1, 8, 8) / 16
    xtr, xte, ytr, yte = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    tensors = [torch.from_numpy(a) for a in (xtr, ytr, xte, yte)]
    result: dict[str, object] = {"test_images": len(xte), "train_images": len(xtr)}
    for name, quantised in (("digits", True), ("digits_float", False)):
        torch.manual_seed(1)
        net = Net(SPECS, quantised=quantised)
        print(name)
        fit(net, tensors[0], tensors[1], epochs=80, batch=64, lr=3e-3, augment=shift)
        result[name] = round(accuracy(net, tensors[2], tensors[3]), 4)
        print(f"  test accuracy {result[name]:.4f}")
        export_onnx(net, HERE / f"{name}.onnx", (1, 8, 8))
    np.savez_compressed(HERE / "test.npz", x=xte, y=yte.astype(np.uint8))
    (HERE / "accuracy.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
