"""Writes the stored PyTorch results for layers: layers.safetensors beside this script.

    python3 tests/oracle/layers.py

Needs torch and safetensors from PyPI. All start values are float32 numbers; everything is computed in float64.

Single layers: 10 rows, as a batch of 6 and one of 4. The network's first layer is an embedding with a row for each row of
the table, so that its gradient is the gradient of the input of the layer after it, element by element. The loss is
MSE; nothing moves but running statistics.

    CASE/x, CASE/y          F32 [10, columns], features and targets
    CASE/init/N             F32, parameters and buffers under their names in the state_dict
    CASE/loss               F64 [2], each batch's loss in training mode
    CASE/grad0/N, grad1/N   F64, each batch's gradients
    CASE/after/N            F64, buffers after both batches
    CASE/eval               F64 [10, outputs], outputs in evaluation mode after both batches

Trajectories: 30 steps over 29 rows in batches of 8, the last of 5.

    CASE/x, CASE/y, CASE/init/N   as above; CASE/y is I64 for classes
    CASE/losses             F64 [30]
    CASE/after/N            F64, parameters and buffers after the last step
    CASE/eval               F64 [29, outputs]

metadata: "version", "torch", and "cases": a JSON list of objects with name, text, steps (0 for single layers), loss,
optimizer, lr, momentum.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from modules import (
    EPS32, Branches, Custom, Embedding, Fourier, Gated, NtkLinear, Numbers, Parametric, Ramp, Residual, Scale,
)

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
ROWS, BATCH = 10, 6


def single():
    """Name, text after the embedding, module, columns."""
    bn = lambda n, **k: nn.BatchNorm1d(n, **k)
    yield "dense", "dense(4)", nn.Linear(5, 4), 5
    yield "dense_plain", "dense(4, bias=false)", nn.Linear(5, 4, bias=False), 5
    yield "dense_ntk", "dense(4, ntk=true)", NtkLinear(5, 4), 5
    yield "dense_ntk_plain", "dense(3, bias=false, ntk=true)", NtkLinear(5, 3, bias=False), 5
    yield "batch_norm", "batch_norm", bn(5), 5
    yield "batch_norm_settings", "batch_norm(eps=0.01, momentum=0.3, affine=false)", bn(5, eps=0.01, momentum=0.3, affine=False), 5
    yield "layer_norm", "layer_norm", nn.LayerNorm(5), 5
    yield "layer_norm_settings", "layer_norm(eps=0.01, affine=false)", nn.LayerNorm(5, eps=0.01, elementwise_affine=False), 5
    yield "rms_norm", "rms_norm", nn.RMSNorm(5, eps=EPS32), 5
    yield "rms_norm_settings", "rms_norm(eps=0.01, affine=false)", nn.RMSNorm(5, eps=0.01, elementwise_affine=False), 5
    yield "scale", "scale", Scale(5), 5
    yield "scale_plain", "scale(bias=false)", Scale(5, bias=False), 5
    yield "prelu", "prelu", nn.PReLU(), 5
    yield "prelu_columns", "prelu(per_column=true)", nn.PReLU(5), 5
    yield "glu", "glu", nn.GLU(dim=1), 6
    yield "swiglu", "swiglu", Gated(F.silu), 6
    yield "geglu", "geglu", Gated(F.gelu), 6
    yield "softmax", "softmax", nn.Softmax(dim=1), 5
    yield "log_softmax", "log_softmax", nn.LogSoftmax(dim=1), 5
    yield "residual", "residual(dense(6), tanh, dense(5))", Residual(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 5)), 5
    yield "branches", "branches((dense(2), tanh), (identity), (layer_norm, dense(3)))", Branches(
        [nn.Sequential(nn.Linear(5, 2), nn.Tanh()), nn.Sequential(Ramp()), nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 3))]
    ), 5


def gentle():
    """Those of which single precision keeps no digit at large inputs."""
    yield "fourier", "fourier(3, sigma=0.3)", Fourier(5, 3, 0.3), 5
    yield "fourier_learned", "fourier(3, sigma=0.3, learned=true)", Fourier(5, 3, 0.3, True), 5
    yield "custom", "custom(x + sin(x1 * x) * x2, 1, 1)", Custom(5), 5


def of_numbers():
    """Embeddings of numbers and their activations, after all others, whose random numbers stay as they were."""
    yield "pbld", "pbld(frequencies=4, outputs=3, sigma=0.2)", Numbers("pbld", 5, 4, 3, 0.2), 5
    yield "pbld_some", "pbld(frequencies=2, outputs=2, columns=0 3-4)", Numbers("pbld", 5, 2, 2, 0.1, [0, 3, 4]), 5
    yield "pl", "pl(frequencies=3, outputs=2, columns=1-2)", Numbers("pl", 5, 3, 2, 0.1, [1, 2]), 5
    yield "plr", "plr(frequencies=3, outputs=4, sigma=0.3)", Numbers("plr", 5, 3, 4, 0.3), 5
    yield "parametric", "parametric(selu)", Parametric(F.selu, 5), 5
    yield "parametric_mish", "parametric(mish)", Parametric(F.mish, 5), 5


def rounded(module):
    """Random float32 numbers in place of ones and zeros."""
    for name, value in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if "running_var" in name:
            value.copy_(torch.rand_like(value) + 0.5)
        elif "running_mean" in name or (value.dim() == 1 and ("weight" in name or "bias" in name)):
            value.copy_(torch.randn_like(value))
        value.copy_(value.float().double())
    return module


def state(module):
    kept = module.state_dict().items()
    return {name: value.clone() for name, value in kept if not name.endswith("num_batches_tracked")}


def store(tensors, case, part, values, dtype):
    for name, value in values.items():
        tensors[f"{case}/{part}/{name}"] = value.detach().to(dtype).contiguous()


def layer_case(tensors, cases, name, text, layer, columns, table, x):
    """A layer after an embedding whose table are the inputs."""
    model = rounded(nn.Sequential(Embedding([(0, ROWS, columns)]), layer))
    with torch.no_grad():
        model[0][0].weight.copy_(table)
    text = f"embedding(0={ROWS}x{columns}), {text}"
    run_single(tensors, cases, name, text, model, x)


def run_single(tensors, cases, name, text, model, x):
    store(tensors, name, "init", state(model), torch.float32)
    model.train()
    with torch.no_grad():
        before = state(model)
        outputs = model(x).shape[1]
        model.load_state_dict(before, strict=False)
    y = torch.randn(ROWS, outputs).float().double()
    losses = []
    for batch, rows in enumerate([slice(0, BATCH), slice(BATCH, ROWS)]):
        model.zero_grad()
        loss = F.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        losses.append(loss.detach())
        grads = {n: p.grad for n, p in model.named_parameters()}
        store(tensors, name, f"grad{batch}", grads, torch.float64)
    store(tensors, name, "after", {n: b for n, b in model.named_buffers() if b.is_floating_point()}, torch.float64)
    model.eval()
    with torch.no_grad():
        tensors[f"{name}/eval"] = model(x)
    tensors[f"{name}/x"], tensors[f"{name}/y"] = x.float(), y.float()
    tensors[f"{name}/loss"] = torch.stack(losses)
    cases.append({"name": name, "text": text, "steps": 0, "loss": "mse", "optimizer": "sgd", "lr": 0.0, "momentum": 0.0})


def extreme(columns):
    """±1e4, zeros, denormals, ties, a constant column."""
    table = torch.randn(ROWS, columns) * 1e4
    table[1] = 0.0
    table[2] = 1e4
    table[3] = -1e4
    table[4, 0], table[4, 1] = 1e-40, -1e-40
    table[5] = torch.arange(columns) * 1.0 - 2.0
    table[:, 2] = 3.5
    return table.float().double()


def trajectories():
    """Name, text, module, columns of the input that are ids, loss, optimizer, lr, momentum."""
    yield (
        "norms",
        "dense(12, bias=false), batch_norm, silu, residual(layer_norm, dense(9), gelu, dense(12)), batch_norm(affine=false), dense(3)",
        nn.Sequential(
            nn.Linear(5, 12, bias=False), nn.BatchNorm1d(12), nn.SiLU(),
            Residual(nn.LayerNorm(12), nn.Linear(12, 9), nn.GELU(), nn.Linear(9, 12)),
            nn.BatchNorm1d(12, affine=False), nn.Linear(12, 3),
        ),
        [], "cross-entropy", "sgd", 0.05, 0.9,
    )
    yield (
        "tables",
        "embedding(3=7x3, 1=4x2), branches((dense(6), prelu), (fourier(4, sigma=0.3), dense(5), rms_norm), (identity)), "
        "scale, swiglu(8), dense(2)",
        nn.Sequential(
            Embedding([(3, 7, 3), (1, 4, 2)]),
            Branches([
                nn.Sequential(nn.Linear(8, 6), nn.PReLU()),
                nn.Sequential(Fourier(8, 4, 0.3), nn.Linear(8, 5), nn.RMSNorm(5, eps=EPS32)),
                nn.Sequential(Ramp()),
            ]),
            Scale(19), nn.Linear(19, 16), Gated(F.silu), nn.Linear(8, 2),
        ),
        [(3, 7), (1, 4)], "mse", "adam", 0.01, 0.0,
    )
    yield (
        "gates",
        "dense(10, ntk=true), tanh, geglu(6), glu(4), prelu(per_column=true), custom(x + sin(x1 * x) * x2, 1, 1), "
        "fourier(4, sigma=0.2, learned=true), softmax, dense(3), log_softmax",
        nn.Sequential(
            NtkLinear(5, 10), nn.Tanh(), nn.Linear(10, 12), Gated(F.gelu), nn.Linear(6, 8), nn.GLU(dim=1),
            nn.PReLU(4), Custom(4), Fourier(4, 4, 0.2, True), nn.Softmax(dim=1), nn.Linear(8, 3), nn.LogSoftmax(dim=1),
        ),
        [], "mse", "adam", 0.02, 0.0,
    )


def numbers_trajectory():
    """A small RealMLP."""
    yield (
        "numbers",
        "embedding(3=7x3, 1=4x2), pbld(frequencies=4, sigma=0.3, columns=5-7), scale(bias=false), dense(8, ntk=true), "
        "parametric(selu), dense(6, ntk=true), parametric(mish), plr(frequencies=2, outputs=2, columns=0-5), dense(3)",
        nn.Sequential(
            Embedding([(3, 7, 3), (1, 4, 2)]), Numbers("pbld", 8, 4, 3, 0.3, [5, 6, 7]), Scale(17, bias=False),
            NtkLinear(17, 8), Parametric(F.selu, 8), NtkLinear(8, 6), Parametric(F.mish, 6), Numbers("plr", 6, 2, 2, 0.1),
            nn.Linear(12, 3),
        ),
        [(3, 7), (1, 4)], "cross-entropy", "adam", 0.01, 0.0,
    )


def run_trajectory(tensors, cases, name, text, model, ids, loss, optimizer, lr, momentum):
    rows, batch, steps = 29, 8, 30
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(value.float().double())
    x = torch.randn(rows, 5).float().double()
    for column, vocabulary in ids:
        x[:, column] = torch.randint(0, vocabulary, (rows,)).double()
    with torch.no_grad():
        before = {k: v.clone() for k, v in model.state_dict().items()}
        outputs = model(x).shape[1]
        model.load_state_dict(before)
    y = torch.randint(0, outputs, (rows,)) if loss == "cross-entropy" else torch.randn(rows, outputs).float().double()
    store(tensors, name, "init", state(model), torch.float32)
    criterion = F.cross_entropy if loss == "cross-entropy" else F.mse_loss
    if optimizer == "sgd":
        moves = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    else:
        moves = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    losses, per_epoch = [], -(-rows // batch)
    for step in range(steps):
        first = step % per_epoch * batch
        part = slice(first, min(first + batch, rows))
        moves.zero_grad()
        value = criterion(model(x[part]), y[part])
        value.backward()
        moves.step()
        losses.append(value.detach())
    store(tensors, name, "after", state(model), torch.float64)
    model.eval()
    with torch.no_grad():
        tensors[f"{name}/eval"] = model(x)
    tensors[f"{name}/x"] = x.float()
    tensors[f"{name}/y"] = y if loss == "cross-entropy" else y.float()
    tensors[f"{name}/losses"] = torch.stack(losses)
    cases.append({"name": name, "text": text, "steps": steps, "loss": loss, "optimizer": optimizer, "lr": lr, "momentum": momentum})


def main():
    tensors, cases = {}, []
    numbers = torch.arange(ROWS).double().unsqueeze(1)
    for name, text, layer, columns in [*single(), *gentle()]:
        table = torch.randn(ROWS, columns).float().double()
        layer_case(tensors, cases, name, text, layer, columns, table, numbers)
    for name, text, layer, columns in single():
        layer_case(tensors, cases, f"{name}_extreme", text, layer, columns, extreme(columns), numbers)
    model = rounded(nn.Sequential(Embedding([(3, 4, 2), (0, 3, 3)]), nn.Linear(8, 3)))
    x = torch.randn(ROWS, 5).float().double()
    x[:, 3], x[:, 0] = torch.arange(ROWS) % 4, torch.arange(ROWS) % 2
    run_single(tensors, cases, "embedding", "embedding(3=4x2, 0=3x3), dense(3)", model, x)
    for trajectory in trajectories():
        run_trajectory(tensors, cases, *trajectory)
    for name, text, layer, columns in of_numbers():
        layer_case(tensors, cases, name, text, layer, columns, torch.randn(ROWS, columns).float().double(), numbers)
    for trajectory in numbers_trajectory():
        run_trajectory(tensors, cases, *trajectory)
    metadata = {"version": "1", "torch": torch.__version__, "cases": json.dumps(cases)}
    save_file(tensors, Path(__file__).parent / "layers.safetensors", metadata)
    print(len(cases), "cases,", sum(t.numel() for t in tensors.values()), "numbers")


main()
