"""Writes what the authors' RealMLP gives, to compare the recipe `realmlp` with: beside this script and in the sources

    realmlp.safetensors                        runs from given start values, see below
    ../../src/train/start_values/realmlp.json  start values that follow from given random numbers

    python3 tests/oracle/realmlp.py pytabkit-1.8.0-py3-none-any.whl

Needs numpy, torch and safetensors from PyPI, and the wheel of pytabkit 1.8.0 (`pip download --no-deps pytabkit==1.8.0`), of which
`models/realmlp/model.py` and `train.py` are taken as they are. Everything is computed in float64, without dropout; rows come in
their order, and rows that make no whole batch are left out.

    CASE/x              F64 [100, 5], columns of numbers
    CASE/codes          I64 [100, 3], indices of texts, from 1, of 2, 5 and 12 texts
    CASE/y              F64 [100], classes or numbers
    CASE/init/N         F32, parameters under the names that a run has
    CASE/after1/N, CASE/after10/N, CASE/after/N   F64, after 1, 10 and all steps
    CASE/eval           F64 [100, outputs], predictions after the last step: logits, or numbers that are clamped

metadata: "version", "torch".
"""

import importlib.util
import json
import sys
import tempfile
import types
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

ROWS, BATCH, EPOCHS, COLUMNS, TEXTS = 100, 32, 12, 5, [2, 5, 12]
HERE = Path(__file__).parent


def authors(wheel):
    """The two modules of the wheel, without the rest of the package."""
    folder = tempfile.mkdtemp()
    with zipfile.ZipFile(wheel) as archive:
        for name in ["model", "train"]:
            archive.extract(f"pytabkit/models/realmlp/{name}.py", folder)
    package = types.ModuleType("authors")
    package.__path__ = [f"{folder}/pytabkit/models/realmlp"]
    sys.modules["authors"] = package
    return [importlib.import_module(f"authors.{name}") for name in ["model", "train"]]


def table(classes):
    x = torch.randn(ROWS, COLUMNS)
    x[:, 1] = (3 * x[:, 1]).exp()
    x[:, 2] = (x[:, 2] > 1.2).double() * x[:, 2]
    codes = torch.stack([torch.arange(ROWS) % 2, torch.arange(ROWS) * 3 % 5, torch.arange(ROWS) * 7 % 12], dim=1) + 1
    signal = x[:, 0] * (codes[:, 0] - 1.5) + x[:, 3] + 0.3 * codes[:, 2]
    if classes:
        return x, codes, (signal > 1.0).long() + (signal > 2.5).long()
    return x, codes, 40 + 5 * signal


def named(model):
    """The parameters under the names, and in the order of inputs, that the program has: embeddings of numbers, tables, numbers, texts."""
    own = {name: value.detach().double() for name, value in model.named_parameters()}
    e, texts, width = 3 * COLUMNS, 1 + TEXTS[1], 8
    order = [*range(e), *range(e + COLUMNS + texts, e + COLUMNS + texts + width), *range(e, e + COLUMNS + texts)]
    # Of two texts the first is 1 there, and the lesser number here.
    sign = torch.ones(len(order))
    sign[e + width + COLUMNS] = -1
    named = {
        "0.0.weight": own["cat_emb"][0],
        "1.frequency": own["plr_weight_1"].reshape(-1, 1),
        "1.phase": own["plr_bias_1"].reshape(-1),
        "1.weight": own["plr_weight_2"][0].transpose(1, 2).reshape(-1, 16),
        "1.shift": own["plr_bias_2"].reshape(-1),
        "2.weight": own["mlp.0.scale"].reshape(-1)[order],
    }
    place = 1
    for layer in range(4):
        weight = own[f"mlp.{place}.weight"][0].T
        if layer == 0:
            weight = weight[:, order] * sign
        named[f"{3 + 3 * layer}.weight"] = weight
        named[f"{3 + 3 * layer}.bias"] = own[f"mlp.{place + 1}.bias"].reshape(-1)
        if layer < 3:
            named[f"{4 + 3 * layer}.weight"] = own[f"mlp.{place + 2}.weight"].reshape(-1)
        place += 4
    return named


def run(tensors, case, classes, model_of, train_of):
    x, codes, y = table(classes)
    config = (model_of.RealMLPConfig.td_class if classes else model_of.RealMLPConfig.td_reg)(hidden_width=16, p_drop=0.0)
    outputs = 3 if classes else 1
    model = model_of.RealMLP(COLUMNS, [1 + texts for texts in TEXTS], outputs, 1, config, classes).double()
    x1, codes1 = x.unsqueeze(0), codes.unsqueeze(0)
    with torch.no_grad():
        inputs = model.input_features(x, codes).double().numpy()
        q25, q50, q75 = np.quantile(inputs, [0.25, 0.5, 0.75], axis=0)
        scale = np.where(q75 > q25, q75 - q25, 0.5 * (inputs.max(axis=0) - inputs.min(axis=0)))
        model.x_median.copy_(torch.as_tensor(q50))
        model.x_scale.copy_(torch.as_tensor(1 / scale))
        if not classes:
            model.y_mean.copy_(y.mean()), model.y_std.copy_(y.std(correction=0))
            model.y_min.copy_(y.min()), model.y_max.copy_(y.max())
        model.train()
        model(x1[:, :BATCH], codes1[:, :BATCH], init=True)
        for p in model.parameters():
            p.copy_(p.float().double())
    store = lambda part, dtype: tensors.update(
        {f"{case}/{part}/{name}": value.to(dtype).contiguous().clone() for name, value in named(model).items()}
    )
    store("init", torch.float32)
    groups = {}
    for p in model.parameters():
        groups.setdefault((p.lr_factor, p.wd_factor), []).append(p)
    parts = [{"params": ps, "lr_factor": lr, "wd_factor": wd} for (lr, wd), ps in groups.items()]
    optimizer = torch.optim.AdamW(parts, betas=(config.mom, config.sq_mom))
    steps, per_epoch = 0, ROWS // BATCH
    for _ in range(EPOCHS):
        for batch in range(per_epoch):
            rows = slice(batch * BATCH, (batch + 1) * BATCH)
            t = steps / (per_epoch * EPOCHS)
            lr, wd = config.lr * train_of.SCHEDULES["coslog4"](t), config.wd * train_of.SCHEDULES["flat_cos"](t)
            for group in optimizer.param_groups:
                group["lr"], group["weight_decay"] = lr * group["lr_factor"], wd * group["wd_factor"]
            told = model(x1[:, rows], codes1[:, rows])
            target = y[rows].reshape(1, -1, 1)
            if classes:
                loss = train_of.cross_entropy(told, target, config.ls_eps)
            else:
                loss = train_of.mse(told, model.transform_y(target))
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            steps += 1
            if steps in [1, 10]:
                store(f"after{steps}", torch.float64)
    store("after", torch.float64)
    with torch.no_grad():
        model.eval()
        told = model.inverse_transform_y(model(x1, codes1))[0]
    tensors.update({f"{case}/x": x, f"{case}/codes": codes, f"{case}/y": y.double(), f"{case}/eval": told.double().contiguous()})


def start_values(model_of):
    """A weight and a bias from given numbers, which stand in for the random ones."""
    x = torch.randn(1, 12, 4) * torch.tensor([1.0, 3.0, 0.1, 0.0]) + 1
    drawn, rows = torch.randn(1, 4, 3).float().double(), torch.randint(0, 12, (1, 3, 5))
    shares = torch.rand(1, 3, 5) + 0.1
    keep = torch.randn_like, torch.randint, torch.distributions.Exponential.sample
    torch.randn_like = lambda _: drawn
    torch.randint = lambda *_, **__: rows
    torch.distributions.Exponential.sample = lambda *_: shares
    weight, bias = model_of.Weight(1, 4, 3, 1.0, 1.0).double(), model_of.Bias(1, 3, 1.0, 1.0).double()
    with torch.no_grad():
        weight.initialize(x)
        bias.initialize(weight(x))
    torch.randn_like, torch.randint, torch.distributions.Exponential.sample = keep
    return {
        "x": x[0].tolist(), "drawn": drawn[0].T.tolist(), "rows": rows[0].tolist(), "shares": shares[0].tolist(),
        "weight": weight.weight[0].T.tolist(), "bias": bias.bias.reshape(-1).tolist(),
    }


def main():
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    model_of, train_of = authors(sys.argv[1])
    tensors = {}
    run(tensors, "classes", True, model_of, train_of)
    run(tensors, "numbers", False, model_of, train_of)
    save_file(tensors, HERE / "realmlp.safetensors", {"version": "1", "torch": torch.__version__})
    folder = HERE.parent.parent / "src/train/start_values"
    folder.mkdir(exist_ok=True)
    (folder / "realmlp.json").write_text(json.dumps(start_values(model_of)) + "\n")
    print(sum(t.numel() for t in tensors.values()), "numbers")


main()
