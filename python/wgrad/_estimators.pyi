# Written by stubs.py from the options of the program; a test compares them.
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from ._model import Model

class MLPClassifier(ClassifierMixin, BaseEstimator):
    n_features_in_: int
    n_iter_: int
    loss_curve_: list[float]
    history_: list[dict[str, Any]]
    @property
    def model_(self) -> Model: ...
    def __init__(
        self,
        hidden: Any = None,
        *,
        accumulate: Any = None,
        activation: Any = None,
        average: Any = None,
        batch_size: Any = None,
        beta1: Any = None,
        beta2: Any = None,
        clamp: Any = None,
        class_weights: Any = None,
        clip_norm: Any = None,
        clip_value: Any = None,
        columns: Any = None,
        decay_schedule: Any = None,
        device: Any = None,
        device_memory: Any = None,
        drop_last: Any = None,
        dropout: Any = None,
        dropout_schedule: Any = None,
        duplicates: Any = None,
        embedding_width: Any = None,
        epochs: Any = None,
        eps: Any = None,
        freeze: Any = None,
        gaps: Any = None,
        group: Any = None,
        groups: Any = None,
        ignore: Any = None,
        init: Any = None,
        keep: Any = None,
        keep_later: Any = None,
        layers: Any = None,
        loss: Any = None,
        lr: Any = None,
        members: Any = None,
        metrics: Any = None,
        min_count: Any = None,
        missing: Any = None,
        momentum: Any = None,
        nesterov: Any = None,
        no_decay: Any = None,
        norm: Any = None,
        on_nonfinite: Any = None,
        one_hot: Any = None,
        optimizer: Any = None,
        positive: Any = None,
        precision: Any = None,
        recipe: Any = None,
        reduction: Any = None,
        scale: Any = None,
        scale_texts: Any = None,
        schedule: Any = None,
        schedule_epochs: Any = None,
        seed: Any = None,
        shuffle: Any = None,
        smoothing_schedule: Any = None,
        split_column: Any = None,
        split_seed: Any = None,
        stop_delta: Any = None,
        stop_metric: Any = None,
        stop_patience: Any = None,
        time_budget: Any = None,
        tune: Any = None,
        tune_ms: Any = None,
        valid: Any = None,
        warmup: Any = None,
        weight_decay: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None: ...
    classes_: NDArray[Any]
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self: ...
    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self: ...
    def predict(self, X: Any) -> NDArray[Any]: ...
    def predict_proba(self, X: Any) -> NDArray[np.float64]: ...
    def decision_function(self, X: Any) -> NDArray[np.float64]: ...

class MLPRegressor(RegressorMixin, BaseEstimator):
    n_features_in_: int
    n_iter_: int
    loss_curve_: list[float]
    history_: list[dict[str, Any]]
    @property
    def model_(self) -> Model: ...
    def __init__(
        self,
        hidden: Any = None,
        *,
        accumulate: Any = None,
        activation: Any = None,
        average: Any = None,
        batch_size: Any = None,
        beta1: Any = None,
        beta2: Any = None,
        clamp: Any = None,
        clip_norm: Any = None,
        clip_value: Any = None,
        columns: Any = None,
        decay_schedule: Any = None,
        device: Any = None,
        device_memory: Any = None,
        drop_last: Any = None,
        dropout: Any = None,
        dropout_schedule: Any = None,
        duplicates: Any = None,
        embedding_width: Any = None,
        epochs: Any = None,
        eps: Any = None,
        freeze: Any = None,
        gaps: Any = None,
        group: Any = None,
        groups: Any = None,
        ignore: Any = None,
        init: Any = None,
        keep: Any = None,
        keep_later: Any = None,
        layers: Any = None,
        loss: Any = None,
        lr: Any = None,
        members: Any = None,
        metrics: Any = None,
        min_count: Any = None,
        missing: Any = None,
        momentum: Any = None,
        nesterov: Any = None,
        no_decay: Any = None,
        norm: Any = None,
        on_nonfinite: Any = None,
        one_hot: Any = None,
        optimizer: Any = None,
        precision: Any = None,
        recipe: Any = None,
        reduction: Any = None,
        scale: Any = None,
        scale_texts: Any = None,
        schedule: Any = None,
        schedule_epochs: Any = None,
        seed: Any = None,
        shuffle: Any = None,
        smoothing_schedule: Any = None,
        split_column: Any = None,
        split_seed: Any = None,
        stop_delta: Any = None,
        stop_metric: Any = None,
        stop_patience: Any = None,
        target_scale: Any = None,
        time_budget: Any = None,
        tune: Any = None,
        tune_ms: Any = None,
        valid: Any = None,
        warmup: Any = None,
        weight_decay: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None: ...
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self: ...
    def partial_fit(self, X: Any, y: ArrayLike) -> Self: ...
    def predict(self, X: Any) -> NDArray[np.float64]: ...
    def predict_columns(self, X: Any) -> NDArray[np.float64]: ...
