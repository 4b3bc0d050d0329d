"""Training with its events."""

import json

import numpy as np

from . import _wgrad
from ._model import Model, array_of
from ._options import OF_COLUMNS, OF_FILES, distinct, settings_of, task_of
from ._words import reworded, reworded_errors


class Trainer:
    """A training on a thread of its own, whose events you iterate over.

    ``X`` is an array ``[rows, columns]``. ``y`` are classes if they are texts, whole numbers or truth values, and numbers if they
    are floats, unless ``task`` says it: ``classify``, ``regress``, or ``labels`` for a column of 0 and 1 for each label. ``classes``
    names the classes or labels in an order of your own. ``options`` are those of ``wgrad train`` that are not about tables, with
    ``_`` for ``-``.

    >>> trainer = wgrad.Trainer(X, y, epochs=20)
    >>> for event in trainer:
    ...     if event["event"] == "epoch":
    ...         print(event["epoch"], event["train_loss"])
    >>> model = trainer.model
    """

    def __init__(self, X, y, *, sample_weight=None, classes=None, **options):
        for name in options:
            if options[name] is not None and name.replace("-", "_") in (*OF_COLUMNS, *OF_FILES):
                instead = "give sample_weight" if name == "weight" else "leave it out, or give a data frame to an estimator"
                raise ValueError(f"{name}: it is about tables, and a Trainer takes arrays; {instead}")
        y, names, labels = _targets(np.asarray(y), classes, options.get("task"))
        if options.get("task") in (None, "auto"):
            options["task"] = task_of(names, labels)
        weights = None if sample_weight is None else np.ascontiguousarray(sample_weight, dtype=np.float64)
        with reworded_errors(estimator=False):
            self._run = _wgrad.Run.of_rows(settings_of(options), array_of(X), y, names=names, labels=labels, weights=weights)
        self._model = None

    def __iter__(self):
        """Give the events as dicts: ``started``, ``progress``, ``epoch``, ``warning``, ``finished``."""
        with reworded_errors(estimator=False):
            for line in self._run:
                event = json.loads(line)
                if event["event"] == "warning":
                    event["message"] = reworded(event["message"], estimator=False)
                yield event

    def stop(self):
        """End the training at its next event; the model is the one that it would keep."""
        self._run.stop()

    @property
    def model(self):
        """The trained network; waits for the end of the training."""
        if self._model is None:
            for _ in self:
                pass
            with reworded_errors(estimator=False):
                self._model = Model(self._run.model())
        return self._model


def _targets(y, classes, task):
    """Return targets as the crate takes them, the names of their classes or labels, and whether these are labels."""
    if task == "labels":
        y = _numbers(y[:, None] if y.ndim == 1 else y, task)
        names = [f"label{place}" for place in range(y.shape[-1])] if classes is None else [str(name) for name in classes]
        if len(names) != y.shape[-1]:
            raise ValueError(f"classes: {len(names)} names, but y has {y.shape[-1]} columns of labels")
        return y, names, True
    if task == "regress":
        if classes is not None:
            raise ValueError("classes: numbers have none; leave them out, or task='regress'")
        return _numbers(y, task), None, False
    if y.dtype.kind == "f" and classes is None and task != "classify":
        return np.ascontiguousarray(y, dtype=np.float64), None, False
    if y.ndim != 1:
        further = "numbers are given as floats, and labels with task='labels'"
        raise ValueError(f"y has {y.ndim} dimensions, but classes are a vector, one for each row; {further}")
    known = distinct(y) if classes is None else np.asarray(classes)
    index = {value: place for place, value in enumerate(known.tolist())}
    lacking = [value for value in y.tolist() if value not in index]
    if lacking:
        raise ValueError(f"y has {lacking[0]!r}, which is none of the classes")
    return np.array([index[value] for value in y.tolist()], dtype=np.uint32), [str(value) for value in known], False


def _numbers(y, task):
    """Return targets as floats."""
    if y.dtype.kind not in "fiub":
        raise ValueError(f"y holds {y.dtype}, but task='{task}' takes numbers")
    return np.ascontiguousarray(y, dtype=np.float64)
