"""Trained networks."""

import json
import os
import warnings
from functools import cached_property

import numpy as np

from . import _wgrad
from ._frames import arranged, is_frame, refuse_other_tables, table_of
from ._options import TrainingWarning
from ._words import reworded_errors


class Model:
    """A trained network, or an ensemble. :func:`load` reads one; estimators have theirs in ``model_``."""

    def __init__(self, inner):
        self._inner = inner

    def __repr__(self):
        members = f", {self.members} members" if self.members > 1 else ""
        return f"<wgrad.Model of {self.kind}: {self.layers}{members}>"

    @property
    def kind(self):
        """Kind of the target: ``classes``, ``labels`` or ``numbers``."""
        return self._inner.kind

    @property
    def classes(self):
        """Names of the classes or labels, in the order of the predictions' columns."""
        return self._inner.classes

    @property
    def columns(self):
        """Names of the predictions' columns; those of several targets or labels begin with its name, as in files of the program."""
        names = self._inner.columns
        if self.kind == "labels":
            targets = self.classes
        else:
            targets = self._schema["kind"]["numbers"] if len(set(names)) < len(names) else []
        if len(targets) < 2:
            return names
        each = len(names) // len(targets)
        return [f"{targets[place // each]}_{name}" for place, name in enumerate(names)]

    @property
    def features(self):
        """Names of the inputs, in their order; a column of texts may have several."""
        return self._inner.features

    @property
    def layers(self):
        """The layers as text."""
        return self._inner.layers

    @property
    def members(self):
        """Number of networks of an ensemble; 1 for a single network."""
        return self._inner.members

    def predict(self, rows):
        """Return predictions ``[rows, columns]``: probabilities of classes or labels, or numbers in the target's units.

        ``rows`` is an array ``[rows, features]``, a data frame with the columns of the training table, or the path of a table.
        """
        if isinstance(rows, (str, os.PathLike)):
            return _without_odd(*self._inner.predict_table(os.fspath(rows)))
        if is_frame(rows):
            with reworded_errors(frame=True), table_of(rows) as path:
                return _without_odd(*self._inner.predict_table(path))
        with reworded_errors():
            return self._inner.predict(array_of(rows))

    def predict_with_spread(self, rows):
        """Return predictions and their standard deviation among the members of an ensemble, both ``[rows, columns]``.

        ``rows`` is an array ``[rows, features]``, or a data frame of numbers with the columns of the training rows, in any order.
        """
        is_path = isinstance(rows, (str, os.PathLike))
        if is_path or (is_frame(rows) and not self._takes_numbers()):
            what = "paths of tables" if is_path else "texts, dates and gaps of a frame"
            raise ValueError(f"predict_with_spread takes numbers, but no {what}; use predict, or save the model for `wgrad predict --spread`")
        if is_frame(rows):
            rows = arranged(rows, self.features)
        with reworded_errors():
            return self._inner.predict_with_spread(array_of(rows))

    def _takes_numbers(self):
        """Return whether all inputs are numbers of a table as they stand there."""
        encodings = [column["encoding"] for column in self._schema.get("columns", [])]
        return all(it["kind"] == "number" and "fill" not in it for it in encodings)

    def weights(self):
        """Return the weights by their names, as PyTorch names them; of an ensemble a list with a dict for each member."""
        each = self._inner.weights()
        return each[0] if len(each) == 1 else each

    def save(self, path):
        """Write ``model.safetensors``, which the program ``wgrad`` reads too."""
        self._inner.save(os.fspath(path))

    def export_onnx(self, path):
        """Write an ONNX file."""
        self._inner.export_onnx(os.fspath(path))

    @cached_property
    def _schema(self):
        """Return what the model's file says of the table: its columns, and the targets."""
        data = self._inner.to_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        model = json.loads(header["__metadata__"]["wgrad"])
        return model.get("members", [model])[0]["preparation"]["schema"]

    def __reduce__(self):
        return (_restored, (self._inner.to_bytes(),))


def _without_odd(values, odd):
    """Return predictions, after a warning if cells hold what the model does not know."""
    if odd:
        cells = "1 cell holds a text or gap" if odd == 1 else f"{odd} cells hold texts or gaps"
        counts = "counts" if odd == 1 else "count"
        gaps = "a gap in a column of numbers as their mean; a number of another type is another text"
        told = f"{cells} that training did not have, and {counts} as none of the known ones, {gaps}"
        warnings.warn(told, TrainingWarning, stacklevel=3)
    return values


def _restored(data):
    return Model(_wgrad.Model.from_bytes(data))


def array_of(rows):
    """Return rows as an array of floats ``[rows, columns]``, without a copy where they are one."""
    refuse_other_tables(rows)
    rows = np.asarray(rows)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    if rows.ndim != 2:
        raise ValueError(f"rows must be an array [rows, columns], but it has {rows.ndim} dimensions")
    return np.ascontiguousarray(rows)


def load(path):
    """Read the model of a run folder of ``wgrad train``, or a ``model.safetensors``."""
    path = os.fspath(path)
    if os.path.isdir(path):
        path = os.path.join(path, "model.safetensors")
    return Model(_wgrad.Model.load(path))
