"""Writes activations.json: every activation and some with other parameters, by PyTorch in float64.

    python3 tests/oracle/activations.py

Points are float32 numbers: a grid, both zeros, places where branches meet, denormal numbers, and ±10,000.
Contents: {"torch": version, "x": [...], "functions": {NAME: {"y": [...], "dy": [...]}}}, where NAME is what the library
reads: an activation's name, or an expression. dy is dy/dx by autograd; PyTorch's choice where branches meet.
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

FUNCTIONS = {
    "identity": nn.Identity(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "silu": nn.SiLU(),
    "relu6": nn.ReLU6(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "celu": nn.CELU(),
    "mish": nn.Mish(),
    "softplus": nn.Softplus(),
    "softsign": nn.Softsign(),
    "hard_sigmoid": nn.Hardsigmoid(),
    "hard_swish": nn.Hardswish(),
    "hard_tanh": nn.Hardtanh(),
    "log_sigmoid": nn.LogSigmoid(),
    "sin": torch.sin,
    "siren": lambda x: torch.sin(30 * x),
    "leaky_relu(x, 0.2)": nn.LeakyReLU(0.2),
    "elu(x, 0.5)": nn.ELU(0.5),
    "celu(x, 2)": nn.CELU(2.0),
    "softplus(x) / 1": nn.Softplus(),
    "x * sigmoid(1.702 * x)": lambda x: x * torch.sigmoid(1.702 * x),
    "if(x < 0, 0, x^2)": lambda x: F.relu(x) ** 2,
    "if(x > 0, x, 0) - ln(1 + exp(-abs(x)))": lambda x: F.relu(x) - torch.log(1 + torch.exp(-x.abs())),
}

grid = torch.linspace(-6, 6, 97)
special = [0.0, -0.0, 1e-40, -1e-40, 1e-30, -1e-30, 1e-6, -1e-6, 3.0, -3.0, 1.0, -1.0, 6.0, 20.0, -20.0, 20.5, -20.5]
special += [88.5, -88.5, 104.0, -104.0, 1e3, -1e3, 1e4, -1e4]
points = torch.cat([grid, torch.tensor(special)]).to(torch.float32).to(torch.float64)

functions = {}
for name, function in FUNCTIONS.items():
    x = points.clone().requires_grad_()
    y = function(x)
    (dy,) = torch.autograd.grad(y.sum(), x)
    assert torch.isfinite(y).all() and torch.isfinite(dy).all(), name
    functions[name] = {"y": y.detach().tolist(), "dy": dy.tolist()}

content = {"torch": torch.__version__, "x": points.tolist(), "functions": functions}
text = json.dumps(content, separators=(",", ":"))
Path(__file__).with_suffix(".json").write_text(text + "\n")
