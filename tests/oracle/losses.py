"""Writes the stored PyTorch results of losses that tests/losses.rs compares with.

    python3 tests/oracle/losses.py            writes losses.safetensors beside this script
    python3 tests/oracle/losses.py --check    fails if the stored file differs from a fresh computation

Needs torch and safetensors from PyPI. All numbers are computed in float64 from outputs and targets that are float32 numbers.

    CASE/outputs        F64 [rows, n], raw outputs of a network
    CASE/targets        I64 [rows] class indices, or F64 [rows, targets]
    CASE/weights        F64 [rows], how much each row counts; only where rows count differently
    CASE/class_weights  F64, of classes, or positive weights of labels; only where there are any
    CASE/loss           F64 [1], the loss of the batch
    CASE/gradient       F64 [rows, n], its gradient with respect to the outputs; NaN where the formula's own is, as that of (1 - p)^0.5 at p = 1
    CASE/rows           F64 [rows], the loss of each row by itself, columns put together as the reduction says
    metadata            "version" of this layout, "torch", and "cases": a JSON list with one object a case

A weighted mean is sum(w * l) / sum(w), as torch.nn.CrossEntropyLoss(weight=w) has it. Cases named "…/extreme" hold outputs of
up to 1e4 in size, denormal numbers, and ties with the target; an infinite loss in them is PyTorch's own.
"""

import json
import math
import struct
import sys
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

FILE = Path(__file__).parent / "losses.safetensors"
VERSION = "1"
EDGES = [0.0, -0.0, 1e4, -1e4, 88.0, -88.0, 20.5, -20.5, 1e-40, -1e-40, 1e-30, 0.5, -0.25, 1.0, -1.0, 2.0]


# ---- Losses of elements [rows, elements], or of rows [rows], by PyTorch's own functions where it has them ----


def elements(loss, x, y, cw):
    """A loss of each element, or of each row for those over classes."""
    name, a = loss["name"], loss["arguments"]
    if name == "cross-entropy":
        return F.cross_entropy(x, y, weight=cw, label_smoothing=a.get("label_smoothing", 0.0), reduction="none")
    if name == "focal":  # arXiv:1708.02002, equation 4
        ce = F.cross_entropy(x, y, reduction="none")
        rest = 1.0 - torch.exp(-ce)
        value = rest ** a["gamma"] * ce
        return value if cw is None else value * cw[y]
    if name == "hinge":
        return nn.MultiMarginLoss(margin=a["margin"], weight=cw, reduction="none")(x, y)
    if name == "kl-divergence":
        return nn.KLDivLoss(reduction="none")(F.log_softmax(x, dim=1), y).sum(dim=1)
    if name == "mse":
        return nn.MSELoss(reduction="none")(x, y)
    if name == "mae":
        return nn.L1Loss(reduction="none")(x, y)
    if name == "huber":
        return nn.HuberLoss(delta=a["delta"], reduction="none")(x, y)
    if name == "smooth-l1":
        return nn.SmoothL1Loss(beta=a["beta"], reduction="none")(x, y)
    if name == "log-cosh":  # |d| + log(1 + exp(-2 |d|)) - log 2
        d = (x - y).abs()
        return d + F.softplus(-2.0 * d) - math.log(2.0)
    if name == "pinball":
        q = torch.tensor(a["quantiles"], dtype=x.dtype)
        e = y.repeat_interleave(len(q), dim=1) - x
        q = q.repeat(y.shape[1])
        return torch.maximum(q * e, (q - 1.0) * e)
    if name == "gaussian-nll":
        mean, raw = x[:, 0::2], x[:, 1::2]
        variance = torch.logaddexp(raw, torch.zeros_like(raw)) + a["eps"]
        return nn.GaussianNLLLoss(full=a["full"], eps=a["eps"], reduction="none")(mean, y, variance)
    if name == "poisson-nll":
        return nn.PoissonNLLLoss(log_input=True, full=a["full"], reduction="none")(x, y)
    if name == "binary-cross-entropy":
        return nn.BCEWithLogitsLoss(pos_weight=cw, reduction="none")(x, y)
    if name == "binary-focal":  # torchvision.ops.sigmoid_focal_loss
        p = torch.sigmoid(x)
        ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
        rest = 1.0 - (p * y + (1.0 - p) * (1.0 - y))
        value = ce * rest ** a["gamma"]
        return value if a["alpha"] < 0 else (a["alpha"] * y + (1.0 - a["alpha"]) * (1.0 - y)) * value
    if name == "binary-hinge":
        return F.relu(a["margin"] - (2.0 * y - 1.0) * x)
    raise ValueError(name)


def batch(loss, x, y, weights, cw, reduction):
    """The batch's loss, and those of its rows."""
    each = elements(loss, x, y, cw)
    if each.dim() == 2:
        each = each.mean(dim=1) if reduction == "mean" else each.sum(dim=1)
    w = torch.ones(len(each), dtype=x.dtype) if weights is None else weights
    total = w * cw[y] if cw is not None and y.dim() == 1 else w
    value = (w * each).sum()
    return (value / total.sum() if reduction == "mean" else value), each


# ---- Cases ----


def loss(text, name, **arguments):
    return {"text": text, "name": name, "arguments": arguments}


CLASSES = [
    loss("cross-entropy", "cross-entropy"),
    loss("cross-entropy(label_smoothing=0.1)", "cross-entropy", label_smoothing=0.1),
    loss("focal", "focal", gamma=2.0),
    loss("focal(gamma=0.5)", "focal", gamma=0.5),
    loss("hinge", "hinge", margin=1.0),
    loss("hinge(margin=0.7)", "hinge", margin=0.7),
]
NUMBERS = [
    loss("mse", "mse"),
    loss("mae", "mae"),
    loss("huber", "huber", delta=1.0),
    loss("huber(delta=1.5)", "huber", delta=1.5),
    loss("smooth-l1", "smooth-l1", beta=1.0),
    loss("smooth-l1(beta=0.5)", "smooth-l1", beta=0.5),
    loss("log-cosh", "log-cosh"),
    loss("pinball", "pinball", quantiles=[0.5]),
    loss("pinball(0.1, 0.5, 0.9)", "pinball", quantiles=[0.1, 0.5, 0.9]),
    loss("gaussian-nll", "gaussian-nll", full=False, eps=1e-6),
    loss("gaussian-nll(full=true, eps=0.001)", "gaussian-nll", full=True, eps=1e-3),
]
COUNTS = [
    loss("poisson-nll", "poisson-nll", full=False),
    loss("poisson-nll(full=true)", "poisson-nll", full=True),
]
SHARES = [loss("kl-divergence", "kl-divergence")]
LABELS = [
    loss("binary-cross-entropy", "binary-cross-entropy"),
    loss("binary-focal", "binary-focal", gamma=2.0, alpha=0.25),
    loss("binary-focal(gamma=1.5, alpha=-1)", "binary-focal", gamma=1.5, alpha=-1.0),
    loss("binary-hinge", "binary-hinge", margin=1.0),
]


def single(tensor):
    """The nearest numbers of single precision, as doubles."""
    return tensor.float().double()


def edges(rows, columns):
    values = [EDGES[(3 * i + i // 16) % 16] for i in range(rows * columns)]
    return single(torch.tensor(values).reshape(rows, columns))


def targets_of(kind, rows, columns, generator):
    if kind == "classes":
        return torch.arange(rows) * 2 % columns
    draw = torch.rand(rows, columns, generator=generator)
    if kind == "labels":
        return (draw < 0.5).double()
    if kind == "counts":
        return torch.floor(5.0 * draw).double()
    if kind == "shares":
        shares = draw * (draw > 0.3) + 1e-2 * torch.eye(rows, columns)
        return single(shares / shares.sum(dim=1, keepdim=True))
    return single(torch.randn(rows, columns, generator=generator))


def outputs_each(one):
    if one["name"] == "gaussian-nll":
        return 2
    return len(one["arguments"]["quantiles"]) if one["name"] == "pinball" else 1


def encode(tensors, metadata):
    """A safetensors file with its metadata sorted: the library writes those keys in a random order."""
    metadata = {"version": VERSION, "torch": torch.__version__.split("+")[0]} | metadata
    blob = save({name: value.contiguous() for name, value in tensors.items()}, metadata=metadata)
    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + blob[8 + length :]


def main():
    tensors, cases = {}, []
    generator = torch.Generator().manual_seed(1)
    kinds = [("classes", CLASSES, 5), ("numbers", NUMBERS, 2), ("counts", COUNTS, 2), ("shares", SHARES, 4), ("labels", LABELS, 3)]
    for kind, losses, columns in kinds:
        for one in losses:
            for form in ["plain", "sum", "weighted", "classes", "both", "extreme"]:
                weighs_classes = form in ("classes", "both")
                if weighs_classes and not (kind == "classes" or one["name"] == "binary-cross-entropy"):
                    continue
                rows = 16 if form == "extreme" else 7
                n = columns * outputs_each(one)
                y = targets_of(kind, rows, columns, generator)
                x = edges(rows, n) if form == "extreme" else single(2.0 * torch.randn(rows, n, generator=generator))
                if form == "extreme" and kind == "numbers":
                    y[::3] = x[::3, :: outputs_each(one)]  # ties
                weights = single(torch.tensor([1.0, 0.5, 0.0, 3.0, 0.25, 1.0, 2.0])) if form in ("weighted", "both") else None
                cw = single(torch.linspace(0.5, 2.0, columns)) if weighs_classes else None
                x.requires_grad_(True)
                reduction = "sum" if form in ("sum", "extreme") else "mean"
                value, each = batch(one, x, y, weights, cw, reduction)
                value.backward()
                # In float64 sums of infinite and huge rows hide the others: rows are compared one by one.
                name = f"{one['text']}/{form}"
                cases.append({"name": name, "loss": one["text"], "kind": kind, "reduction": reduction})
                tensors[f"{name}/outputs"] = x.detach()
                tensors[f"{name}/targets"] = y
                tensors[f"{name}/loss"] = value.detach().reshape(1)
                tensors[f"{name}/rows"] = each.detach()
                tensors[f"{name}/gradient"] = x.grad
                if weights is not None:
                    tensors[f"{name}/weights"] = weights
                if cw is not None:
                    tensors[f"{name}/class_weights"] = cw
    data = encode(tensors, {"cases": json.dumps(cases)})
    if "--check" in sys.argv[1:]:
        if FILE.read_bytes() != data:
            sys.exit(f"{FILE} differs from a fresh computation")
    else:
        FILE.write_bytes(data)
        print(f"{len(cases)} cases, {len(data)} bytes")


main()
