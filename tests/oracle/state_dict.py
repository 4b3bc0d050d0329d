"""Writes a network of PyTorch with every layer, as its users save one, and what it gives: beside this script

    state_dict.safetensors      save_file(model.state_dict()), and nothing else
    state_dict_run.safetensors  x F32 [rows, 6], the inputs; eval F64 [rows, 3], the network's outputs in evaluation mode, computed in
                                f64; metadata "version", "torch" and "text", the network as `--layers` has it

    python3 tests/oracle/state_dict.py

Needs torch and safetensors from PyPI.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from modules import (
    EPS32, BatchEnsemble, Branches, Custom, Embedding, Fourier, Gated, NtkLinear, Numbers, OwnDense, Parametric, Piecewise, Ramp,
    Residual, Scale, SharedDense,
)

ROWS, STEPS, IDS = 40, 20, {3: 7, 1: 4}
TEXT = (
    "embedding(3=7x3, 1=4x2), branches((pbld(frequencies=3, outputs=2)), (pl(frequencies=2, columns=5-8)), (plr(frequencies=2, columns=0)), (ple(bins=3, outputs=2, columns=5 7))), "
    "parametric(selu), dense(16, bias=false), batch_norm, relu, dropout(0.1), "
    "branches((dense(8), prelu, residual(layer_norm, dense(6), gelu, dense(8))), (fourier(3, sigma=0.3), rms_norm), (identity)), "
    "scale, dense(10, ntk=true), tanh, swiglu(8), geglu(6), glu(4), custom(x + sin(x1 * x) * x2, 1, 1), "
    "branches((softmax), (log_softmax), (fourier(2, sigma=0.2, learned=true), batch_norm(affine=false))), "
    "batch_ensemble(4, dense(6), relu, dense(3))"
)


def network():
    return nn.Sequential(
        Embedding([(3, 7, 3), (1, 4, 2)]),
        Branches([
            nn.Sequential(Numbers("pbld", 9, 3, 2, 0.1)),
            nn.Sequential(Numbers("pl", 9, 2, 4, 0.1, [5, 6, 7, 8])),
            nn.Sequential(Numbers("plr", 9, 2, 4, 0.1, [0])),
            nn.Sequential(Piecewise(9, 3, 2, [5, 7])),
        ]),
        Parametric(F.selu, 71), nn.Linear(71, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1),
        Branches([
            nn.Sequential(
                nn.Linear(16, 8), nn.PReLU(),
                Residual(nn.LayerNorm(8), nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 8)),
            ),
            nn.Sequential(Fourier(16, 3, 0.3), nn.RMSNorm(6, eps=EPS32)),
            nn.Sequential(Ramp()),
        ]),
        Scale(30), NtkLinear(30, 10), nn.Tanh(), nn.Linear(10, 16), Gated(F.silu), nn.Linear(8, 12), Gated(F.gelu),
        nn.Linear(6, 8), nn.GLU(dim=1), Custom(4),
        Branches([
            nn.Sequential(nn.Softmax(dim=1)),
            nn.Sequential(nn.LogSoftmax(dim=1)),
            nn.Sequential(Fourier(4, 2, 0.2, True), nn.BatchNorm1d(4, affine=False)),
        ]),
        BatchEnsemble(4, SharedDense(4, 12, 6), nn.ReLU(), OwnDense(4, 6, 3)),
    )


def main():
    torch.manual_seed(11)
    model = network()
    x = torch.randn(ROWS, 6)
    for column, vocabulary in IDS.items():
        x[:, column] = torch.randint(0, vocabulary, (ROWS,)).float()
    y = torch.randn(ROWS, 3)
    moves = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        moves.zero_grad()
        F.mse_loss(model(x), y).backward()
        moves.step()
    folder = Path(__file__).parent
    save_file(model.state_dict(), folder / "state_dict.safetensors")
    model.double().eval()
    with torch.no_grad():
        outputs = model(x.double())
    metadata = {"version": "1", "torch": torch.__version__, "text": TEXT}
    save_file({"x": x, "eval": outputs}, folder / "state_dict_run.safetensors", metadata)
    print(sum(value.numel() for value in model.state_dict().values()), "numbers")


if __name__ == "__main__":
    main()
