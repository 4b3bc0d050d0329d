"""What PyTorch has no module for, as modules with the parameters' names and places that the library gives them."""

import torch
from torch import nn
from torch.nn import functional as F

# The epsilon of `rms_norm`: PyTorch's own depends on the precision.
EPS32 = torch.finfo(torch.float32).eps


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Branches(nn.ModuleList):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self], dim=1)


class Embedding(nn.ModuleList):
    """Tables for some columns, then the other columns."""

    def __init__(self, tables):
        super().__init__(nn.Embedding(v, d) for _, v, d in tables)
        self.columns = [column for column, _, _ in tables]

    def forward(self, x):
        rest = [c for c in range(x.shape[1]) if c not in self.columns]
        parts = [table(x[:, c].long()) for c, table in zip(self.columns, self)]
        return torch.cat(parts + [x[:, rest]], dim=1)


class Scale(nn.Module):
    def __init__(self, n, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n))
        if bias:
            self.bias = nn.Parameter(torch.randn(n))

    def forward(self, x):
        return x * self.weight + getattr(self, "bias", 0.0)


class Fourier(nn.Module):
    def __init__(self, n, frequencies, sigma, learned=False):
        super().__init__()
        weight = sigma * torch.randn(frequencies, n)
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, x):
        angle = 2 * torch.pi * F.linear(x, self.weight)
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class NtkLinear(nn.Linear):
    def forward(self, x):
        z = F.linear(x, self.weight) / self.in_features**0.5
        return z if self.bias is None else z + self.bias


class Gated(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        return a * self.gate(b)


class Custom(nn.Module):
    """x + sin(x1 x) x2"""

    def __init__(self, n):
        super().__init__()
        self.x1 = nn.Parameter(torch.randn(n))
        self.x2 = nn.Parameter(torch.randn(n))

    def forward(self, x):
        return x + torch.sin(self.x1 * x) * self.x2


class Ramp(nn.Module):
    """Outputs as they are: a place in the numbering."""

    def forward(self, x):
        return x
