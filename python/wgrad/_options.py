"""Options of the program as values of Python."""

import numbers

import numpy as np

from . import _wgrad

# Options that are about the columns of a table.
OF_COLUMNS = (
    "columns",
    "ignore",
    "group",
    "split_column",
    "min_count",
    "one_hot",
    "embedding_width",
    "scale_texts",
    "missing",
    "gaps",
    "duplicates",
)

# Options of tables in files.
OF_FILES = ("weight", "delimiter", "decimal", "header", "sheet", "valid_sheet", "features", "host_memory", "init_strict")

# Options that are lists of names, which may have commas in them.
OF_NAMES = ("ignore", "missing")


class TrainingWarning(UserWarning):
    """A remark of a training on its rows or settings, which does not stop it."""


def text_of(name, value):
    """Return an option's value as it would be typed."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, dict):
        if name == "class_weights":
            return ", ".join(f"{quoted(str(key))}={weight}" for key, weight in value.items())
        return _rules_text(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        if len(value) == 0:
            return "none"
        if name in OF_NAMES:
            return ",".join(quoted(str(part)) for part in value)
        if name == "columns":
            return _rules_text(value)
        return ",".join(text_of(name, part) for part in value)
    raise ValueError(f"{name}: {value!r} is no text, number, truth value, list or dict")


def _rules_text(value):
    return ", ".join(rule if name is None else f"{quoted(name)}:{rule}" for name, rule in rules_of(value))


def distinct(classes):
    """Return the different classes in their order."""
    try:
        return np.unique(classes)
    except TypeError:
        raise ValueError("y holds values that have no order, such as None beside texts; replace them, or leave their rows out") from None


def quoted(column):
    """Return a column's name as options have it, in quotes where it needs them."""
    if any(mark in column for mark in ',:="\'()') or column != column.strip():
        return '"' + column.replace('"', '\\"') + '"'
    return column


def settings_of(options):
    """Return the pairs of names and texts of the options that are given, which are not None."""
    given = ((name, value) for name, value in options.items() if value is not None)
    return [(name, text_of(name, value)) for name, value in given]


def names_of(value):
    """Return the names of an option that is a text with commas, a list, or None."""
    if value is None:
        return []
    return _wgrad.parts_of(value, False) if isinstance(value, str) else [str(name) for name in value]


def rules_of(value):
    """Return pairs of a column and its rule of the option ``columns``: a dict, a list, a text, or None; the column is None in a part
    without a colon."""
    if isinstance(value, dict):
        return [(str(name), rule) for name, rule in value.items()]
    parts = _wgrad.parts_of(value, True) if isinstance(value, str) else names_of(value)
    return [_wgrad.column_and_rule(part) or (None, part) for part in parts]


def task_of(names, labels):
    """Return the task of targets whose classes or labels have these names; numbers have none."""
    return "regress" if names is None else "labels" if labels else "classify"
