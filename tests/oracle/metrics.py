"""Writes the figures that the tests of metrics compare with.

    python3 tests/oracle/metrics.py            writes metrics.json beside this script
    python3 tests/oracle/metrics.py --check    fails if the stored file differs from a fresh computation

Needs scikit-learn from PyPI. All figures are those of sklearn.metrics with zero_division=0 where it has that, and with the
weights of rows as sample_weight; those that it refuses, or gives as NaN or infinite, are null, and so is the average
precision where a class has no row, of which it warns. What it does not have (the calibration error, coverage) is computed
here with numpy, by the formula. Rows of weight 0 are as good as absent: figures of such cases are those of the other rows.

metrics.json: {"sklearn": version,
  "classes": [{"name", "classes", "truth", "probabilities": rows in a list each, "weights": numbers or null,
               "figures": {metric: number or null}, "confusion": rows, "each": [[precision, recall, f1, rows or their
               weight] of each class]}],
  "labels": [{"name", "truth": rows in a list each, "probabilities", "weights", "figures"}],
  "numbers": [{"name", "truth", "predicted", "weights", "figures"}],
  "intervals": [{"truth", "low", "high", "weights", "coverage"}]}
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

SCORES = [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)]
FILE = Path(__file__).parent / "metrics.json"


def figure(compute):
    """A finite number, or None where there is none."""
    try:
        value = float(compute())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def calibration_error(truth, probabilities, weights, bins):
    """Guo et al. 2017, arXiv:1706.04599, equation 5, with weighted means; bins are (lower, upper]."""
    weights = np.ones(len(truth)) if weights is None else weights
    confidence, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    total = 0.0
    for index in range(bins):
        inside = (confidence > index / bins) & (confidence <= (index + 1) / bins)
        if inside.any():
            mean = lambda values: np.average(values[inside], weights=weights[inside])
            total += weights[inside].sum() / weights.sum() * abs(mean(best == truth) - mean(confidence))
    return total


def counted(weights, *arrays):
    """The rows that weigh something, and their weights."""
    if weights is None:
        return None, *arrays
    weights = np.array(weights, dtype=float)
    return weights[weights > 0], *(array[weights > 0] for array in arrays)


def listed(weights):
    return None if weights is None else np.array(weights, dtype=float).tolist()


def of_classes(name, truth, probabilities, weights=None):
    all_truth, all_p = np.array(truth), np.array(probabilities, dtype=float)
    w, truth, p = counted(weights, all_truth, all_p)
    count = p.shape[1]
    labels, best = np.arange(count), p.argmax(axis=1)
    hot = label_binarize(truth, classes=labels)
    two = count == 2
    figures = {
        "accuracy": figure(lambda: m.accuracy_score(truth, best, sample_weight=w)),
        "balanced_accuracy": figure(lambda: m.balanced_accuracy_score(truth, best, sample_weight=w)),
        "matthews": figure(lambda: m.matthews_corrcoef(truth, best, sample_weight=w)),
        "log_loss": figure(lambda: m.log_loss(truth, p, labels=labels, sample_weight=w)),
        "brier": figure(lambda: m.brier_score_loss(truth, p[:, 1] if two else p, labels=labels, sample_weight=w)),
        "roc_auc": figure(lambda: m.roc_auc_score(truth, p[:, 1], sample_weight=w) if two
                          else m.roc_auc_score(truth, p, multi_class="ovr", labels=labels, sample_weight=w)),
        "average_precision": figure(lambda: m.average_precision_score(hot, p[:, 1] if two else p, sample_weight=w))
        if hot.any(axis=0).all() else None,
        "ece_10": calibration_error(truth, p, w, 10),
        "ece_15": calibration_error(truth, p, w, 15),
    }
    for k in [2, 3, 5]:
        if k < count:
            figures[f"top_{k}"] = figure(lambda: m.top_k_accuracy_score(truth, p, k=k, labels=labels, sample_weight=w))
    for key, score in SCORES:
        for average in ["macro", "micro"]:
            figures[f"{key}_{average}"] = figure(
                lambda: score(truth, best, average=average, zero_division=0, sample_weight=w))
        if two:
            figures[key] = figure(lambda: score(truth, best, zero_division=0, sample_weight=w))
    each = m.precision_recall_fscore_support(truth, best, labels=labels, zero_division=0, sample_weight=w)
    return {
        "name": name,
        "classes": count,
        "truth": all_truth.tolist(),
        "probabilities": all_p.tolist(),
        "weights": listed(weights),
        "figures": figures,
        "confusion": m.confusion_matrix(truth, best, labels=labels).tolist(),
        "each": np.array(each).T.tolist(),
    }


def of_labels(name, truth, probabilities, weights=None):
    """Of each label's yes, by its probability; macro and micro averages are over labels."""
    all_truth, all_p = np.array(truth), np.array(probabilities, dtype=float)
    w, truth, p = counted(weights, all_truth, all_p)
    best = (p > 0.5).astype(int)
    columns = range(p.shape[1])
    mean = lambda score: figure(lambda: np.mean([score(truth[:, c], best[:, c], p[:, c]) for c in columns]))
    figures = {
        "accuracy": figure(lambda: m.accuracy_score(truth, best, sample_weight=w)),
        "roc_auc": figure(lambda: m.roc_auc_score(truth, p, sample_weight=w)),
        "average_precision": figure(lambda: m.average_precision_score(truth, p, sample_weight=w))
        if truth.any(axis=0).all() else None,
        "balanced_accuracy": mean(lambda y, b, p: m.balanced_accuracy_score(y, b, sample_weight=w)),
        "matthews": mean(lambda y, b, p: m.matthews_corrcoef(y, b, sample_weight=w)),
        "log_loss": mean(lambda y, b, p: m.log_loss(y, p, labels=[0, 1], sample_weight=w)),
        "brier": mean(lambda y, b, p: m.brier_score_loss(y, p, labels=[0, 1], sample_weight=w)),
    }
    for key, score in SCORES:
        for average in ["macro", "micro"]:
            figures[f"{key}_{average}"] = figure(
                lambda: score(truth, best, average=average, zero_division=0, sample_weight=w))
    return {
        "name": name,
        "truth": all_truth.tolist(),
        "probabilities": all_p.tolist(),
        "weights": listed(weights),
        "figures": figures,
    }


def of_numbers(name, truth, predicted, weights=None):
    all_y, all_p = np.array(truth, dtype=float), np.array(predicted, dtype=float)
    w, y, p = counted(weights, all_y, all_p)
    figures = {
        "r2": figure(lambda: m.r2_score(y, p, force_finite=False, sample_weight=w)),
        "mae": figure(lambda: m.mean_absolute_error(y, p, sample_weight=w)),
        "rmse": figure(lambda: m.root_mean_squared_error(y, p, sample_weight=w)),
        "mape": figure(lambda: m.mean_absolute_percentage_error(y, p, sample_weight=w)),
        "median_absolute_error": figure(lambda: m.median_absolute_error(y, p, sample_weight=w)),
        "explained_variance": figure(lambda: m.explained_variance_score(y, p, force_finite=False, sample_weight=w)),
    }
    for quantile in [0.1, 0.5, 0.9]:
        figures[f"pinball_{quantile}"] = figure(lambda: m.mean_pinball_loss(y, p, alpha=quantile, sample_weight=w))
    return {
        "name": name,
        "truth": all_y.tolist(),
        "predicted": all_p.tolist(),
        "weights": listed(weights),
        "figures": figures,
    }


def interval(truth, low, high, weights=None):
    y, low, high = np.array(truth), np.array(low), np.array(high)
    coverage = float(np.average((low <= y) & (y <= high), weights=weights))
    return {
        "truth": y.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "weights": listed(weights),
        "coverage": coverage,
    }


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

    def weights(rows, share_of_zeros=0.2):
        weights = np.exp(random.standard_normal(rows))
        weights[random.random_sample(rows) < share_of_zeros] = 0
        return weights

    whole = lambda rows: random.randint(0, 4, rows)
    classes += [
        of_classes("weights, two classes", random.randint(0, 2, 40), smooth(40, 2), weights(40)),
        of_classes("weights, two classes, ties", random.randint(0, 2, 40), eighths(40, 2), weights(40)),
        of_classes("weights, three classes", random.randint(0, 3, 50), smooth(50, 3), weights(50)),
        of_classes("weights, seven classes, ties", random.randint(0, 7, 90), eighths(90, 7), weights(90)),
        of_classes("whole weights, two classes", random.randint(0, 2, 40), eighths(40, 2), whole(40)),
        of_classes("whole weights, five classes", random.randint(0, 5, 60), smooth(60, 5), whole(60)),
        of_classes("weights, a class whose rows weigh nothing", [0, 1, 2, 0, 1, 2], smooth(6, 3), [1, 2, 0, 0.5, 0.25, 0]),
        of_classes("weights, predictions all alike", [0, 1, 1, 0, 1, 0], half, [0.1, 0.2, 0.3, 0.7, 1.1, 0.4]),
        of_classes("weights, one row that counts", [1, 0], [[0.25, 0.75], [0.5, 0.5]], [0.3, 0]),
    ]
    numbers += [
        of_numbers("weights, numbers", y, y + random.standard_normal(41), weights(41)),
        of_numbers("weights, an even number of them", y[:40], y[:40] * 0.8 + 0.5, weights(40, 0)),
        of_numbers("whole weights", y, y + random.standard_normal(41), whole(41)),
        of_numbers("whole weights, ties", [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 5.0, 6.0], [1, 3, 2, 2]),
        of_numbers("weights, targets all alike that count", [2.0, 2.0, 7.0], [1.0, 2.5, 3.0], [0.3, 1.7, 0.0]),
        of_numbers("weights, one row that counts", [2.0, 3.0], [1.5, 1.0], [0.7, 0.0]),
    ]
    intervals.append(interval(y, y - random.standard_normal(41), y + random.standard_normal(41), weights(41)))
    yes = lambda rows: (random.random_sample((rows, 3)) < [0.5, 0.1, 0.9]).astype(int)
    labels = [
        of_labels("labels", yes(60), random.random_sample((60, 3))),
        of_labels("labels, ties", yes(60), random.randint(0, 9, (60, 3)) / 8),
        of_labels("labels, weights", yes(60), random.random_sample((60, 3)), weights(60)),
        of_labels("labels, whole weights", yes(60), random.randint(0, 9, (60, 3)) / 8, whole(60)),
        of_labels("labels, one without a yes", [[0, 1, 0], [0, 0, 1], [0, 1, 1]], random.random_sample((3, 3))),
        of_labels("labels, one never predicted", yes(20), random.random_sample((20, 3)) * [1, 1, 0.5]),
    ]
    return {"classes": classes, "labels": labels, "numbers": numbers, "intervals": intervals}


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
