#!/usr/bin/env python3
"""Trains runs with --tensorboard, and compares what TensorBoard's own reader finds with their histories.

    scripts/check_tensorboard.py [--wgrad target/release/wgrad]

Needs `pip install tensorboard`. The exit code is 1 if a figure is missing or another one.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIGITS = str(ROOT / "examples/datasets/digits.csv")


def figures(folder):
    """Returns the figures of a folder by name and epoch."""
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {(tag, it.step): it.value for tag in reader.Tags()["scalars"] for it in reader.Scalars(tag)}


def compare(logs, history, part=None):
    """Compares the event files of a run with its history. Returns the number of figures, and what is wrong."""
    found = {"train": figures(logs / "train"), "validation": figures(logs / "validation")}
    wrong, compared = [], 0
    with open(history, newline="") as file:
        for line in csv.DictReader(file):
            if part and line[part[0]] != str(part[1]):
                continue
            epoch = int(line["epoch"])
            wanted = [("train", "loss", line["train_loss"]), ("train", "learning rate", line["lr"])]
            wanted += [("validation", name.removeprefix("valid_"), cell) for name, cell in line.items() if name.startswith("valid_") and cell]
            for which, tag, cell in wanted:
                got = found[which].pop((tag, epoch), None)
                compared += 1
                if got is None or abs(got - float(cell)) > 1e-6 * max(abs(float(cell)), 1e-30):
                    wrong.append(f"{logs}: {which}/{tag} of epoch {epoch}: {got}, not {cell}")
    left = [key for which in found.values() for key in which if key[0] != "rows per second"]
    left += [key for key in found["train"] if key[1] > epoch]
    return compared, wrong + [f"{logs}: {key} is of no epoch of the history" for key in left]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wgrad", default=str(ROOT / "target/release/wgrad"))
    args = parser.parse_args()
    compared, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def run(*arguments):
            subprocess.run([args.wgrad, *arguments, "--quiet", "--no-report"], check=True)

        def check(*of):
            nonlocal compared
            count, found = compare(*of)
            compared += count
            wrong.extend(found)

        usual = [DIGITS, "--target", "digit", "--hidden", "16", "--device", "cpu", "--tensorboard"]
        one, members = folder / "one", folder / "members"
        run("train", *usual, "--epochs", "4", "--out", str(one), "--metrics", "f1_macro")
        check(one / "tensorboard", one / "history.csv")
        run("resume", str(one), "--epochs", "6")
        check(one / "tensorboard", one / "history.csv")
        run("train", *usual, "--epochs", "3", "--out", str(one), "--force")
        check(one / "tensorboard", one / "history.csv")
        run("train", *usual, "--epochs", "2", "--members", "2", "--out", str(members))
        for member in range(2):
            check(members / f"tensorboard/member-{member}", members / "history.csv", ("member", member))
        several = EventMultiplexer().AddRunsFromDirectory(str(members / "tensorboard"))
        several.Reload()
        names = sorted(several.Runs())
        if names != [f"member-{member}/{which}" for member in range(2) for which in ("train", "validation")]:
            wrong.append(f"runs in the folder of members: {names}")
    print(f"{compared} figures compared")
    for it in wrong:
        print(f"WRONG {it}")
    return 1 if wrong or compared < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
