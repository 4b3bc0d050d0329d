"""Writes wgrad/_estimators.pyi from the options of the program: python stubs.py."""

from pathlib import Path

import wgrad

HEAD = '''# Written by stubs.py from the options of the program; a test compares them.
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from ._model import Model

'''

METHODS = {
    "MLPClassifier": '''    classes_: NDArray[Any]
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self: ...
    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self: ...
    def predict(self, X: Any) -> NDArray[Any]: ...
    def predict_proba(self, X: Any) -> NDArray[np.float64]: ...
    def decision_function(self, X: Any) -> NDArray[np.float64]: ...
''',
    "MLPRegressor": '''    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self: ...
    def partial_fit(self, X: Any, y: ArrayLike) -> Self: ...
    def predict(self, X: Any) -> NDArray[np.float64]: ...
    def predict_columns(self, X: Any) -> NDArray[np.float64]: ...
''',
}


def text():
    """Return the stubs of both estimators."""
    parts = [HEAD.rstrip("\n") + "\n"]
    for kind, mixin in ((wgrad.MLPClassifier, "ClassifierMixin"), (wgrad.MLPRegressor, "RegressorMixin")):
        names = ["hidden", *(name for name in kind._get_param_names() if name not in ("hidden", "random_state", "verbose"))]
        lines = [f"class {kind.__name__}({mixin}, BaseEstimator):"]
        lines += ["    n_features_in_: int", "    n_iter_: int", "    loss_curve_: list[float]", "    history_: list[dict[str, Any]]"]
        lines += ["    @property", "    def model_(self) -> Model: ..."]
        lines += ["    def __init__(", "        self,", "        hidden: Any = None,", "        *,"]
        lines += [f"        {name}: Any = None," for name in names if name != "hidden"]
        lines += ["        random_state: Any = None,", "        verbose: bool = False,", "    ) -> None: ..."]
        parts.append("\n".join(lines) + "\n" + METHODS[kind.__name__])
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).parent / "wgrad" / "_estimators.pyi").write_text(text())
