#!/usr/bin/env python3
"""Trains small networks with the program, exports each to ONNX, and compares onnxruntime with `wgrad predict`.

    python3 scripts/check_onnx.py target/release/wgrad

Needs numpy, onnx and onnxruntime. Every layer, activation and loss that the program knows has a network here, and a
name that is missing is an error. Each file has to pass onnx's own checks, and give what `wgrad predict` gives to 1e-5 of a
column's spread, for a single row and for many, for rows like those of training and for rows far from them.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

LIMIT = 1e-5
# Losses whose targets are classes or labels, and the arguments that some are checked with.
CLASSES_LOSSES = ["cross-entropy", "focal", "hinge"]
LABELS_LOSSES = ["binary-cross-entropy", "binary-focal", "binary-hinge"]
LOSSES = {"pinball": "pinball(0.1, 0.5, 0.9)", "custom": "custom(abs(y - p) + 0.1 * (y - p) * (y - p))"}
# The last dense layer gets as many units as the task needs.
LAYERS = [
    "dense(12, bias=false, ntk=true), batch_norm, relu, dropout(0.3), dense",
    "dense(8, ntk=true), layer_norm, tanh, dense(6), rms_norm, prelu, rms_norm(affine=false), dense",
    "batch_norm(affine=false), dense(8), prelu(per_column=true), scale, layer_norm(affine=false), dense",
    "residual(dense(6), tanh, residual(dense(6), relu)), dense(4), scale(bias=false), dense",
    "branches((dense(6), relu), (identity), (fourier(3, sigma=0.1))), dense(6), log_softmax, dense",
    "embedding(code=5x3), dense(8), geglu(6), swiglu(5), glu(4), dense",
    "dense(8), softmax, dense(8), glu, fourier(2, sigma=0.3, learned=true), dense",
    "pbld, scale(bias=false), dense(8, init=unit-variance), parametric(selu), dropout(0.1), dense(init=unit-variance)",
    "pl(frequencies=3, columns=0 2-3), plr(outputs=2, columns=1-4), dense(6), parametric(mish), dense",
    "dense(6), custom(x + sin(x1 * x) * x2, 1, 0.5), custom(if(x < 0, 0.1 * x, log1p(x) + expm1(-x))), dense",
    "batch_ensemble(4, dense(8), relu, dropout(0.1), residual(dense(8), tanh), batch_norm, dense)",
    "ple(bins=6, outputs=3), batch_ensemble(3, dense(8), relu, dense)",
    "pbld(frequencies=4), batch_ensemble(5, mini=true, dense(8, ntk=true), silu, dense)",
]
# Rows to predict that are like those of training.
NEAR = 120
CLASSES = ["red", "green and blue", 'the "third", büyük']


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def known(program, option, *table):
    """The names that an option takes, from what is said of one that it does not."""
    said = subprocess.run([program, "train", *table, option, "no-such-name"], capture_output=True, text=True).stderr
    names = re.search(r"known: (.*)", said)
    if not names:
        sys.exit(f"{option} does not say what it knows: {said}")
    return re.split(r", (?![^(]*\))", names[1].strip())


def write(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def tables(folder):
    """Training tables, and rows to predict: columns of very different sizes, one of them far from 0, one constant, one of codes."""
    random = np.random.default_rng(7)
    unit = random.normal(size=(240, 4)).astype(np.float32)
    x = unit * [1.0, 300.0, 2.0, 1e-3] + [0.0, -50.0, 1e6, 0.5]
    # As the program reads them.
    x = np.column_stack([x, np.full(len(x), 3.25), np.arange(len(x)) % 5]).astype(np.float32)
    kind = (unit[:, 0] + unit[:, 1] > 0).astype(int) + (unit[:, 2] > 0.3)
    number = 1000.0 + 40.0 * unit[:, 0] * unit[:, 1] + 10.0 * unit[:, 3]
    count = random.poisson(np.exp(0.5 * unit[:, 0] + 1.0))
    share = 1.0 / (1.0 + np.exp(-unit[:, 0]))
    names = ["plain", "with, comma", "sum \u03a3", "d", "constant", "code"]
    cells = [[repr(float(v)) for v in row] for row in x]
    write(folder / "classes.csv", [*names, "kind"], [[*row, CLASSES[k]] for row, k in zip(cells, kind)])
    write(folder / "numbers.csv", [*names, "y"], [[*row, v] for row, v in zip(cells, number)])
    write(folder / "counts.csv", [*names, "n", "m"], [[*row, v, v + 1] for row, v in zip(cells, count)])
    write(folder / "shares.csv", [*names, "p", "q"], [[*row, v, 1.0 - v] for row, v in zip(cells, share)])
    labels = [["yes" if a > 0 else "no", int(b > 0.5)] for a, b in unit[:, :2]]
    write(folder / "labels.csv", [*names, "p", "q"], [[*row, *it] for row, it in zip(cells, labels)])
    write(folder / "several.csv", [*names, "y", "z"], [[*row, v, -1e3 * v] for row, v in zip(cells, number)])
    far = x[:40] + np.float32(1e3) * (x[:40] - x.mean(axis=0, dtype=np.float64).astype(np.float32))
    far[:, 5] = x[:40, 5]
    rows = np.concatenate([x[:NEAR], far.astype(np.float32)])
    write(folder / "rows.csv", names, [[repr(float(v)) for v in row] for row in rows])
    return rows


def predicted(program, model, rows, columns):
    """The columns that `wgrad predict` adds."""
    text = run(program, "predict", model, rows, "--device", "cpu", "--quiet")
    header, *lines = list(csv.reader(text.splitlines()))
    return header[columns:], [line[columns:] for line in lines]


def compare(what, got, want):
    scale = np.maximum(1.0, np.ptp(want, axis=0))
    if got.shape != want.shape or not np.isfinite(got).all():
        sys.exit(f"{what}: {got.shape} instead of {want.shape}, or no finite numbers")
    worst = float((np.abs(got - want) / scale).max())
    if worst > LIMIT:
        sys.exit(f"{what}: off by {worst:.3g}, limit {LIMIT:g}")
    return worst


def compare_groups(what, got, want):
    """Rows like those of training by themselves: what comes of far rows is large, and would hide their errors."""
    near = compare(what, got[:NEAR], want[:NEAR])
    return max(near, compare(f"{what}, far rows", got[NEAR:], want[NEAR:]))


def check(program, folder, rows, name, table, options):
    out, file = folder / "run", folder / "model.onnx"
    run(program, "train", *table, "--out", out, "--force", "--device", "cpu", "--epochs", 3, "--batch-size", 32,
        "--lr", 0.003, "--quiet", *options)
    run(program, "export", out, "--onnx", file, "--force", "--quiet")
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    with open(folder / "rows.csv", encoding="utf-8") as text:
        assert json.loads(about["features"]) == next(csv.reader(text)), "the columns' names"
    header, lines = predicted(program, out, folder / "rows.csv", rows.shape[1])
    results = session.run(None, {"x": rows})
    parts = [session.run(None, {"x": rows[at:at + 1]}) for at in range(5)]
    for whole, *singles in zip(results, *parts):
        if whole.dtype != object:
            compare(f"{name}, row by row", np.concatenate(singles), whole[:5])
    first, told = session.get_outputs()[0].name, session.get_outputs()[-1].name
    numbers = {"label": slice(1, None), "labels": slice(1, None, 2), "prediction": slice(None)}[first]
    assert json.loads(about["outputs"]) == header[numbers], "the columns of the outputs"
    if first != "prediction":
        texts, values = results
        want = np.array([line[numbers] for line in lines], dtype=np.float64)
        worst = compare_groups(name, values.astype(np.float64), want)
        if first == "label":
            margins = np.diff(np.sort(want, axis=1)[:, -2:])
            expected = [[line[0]] for line in lines]
        else:
            margins = np.abs(want - (0.5 if told == "probabilities" else 0.0))
            expected = [line[::2] for line in lines]
        got = texts.reshape(len(texts), -1)
        wrong = (got != np.array(expected, dtype=object)) & (margins > 2 * LIMIT)
        if wrong.any():
            sys.exit(f"{name}: {got[wrong]} where another is likelier")
    else:
        worst = compare_groups(name, results[0], np.array(lines, dtype=np.float64))
    print(f"{worst:9.2e}  {len(model.graph.node):4} nodes  {name}")


def check_double(program, folder):
    """Numbers that single precision cannot tell apart: the input is in double precision, and gives what predict gives."""
    random = np.random.default_rng(5)
    ids = 1_700_000_000 + random.integers(0, 50, size=200)
    write(folder / "ids.csv", ["id", "x", "y"], [[i, f"{x:.3f}", i % 50 * 0.1 + x] for i, x in zip(ids, random.normal(size=200))])
    out, file = folder / "run", folder / "model.onnx"
    run(program, "train", folder / "ids.csv", "--target", "y", "--out", out, "--force", "--device", "cpu", "--quiet")
    run(program, "export", out, "--onnx", file, "--force", "--quiet")
    with open(folder / "ids.csv", encoding="utf-8") as text:
        rows = np.array([[float(cell) for cell in line[:2]] for line in list(csv.reader(text))[1:]])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(double)", session.get_inputs()[0].type
    _, lines = predicted(program, out, folder / "ids.csv", 3)
    worst = compare("double precision", session.run(None, {"x": rows})[0], np.array(lines, dtype=np.float64))
    print(f"{worst:9.2e}  {'':10}  an input in double precision")


def check_columns(program, folder):
    """Texts and gaps: an input for each column, which takes cells as they stand in a table, also those that training had not."""
    random = np.random.default_rng(9)
    count = 300
    def pick(texts):
        return [texts[i] for i in random.integers(0, len(texts), size=count)]
    age = [f"{v:.1f}" if i % 9 else "" for i, v in enumerate(random.uniform(1, 70, size=count))]
    fare = [f"{v:.3f}" for v in random.normal(size=count)]
    columns = {"age": age, "fare": fare, "port": pick(["C", "Q", "S", ""]), "sex": pick(["m\u00e4nnlich", "weiblich"]),
               "city": pick([f"city {i}" for i in range(25)]), "label": pick(["u", "v", "w"])}
    names = list(columns)
    y = [float(a or 30) / 10 + float(f) + (p == "C") + len(c) for a, f, p, c in zip(age, fare, columns["port"], columns["city"])]
    table = [list(row) for row in zip(*columns.values())]
    write(folder / "mixed.csv", [*names, "y"], [[*row, v] for row, v in zip(table, y)])
    odd = [["", "", "X", "divers", "nowhere", ""], ["NaN", "1.5", "NA", "", "", "v"]]
    write(folder / "mixed_rows.csv", names, table + odd)
    out, file = folder / "run", folder / "model.onnx"
    for scale in ["standard", "none"]:
        run(program, "train", folder / "mixed.csv", "--target", "y", "--out", out, "--force", "--device", "cpu", "--epochs", 5,
            "--quiet", "--scale", scale)
        run(program, "export", out, "--onnx", file, "--force", "--quiet")
        onnx.checker.check_model(onnx.load(file), full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        assert json.loads(about["features"]) == names
        # Without scaling no number is known for a gap in a column that had none.
        rows = table + (odd if scale == "standard" else odd[1:])
        write(folder / "mixed_rows.csv", names, rows)
        feed = {}
        for place, (given, kind) in enumerate(zip(json.loads(about["inputs"]), session.get_inputs())):
            assert given == kind.name, "the inputs' names"
            cells = [row[place] for row in rows]
            if kind.type == "tensor(double)":
                cells = np.array([float(cell or "nan") for cell in cells])
            feed[given] = np.array(cells, dtype=object if kind.type == "tensor(string)" else np.float64).reshape(-1, 1)
        _, lines = predicted(program, out, folder / "mixed_rows.csv", len(names))
        worst = compare("texts and gaps", session.run(None, feed)[0], np.array(lines, dtype=np.float64))
        print(f"{worst:9.2e}  {'':10}  columns of texts and with gaps, scale {scale}")


def check_scales(program, folder):
    """Every scaling of features and of a target, for all columns and by column: ties, heavy tails, tiny and huge numbers, rows far away."""
    random = np.random.default_rng(11)
    count = 400
    ties = random.integers(-3, 4, size=count) / 10.0
    tails = np.exp(random.normal(size=count) * 2.0) * random.choice([-1, 1], size=count)
    small = random.normal(size=count) * 1e-9 + 1e-8
    mostly = np.where(random.uniform(size=count) < 0.7, 0.0, random.normal(size=count))
    table = np.column_stack([ties, tails, small, mostly, np.full(count, 2.5)])
    names = ["ties", "tails", "small", "mostly", "constant"]
    y = np.exp(ties + mostly) * 50.0 - 20.0
    z = tails + ties
    write(folder / "scales.csv", [*names, "y", "z"], [[*map(repr, map(float, row))] for row in np.column_stack([table, y, z])])
    near = np.concatenate([table[:NEAR], table[:60] * 3.0, np.nextafter(table[:20], 1e9)])
    far = np.concatenate([near, table[:60] * 1e3, table[:20] * -1e12])
    out, file = folder / "run", folder / "model.onnx"
    cases = [(scale, target, "mse", "") for scale, target in [
        ("standard", "log"), ("robust", "quantile"), ("minmax", "standard"), ("quantile", "quantile"), ("log", "none"), ("none", "log")]]
    cases.append(("standard", "quantile", "pinball(0.1, 0.5, 0.9)", "ties:quantile, tails:robust, small:log, mostly:minmax"))
    cases.append(("none", "standard", "mae", "tails:log, mostly:quantile, constant:quantile"))
    for scale, target, loss, columns in cases:
        options = ["--columns", columns] if columns else []
        run(program, "train", folder / "scales.csv", "--target", "y,z", "--task", "regress", "--loss", loss, "--out", out, "--force",
            "--device", "cpu", "--epochs", 3, "--quiet", "--scale", scale, "--target-scale", target, *options)
        run(program, "export", out, "--onnx", file, "--force", "--quiet")
        onnx.checker.check_model(onnx.load(file), full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        # Beyond what these two let through, a logarithm's inverse is no number any more.
        rows = far if scale in ["robust", "quantile"] else near
        write(folder / "scale_rows.csv", names, [[*map(repr, map(float, row))] for row in rows])
        kind = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32
        _, lines = predicted(program, out, folder / "scale_rows.csv", len(names))
        got = session.run(None, {"x": rows.astype(kind)})[0]
        worst = compare_groups(f"scale {scale}, target {target}", got, np.array(lines, dtype=np.float64))
        print(f"{worst:9.2e}  {'':10}  scale {scale}, target scale {target}, loss {loss}, columns {columns or 'all alike'}")


def check_dates_and_rare_texts(program, folder):
    """Dates as days since 1970, rare texts in one place, gaps of both."""
    random = np.random.default_rng(13)
    count = 300
    seconds = random.integers(-3_000_000_000, 4_000_000_000, size=count)
    when = np.datetime64("1970-01-01T00:00:00") + seconds.astype("timedelta64[s]")
    # The ends of months and years, leap days, and days before 1970.
    special = ["2000-02-29T23:59:59", "1900-02-28T00:00:00", "1900-03-01T12:00:00", "2024-12-31T23:59:59", "1969-12-31T01:02:03",
               "2024-01-01T00:00:00", "2023-03-01T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59"]
    when[:len(special)] = np.array(special, dtype="datetime64[s]")
    texts = [str(it) for it in when]
    texts[20] = texts[21] = ""
    day = [text[:10] for text in texts[::-1]]
    town = [f"t{i}" for i in np.minimum(random.geometric(0.25, size=count), 30)]
    many = [f"m{i}" for i in random.integers(0, 60, size=count)]
    y = [len(a) + int(b[1:]) % 5 + int(c[1:]) % 7 for a, b, c in zip(texts, town, many)]
    names = ["when", "day", "town", "many"]
    table = [list(row) for row in zip(texts, day, town, many)]
    write(folder / "dated.csv", [*names, "y"], [[*row, v] for row, v in zip(table, y)])
    rows = table + [["", "", "", ""], ["2010-10-10T10:10:10", "2010-10-10", "nowhere", "unknown"]]
    write(folder / "dated_rows.csv", names, rows)
    out, file = folder / "run", folder / "model.onnx"
    for options in [["--min-count", 8], ["--min-count", 6, "--one-hot", 40, "--scale", "robust"], ["--one-hot", 0, "--scale", "quantile"]]:
        run(program, "train", folder / "dated.csv", "--target", "y", "--task", "regress", "--out", out, "--force", "--device", "cpu",
            "--epochs", 5, "--quiet", *options)
        run(program, "export", out, "--onnx", file, "--force", "--quiet")
        onnx.checker.check_model(onnx.load(file), full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        feed = {}
        for place, kind in enumerate(session.get_inputs()):
            cells = [row[place] for row in rows]
            if kind.type == "tensor(double)":
                times = np.array([cell or "NaT" for cell in cells], dtype="datetime64[s]")
                days = (times - np.datetime64("1970-01-01T00:00:00")) / np.timedelta64(1, "D")
                feed[kind.name] = days.reshape(-1, 1)
            else:
                feed[kind.name] = np.array(cells, dtype=object).reshape(-1, 1)
        _, lines = predicted(program, out, folder / "dated_rows.csv", len(names))
        worst = compare("dates and rare texts", session.run(None, feed)[0], np.array(lines, dtype=np.float64))
        print(f"{worst:9.2e}  {'':10}  dates and rare texts, {' '.join(map(str, options))}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", type=Path)
    program = arguments.parse_args().program.resolve()
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}; largest difference by column's spread")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = tables(folder)
        classes = [folder / "classes.csv", "--target", "kind"]
        numbers = [folder / "numbers.csv", "--target", "y"]
        cases = [
            ("classes, no hidden layer", classes, ["--hidden", ""]),
            ("classes, not scaled", classes, ["--scale", "none", "--hidden", 8]),
            ("numbers, not scaled", numbers, ["--scale", "none", "--hidden", 8]),
        ]
        for layers in LAYERS:
            cases.append((f"classes, {layers}", classes, ["--layers", layers]))
            cases.append((f"numbers, {layers}", numbers, ["--layers", layers]))
        activations = known(program, "--activation", *classes)
        for layer in set(known(program, "--layers", *classes)) - set(activations):
            if not any(re.search(rf"\b{layer}\b", layers) for layers in LAYERS):
                sys.exit(f"the layer {layer} is in no network")
        for activation in activations:
            options = ["--activation", activation, "--hidden", "16,16"]
            cases.append((f"classes, {activation}", classes, options))
            cases.append((f"numbers, {activation}", numbers, options))
        tables_of = {"poisson-nll": "counts", "kl-divergence": "shares", **dict.fromkeys(CLASSES_LOSSES, "classes"),
                     **dict.fromkeys(LABELS_LOSSES, "labels")}
        targets = {"classes": "kind", "counts": "n,m", "shares": "p,q", "labels": "p,q", "several": "y,z"}
        for loss in known(program, "--loss", *classes):
            name = re.split(r"[(\[]", loss)[0].strip()
            table = tables_of.get(name, "several")
            options = ["--loss", LOSSES.get(name, name), "--hidden", 12]
            options += ["--task", "labels"] if table == "labels" else []
            given = [folder / f"{table}.csv", "--target", targets[table]]
            cases.append((f"loss {name}", given, options))
            if name != "gaussian-nll":
                shared = ["--layers", "batch_ensemble(4, dense(12), tanh, dense)"]
                at = options.index("--hidden")
                cases.append((f"loss {name} of members", given, options[:at] + shared + options[at + 2:]))
        for case in cases:
            check(program, folder, rows, *case)
        check_double(program, folder)
        check_columns(program, folder)
        check_scales(program, folder)
        check_dates_and_rare_texts(program, folder)
    print(f"all {len(cases)} networks give what wgrad predict gives, to {LIMIT:g}")


if __name__ == "__main__":
    main()
