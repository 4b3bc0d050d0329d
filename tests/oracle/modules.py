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


class Numbers(nn.Module):
    """Embeddings of numbers: pbld, pl or plr of some columns, or all."""

    def __init__(self, kind, n, frequencies, outputs, sigma, columns=None):
        super().__init__()
        self.kind, self.inputs = kind, n
        self.columns = list(range(n)) if columns is None else columns
        count, bias = len(self.columns), kind == "pbld"
        self.sizes = count, frequencies, outputs
        bound = (frequencies if bias else 2 * frequencies) ** -0.5
        uniform = lambda *shape: nn.Parameter(bound * (2 * torch.rand(*shape) - 1))
        self.frequency = nn.Parameter(sigma * torch.randn(count * frequencies, 1))
        if bias:
            self.phase = nn.Parameter(torch.pi * (2 * torch.rand(count * frequencies) - 1))
            self.weight = uniform(count * outputs, frequencies)
        else:
            self.weight_cos = uniform(count * outputs, frequencies)
            self.weight_sin = uniform(count * outputs, frequencies)
        self.shift = uniform(count * outputs)

    def forward(self, x):
        count, frequencies, outputs = self.sizes
        linear = lambda waves, weight: torch.einsum("bnf,nof->bno", waves, weight.view(count, outputs, frequencies))
        z = 2 * torch.pi * x[:, self.columns].unsqueeze(2) * self.frequency.view(count, frequencies)
        if self.kind == "pbld":
            e = linear(torch.cos(z + self.phase.view(count, frequencies)), self.weight)
        else:
            e = linear(z.cos(), self.weight_cos) + linear(z.sin(), self.weight_sin)
        e = e.flatten(1) + self.shift
        if self.kind == "plr":
            e = F.relu(e)
        passed = [c for c in range(self.inputs) if self.kind == "pbld" or c not in self.columns]
        return torch.cat([e, x[:, passed]], dim=1)


class Parametric(nn.Module):
    """x + weight (f(x) - x)"""

    def __init__(self, f, n):
        super().__init__()
        self.f = f
        self.weight = nn.Parameter(torch.randn(n))

    def forward(self, x):
        return x + self.weight * (self.f(x) - x)


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


class Piecewise(nn.Module):
    """Piecewise-linear embeddings of some columns, with bins that are given; the other columns follow."""

    def __init__(self, inputs, bins, outputs, columns):
        super().__init__()
        self.columns, self.rest = columns, [c for c in range(inputs) if c not in columns]
        n = len(columns)
        self.register_buffer("slope", torch.rand(n * bins, 1) + 0.5)
        self.register_buffer("offset", torch.randn(n * bins))
        self.register_buffer("low", -torch.rand(n * bins))
        self.register_buffer("high", torch.rand(n * bins))
        self.weight = nn.Parameter(torch.randn(n * outputs, bins))
        self.linear = nn.Parameter(torch.randn(n * outputs, 1))
        self.shift = nn.Parameter(torch.randn(n * outputs))

    def forward(self, x):
        n = len(self.columns)
        numbers = x[:, self.columns].unsqueeze(2)
        of = lambda values: values.view(n, -1)
        parts = (numbers * of(self.slope) + of(self.offset)).minimum(of(self.high)).maximum(of(self.low))
        weight, linear = self.weight.view(n, -1, parts.shape[2]), of(self.linear)
        e = torch.einsum("bnk,nok->bno", parts, weight) + numbers * linear + of(self.shift)
        return torch.cat([e.flatten(1), x[:, self.rest]], dim=1)


class BatchEnsemble(nn.Sequential):
    """Members that share weights: their outputs' mean."""

    def __init__(self, members, *layers):
        super().__init__(*layers)
        self.members = members

    def forward(self, x):
        return super().forward(x.unsqueeze(1).expand(-1, self.members, -1)).mean(dim=1)


class SharedDense(nn.Module):
    """One matrix for all members; factors and biases of each, one after the other."""

    def __init__(self, members, inputs, units):
        super().__init__()
        self.members = members
        self.weight = nn.Parameter(torch.randn(units, inputs) / inputs**0.5)
        self.r = nn.Parameter(torch.randn(members * inputs))
        self.s = nn.Parameter(torch.randn(members * units))
        self.bias = nn.Parameter(torch.randn(members * units))

    def forward(self, x):
        r, s, bias = (it.view(self.members, -1) for it in (self.r, self.s, self.bias))
        return (x * r) @ self.weight.T * s + bias


class OwnDense(nn.Module):
    """A matrix and a bias for each member, one below the other."""

    def __init__(self, members, inputs, units):
        super().__init__()
        self.members = members
        self.weight = nn.Parameter(torch.randn(members * units, inputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.randn(members * units))

    def forward(self, x):
        weight = self.weight.view(self.members, -1, x.shape[-1])
        return torch.einsum("bki,koi->bko", x, weight) + self.bias.view(self.members, -1)
