"""Writes the figures that the tests of metrics compare with.

    python3 tests/oracle/metrics.py            writes metrics.json beside this script
    python3 tests/oracle/metrics.py --check    fails if the stored file differs from a fresh computation

Needs scikit-learn from PyPI. All figures are those of sklearn.metrics with zero_division=0 where it has that; those
that it refuses, or gives as NaN or infinite, are null. What it does not have (the calibration error, coverage) is
computed here with numpy, by the formula.

metrics.json: {"sklearn": version,
  "classes": [{"name", "classes", "truth", "probabilities": rows in a list each, "figures": {metric: number or null},
               "confusion": rows, "each": [[precision, recall, f1, rows] of each class]}],
  "numbers": [{"name", "truth", "predicted", "figures"}],
  "intervals": [{"truth", "low", "high", "coverage"}]}
"""

import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m
from sklearn.preprocessing import label_binarize

FILE = Path(__file__).parent / "metrics.json"


def figure(compute):
    """A finite number, or None where there is none."""
    try:
        value = float(compute())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def calibration_error(truth, probabilities, bins):
    """Guo et al. 2017, arXiv:1706.04599, equation 5; bins are (lower, upper]."""
    confidence, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    total = 0.0
    for index in range(bins):
        inside = (confidence > index / bins) & (confidence <= (index + 1) / bins)
        if inside.any():
            gap = abs((best[inside] == truth[inside]).mean() - confidence[inside].mean())
            total += inside.mean() * gap
    return total


def of_classes(name, truth, probabilities):
    truth, p = np.array(truth), np.array(probabilities, dtype=float)
    count = p.shape[1]
    labels, best = np.arange(count), p.argmax(axis=1)
    hot = label_binarize(truth, classes=labels)
    two = count == 2
    figures = {
        "accuracy": figure(lambda: m.accuracy_score(truth, best)),
        "balanced_accuracy": figure(lambda: m.balanced_accuracy_score(truth, best)),
        "matthews": figure(lambda: m.matthews_corrcoef(truth, best)),
        "log_loss": figure(lambda: m.log_loss(truth, p, labels=labels)),
        "brier": figure(lambda: m.brier_score_loss(truth, p[:, 1] if two else p, labels=labels)),
        "roc_auc": figure(lambda: m.roc_auc_score(truth, p[:, 1]) if two
                          else m.roc_auc_score(truth, p, multi_class="ovr", labels=labels)),
        "average_precision": figure(lambda: m.average_precision_score(hot, p[:, 1] if two else p)),
        "ece_10": calibration_error(truth, p, 10),
        "ece_15": calibration_error(truth, p, 15),
    }
    for k in [2, 3, 5]:
        if k < count:
            figures[f"top_{k}"] = figure(lambda: m.top_k_accuracy_score(truth, p, k=k, labels=labels))
    for average in ["macro", "micro"]:
        for key, score in [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)]:
            figures[f"{key}_{average}"] = figure(lambda: score(truth, best, average=average, zero_division=0))
    each = m.precision_recall_fscore_support(truth, best, labels=labels, zero_division=0)
    return {
        "name": name,
        "classes": count,
        "truth": truth.tolist(),
        "probabilities": p.tolist(),
        "figures": figures,
        "confusion": m.confusion_matrix(truth, best, labels=labels).tolist(),
        "each": np.array(each).T.tolist(),
    }


def of_numbers(name, truth, predicted):
    y, p = np.array(truth, dtype=float), np.array(predicted, dtype=float)
    figures = {
        "r2": figure(lambda: m.r2_score(y, p, force_finite=False)),
        "mae": figure(lambda: m.mean_absolute_error(y, p)),
        "rmse": figure(lambda: m.root_mean_squared_error(y, p)),
        "mape": figure(lambda: m.mean_absolute_percentage_error(y, p)),
        "median_absolute_error": figure(lambda: m.median_absolute_error(y, p)),
        "explained_variance": figure(lambda: m.explained_variance_score(y, p, force_finite=False)),
    }
    for quantile in [0.1, 0.5, 0.9]:
        figures[f"pinball_{quantile}"] = figure(lambda: m.mean_pinball_loss(y, p, alpha=quantile))
    return {"name": name, "truth": y.tolist(), "predicted": p.tolist(), "figures": figures}


def interval(truth, low, high):
    y, low, high = np.array(truth), np.array(low), np.array(high)
    coverage = float(((low <= y) & (y <= high)).mean())
    return {"truth": y.tolist(), "low": low.tolist(), "high": high.tolist(), "coverage": coverage}


def made():
    random = np.random.RandomState(7)

    def eighths(rows, classes):
        """Probabilities that are whole eighths: exact, and with many ties."""
        return random.multinomial(8, [1 / classes] * classes, size=rows) / 8

    def smooth(rows, classes):
        raw = np.exp(1.5 * random.standard_normal((rows, classes)))
        return raw / raw.sum(axis=1, keepdims=True)

    half = [[0.5, 0.5]] * 6
    classes = [
        of_classes("two classes", random.randint(0, 2, 40), smooth(40, 2)),
        of_classes("two classes, ties", random.randint(0, 2, 40), eighths(40, 2)),
        of_classes("three classes", random.randint(0, 3, 50), smooth(50, 3)),
        of_classes("three classes, ties", random.randint(0, 3, 50), eighths(50, 3)),
        of_classes("seven classes", random.randint(0, 7, 90), smooth(90, 7)),
        of_classes("seven classes, ties", random.randint(0, 7, 90), eighths(90, 7)),
        of_classes("rows of one of two classes", [1] * 5, smooth(5, 2)),
        of_classes("rows of the other class", [0] * 5, smooth(5, 2)),
        of_classes("rows of one of three classes", [2] * 6, smooth(6, 3)),
        of_classes("a class without rows", random.choice([0, 2, 3], 30), smooth(30, 4)),
        of_classes("predictions all alike", [0, 1, 1, 0, 1, 0], half),
        of_classes("a class never predicted", [0, 1, 2, 0, 1, 2], [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]] * 3),
        of_classes("one row", [1], [[0.25, 0.75]]),
        of_classes("one row, wrong, three classes", [2], [[0.5, 0.25, 0.25]]),
        of_classes("certain and right", [0, 1, 2, 1], np.eye(3)[[0, 1, 2, 1]]),
        of_classes("certain and wrong", [0, 1, 2, 1], np.eye(3)[[1, 2, 0, 0]]),
    ]
    y = 3 * random.standard_normal(41) + 1
    numbers = [
        of_numbers("numbers", y, y + random.standard_normal(41)),
        of_numbers("an even number of them", y[:40], y[:40] * 0.8 + 0.5),
        of_numbers("no better than the mean", y, np.full(41, y.mean())),
        of_numbers("right but for a shift", y, y + 2),
        of_numbers("all right", y, y),
        of_numbers("targets all alike", [2.0] * 5, [1.0, 2.0, 3.0, 2.5, 2.0]),
        of_numbers("all alike and right", [2.0] * 3, [2.0] * 3),
        of_numbers("one row", [2.0], [1.5]),
        of_numbers("targets of 0", [0.0, 1.0, -2.0], [0.5, 1.0, -1.0]),
        of_numbers("ties", [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]),
    ]
    intervals = [
        interval([1.0, 2.0, 3.0, 4.0], [1.0, 2.5, 0.0, 5.0], [1.0, 3.0, 3.0, 6.0]),
        interval(y, y - random.standard_normal(41), y + random.standard_normal(41)),
    ]
    return {"classes": classes, "numbers": numbers, "intervals": intervals}


def main():
    with warnings.catch_warnings():
        # What is not defined is told by warnings, and is what some cases are there for.
        warnings.simplefilter("ignore")
        families = made()
    parts = [f'"sklearn": "{sklearn.__version__}"']
    for family, cases in families.items():
        parts.append(f'"{family}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]")
    text = "{" + ",\n".join(parts) + "}\n"
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text() == text else f"{FILE} differs")
    FILE.write_text(text)


main()
