"""Training with its events."""

import json

import numpy as np

from . import _wgrad
from ._model import Model, array_of
from ._options import distinct, settings_of, task_of


class Trainer:
    """A training on a thread of its own, whose events you iterate over.

    ``X`` is an array ``[rows, columns]``. ``y`` are classes if they are texts, whole numbers or truth values, and numbers if they
    are floats; ``classes`` names the classes in an order of your own. ``options`` are those of ``wgrad train``, with ``_`` for ``-``.

    >>> trainer = wgrad.Trainer(X, y, epochs=20)
    >>> for event in trainer:
    ...     if event["event"] == "epoch":
    ...         print(event["epoch"], event["train_loss"])
    >>> model = trainer.model
    """

    def __init__(self, X, y, *, sample_weight=None, classes=None, **options):
        y = np.asarray(y)
        names = None
        if y.dtype.kind == "f" and classes is None:
            y = np.ascontiguousarray(y, dtype=np.float64)
        else:
            if y.ndim != 1:
                raise ValueError(f"y has {y.ndim} dimensions, but classes are a vector, one for each row; numbers are given as floats")
            known = distinct(y) if classes is None else np.asarray(classes)
            index = {value: place for place, value in enumerate(known.tolist())}
            lacking = [value for value in y.tolist() if value not in index]
            if lacking:
                raise ValueError(f"y has {lacking[0]!r}, which is none of the classes")
            y = np.array([index[value] for value in y.tolist()], dtype=np.uint32)
            names = [str(value) for value in known]
        weights = None if sample_weight is None else np.ascontiguousarray(sample_weight, dtype=np.float64)
        options.setdefault("task", task_of(names, False))
        self._run = _wgrad.Run.of_rows(settings_of(options), array_of(X), y, names=names, weights=weights)
        self._model = None

    def __iter__(self):
        """Give the events as dicts: ``started``, ``progress``, ``epoch``, ``warning``, ``finished``."""
        return map(json.loads, self._run)

    def stop(self):
        """End the training at its next event; the model is the one that it would keep."""
        self._run.stop()

    @property
    def model(self):
        """The trained network; waits for the end of the training."""
        if self._model is None:
            for _ in self._run:
                pass
            self._model = Model(self._run.model())
        return self._model
