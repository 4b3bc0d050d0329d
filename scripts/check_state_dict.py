#!/usr/bin/env python3
"""Takes weights from the program to PyTorch and back, for a network with every layer, and compares what both predict.

    python3 scripts/check_state_dict.py target/release/wgrad
    python3 scripts/check_state_dict.py target/release/wgrad --device cpu --device software

Needs torch and safetensors from PyPI. For each device:

1. the program trains; `load_state_dict(load_file(model.safetensors))`, strict, gives what `wgrad predict` gives;
2. PyTorch saves the same weights; `wgrad predict --weights` gives the same bytes as before;
3. PyTorch trains on and saves; `wgrad predict --weights` gives what PyTorch gives, and `wgrad train --init` begins there;
4. a state_dict with another last layer is refused by name and shape, and taken but for that layer with `--init-strict false`.

Prints the largest difference of each, relative to the largest output. Exit code 0 only when all are below 1e-5.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "oracle"))
from state_dict import IDS, TEXT, network  # noqa: E402

ROWS, LIMIT = 300, 1e-5


def run(*command, code=0):
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != code:
        sys.exit(f"exit code {done.returncode} instead of {code} from\n  {' '.join(command)}\n{done.stderr}")
    return done.stdout, done.stderr


def table(path):
    torch.manual_seed(5)
    x = torch.randn(ROWS, 6)
    for column, vocabulary in IDS.items():
        x[:, column] = torch.randint(0, vocabulary, (ROWS,)).float()
    y = torch.stack([x[:, 0].sin(), x[:, 2] * x[:, 4], (x[:, 3] - 3.0) / 2.0 + x[:, 5]], dim=1)
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["a", "b", "c", "d", "e", "f", "p", "q", "r"])
        out.writerows([map(repr, row) for row in torch.cat([x, y], dim=1).tolist()])
    return x, y


def outputs(model, x):
    """In f64, so that only the program's rounding shows."""
    model.double().eval()
    with torch.no_grad():
        values = model(x.double())
    model.float()
    return values


def predicted(program, device, run_folder, csv_file, *options):
    text, _ = run(program, "predict", run_folder, csv_file, "--device", device, "--quiet", *options)
    rows = list(csv.reader(text.splitlines()))
    return text, torch.tensor([[float(cell) for cell in row[-3:]] for row in rows[1:]], dtype=torch.float64)


def compare(what, got, want):
    error = ((got - want).abs().max() / want.abs().max()).item()
    print(f"  {what}: {error:.1e}")
    if not error < LIMIT:
        sys.exit(f"{what}: off by {error:.3g}, limit {LIMIT:g}")


def check(program, device, folder):
    csv_file, out = folder / "t.csv", folder / "run"
    x, y = table(csv_file)
    settings = ["--target", "p,q,r", "--layers", TEXT, "--scale", "none", "--device", device, "--batch-size", 50]
    run(program, "train", csv_file, *settings, "--out", out, "--epochs", 5, "--lr", 0.01, "--quiet")
    before, got = predicted(program, device, out, csv_file)

    model = network()
    model.load_state_dict(load_file(out / "model.safetensors"))
    compare("wgrad to PyTorch", got, outputs(model, x))

    saved = folder / "back.safetensors"
    save_file(model.state_dict(), saved)
    if predicted(program, device, out, csv_file, "--weights", saved)[0] != before:
        sys.exit("wgrad to PyTorch to wgrad: other predictions than before")
    print("  wgrad to PyTorch to wgrad: the same bytes")

    model.train()
    moves = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(30):
        moves.zero_grad()
        F.mse_loss(model(x), y).backward()
        moves.step()
    tuned = folder / "tuned.safetensors"
    save_file(model.state_dict(), tuned)
    want = outputs(model, x)
    compare("trained on in PyTorch, to wgrad", predicted(program, device, out, csv_file, "--weights", tuned)[1], want)
    # A rate so small that no weight moves by more than rounding; normalisations by batches keep their statistics.
    still = ["--optimizer", "sgd", "--lr", 1e-30, "--momentum", 0, "--weight-decay", 0, "--epochs", 1, "--valid", 0]
    run(program, "train", csv_file, *settings, "--out", folder / "again", "--init", tuned, *still, "--quiet")
    again, kept = load_file(folder / "again" / "model.safetensors"), model.state_dict()
    moved = [name for name in again if "running" not in name and not torch.equal(again[name], kept[name])]
    if moved:
        sys.exit(f"--init: {moved} are not as PyTorch saved them")
    print("  --init begins with PyTorch's weights")

    model[-1] = nn.Linear(12, 4)
    other = folder / "other.safetensors"
    save_file(model.state_dict(), other)
    arguments = [program, "train", csv_file, *settings, "--out", folder / "head", "--init", other, "--epochs", 1]
    _, said = run(*arguments, code=1)
    last = len(model) - 1
    for wanted in [f"`{last}.weight` has the shape [4, 12]", f"`{last}.bias` has the shape [4]"]:
        if wanted not in said:
            sys.exit(f"a mismatch is not told: {wanted}\n{said}")
    _, said = run(*arguments, "--init-strict", "false")
    if f"`{last}.weight`" not in said:
        sys.exit(f"what was left out is not told: {said}")
    print("  another head: refused by name and shape, left out on demand")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--device", action="append")
    arguments = parser.parse_args()
    for device in arguments.device or ["cpu"]:
        print(device)
        with tempfile.TemporaryDirectory() as folder:
            check(arguments.program.resolve(), device, Path(folder))


main()
