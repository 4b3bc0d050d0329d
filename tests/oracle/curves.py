"""Writes the curves that the tests of pictures compare with.

    python3 tests/oracle/curves.py            writes curves.json beside this script
    python3 tests/oracle/curves.py --check    fails if the stored file differs from a fresh computation

Needs scikit-learn from PyPI. ROC curves are those of roc_curve with all points, precision and recall those of
precision_recall_curve, from the highest threshold to the lowest; calibration bins are those of calibration_curve on the largest
probability of each row, with 10 bins of equal width.

curves.json: {"sklearn": version, "cases": [{"name", "truth", "probabilities": rows in a list each, "weights": numbers or null,
  "confusion": rows, "curves": [{"class", "roc": points, "roc_auc", "precision_recall": points, "average_precision"}],
  "calibration": points (confidence, accuracy)}]}
"""

import json
import sys
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m
from sklearn.calibration import calibration_curve

FILE = Path(__file__).parent / "curves.json"


def case(name, rows, classes, weighted, ties):
    rng = np.random.default_rng(7)
    truth = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[truth]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if ties:
        p = np.round(p * 8 + 0.01) / 8
    p = np.round(p, 6)
    weights = rng.integers(1, 4, rows).astype(float) if weighted else None
    curves = []
    for which in [1] if classes == 2 else range(classes):
        yes, score = truth == which, p[:, which]
        fpr, tpr, _ = m.roc_curve(yes, score, sample_weight=weights, drop_intermediate=False)
        precision, recall, _ = m.precision_recall_curve(yes, score, sample_weight=weights)
        curves.append({
            "class": which,
            "roc": np.stack([fpr, tpr], 1).tolist(),
            "roc_auc": float(m.roc_auc_score(yes, score, sample_weight=weights)),
            "precision_recall": np.stack([recall, precision], 1)[::-1].tolist(),
            "average_precision": float(m.average_precision_score(yes, score, sample_weight=weights)),
        })
    right = p.argmax(1) == truth
    accuracy, confidence = calibration_curve(right, p.max(1), n_bins=10)
    return {
        "name": name,
        "truth": truth.tolist(),
        "probabilities": p.tolist(),
        "weights": None if weights is None else weights.tolist(),
        "confusion": m.confusion_matrix(truth, p.argmax(1), labels=range(classes)).tolist(),
        "curves": curves,
        # Bins have no weights there.
        "calibration": None if weighted or ties else np.stack([confidence, accuracy], 1).tolist(),
    }


def main():
    cases = [
        case("two classes", 80, 2, False, False),
        case("two classes, ties, weights", 90, 2, True, True),
        case("four classes", 120, 4, False, False),
    ]
    text = json.dumps({"sklearn": sklearn.__version__, "cases": cases}) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text)
        return
    stored, fresh = json.loads(FILE.read_text()), json.loads(text)
    for old, new in zip(stored["cases"], fresh["cases"], strict=True):
        assert old["confusion"] == new["confusion"], old["name"]
        for a, b in zip(old["curves"], new["curves"], strict=True):
            for key in ("roc", "roc_auc", "precision_recall", "average_precision"):
                np.testing.assert_allclose(a[key], b[key], rtol=1e-9, err_msg=old["name"])


if __name__ == "__main__":
    main()
