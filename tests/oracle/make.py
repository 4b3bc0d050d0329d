"""Writes the stored PyTorch results that the tests compare with.

    python3 tests/oracle/make.py            writes both files beside this script
    python3 tests/oracle/make.py --check    fails if the stored files differ from a fresh computation

Needs torch and safetensors from PyPI. Two runs on one machine write the same bytes; another processor or
another version of PyTorch may differ in the last digits, so `--check` is for the machine that wrote them.

trajectories.safetensors: 20 training steps a case, 53 rows in batches of 16 in their order, so that every
fourth batch has 5 rows. All start values are float32 numbers, so the float32 and the float64 run begin alike.

    CASE/x        F32 [53, in]
    CASE/y        I64 [53] class indices, or F32 [53, out]
    CASE/init/N   F32, weights before the first step; N is the name in nn.Sequential's state_dict ("0.weight")
    CASE/f64/N    F64, weights after the last step of a float64 run
    CASE/f32/N    F32, weights after the last step of a float32 run
    CASE/loss64   F64 [20], each step's loss over its true rows, before its update
    CASE/lr       F64 [20], each step's learning rate; only where it varies
    metadata      "version" of this layout, "torch", and "cases": a JSON list with one object a case

activations.safetensors: each activation on a grid of float32 numbers, computed in float64.

    ACTIVATION/x, ACTIVATION/y, ACTIVATION/dy   F64 [points]; dy is dy/dx by autograd
    metadata      "version", "torch", and "leaky_relu": its slope
"""

import json
import math
import struct
import sys
import zlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

FOLDER = Path(__file__).parent
VERSION = "1"
ROWS = 53
BATCH = 16
STEPS = 20

LEAKY_SLOPE = 0.01
ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "silu": nn.SiLU,
}
KINKED = (nn.ReLU, nn.LeakyReLU)

# A float32 run may take the other side of a kink when a value comes nearer to zero than its rounding error.
KINK_DISTANCE = 5e-6
# Largest |f32 - f64| over all weights of a case. Above it the case would test rounding, not the formulas.
AGREEMENT = 2e-6


# ---- The cases ----


def case(name, sizes, activation, loss, optimizer, lr, *, final=None, bias=True, scheduled=False, **settings):
    """One row of the table. `sizes` are the widths from input to output; `final` is the output's activation."""
    layers = []
    for index, width in enumerate(sizes[1:], start=1):
        layers.append({"dense": width, "bias": bias})
        after = activation if index < len(sizes) - 1 else final
        if after is not None:
            layers.append({"activation": after})
    row = {
        "name": name,
        "sizes": list(sizes),
        "layers": layers,
        "loss": loss,
        "optimizer": optimizer,
        "lr": lr,
        "momentum": 0.0,
        "nesterov": False,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "batch": BATCH,
        "steps": STEPS,
        "scheduled": scheduled,
    }
    unknown = settings.keys() - row.keys()
    assert not unknown, f"{name}: {unknown} are no settings"
    return row | settings


OPTIMIZERS = [
    # name, kind, lr, other settings, target columns of the mse case
    ("sgd", "sgd", 0.1, {}, 1),
    ("sgd_momentum_decay", "sgd", 0.05, {"momentum": 0.9, "weight_decay": 1e-2}, 3),
    ("sgd_nesterov", "sgd", 0.05, {"momentum": 0.9, "nesterov": True}, 1),
    ("adam", "adam", 0.01, {}, 3),
    ("adam_decay", "adam", 0.01, {"weight_decay": 1e-2}, 1),
    ("adamw_decay", "adamw", 0.01, {"weight_decay": 1e-2}, 3),
]


def cases():
    table = []
    for name, kind, lr, settings, columns in OPTIMIZERS:
        table.append(case(f"{name}_cross_entropy", (7, 13, 11, 5), "relu", "cross-entropy", kind, lr, **settings))
        table.append(case(f"{name}_mse", (7, 13, 11, columns), "tanh", "mse", kind, lr, **settings))
    decay = {"weight_decay": 1e-2}
    for name in ACTIVATIONS:
        table.append(case(f"activation_{name}", (5, 9, 6, 3), name, "cross-entropy", "adamw", 1e-2, **decay))
    table += [
        case("final_sigmoid", (7, 13, 3), "tanh", "mse", "adamw", 1e-2, final="sigmoid", **decay),
        case("no_bias", (7, 13, 11, 5), "tanh", "cross-entropy", "adamw", 1e-2, bias=False, **decay),
        case("one_layer", (7, 5), None, "cross-entropy", "sgd", 0.1, momentum=0.9),
        case("adam_settings", (7, 13, 5), "tanh", "cross-entropy", "adam", 2e-2, beta1=0.8, beta2=0.99, eps=1e-3),
        case("scheduled_sgd", (7, 13, 5), "tanh", "cross-entropy", "sgd", 0.1, scheduled=True, momentum=0.9, **decay),
        case("scheduled_adamw", (7, 13, 3), "tanh", "mse", "adamw", 2e-2, scheduled=True, weight_decay=0.1),
    ]
    names = [row["name"] for row in table]
    assert len(set(names)) == len(names), "two cases have one name"
    return table


# ---- One case ----


def representable(values):
    """The same numbers in float64, rounded to what float32 can hold."""
    return values.float().double()


def generator(name):
    """Each case has a seed of its own, so that a new case leaves the others as they are."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def start_values(row):
    """Data and initial weights in float64, every one a float32 number."""
    rng = generator(row["name"])

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=rng)

    inputs, outputs = row["sizes"][0], row["sizes"][-1]
    x = representable(normal(ROWS, inputs))
    scores = torch.tanh(x @ normal(inputs, outputs)) + 0.3 * normal(ROWS, outputs)
    if row["loss"] == "cross-entropy":
        y = scores.argmax(dim=1)
        assert len(y.unique()) == outputs, f"{row['name']}: a class without rows"
    elif row["layers"][-1] == {"activation": "sigmoid"}:
        y = representable(torch.sigmoid(scores))
    else:
        y = representable(scores)

    model = build(row)
    init = {}
    for name, parameter in model.state_dict().items():
        layer = model[int(name.split(".")[0])]
        bound = 1.5 / math.sqrt(layer.in_features)
        uniform = torch.rand(parameter.shape, dtype=torch.float64, generator=rng)
        init[name] = representable((2 * uniform - 1) * bound)
    return x, y, init


def build(row):
    layers, width = [], row["sizes"][0]
    for layer in row["layers"]:
        if "dense" in layer:
            layers.append(nn.Linear(width, layer["dense"], bias=layer["bias"], dtype=torch.float64))
            width = layer["dense"]
        else:
            layers.append(ACTIVATIONS[layer["activation"]]())
    return nn.Sequential(*layers)


def optimizer_of(row, model):
    settings = {"lr": row["lr"], "weight_decay": row["weight_decay"], "foreach": False}
    if row["optimizer"] == "sgd":
        settings |= {"momentum": row["momentum"], "nesterov": row["nesterov"]}
        return torch.optim.SGD(model.parameters(), **settings)
    settings |= {"betas": (row["beta1"], row["beta2"]), "eps": row["eps"]}
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[row["optimizer"]]
    return kind(model.parameters(), **settings)


def rates(row):
    """Learning rate of each step: constant, or four steps up and then a straight line towards zero."""
    if not row["scheduled"]:
        return [row["lr"]] * STEPS
    shares = [min((step + 1) / 4, (STEPS - step) / (STEPS - 3)) for step in range(STEPS)]
    return [row["lr"] * share for share in shares]


def train(row, x, y, init, dtype):
    """Weights after the last step, each step's loss, and how near a value came to a kink."""
    model = build(row)
    model.load_state_dict(init)
    model.to(dtype)
    x, y = x.to(dtype), y.to(dtype) if y.is_floating_point() else y
    loss_of = {"cross-entropy": nn.functional.cross_entropy, "mse": nn.functional.mse_loss}[row["loss"]]

    nearest = [math.inf]
    for layer in model:
        if isinstance(layer, KINKED):
            layer.register_forward_hook(lambda _, given, __: nearest.append(given[0].abs().min().item()))

    optimizer = optimizer_of(row, model)
    batches_per_epoch = math.ceil(ROWS / BATCH)
    losses = []
    for step, lr in enumerate(rates(row)):
        start = step % batches_per_epoch * BATCH
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = loss_of(model(x[start : start + BATCH]), y[start : start + BATCH])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return weights, losses, min(nearest)


def run_case(row):
    """The tensors of one case, without its name in front, and one line that says how it went."""
    x, y, init = start_values(row)
    f64, losses, nearest = train(row, x, y, init, torch.float64)
    f32, _, _ = train(row, x, y, init, torch.float32)

    apart = max((f32[name].double() - f64[name]).abs().max().item() for name in init)
    moved = min((f64[name] - init[name]).abs().max().item() for name in init)
    line = f"{row['name']:32} loss {losses[0]:.4f} to {losses[-1]:.4f}, f32 from f64 {apart:.1e}, "
    line += f"least move {moved:.1e}, nearest kink {nearest:.1e}"
    assert all(math.isfinite(loss) for loss in losses), line
    assert sum(losses[-4:]) < sum(losses[:4]), f"it learns nothing: {line}"
    assert apart <= AGREEMENT, f"the runs part: {line}"
    assert moved >= 1e-2, f"a tensor hardly moves: {line}"
    assert nearest >= KINK_DISTANCE, f"too near a kink: {line}"

    tensors = {"x": x.float(), "y": y.float() if y.is_floating_point() else y}
    tensors["loss64"] = torch.tensor(losses, dtype=torch.float64)
    if row["scheduled"]:
        tensors["lr"] = torch.tensor(rates(row), dtype=torch.float64)
    for name in init:
        tensors[f"init/{name}"] = init[name].float()
        tensors[f"f64/{name}"] = f64[name]
        tensors[f"f32/{name}"] = f32[name]
    return tensors, line


# ---- The files ----


def trajectories():
    table, tensors = cases(), {}
    for row in table:
        of_case, line = run_case(row)
        print(line)
        tensors |= {f"{row['name']}/{name}": value for name, value in of_case.items()}
    return encode(tensors, {"cases": json.dumps(table)})


def activation_grid():
    """Zero, both signs of: a denormal, the smallest normal number, the decades, a fine grid, and large values."""
    magnitudes = [1e-40, 2.0**-126, *(10.0**power for power in range(-30, 0))]
    magnitudes += [step / 16 for step in range(1, 161)]
    magnitudes += [12.0, 15.0, 17.0, 20.0, 40.0, 87.0, 88.0, 89.0, 100.0, 104.0, 710.0, 1e3, 1e4]
    points = sorted([0.0, *magnitudes, *(-value for value in magnitudes)])
    grid = representable(torch.tensor(points, dtype=torch.float64))
    assert len(grid.unique()) == len(points), "two points round to one"
    return grid


def activations():
    tensors = {}
    for name, layer in ACTIVATIONS.items():
        x = activation_grid().requires_grad_()
        y = layer()(x)
        (dy,) = torch.autograd.grad(y.sum(), x)
        assert y.isfinite().all() and dy.isfinite().all(), f"{name} is not finite"
        tensors |= {f"{name}/x": x.detach(), f"{name}/y": y.detach(), f"{name}/dy": dy}
    return encode(tensors, {"leaky_relu": str(LEAKY_SLOPE)})


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
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: make.py [--check]")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    stale = []
    for name, content in [("trajectories", trajectories()), ("activations", activations())]:
        path = FOLDER / f"{name}.safetensors"
        if check:
            if not path.exists() or path.read_bytes() != content:
                stale.append(path.name)
        else:
            path.write_bytes(content)
            print(f"{path.name}: {len(content):,} bytes")
    if stale:
        sys.exit(f"differ from a fresh computation: {', '.join(stale)}")


if __name__ == "__main__":
    main()
