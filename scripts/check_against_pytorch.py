#!/usr/bin/env python3
"""Trains the same networks with the program and with PyTorch and compares the weights.

    python3 scripts/check_against_pytorch.py target/release/wgrad
    python3 scripts/check_against_pytorch.py target/release/wgrad --device cpu --device software

Needs torch and safetensors from PyPI. Shares no code with the program or its tests: the table is a CSV file, the
initial weights are a safetensors file, and all settings are options of `wgrad train`. Prints a line a case with
the largest error in a tensor relative to that tensor's largest weight. Exit code 0 only when every case agrees.
"""

import argparse
import csv
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

ROWS, FEATURES, HIDDEN, CLASSES = 101, 7, (13, 11), ("a", "b", "c")
EPOCHS, BATCH = 3, 16
RTOL, ATOL = 1e-3, 1e-5
TIMEOUT_SECONDS = 600

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}

# Name, PyTorch's optimizer, settings under PyTorch's names. `wgrad` has an option for each: --lr, --weight-decay ...
OPTIMIZERS = [
    ("sgd", torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.0}),
    ("sgd momentum", torch.optim.SGD, {"lr": 0.02, "weight_decay": 1e-2, "momentum": 0.9}),
    ("sgd nesterov", torch.optim.SGD, {"lr": 0.02, "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}),
    ("adam", torch.optim.Adam, {"lr": 0.01, "weight_decay": 1e-2}),
    ("adamw", torch.optim.AdamW, {"lr": 0.01, "weight_decay": 1e-2}),
]


class Failed(Exception):
    """The program or its answer is not as it should be."""


def make_data(task, seed):
    """Features and targets in float32; classes are numbered in the order of their sorted names."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, FEATURES, generator=rng)
    outputs = len(CLASSES) if task == "classify" else 1
    scores = torch.tanh(x @ torch.randn(FEATURES, outputs, generator=rng))
    scores += 0.3 * torch.randn(ROWS, outputs, generator=rng)
    return x, scores.argmax(dim=1) if task == "classify" else scores


def write_table(path, task, x, y):
    """A float32 is written as the float64 of the same value, so that any correct reader gets it back."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*(f"x{column}" for column in range(FEATURES)), "y"])
        for features, target in zip(x.tolist(), y.tolist()):
            last = CLASSES[target] if task == "classify" else repr(target[0])
            table.writerow([*map(repr, features), last])


def make_model(task, activation, seed):
    """Three dense layers with an activation after the first two, and PyTorch's own initial weights."""
    widths = [FEATURES, *HIDDEN, len(CLASSES) if task == "classify" else 1]
    torch.manual_seed(seed)
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def train_pytorch(task, model, kind, settings, x, y):
    """The weights after all epochs: rows in their order, and a smaller last batch that counts as a step."""
    loss_of = nn.CrossEntropyLoss() if task == "classify" else nn.MSELoss()
    optimizer = kind(model.parameters(), **settings)
    for _ in range(EPOCHS):
        for rows, targets in zip(x.split(BATCH), y.split(BATCH)):
            optimizer.zero_grad()
            loss_of(model(rows), targets).backward()
            optimizer.step()
    return {name: value.detach() for name, value in model.state_dict().items()}


def train_program(binary, device, task, activation, kind, settings, table, init, out):
    """The weights that `wgrad train` leaves."""
    command = [binary, "train", table, "--target", "y", "--task", task, "--out", out, "--device", device]
    command += ["--shuffle", "false", "--valid", "0", "--scale", "none", "--schedule", "constant", "--init", init]
    command += ["--hidden", ",".join(map(str, HIDDEN)), "--activation", activation]
    command += ["--epochs", EPOCHS, "--batch-size", BATCH, "--optimizer", kind.__name__.lower()]
    for name, value in settings.items():
        command += ["--" + name.replace("_", "-"), str(value).lower()]
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode != 0:
        raise Failed(f"exit code {done.returncode} from\n  {' '.join(command)}\n{done.stderr.strip()}")
    try:
        return load_file(out / "model.safetensors")
    except Exception as error:
        raise Failed(f"{out / 'model.safetensors'}: {error}") from error


def compare(got, want):
    """The largest error relative to its tensor's largest weight; raises `Failed` where a weight is off."""
    if got.keys() != want.keys():
        raise Failed(f"the model has tensors {sorted(got)}, PyTorch has {sorted(want)}")
    largest, faults = 0.0, []
    for name in want:
        g, w = got[name], want[name]
        if g.dtype != torch.float32 or g.shape != w.shape:
            raise Failed(f"{name} is {g.dtype} {list(g.shape)}, PyTorch has {w.dtype} {list(w.shape)}")
        g, w = g.double(), w.double()
        assert w.isfinite().all(), f"{name}: PyTorch's own weights are not finite"
        # Written so that a NaN is a fault: it is on neither side of any limit.
        off = ~((g - w).abs() <= ATOL + RTOL * w.abs())
        error = ((g - w).abs().max() / w.abs().max()).item()
        largest = max(largest, error if math.isfinite(error) else math.inf)
        if off.any():
            where = tuple(off.nonzero()[0].tolist())
            faults.append(f"{name}{list(where)}: got {g[where]:.9g}, PyTorch has {w[where]:.9g}, {off.sum()} are off")
    if faults:
        raise Failed(f"largest relative error {largest:.1e}\n" + "\n".join(faults))
    return largest


def check(binary, device, task, activation, optimizer, folder, seed):
    """The error of one case, as `compare` gives it."""
    _, kind, settings = optimizer
    x, y = make_data(task, seed)
    model = make_model(task, activation, seed)
    table, init, out = folder / "table.csv", folder / "init.safetensors", folder / "run"
    write_table(table, task, x, y)
    save_file(model.state_dict(), init)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    want = train_pytorch(task, model, kind, settings, x, y)
    for name, value in want.items():
        assert (value - before[name]).abs().max() > 100 * ATOL, f"{name} hardly moves: the case shows nothing"
    return compare(train_program(binary, device, task, activation, kind, settings, table, init, out), want)


def main():
    parser = argparse.ArgumentParser(description="Compare weights trained by wgrad and by PyTorch.")
    parser.add_argument("binary", type=Path, metavar="WGRAD_BINARY")
    parser.add_argument("--device", action="append", metavar="D", help="may be repeated; cpu when left out")
    args = parser.parse_args()
    binary = args.binary.resolve()
    torch.set_num_threads(1)

    failed = count = 0
    for device in args.device or ["cpu"]:
        seed = 0
        for task in ("classify", "regress"):
            for activation in ACTIVATIONS:
                for optimizer in OPTIMIZERS:
                    seed += 1
                    count += 1
                    label = f"{device:10} {task:8} {activation:5} {optimizer[0]:13}"
                    with tempfile.TemporaryDirectory(prefix="wgrad-check-") as folder:
                        try:
                            error = check(binary, device, task, activation, optimizer, Path(folder), seed)
                            print(f"{label} ok      {error:.1e}", flush=True)
                        except Failed as fault:
                            failed += 1
                            print(f"{label} FAILED  " + str(fault).replace("\n", "\n    "), flush=True)
    print(f"{count - failed} of {count} cases agree with PyTorch {torch.__version__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
