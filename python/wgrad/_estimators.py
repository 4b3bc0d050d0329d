"""Estimators of scikit-learn."""

import inspect
import json
import sys
import warnings
from itertools import chain, islice

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, check_random_state, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import _wgrad
from ._effects import idle_in_steps, told_of
from ._frames import (
    free_name,
    has_gaps,
    headings,
    is_frame,
    is_plain,
    mark_in,
    refuse_other_tables,
    rules_text,
    series_of,
    table_of,
)
from ._model import Model
from ._options import OF_COLUMNS, OF_FILES, TrainingWarning, distinct, names_of, rules_of, settings_of, task_of, text_of
from ._words import help_of, reworded, reworded_errors

# Parameters that are no options of the program.
OF_PYTHON = ("random_state", "verbose")

# Options that a kind of estimator decides.
OF_ONE_KIND = ("class_weights", "positive", "target_scale")


def _init_with(*own):
    """Make the constructor of an estimator: each option of the program is a parameter, None for the program's default.

    scikit-learn reads parameters from the signature, so it is given in full; options come from the crate's own table of them.
    """
    left_out = (*OF_FILES, "task", *(name for name in OF_ONE_KIND if name not in own))
    helps = {name: help_of(text) for name, text in _wgrad.option_helps() if name not in left_out}
    names = ["hidden", *(name for name in helps if name != "hidden")]
    defaults = {**dict.fromkeys(names), "random_state": None, "verbose": False}

    def __init__(self, hidden=None, **options):
        unknown = [name for name in options if name not in defaults]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no parameter {unknown[0]!r}; its parameters are {', '.join(defaults)}")
        for name, default in defaults.items():
            setattr(self, name, hidden if name == "hidden" else options.get(name, default))

    empty = inspect.Parameter.empty
    first = inspect.Parameter("hidden", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
    rest = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in defaults.items()
        if name != "hidden"
    ]
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY, default=empty)
    __init__.__signature__ = inspect.Signature([me, first, *rest])
    lines = [f"{name} :\n    {text}" for name, text in helps.items()]
    lines.append("random_state :\n    Seed as scikit-learn has it: a number, or a RandomState; instead of ``seed``")
    lines.append("verbose :\n    True to show the figures of each epoch on standard error")
    __init__.__doc__ = "Parameters\n----------\n" + "\n".join(lines)
    return __init__


class _Estimator(BaseEstimator):
    """What both estimators share: options, tables, events and the model.

    Every option of ``wgrad train`` that is not about files, folds or the target is a parameter of its name, with ``_`` for ``-``; None
    is the program's default. ``wgrad vocabulary`` and :func:`wgrad.vocabulary` list what they take.
    """

    def _options(self):
        """Return the options that are set, with the seed that ``random_state`` gives."""
        if not isinstance(self.verbose, (bool, np.bool_, int, np.integer)):
            raise ValueError(f"verbose: {self.verbose!r} is neither True nor False")
        options = {name: value for name, value in self.get_params(deep=False).items() if name not in OF_PYTHON}
        if self.random_state is not None:
            if self.seed is not None:
                raise ValueError("random_state and seed say the same; give one of them")
            state = self.random_state
            whole = isinstance(state, (int, np.integer)) and not isinstance(state, bool)
            options["seed"] = int(state) if whole else int(check_random_state(state).randint(2**31))
        return {name: value for name, value in options.items() if value is not None}

    def _fit(self, X, y, sample_weight):
        """Train on rows whose targets `_encoded` turns into what the crate takes."""
        options = self._options()
        of_frame = is_frame(X)
        with reworded_errors(frame=of_frame):
            if of_frame and (not is_plain(X) or any(name in options for name in OF_COLUMNS)):
                run, begun = self._table_run(X, y, sample_weight, options)
            else:
                run, begun = self._array_run(X, y, sample_weight, options), []
            self._stepper = None
            self.history_ = []
            for line in chain(begun, run):
                self._tell(json.loads(line), of_frame)
            self._model = Model(run.model())
        # Members train side by side, and their epochs end in any order.
        self.history_.sort(key=lambda epoch: (epoch["epoch"], epoch.get("member", 0)))
        self.loss_curve_ = _curve(self.history_)
        self.n_iter_ = max((epoch["epoch"] for epoch in self.history_), default=0)
        return self

    def _array_run(self, X, y, sample_weight, options):
        for name in OF_COLUMNS:
            if name in options:
                raise ValueError(f"{name}: it is about the columns of a table; give a data frame, or leave it out")
        if hasattr(self, "_table_columns"):
            del self._table_columns
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True, y_numeric=self._numeric)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(_check_sample_weight(sample_weight, X, dtype=np.float64))
        if X.shape[0] < 2:
            raise ValueError(f"n_samples={X.shape[0]}, but training needs at least 2 rows")
        y, names, labels = self._encoded(y)
        options["task"] = task_of(names, labels)
        columns = [str(name) for name in getattr(self, "feature_names_in_", [])] or None
        return _wgrad.Run.of_rows(
            settings_of(options), X, y, names=names, labels=labels, columns=columns, weights=sample_weight
        )

    def _table_run(self, X, y, sample_weight, options):
        # A series has a name, by which tables to evaluate find the column.
        name = getattr(y, "name", None)
        target = name if isinstance(name, str) and name.strip() and name.isprintable() else "target"
        # As beside arrays; dates are refused later, with advice.
        if np.asarray(y).dtype.kind not in "mM":
            check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=self)
        y = np.asarray(y)
        if y.ndim != 1:
            raise ValueError("several targets go with arrays of numbers; give such, or one target")
        if len(y) != X.shape[0]:
            raise ValueError(f"{X.shape[0]} rows, but {len(y)} targets")
        y, names, _ = self._encoded(y)
        cells = names if names is not None else {str(value) for value in y} if self.missing is not None else ()
        for mark in names_of(options.get("missing")):
            if mark in cells:
                raise ValueError(f"missing: {mark!r} is in y, too, whose rows would be left out; name the class otherwise, or the mark")
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.asarray(headings(X), dtype=object)
        self._table_columns = list(self.feature_names_in_)
        target = free_name(X, target)
        further = {target: y if names is None else np.asarray(names, dtype=object)[y]}
        if sample_weight is not None:
            weight = free_name(X, "sample_weight", further)
            further[weight] = _check_sample_weight(sample_weight, X, dtype=np.float64)
            options["weight"] = weight
        options["task"] = task_of(names, False)
        columns, ignored = options.pop("columns", None), names_of(options.get("ignore"))
        rules = rules_text(X, columns, [*ignored, options.get("group"), options.get("split_column")])
        ignored += [name for name, rule in rules_of(columns) if str(rule).strip() == "ignore"]
        if rules:
            options["columns"] = rules
        # The form of the file is known.
        options.update(delimiter="comma", header="yes")
        if "missing" not in options:
            self._tell_of_marks(X, [*ignored, options.get("group"), options.get("split_column")])
        with table_of(X, further, ignored) as path:
            run = _wgrad.Run.of_table(settings_of(options), path, target)
            # The table is read on the run's thread before the first event, and is gone with this context.
            return run, list(islice(run, 1))

    def _tell_of_marks(self, frame, left_out):
        """Warn of texts in a frame that files have for gaps."""
        for place, name in enumerate(headings(frame)):
            mark = mark_in(series_of(frame, place)) if name not in left_out else None
            if mark is not None:
                told = f"column {name!r}: the text {mark!r} is taken for a gap, as in files"
                told += "; if it is none, say in ‘missing’ which texts mark gaps, such as '-'"
                warnings.warn(told, TrainingWarning, stacklevel=5)

    def _tell(self, event, of_frame):
        """Keep an event, and show it if that is asked for."""
        kind = event["event"]
        if kind == "warning":
            # Rows of a frame are never written again.
            if "where rows are written again" not in event["message"]:
                warnings.warn(reworded(event["message"], frame=of_frame), TrainingWarning, stacklevel=4)
        elif kind == "epoch":
            self.history_.append(event)
            if self.verbose:
                figures = (f"{name} {value:.4g}" for name, value in event.items() if isinstance(value, float))
                member = f" of member {event['member']}" if "member" in event else ""
                print(f"epoch {event['epoch']}{member}: {', '.join(figures)}", file=sys.stderr)

    @property
    def model_(self):
        """The trained network, a :class:`wgrad.Model`."""
        if getattr(self, "_model", None) is None:
            if getattr(self, "_stepper", None) is None:
                raise AttributeError("model_")
            self._model = Model(self._stepper.model())
        return self._model

    def __sklearn_is_fitted__(self):
        return getattr(self, "_model", None) is not None or getattr(self, "_stepper", None) is not None

    def __getstate__(self):
        state = dict(super().__getstate__())
        # What steps leave on a device does not travel; the weights do.
        if state.pop("_stepper", None) is not None:
            state["_model"] = self.model_
        state["_stepper"] = None
        return state

    def _predicted(self, X):
        """Return what the model predicts for rows, `[rows, columns]`."""
        check_is_fitted(self)
        if hasattr(self, "_table_columns"):
            if not is_frame(X):
                raise ValueError("the model was trained on a data frame with texts or gaps, so it predicts rows of such a frame")
            return self.model_.predict(X)
        names = getattr(self, "feature_names_in_", None)
        # The model fills gaps in the columns of tables, which it finds by the names of its features.
        fills = is_frame(X) and names is not None and list(names) == self.model_.features and has_gaps(X)
        finite = "allow-nan" if fills else True
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], order="C", ensure_all_finite=finite)
        return self.model_.predict(X if fills else rows)

    def _partial_fit(self, X, y):
        refuse_other_tables(X)
        options = self._options()
        for name in (*OF_COLUMNS, "members"):
            if name in options:
                raise ValueError(f"{name}: partial_fit trains one network on arrays; leave it out")
        first = not self.__sklearn_is_fitted__()
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True, y_numeric=self._numeric, reset=first
        )
        given = {name: value for name, value in self.get_params(deep=False).items() if name != "verbose" and value is not None}
        # Another generator is another seed, however the two print.
        given = {name: value if name == "random_state" else text_of(name, value) for name, value in given.items()}
        if getattr(self, "_stepper", None) is not None:
            for name in {**self._begun_with, **given}:
                if given.get(name) is not self._begun_with.get(name) and given.get(name) != self._begun_with.get(name):
                    raise ValueError(
                        f"{name}: it has changed, but partial_fit goes on with the parameters that it began with; "
                        "set it back, or begin anew with a clone or with fit"
                    )
        y, names, labels = self._encoded(y, known=not first or hasattr(self, "classes_"))
        if getattr(self, "_stepper", None) is None:
            model = None if first else self._model._inner
            idle = idle_in_steps(options)
            # Without validation rows the crate refuses this one.
            taken = {name: value for name, value in options.items() if name != "keep_later" or name not in idle}
            settings = settings_of({**taken, "valid": 0, "task": task_of(names, labels)})
            with reworded_errors():
                self._stepper = self._begin(settings, X, y, names=names, labels=labels, model=model)
            self._begun_with = given
            if idle:
                warnings.warn(told_of(idle), TrainingWarning, stacklevel=3)
            self.loss_curve_ = []
            self.n_iter_ = 0
        with reworded_errors():
            self.loss_curve_.append(self._stepper.step(X, y))
        self.n_iter_ += 1
        self._model = None
        return self

    def _begin(self, settings, X, y, *, model, **kinds):
        """Prepare steps of whole batches, also where the first rows are fewer than a batch."""
        stepper = _wgrad.Stepper(settings, X, y, model=model, **kinds)
        usual = "auto" if self.recipe else 32
        batch = text_of("batch_size", usual if self.batch_size is None else self.batch_size)
        # Recipes have batches of up to 256 rows, and auto of no more than there are. More than the first figure would be a large table.
        batch = min(int(batch), 65_536) if batch.isdigit() else 256
        if len(X) >= batch:
            return stepper
        # A batch is no larger than the table, so that has the rows several times. They are scaled as they are once.
        times = -(-batch // len(X))
        X, y = (np.ascontiguousarray(np.concatenate([rows] * times)) for rows in (X, y))
        return _wgrad.Stepper(settings, X, y, model=stepper.model(), **kinds)


def _curve(history):
    """Return the training loss of each epoch; of an ensemble the mean of the members that trained for it."""
    if not history or "member" not in history[0]:
        return [epoch["train_loss"] for epoch in history]
    losses = {}
    for epoch in history:
        losses.setdefault(epoch["epoch"], []).append(epoch["train_loss"])
    return [float(np.mean(np.array(each, dtype=np.float64))) for each in losses.values()]


class MLPClassifier(ClassifierMixin, _Estimator):
    """A multi-layer perceptron that tells classes apart.

    ``fit`` takes arrays of numbers, and data frames of pandas or polars with texts, dates and gaps. ``y`` holds a class for each row,
    or a row of 0 and 1 for several labels. Part of the rows (``valid``, a fifth) is held out to choose the best epoch.
    """

    _numeric = False
    __init__ = _init_with("class_weights", "positive")

    def fit(self, X, y, sample_weight=None):
        """Train on rows ``[rows, columns]`` and their classes; ``sample_weight`` says how much each row counts."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        try:
            check_classification_targets(y)
        except TypeError:
            distinct(y)
            raise
        self._fit(X, y, sample_weight)
        self._tell_of_weights(y, sample_weight)
        return self

    def _tell_of_weights(self, y, sample_weight):
        """Warn of classes whose rows do not count."""
        if sample_weight is None or self._labels:
            return
        index = np.searchsorted(self.classes_, np.asarray(y).ravel())
        weights = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), index.shape)
        weights = np.bincount(index, weights=weights, minlength=len(self.classes_))
        for name in self.classes_[weights == 0]:
            told = f"sample_weight: all rows of class {str(name)!r} have weight 0, so that nothing is learned of it"
            warnings.warn(told, TrainingWarning, stacklevel=3)

    def partial_fit(self, X, y, classes=None):
        """Train on these rows once, batch by batch. The first call needs all ``classes``, and its rows say how columns are scaled."""
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes: the first call of partial_fit needs all classes")
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError("classes: not those of the first call of partial_fit")
        return self._partial_fit(X, y)

    def _encoded(self, y, known=False):
        kind = type_of_target(y)
        if kind == "multilabel-indicator":
            y = np.ascontiguousarray(np.asarray(y), dtype=np.float64)
            self.classes_ = np.arange(y.shape[1])
            self._labels = True
            return y, [f"label{place}" for place in range(y.shape[1])], True
        self._labels = False
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim != 1:
            raise ValueError(f"y has {y.ndim} dimensions, but classes are a vector, one for each row")
        if known:
            index = np.searchsorted(self.classes_, y)
            index = np.clip(index, 0, len(self.classes_) - 1)
            if not np.array_equal(self.classes_[index], y):
                raise ValueError("y has a class that is none of those of the first call of partial_fit")
        else:
            self.classes_ = distinct(y)
            index = np.searchsorted(self.classes_, y)
        if len(self.classes_) < 2:
            raise ValueError(f"y has only one class, {self.classes_[0]!r}; training needs at least two")
        names = [str(value) for value in self.classes_]
        if len({name.strip() for name in names}) < len(names) or any(not name.strip() for name in names):
            names = [str(place) for place in range(len(names))]
        self._names = names
        return np.ascontiguousarray(index, dtype=np.uint32), names, False

    def _gives_scores(self):
        """Return whether outputs are scores of a hinge loss: those of the model, or of the one that is to be."""
        if self.__sklearn_is_fitted__():
            return self.model_._inner.columns[0].startswith("score")
        return "hinge" in str(self.loss or "").lower()

    def _gives_probabilities(self):
        if self._gives_scores():
            raise AttributeError("loss: hinge and binary-hinge give scores and no probabilities; use decision_function, or another loss")
        return True

    def _outputs(self, X):
        """Return what the model says of each class or label, ``[rows, classes]``, in the order of ``classes_``."""
        values = self._predicted(X)
        if self._labels:
            return values
        order = [self.model_.classes.index(name) for name in self._names]
        return values[:, order]

    @available_if(_gives_probabilities)
    def predict_proba(self, X):
        """Return the probability of each class, ``[rows, classes]``, in the order of ``classes_``; a hinge loss has none."""
        return self._outputs(X)

    @available_if(_gives_scores)
    def decision_function(self, X):
        """Return the scores of a hinge loss, ``[rows, classes]``; of two classes by how much the second one's is higher, ``[rows]``."""
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 and not self._labels else scores

    def predict(self, X):
        """Return the likeliest class of each row, or which labels each row has."""
        values = self._outputs(X)
        if self._labels:
            return (values > (0.0 if self._gives_scores() else 0.5)).astype(int)
        return self.classes_[values.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _Estimator):
    """A multi-layer perceptron that predicts numbers.

    ``fit`` takes arrays of numbers, and data frames of pandas or polars with texts, dates and gaps. ``y`` holds a number for each row,
    or several with arrays. Part of the rows (``valid``, a fifth) is held out to choose the best epoch.
    """

    _numeric = True
    __init__ = _init_with("target_scale")

    def fit(self, X, y, sample_weight=None):
        """Train on rows ``[rows, columns]`` and their numbers; ``sample_weight`` says how much each row counts."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X, y):
        """Train on these rows once, batch by batch. The rows of the first call say how columns and targets are scaled."""
        return self._partial_fit(X, y)

    def _encoded(self, y, known=False):
        y = np.asarray(y)
        what = {"M": "dates", "m": "durations"}.get(y.dtype.kind)
        if what is not None:
            raise ValueError(f"y holds {what}; give numbers, such as the days since one, or seconds")
        y = np.ascontiguousarray(y, dtype=np.float64)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim > 2:
            raise ValueError(f"y has {y.ndim} dimensions, but must have one or two")
        self._targets = 1 if y.ndim == 1 else y.shape[1]
        self._vector = y.ndim == 1
        return y, None, False

    def predict(self, X):
        """Return the number of each row: of a loss with several outputs the mean, or the quantile 0.5."""
        values = self.predict_columns(X)
        each = max(1, values.shape[1] // self._targets)
        # The model says what its outputs are: a loss may be written in several ways, and be another one by now.
        outputs = self.model_._inner.columns[:each]
        of_quantiles = outputs[0].startswith("quantile_")
        if of_quantiles and "quantile_0.5" not in outputs:
            given = ", ".join(name.removeprefix("quantile_") for name in outputs)
            raise ValueError(
                f"loss: of the quantiles {given} none is 0.5, the middle one, which predict and score take; "
                "use predict_columns, or give pinball that one, too"
            )
        place = outputs.index("quantile_0.5") if of_quantiles else 0
        values = values[:, place::each]
        return values[:, 0] if self._vector else values

    def predict_columns(self, X):
        """Return all that the model predicts, such as quantiles, or mean and deviation; ``model_.columns`` names them."""
        return self._predicted(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
