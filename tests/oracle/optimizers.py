"""Writes the stored trajectories of every optimizer that tests/optimizers.rs compares with.

    python3 tests/oracle/optimizers.py            writes optimizers.safetensors beside this script
    python3 tests/oracle/optimizers.py --check    fails if the stored file differs from a fresh computation

Needs torch and safetensors from PyPI. Those of torch.optim are run as they are; Lion, LAMB and schedule-free AdamW, which
PyTorch does not have, are written here from their papers. 50 steps a case, a network 7-13-11-3 (tanh, mean square
error), 53 rows in batches of 16 in their order. The layout of the file is that of trajectories.safetensors (make.py);
"cases" in the metadata is a JSON list with name, optimizer (the text that the program reads), lr, and what is done besides.
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
SIZES = (7, 13, 11, 3)
ROWS, BATCH, STEPS = 53, 16, 50
# Largest |f32 - f64| over all weights of a case, as a share of a tensor's largest weight. Above it the case would test
# rounding, not the formulas.
AGREEMENT = 2e-5


# ---- Optimizers that PyTorch does not have ----


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        self.nearest = math.inf

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for w in group["params"]:
                m = self.state[w].setdefault("m", torch.zeros_like(w))
                c = beta1 * m + (1 - beta1) * w.grad
                self.nearest = min(self.nearest, c.abs().min().item())
                w.sub_(group["lr"] * (c.sign() + group["weight_decay"] * w))
                m.mul_(beta2).add_((1 - beta2) * w.grad)


class Lamb(torch.optim.Optimizer):
    """You et al. 2019, arXiv:1904.00962, algorithm 2, with the identity for phi."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for w in group["params"]:
                state = self.state[w]
                if not state:
                    state |= {"t": 0, "m": torch.zeros_like(w), "v": torch.zeros_like(w)}
                state["t"] += 1
                m, v, t = state["m"], state["v"], state["t"]
                m.mul_(beta1).add_((1 - beta1) * w.grad)
                v.mul_(beta2).add_((1 - beta2) * w.grad**2)
                m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
                r = m_hat / (v_hat.sqrt() + group["eps"]) + group["weight_decay"] * w
                norm, divisor = w.norm().item(), r.norm().item()
                ratio = norm / divisor if norm > 0 and divisor > 0 else 1.0
                w.sub_(group["lr"] * ratio * r)


class ScheduleFree(torch.optim.Optimizer):
    """AdamW of Defazio et al. 2024, arXiv:2405.15682, algorithm 1; its weights w are y, where gradients are taken."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, r=0.0, power=2.0):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "r": r, "power": power}
        super().__init__(params, defaults)
        self.t, self.sum, self.largest = 0, 0.0, 0.0

    @torch.no_grad()
    def step(self):
        self.t += 1
        group = self.param_groups[0]
        lr, (beta1, beta2) = group["lr"], group["betas"]
        self.largest = max(self.largest, lr)
        weight = self.t ** group["r"] * self.largest ** group["power"]
        self.sum += weight
        c = weight / self.sum
        for y in group["params"]:
            state = self.state[y]
            if not state:
                state |= {"z": y.clone(), "x": y.clone(), "v": torch.zeros_like(y)}
            z, x, v = state["z"], state["x"], state["v"]
            v.mul_(beta2).add_((1 - beta2) * y.grad**2)
            change = y.grad / ((v / (1 - beta2**self.t)).sqrt() + group["eps"]) + group["weight_decay"] * y
            z.sub_(lr * change)
            x.copy_((1 - c) * x + c * z)
            y.copy_((1 - beta1) * z + beta1 * x)

    def evaluated(self):
        return [self.state[y]["x"] for y in self.param_groups[0]["params"]]


class MuonAndAdamW:
    """torch.optim.Muon on matrices, which computes in bfloat16 what is computed here in the run's own precision; AdamW,
    with the same learning rate and decay, on the rest."""

    def __init__(self, params, lr, weight_decay=0.1, betas=(0.9, 0.999), **settings):
        params = list(params)
        self.dtype = params[0].dtype
        matrices, rest = [p for p in params if p.ndim == 2], [p for p in params if p.ndim != 2]
        self.parts = [
            torch.optim.Muon(matrices, lr, weight_decay=weight_decay, **settings),
            torch.optim.AdamW(rest, lr, betas=betas, weight_decay=weight_decay),
        ]

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()

    def step(self):
        real, torch.bfloat16 = torch.bfloat16, self.dtype
        try:
            for part in self.parts:
                part.step()
        finally:
            torch.bfloat16 = real


# ---- The cases ----


def case(text, lr, make, **more):
    return {"name": text, "optimizer": text, "lr": lr, "make": make} | more


optim = torch.optim
CASES = [
    case("sgd(momentum=0.9, dampening=0.5, weight-decay=0.01)", 0.1,
         lambda p, lr: optim.SGD(p, lr, momentum=0.9, dampening=0.5, weight_decay=0.01)),
    case("adam(weight-decay=0.01, amsgrad=true)", 0.01,
         lambda p, lr: optim.Adam(p, lr, weight_decay=0.01, amsgrad=True)),
    case("adamw(beta2=0.9, amsgrad=true)", 0.01,
         lambda p, lr: optim.AdamW(p, lr, betas=(0.9, 0.9), amsgrad=True)),
    case("rmsprop", 0.003, lambda p, lr: optim.RMSprop(p, lr)),
    case("rmsprop(alpha=0.9, eps=0.001, weight-decay=0.01, momentum=0.9, centered=true)", 0.001,
         lambda p, lr: optim.RMSprop(p, lr, alpha=0.9, eps=1e-3, weight_decay=0.01, momentum=0.9, centered=True)),
    case("adagrad", 0.05, lambda p, lr: optim.Adagrad(p, lr)),
    case("adagrad(lr-decay=0.1, weight-decay=0.01, initial-accumulator=0.1)", 0.1,
         lambda p, lr: optim.Adagrad(p, lr, lr_decay=0.1, weight_decay=0.01, initial_accumulator_value=0.1)),
    case("adadelta", 1.0, lambda p, lr: optim.Adadelta(p, lr)),
    case("adadelta(rho=0.8, eps=0.0001, weight-decay=0.01)", 0.5,
         lambda p, lr: optim.Adadelta(p, lr, rho=0.8, eps=1e-4, weight_decay=0.01)),
    case("adamax(weight-decay=0.01)", 0.01, lambda p, lr: optim.Adamax(p, lr, weight_decay=0.01)),
    case("nadam(weight-decay=0.01)", 0.01, lambda p, lr: optim.NAdam(p, lr, weight_decay=0.01)),
    case("nadam(weight-decay=0.1, momentum-decay=0.05, decoupled=true)", 0.01,
         lambda p, lr: optim.NAdam(p, lr, weight_decay=0.1, momentum_decay=0.05, decoupled_weight_decay=True)),
    case("radam(weight-decay=0.01)", 0.01, lambda p, lr: optim.RAdam(p, lr, weight_decay=0.01)),
    case("radam(beta2=0.9, weight-decay=0.1, decoupled=true)", 0.01,
         lambda p, lr: optim.RAdam(p, lr, betas=(0.9, 0.9), weight_decay=0.1, decoupled_weight_decay=True)),
    case("lion(weight-decay=0.1)", 0.003, lambda p, lr: Lion(p, lr, weight_decay=0.1)),
    case("lamb", 0.02, lambda p, lr: Lamb(p, lr)),
    case("muon", 0.01, MuonAndAdamW),
    case("muon(momentum=0.8, nesterov=false, weight-decay=0.5, steps=3, match-rms=true, beta1=0.8)", 0.01,
         lambda p, lr: MuonAndAdamW(p, lr, weight_decay=0.5, betas=(0.8, 0.999), momentum=0.8, nesterov=False,
                                    ns_steps=3, adjust_lr_fn="match_rms_adamw")),
    case("schedule-free", 0.02, lambda p, lr: ScheduleFree(p, lr)),
    case("schedule-free(weight-decay=0.01, r=1)", 0.02, lambda p, lr: ScheduleFree(p, lr, weight_decay=0.01, r=1.0)),
    # What is done around optimizers.
    case("sgd(momentum=0.9)", 0.1, lambda p, lr: optim.SGD(p, lr, momentum=0.9), name="clip_norm", clip_norm=0.2),
    case("adam", 0.01, lambda p, lr: optim.Adam(p, lr, foreach=False), name="clip_value", clip_value=0.02),
    case("lamb", 0.02, lambda p, lr: Lamb(p, lr), name="lamb_clip_norm", clip_norm=0.2),
    case("adamw", 0.01, lambda p, lr: optim.AdamW(p, lr), name="accumulate", accumulate=2),
    case("sgd", 0.1, lambda p, lr: optim.SGD(p, lr), name="ema", average="ema(decay=0.9, warmup=0)"),
    case("adamw", 0.01, lambda p, lr: optim.AdamW(p, lr), name="swa", average="swa(start=0, each=step)"),
    case("adamw(weight-decay=0.5)", 0.01, None, name="groups",
         groups=["0.*: lr=0.5", "bias: decay=0", "2.weight: frozen=true"]),
]


def build():
    layers = []
    for index, (inputs, outputs) in enumerate(zip(SIZES, SIZES[1:])):
        layers.append(nn.Linear(inputs, outputs, dtype=torch.float64))
        if index < len(SIZES) - 2:
            layers.append(nn.Tanh())
    return nn.Sequential(*layers)


def representable(values):
    return values.float().double()


def start_values(name):
    rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    normal = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=rng)
    x = representable(normal(ROWS, SIZES[0]))
    y = representable(torch.tanh(x @ normal(SIZES[0], SIZES[-1])) + 0.3 * normal(ROWS, SIZES[-1]))
    init, model = {}, build()
    for key, parameter in model.state_dict().items():
        bound = 1.5 / math.sqrt(model[int(key.split(".")[0])].in_features)
        init[key] = representable((2 * torch.rand(parameter.shape, dtype=torch.float64, generator=rng) - 1) * bound)
    return x, y, init


def groups_of(model, lr):
    """The groups of the case of that name, in PyTorch's way."""
    named = dict(model.named_parameters())
    named["2.weight"].requires_grad_(False)
    rate = lambda name: lr * (0.5 if name.startswith("0.") else 1.0)
    groups = [
        {"params": [w], "lr": rate(name), "weight_decay": 0.0 if name.endswith("bias") else 0.5}
        for name, w in named.items()
        if w.requires_grad
    ]
    return optim.AdamW(groups, lr)


def train(row, x, y, init, dtype):
    model = build()
    model.load_state_dict(init)
    model.to(dtype)
    x, y = x.to(dtype), y.to(dtype)
    optimizer = groups_of(model, row["lr"]) if row["make"] is None else row["make"](model.parameters(), row["lr"])
    average = None
    if row.get("average", "").startswith("ema"):
        average = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9))
    elif row.get("average"):
        average = optim.swa_utils.AveragedModel(model)
    per_epoch = math.ceil(ROWS / BATCH)
    each = row.get("accumulate", 1)
    losses = []
    for step in range(STEPS):
        at = step % per_epoch
        batch = lambda at: slice(at * BATCH, (at + 1) * BATCH)
        first = at // each * each
        group = [len(x[batch(i)]) for i in range(first, min(first + each, per_epoch))]
        if at == first:
            optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[batch(at)]), y[batch(at)])
        (loss * (len(x[batch(at)]) / sum(group))).backward()
        losses.append(loss.item())
        if at == first + len(group) - 1:
            if "clip_norm" in row:
                torch.nn.utils.clip_grad_norm_(model.parameters(), row["clip_norm"])
            if "clip_value" in row:
                torch.nn.utils.clip_grad_value_(model.parameters(), row["clip_value"])
            optimizer.step()
            if average:
                average.update_parameters(model)
    weights = {key: value.detach().clone() for key, value in model.state_dict().items()}
    used = None
    if average:
        used = {key.removeprefix("module."): value.detach().clone() for key, value in average.state_dict().items()}
        used.pop("n_averaged")
    elif isinstance(optimizer, ScheduleFree):
        used = dict(zip(weights, (value.clone() for value in optimizer.evaluated())))
    return weights, used, losses, getattr(optimizer, "nearest", math.inf)


def run_case(row):
    x, y, init = start_values(row["name"])
    f64, used, losses, nearest = train(row, x, y, init, torch.float64)
    f32, _, _, _ = train(row, x, y, init, torch.float32)
    apart = max((f32[key].double() - f64[key]).abs().max().item() / f64[key].abs().max().item() for key in init)
    line = f"{row['name'][:60]:60} loss {losses[0]:.4f} to {losses[-1]:.4f}, f32 from f64 {apart:.1e}, nearest {nearest:.1e}"
    assert all(math.isfinite(loss) for loss in losses), line
    assert sum(losses[-4:]) < sum(losses[:4]), f"it learns nothing: {line}"
    assert apart <= AGREEMENT, f"the runs part: {line}"
    tensors = {"x": x.float(), "y": y.float(), "loss64": torch.tensor(losses, dtype=torch.float64)}
    for key in init:
        tensors[f"init/{key}"] = init[key].float()
        tensors[f"f64/{key}"] = f64[key]
        if used:
            tensors[f"used/{key}"] = used[key]
    return tensors, line


def content():
    tensors, table = {}, []
    for row in CASES:
        of_case, line = run_case(row)
        print(line)
        tensors |= {f"{row['name']}/{name}": value for name, value in of_case.items()}
        table.append({key: value for key, value in row.items() if key != "make"})
    names = [row["name"] for row in table]
    assert len(set(names)) == len(names), "two cases have one name"
    metadata = {"cases": json.dumps(table), "torch": torch.__version__.split("+")[0], "version": VERSION}
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
        sys.exit("usage: optimizers.py [--check]")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # NAdam's product of mu would be kept in float32 otherwise, even in a float64 run.
    torch.set_default_dtype(torch.float64)
    path = FOLDER / "optimizers.safetensors"
    fresh = content()
    if check:
        if not path.exists() or path.read_bytes() != fresh:
            sys.exit(f"{path.name} differs from a fresh computation")
    else:
        path.write_bytes(fresh)
        print(f"{path.name}: {len(fresh):,} bytes")


if __name__ == "__main__":
    main()
