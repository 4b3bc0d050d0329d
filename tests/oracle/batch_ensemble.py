"""Writes what the authors' TabM gives, to compare networks with `batch_ensemble` with: batch_ensemble.safetensors beside this script.

    python3 tests/oracle/batch_ensemble.py

Needs numpy, torch, safetensors, tabm 0.0.3 and rtdl_num_embeddings 0.0.12 from PyPI. Everything is computed in float64, without dropout; columns and
numbers to predict are standardised; rows come in their order, and the last batch is a smaller one. Start values are those of the authors' program, rounded to float32.

    CASE/x              F32 [100, 5], columns of numbers
    CASE/y              F64 [100] classes or numbers, or [100, 2] labels
    CASE/weights        F32 [100], weights of the rows, in the case `labels`
    CASE/init/N         F32, parameters under the names that a run has
    CASE/after1/N, CASE/after10/N, CASE/after/N   F64, after 1, 10 and all steps
    CASE/losses         F64, the losses of all steps
    CASE/eval           F64, predictions after the last step: probabilities, or numbers in the target's units

metadata: "version", "torch", and "layers/CASE", the network as a text.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from rtdl_num_embeddings import PiecewiseLinearEmbeddings, compute_bins
from tabm import TabM
from torch.nn import functional as F

ROWS, BATCH, EPOCHS, COLUMNS, MEMBERS, WIDTH = 100, 32, 6, 5, 4, 8
HERE = Path(__file__).parent
LAYERS = {
    "classes": "batch_ensemble(4, dense(8), relu, dense(8), relu, dense(3))",
    "numbers": "batch_ensemble(4, mini=true, dense(8), relu, dense(8), relu, dense(1))",
    "labels": "batch_ensemble(4, dense(8), relu, dense(2))",
    "bins": "ple(bins=6, outputs=4), batch_ensemble(4, dense(8), relu, dense(3))",
}


def target(case, x):
    signal = x[:, 0] * x[:, 1] + x[:, 3].sin()
    if case in ["classes", "bins"]:
        return (signal > 0).long() + (signal > 1).long()
    if case == "labels":
        return torch.stack([(signal > 0.3).double(), (x[:, 2] > signal).double()], dim=1)
    return 40 + 5 * signal


def bins(module):
    """The embedding of numbers under the names that the program has."""
    impl, width = module.impl, module.linear0.weight.shape[1]
    low, high = torch.zeros_like(impl.bias), torch.ones_like(impl.bias)
    low[:, 0], high[:, -1] = torch.finfo(torch.float32).min, torch.finfo(torch.float32).max
    # The only bin of a column stands at the end, and is open to both sides.
    alone = impl.weight[:, 0] == 0
    low[alone, 0], low[alone, -1] = 0.0, torch.finfo(torch.float32).min
    return {
        "0.slope": impl.weight.reshape(-1, 1), "0.offset": impl.bias.reshape(-1), "0.low": low.reshape(-1), "0.high": high.reshape(-1),
        "0.weight": module.linear.weight.transpose(1, 2).reshape(COLUMNS * width, -1),
        "0.linear": module.linear0.weight.reshape(-1, 1), "0.shift": module.linear0.bias.reshape(-1),
    }


def named(model, mini):
    """The parameters under the names that the program has: those of each member one after the other."""
    names, place = {}, 0
    if model.num_module is not None:
        own = named(_without(model), mini)
        return {**bins(model.num_module), **{"1" + name[1:]: value for name, value in own.items()}}
    if mini:
        names["0.r"] = model.backbone.affine.weight.reshape(-1)
    for block in model.backbone.blocks:
        linear = block[0]
        names[f"0.{place}.weight"] = linear.weight
        if not mini:
            names[f"0.{place}.r"], names[f"0.{place}.s"] = linear.r.reshape(-1), linear.s.reshape(-1)
        names[f"0.{place}.bias"] = linear.bias.reshape(-1)
        place += 2
    out = model.output
    names[f"0.{place}.weight"] = out.weight.transpose(1, 2).reshape(-1, WIDTH)
    names[f"0.{place}.bias"] = out.bias.reshape(-1)
    return names


class _without:
    """A model without its embedding of numbers."""

    def __init__(self, model):
        self.num_module, self.backbone, self.output = None, model.backbone, model.output


def loss_of(case, told, y, weights):
    """The mean of the members' losses; `told` is [rows, members, outputs]."""
    members = []
    for i in range(MEMBERS):
        own = told[:, i]
        if case in ["classes", "bins"]:
            members.append(F.cross_entropy(own, y))
        elif case == "labels":
            each = F.binary_cross_entropy_with_logits(own, y, reduction="none").mean(dim=1)
            members.append((weights * each).mean())
        else:
            members.append(F.mse_loss(own[:, 0], y))
    return torch.stack(members).mean()


def run(tensors, case):
    torch.manual_seed(len(case))
    mini = case == "numbers"
    x = torch.randn(ROWS, COLUMNS)
    if case == "bins":
        # Two values, and few.
        x[:, 2], x[:, 1] = (x[:, 2] > 0.3).double(), x[:, 1].round()
    x = x.float().double()
    y = target(case, x)
    weights = torch.rand(ROWS).float().double() + 0.5 if case == "labels" else torch.ones(ROWS)
    weights = weights.float().double()
    outputs = {"classes": 3, "labels": 2, "numbers": 1, "bins": 3}[case]
    # A row of weight 2 counts as two rows, for means and deviations too.
    shares = (weights / weights.sum()).unsqueeze(1)
    center = (shares * x).sum(dim=0)
    scaled = (x - center) / (shares * (x - center) ** 2).sum(dim=0).sqrt()
    embedding = None
    if case == "bins":
        embedding = PiecewiseLinearEmbeddings(compute_bins(scaled, n_bins=6), 4, activation=False, version="B")
    model = TabM.make(
        n_num_features=COLUMNS, d_out=outputs, k=MEMBERS, n_blocks=1 if case in ["labels", "bins"] else 2, d_block=WIDTH, dropout=0.0,
        arch_type="tabm-mini" if mini else "tabm", num_embeddings=embedding,
    ).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.float().double())
    mean, std = (y.mean(), y.std(correction=0)) if mini else (0.0, 1.0)
    goal = (y - mean) / std if mini else y
    def store(part, dtype):
        of = named(model, mini).items()
        tensors.update({f"{case}/{part}/{name}": value.detach().to(dtype).contiguous().clone() for name, value in of})
    store("init", torch.float32)
    is_bias = lambda name: name.endswith("bias")
    groups = [
        {"params": [p for name, p in model.named_parameters() if not is_bias(name)], "weight_decay": 3e-4},
        {"params": [p for name, p in model.named_parameters() if is_bias(name)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    steps, losses = 0, []
    for _ in range(EPOCHS):
        for first in range(0, ROWS, BATCH):
            rows = slice(first, first + BATCH)
            loss = loss_of(case, model(scaled[rows]), goal[rows], (weights / weights.mean())[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            steps += 1
            if steps in [1, 10]:
                store(f"after{steps}", torch.float64)
    store("after", torch.float64)
    with torch.no_grad():
        told = model(scaled)
        if case in ["classes", "bins"]:
            told = told.softmax(dim=2).mean(dim=1)
        elif case == "labels":
            told = told.sigmoid().mean(dim=1)
        else:
            told = told.mean(dim=1)[:, 0] * std + mean
    tensors.update({
        f"{case}/x": x.float(), f"{case}/y": y.double(), f"{case}/losses": torch.tensor(losses), f"{case}/eval": told.contiguous(),
    })
    if case == "labels":
        tensors[f"{case}/weights"] = weights.float()


def main():
    torch.set_default_dtype(torch.float64)
    tensors = {}
    for case in LAYERS:
        run(tensors, case)
    metadata = {"version": "1", "torch": torch.__version__}
    metadata.update({f"layers/{case}": text for case, text in LAYERS.items()})
    save_file(tensors, HERE / "batch_ensemble.safetensors", metadata)
    print(sum(t.numel() for t in tensors.values()), "numbers")


main()
