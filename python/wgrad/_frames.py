"""Data frames of pandas and polars: their columns as a table in a file, which the crate reads as it reads any table."""

import csv
import os
import re
import tempfile
from contextlib import contextmanager

import numpy as np

from ._options import rules_of, text_of


def is_frame(rows):
    """Return whether these are rows of a data frame."""
    return not isinstance(rows, np.ndarray) and hasattr(rows, "columns") and hasattr(rows, "dtypes")


def is_polars(frame):
    """Return whether a frame is one of polars."""
    return type(frame).__module__.split(".")[0] == "polars"


def headings(frame):
    """Return the names of the columns; those that are no texts become texts."""
    return [str(name) for name in frame.columns]


def is_plain(frame):
    """Return whether all columns are numbers without gaps, so that an array holds the same."""
    if is_polars(frame):
        numeric = all(dtype.is_numeric() for dtype in frame.dtypes)
        return numeric and not any(frame.null_count().row(0)) and frame.shape[0] > 0
    for dtype in frame.dtypes:
        if not isinstance(dtype, np.dtype) or dtype.kind not in "fiu":
            return False
    return not frame.isna().to_numpy().any()


def kinds_of(frame):
    """Return what columns hold where their types say so: categories, and dates."""
    kinds = {}
    for name, dtype in zip(headings(frame), frame.dtypes):
        word = str(dtype).lower()
        if word.startswith(("category", "categorical", "enum")):
            kinds[name] = "category"
        elif word.startswith(("datetime", "date")):
            kinds[name] = "date"
    return kinds


def rules_text(frame, given, left_out=()):
    """Return the option ``columns``: what is given, and for other columns, but those left out, what their types say."""
    known = {*left_out, *(name for name, _ in rules_of(given))}
    kinds = {name: kind for name, kind in kinds_of(frame).items() if name not in known}
    return ", ".join(text_of("columns", rules) for rules in (given, kinds) if rules)


def free_name(frame, wanted):
    """Return a name that no column of the frame has."""
    taken = set(headings(frame))
    while wanted in taken:
        wanted += "_"
    return wanted


def infinite_in(frame):
    """Return the name of a column that holds an infinite number, or None."""
    for place, (name, dtype) in enumerate(zip(headings(frame), frame.dtypes)):
        if is_polars(frame):
            infinite = dtype.is_float() and frame.to_series(place).is_infinite().any()
        else:
            floats = getattr(dtype, "kind", "") == "f"
            infinite = floats and np.isinf(frame.iloc[:, place].to_numpy(dtype=np.float64, na_value=np.nan)).any()
        if infinite:
            return name
    return None


def arranged(frame, wanted):
    """Return the columns of a frame of these names, in their order."""
    names = headings(frame)
    lacking = [name for name in wanted if name not in names]
    if lacking:
        raise ValueError(f"the frame has no column {lacking[0]!r}; the model takes numbers in {', '.join(map(repr, wanted))}")
    places = [names.index(name) for name in wanted]
    return frame[:, places] if is_polars(frame) else frame.iloc[:, places]


@contextmanager
def table_of(frame, further=()):
    """Write a frame with further columns, pairs of a name and values, into a file that lives as long as the context."""
    names = headings(frame)
    if len(set(names)) < len(names):
        raise ValueError("two columns of the frame have the same name; rename one")
    infinite = infinite_in(frame)
    if infinite is not None:
        raise ValueError(f"column {infinite!r} holds an infinite number; replace it, or leave its row out")
    handle, path = tempfile.mkstemp(suffix=".csv", prefix="wgrad-")
    os.close(handle)
    try:
        if further:
            columns = {name: np.asarray(values) for name, values in further}
            frame = with_columns(frame, columns)
        if is_polars(frame):
            frame.write_csv(path, quote_style="non_numeric")
        else:
            frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
        yield path
    except ValueError as error:
        # The file is none of the caller's.
        told = re.sub(re.escape(path) + r":(\d+)", r"the data frame, line \1 of its CSV (the names are line 1)", str(error))
        raise ValueError(told.replace(path, "the data frame")) from None
    finally:
        os.unlink(path)


def with_columns(frame, columns):
    """Return a copy of a frame with further columns, by their names."""
    if is_polars(frame):
        import polars

        return frame.with_columns(*[polars.Series(name, values) for name, values in columns.items()])
    return frame.assign(**columns)
