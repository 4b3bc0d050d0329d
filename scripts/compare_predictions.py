#!/usr/bin/env python3
"""Times predictions by the program's library (`wgrad bench --predict`) and by onnxruntime with the exported model, in turn.

    python3 scripts/compare_predictions.py target/release/wgrad [--rounds 3] [--network 784,512,512,10]

Calls of 1 to 65,536 rows on the CPU, with as many threads as there are cores, scaling and probabilities included. Prints medians of milliseconds a
call. Needs numpy and onnxruntime from PyPI.
"""

import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime

NETWORKS = ["8,32,32,1", "64,64,64,10", "784,512,512,10"]
SECONDS = 0.4


def export(program, folder, widths):
    """Trains a network of these widths for an epoch, and returns a session for its ONNX file."""
    inputs, *hidden, outputs = widths
    draw = np.random.default_rng(1)
    rows = max(256, 10 * outputs)
    with open(folder / "t.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*(f"x{place}" for place in range(inputs)), "y"])
        for row in range(rows):
            target = row % outputs if outputs > 1 else draw.normal()
            table.writerow([*draw.normal(size=inputs).round(4), target])
    out, model = folder / "run", folder / "model.onnx"
    task = "classify" if outputs > 1 else "regress"
    train = ["train", folder / "t.csv", "--target", "y", "--task", task, "--hidden", ",".join(map(str, hidden)), "--epochs", 1]
    for command in [[*train, "--device", "cpu", "--out", out, "--force", "--quiet"], ["export", out, "--onnx", model, "--force", "--quiet"]]:
        ended = subprocess.run(list(map(str, [program, *command])), capture_output=True, text=True)
        if ended.returncode:
            sys.exit(ended.stderr)
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def by_onnxruntime(session, inputs):
    """Milliseconds of a call for each number of rows."""
    given = session.get_inputs()[0]
    kind = np.float64 if given.type == "tensor(double)" else np.float32
    found = {}
    for rows in (1, 16, 256, 4096, 65536):
        x = np.random.default_rng(2).normal(size=(rows, inputs)).astype(kind)
        times, begun = [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - begun < SECONDS:
            call = time.perf_counter()
            session.run(None, {given.name: x})
            times.append(time.perf_counter() - call)
        found[rows] = 1e3 * statistics.median(times)
    return found


def by_wgrad(program, network):
    command = [program, "bench", "--predict", "--network", network, "--device", "cpu", "--no-verify", "--quiet", "--json"]
    said = subprocess.run([*command, "--seconds", str(5 * SECONDS)], capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in said.splitlines()]
    return {line["rows"]: line["call_ms"] for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wgrad")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", action="append")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for network in args.network or NETWORKS:
            widths = [int(width) for width in network.split(",")]
            session = export(args.wgrad, pathlib.Path(folder), widths)
            rounds = [(by_wgrad(args.wgrad, network), by_onnxruntime(session, widths[0])) for _ in range(args.rounds)]
            print(network)
            for rows in rounds[0][0]:
                ours, theirs = (statistics.median(each[side][rows] for each in rounds) for side in (0, 1))
                print(f"  {rows:6} rows: wgrad {ours:10.4f} ms, onnxruntime {theirs:10.4f} ms, {theirs / ours:5.2f} times as long", flush=True)


if __name__ == "__main__":
    main()
