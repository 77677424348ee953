"""Quantisation-aware training with ternary weights, and its export as standard ONNX QDQ.

Layers quantise their input with a static scale that is learned from running statistics (unsigned 8 bits
after a ReLU, signed at the network's input) and their weights either to int8 or to {-1, 0, +1} times a scale
per output channel. Ternary weights follow TWN (Li et al., "Ternary Weight Networks", 2016): threshold
0.7 * mean|w| per channel, scale the mean magnitude of what is kept. Gradients pass straight through.

Needs the `torch` and `onnx` packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

F32 = npt.NDArray[np.float32]


def ternarise(w: Tensor) -> tuple[Tensor, Tensor]:
    """Trits and scale per output channel of a weight (OC, ...)."""
    flat = w.detach().flatten(1)
    threshold = 0.7 * flat.abs().mean(1, keepdim=True)
    keep = (flat.abs() > threshold).float()
    trits = torch.sign(flat) * keep
    scale = (flat.abs() * keep).sum(1) / keep.sum(1).clamp(min=1)
    return trits.reshape(w.shape), scale


def to_int8(w: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 codes and scale per output channel of a weight (OC, ...)."""
    scale = w.detach().flatten(1).abs().amax(1).clamp(min=1e-8) / 127
    q = torch.round(w.detach() / scale.reshape(-1, *[1] * (w.ndim - 1))).clamp(-127, 127)
    return q, scale


class ActQuant(nn.Module):
    """Fake quantisation of an activation to 8 bits with a scale tracked by exponential averaging."""

    def __init__(self, *, signed: bool) -> None:
        super().__init__()
        self.signed = signed
        self.register_buffer("peak", torch.zeros(()))

    @property
    def limits(self) -> tuple[int, int]:
        return (-128, 127) if self.signed else (0, 255)

    def scale(self) -> Tensor:
        return self.peak.clamp(min=1e-6) / self.limits[1]

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            peak = torch.quantile(x.detach().abs().flatten(), 0.9995)
            self.peak.copy_(torch.where(self.peak == 0, peak, 0.98 * self.peak + 0.02 * peak))
        s = self.scale()
        q = torch.clamp(torch.round(x / s), *self.limits) * s
        return x + (q - x).detach()


@dataclass
class LayerSpec:
    """One convolution (`kind` "conv1d", "conv2d" or "depthwise2d") or fully connected layer ("fc")."""

    kind: str
    cin: int
    cout: int
    kernel: int = 3
    stride: int = 1
    weights: str = "ternary"  # "ternary", "int8" or "float"
    relu: bool = True
    pool: int = 1
    global_pool: bool = False
    norm: bool = field(default=True)


class Layer(nn.Module):
    """Quantised input, quantised weights, batch norm, ReLU, max pooling, as `spec` says."""

    def __init__(self, spec: LayerSpec, *, quantised: bool, signed_input: bool) -> None:
        super().__init__()
        self.spec = spec
        self.quantised = quantised
        groups = spec.cin if spec.kind == "depthwise2d" else 1
        shape = {
            "conv1d": (spec.cout, spec.cin, spec.kernel),
            "conv2d": (spec.cout, spec.cin, spec.kernel, spec.kernel),
            "depthwise2d": (spec.cout, 1, spec.kernel, spec.kernel),
            "fc": (spec.cout, spec.cin),
        }[spec.kind]
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.bias = nn.Parameter(torch.zeros(spec.cout))
        norms = {"conv1d": nn.BatchNorm1d, "fc": nn.BatchNorm1d}
        self.norm = norms.get(spec.kind, nn.BatchNorm2d)(spec.cout) if spec.norm else None
        self.act = ActQuant(signed=signed_input) if quantised else None

    def codes(self) -> tuple[Tensor, Tensor]:
        return ternarise(self.weight) if self.spec.weights == "ternary" else to_int8(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        if self.quantised:
            assert self.act is not None
            x = self.act(x)
            q, s = self.codes()
            wq = q * s.reshape(-1, *[1] * (w.ndim - 1))
            w = w + (wq - w).detach()
        pad = self.spec.kernel // 2
        if self.spec.kind == "fc":
            y = F.linear(x.flatten(1), w)
        elif self.spec.kind == "conv1d":
            y = F.conv1d(x, w, stride=self.spec.stride, padding=pad)
        else:
            y = F.conv2d(x, w, stride=self.spec.stride, padding=pad, groups=self.groups)
        y = y + self.bias.reshape(1, -1, *[1] * (y.ndim - 2))
        if self.norm is not None:
            y = self.norm(y)
        if self.spec.relu:
            y = F.relu(y)
        if self.spec.pool > 1:
            y = (F.max_pool1d if y.ndim == 3 else F.max_pool2d)(y, self.spec.pool)
        if self.spec.global_pool:
            y = y.mean(tuple(range(2, y.ndim)), keepdim=True)
        return y

    def folded(self) -> tuple[F32, F32]:
        """Per-channel gain and offset of bias and batch norm together: y = gain * conv + offset."""
        b = self.bias.detach().double()
        if self.norm is None:
            return np.ones(self.spec.cout, np.float32), b.float().numpy()
        n = self.norm
        gain = n.weight.detach().double() / torch.sqrt(n.running_var.double() + n.eps)
        offset = n.bias.detach().double() + (b - n.running_mean.double()) * gain
        return gain.float().numpy(), offset.float().numpy()


class Net(nn.Module):
    """A chain of layers; `quantised=False` gives the float baseline of the same shape."""

    def __init__(self, specs: Sequence[LayerSpec], *, quantised: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(s, quantised=quantised, signed_input=i == 0) for i, s in enumerate(specs)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def fit(
    net: Net, x: Tensor, y: Tensor, *, epochs: int, batch: int, lr: float, augment: object = None
) -> None:
    """Adam with a cosine learning rate; prints the loss every tenth of the way."""
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(x))
        total = 0.0
        for i in range(0, len(x) - 1, batch):
            idx = order[i : i + batch]
            xb = x[idx]
            if callable(augment):
                xb = augment(xb)
            loss = F.cross_entropy(net(xb), y[idx], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss) * len(idx)
        schedule.step()
        if (epoch + 1) % max(1, epochs // 10) == 0:
            print(f"  epoch {epoch + 1}/{epochs}  loss {total / len(x):.4f}", flush=True)
    net.eval()


def accuracy(net: Net, x: Tensor, y: Tensor) -> float:
    """Top-1 accuracy, 0..1."""
    net.eval()
    with torch.no_grad():
        return float((net(x).argmax(1) == y).float().mean())


class _Onnx:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inits: list[onnx.TensorProto] = []

    def init(self, name: str, a: npt.NDArray[np.generic]) -> str:
        self.inits.append(numpy_helper.from_array(np.ascontiguousarray(a), name))
        return name

    def node(self, op: str, inputs: Sequence[str], out: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attrs))
        return out


def export_onnx(net: Net, path: Path, input_shape: Sequence[int]) -> None:
    """Write the trained net: QDQ form when quantised, plain float with folded batch norm otherwise."""
    g = _Onnx()
    x = "x"
    for i, layer in enumerate(net.layers):
        assert isinstance(layer, Layer)
        x = _export_layer(g, layer, f"l{i}", x)
    g.nodes[-1].output[0] = "logits"
    shape_in, cout = [1, *input_shape], net.layers[-1].spec.cout
    graph = helper.make_graph(
        g.nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, cout])],
        g.inits,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="edgebit-examples"
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _qdq(g: _Onnx, act: ActQuant, p: str, x: str) -> str:
    s = g.init(f"{p}.scale", np.float32(act.scale().item()))
    z = g.init(f"{p}.zero", np.array(0, np.int8 if act.signed else np.uint8))
    q = g.node("QuantizeLinear", [x, s, z], f"{p}.q")
    return g.node("DequantizeLinear", [q, s, z], f"{p}.dq")


def _export_layer(g: _Onnx, layer: Layer, p: str, x: str) -> str:
    spec = layer.spec
    gain, offset = layer.folded()
    if layer.act is not None:
        x = _qdq(g, layer.act, f"{p}.in", x)
    if layer.quantised:
        q, s = layer.codes()
        scale = s.numpy() * gain
        # a negative gain is carried by the codes, since DequantizeLinear scales are positive
        sign = np.where(scale < 0, -1, 1).reshape(-1, *[1] * (q.ndim - 1))
        wq = g.init(f"{p}.weight", (q.numpy() * sign).astype(np.int8))
        ws = g.init(f"{p}.weight_scale", np.abs(scale).astype(np.float32))
        w = g.node("DequantizeLinear", [wq, ws], f"{p}.w", axis=0)
    else:
        full = layer.weight.detach().numpy() * gain.reshape(-1, *[1] * (layer.weight.ndim - 1))
        w = g.init(f"{p}.weight", full.astype(np.float32))
    b = g.init(f"{p}.bias", offset)
    if spec.kind == "fc":
        x = g.node("Flatten", [x], f"{p}.flat", axis=1)
        x = g.node("Gemm", [x, w, b], f"{p}.fc", transB=1)
    else:
        dims = 1 if spec.kind == "conv1d" else 2
        pad = spec.kernel // 2
        x = g.node(
            "Conv",
            [x, w, b],
            f"{p}.conv",
            kernel_shape=[spec.kernel] * dims,
            strides=[spec.stride] * dims,
            pads=[pad] * (2 * dims),
            group=layer.groups,
        )
        if spec.relu:
            x = g.node("Relu", [x], f"{p}.relu")
        if spec.pool > 1:
            x = g.node(
                "MaxPool", [x], f"{p}.pool", kernel_shape=[spec.pool] * dims, strides=[spec.pool] * dims
            )
        if spec.global_pool:
            x = g.node("GlobalAveragePool", [x], f"{p}.mean")
    return x
