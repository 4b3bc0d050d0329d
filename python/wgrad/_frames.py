"""Data frames of pandas and polars: their columns as a table in a file, which the crate reads as it reads any table."""

import csv
import os
import re
import tempfile
from contextlib import contextmanager
from datetime import time, timedelta

import numpy as np

from . import _wgrad
from ._options import rules_of, text_of


def refuse_other_tables(rows):
    """Refuse tables that are no frames yet."""
    if is_polars(rows) and type(rows).__name__ == "LazyFrame":
        raise ValueError("a LazyFrame has no rows yet; give the frame that its collect() returns")
    if type(rows).__module__.split(".")[0] == "pyarrow" and hasattr(rows, "schema"):
        # Numbers are rows of an array.
        if not all(re.match(r"u?int|float|double|halffloat", str(field.type)) for field in rows.schema):
            raise ValueError("a table of pyarrow is no data frame; give its to_pandas(), or polars.from_arrow of it")


def is_frame(rows):
    """Return whether these are rows of a data frame."""
    refuse_other_tables(rows)
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
        return numeric and frame.shape[0] > 0 and not has_gaps(frame)
    for dtype in frame.dtypes:
        if not isinstance(dtype, np.dtype) or dtype.kind not in "fiu":
            return False
    return not has_gaps(frame)


def has_gaps(frame):
    """Return whether a cell is missing, or a number that is none."""
    if is_polars(frame):
        frame = frame.fill_nan(None)
        return any(frame.null_count().row(0))
    return bool(frame.isna().to_numpy().any())


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


def free_name(frame, wanted, taken=()):
    """Return a name that no column of the frame has, nor one of the names that are ``taken``."""
    taken = {*headings(frame), *taken}
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


# What cells of Python hold that are no numbers, texts or dates.
UNREAD = (
    ((list, tuple, set, frozenset, np.ndarray), "lists"),
    (dict, "maps"),
    ((bytes, bytearray, memoryview), "bytes"),
    ((complex, np.complexfloating), "complex numbers"),
)


def series_of(frame, place):
    """Return a column."""
    return frame.to_series(place) if is_polars(frame) else frame.iloc[:, place]


def cell_types(series):
    """Return the types of a column's cells, where they are objects of Python; else none."""
    if getattr(series.dtype, "kind", "O") != "O" or re.fullmatch(r"str|string.*", str(series.dtype)):
        return set()
    return set(map(type, getattr(series.dtype, "categories", series)))


def unread(series):
    """Return what a column holds that a table cannot, in the plural; None for what it can."""
    if is_polars(series):
        name = str(series.dtype.base_type())
        return {"List": "lists", "Array": "lists", "Struct": "records", "Binary": "bytes", "Object": "objects"}.get(name)
    if getattr(series.dtype, "kind", "O") == "c":
        return "complex numbers"
    types = tuple(cell_types(series))
    return next((word for kinds, word in UNREAD if any(issubclass(it, kinds) for it in types)), None)


# Texts that files have for gaps.
MARKS = frozenset(_wgrad.gap_marks())


def mark_in(series):
    """Return a text of a column that files have for a gap, or None."""
    if is_polars(series):
        if str(series.dtype.base_type()) not in ("String", "Categorical", "Enum"):
            return None
        texts = series.cast(str).unique().to_list()
    elif unread(series) is not None or not (hasattr(series.dtype, "categories") or series.dtype == object or "str" in str(series.dtype)):
        return None
    else:
        texts = series.dropna().unique()
    return next((text for text in texts if isinstance(text, str) and text in MARKS), None)


def in_seconds(series):
    """Return durations and times of day in seconds, as columns of files have them; None for other columns."""
    if is_polars(series):
        name = str(series.dtype.base_type())
        if name not in ("Duration", "Time"):
            return None
        return series.to_physical() / {"ms": 1e3, "us": 1e6, "ns": 1e9}[getattr(series.dtype, "time_unit", "ns")]
    if getattr(series.dtype, "kind", "O") == "m":
        return series.dt.total_seconds()
    types = set() if hasattr(series.dtype, "categories") else cell_types(series.dropna())
    if types and all(issubclass(it, timedelta) for it in types):
        return series.map(lambda it: it.total_seconds() if isinstance(it, timedelta) else np.nan)
    if types == {time}:
        since = lambda it: it.hour * 3600 + it.minute * 60 + it.second + it.microsecond / 1e6
        return series.map(lambda it: since(it) if isinstance(it, time) else np.nan)
    return None


def replaced(frame, columns):
    """Return a copy of a frame with other values in columns, by their places; a column without values is left out."""
    if is_polars(frame):
        names = headings(frame)
        given = {names[place]: values for place, values in columns.items()}
        frame = with_columns(frame, {name: values for name, values in given.items() if values is not None})
        return frame.drop([name for name, values in given.items() if values is None])
    frame = frame.copy(deep=False)
    for place, values in columns.items():
        if values is not None:
            frame.isetitem(place, values)
    return frame.iloc[:, [place for place in range(frame.shape[1]) if columns.get(place, 0) is not None]]


@contextmanager
def table_of(frame, further=None, ignored=()):
    """Write a frame into a file that lives as long as the context. To train, it has ``further`` columns, by their names, and those
    that are ``ignored`` may hold anything; rows to predict may have columns that no model takes."""
    names = headings(frame)
    if len(set(names)) < len(names):
        raise ValueError("two columns of the frame have the same name; rename one")
    infinite = infinite_in(frame)
    if infinite is not None:
        raise ValueError(f"column {infinite!r} holds an infinite number; replace it, or leave its row out")
    if further and not all(name.strip() for name in names[:1]):
        raise ValueError("column 1 has no name, so that it would be taken for names of rows; name it, or leave it out of the frame")
    others, refusals = {}, {}
    for place, name in enumerate(names):
        series = series_of(frame, place)
        what = unread(series)
        if what is not None:
            refusals[name] = f"column {name!r} holds {what}, which are no inputs; leave it out of the frame, or name it in ‘ignore’"
            if further is not None and name not in ignored:
                raise ValueError(refusals[name])
            others[place] = None if further is None else [""] * frame.shape[0]
        elif (seconds := in_seconds(series)) is not None:
            others[place] = seconds
    if others:
        frame = replaced(frame, others)
    handle, path = tempfile.mkstemp(suffix=".csv", prefix="wgrad-")
    os.close(handle)
    try:
        if further:
            frame = with_columns(frame, further)
        if is_polars(frame):
            frame.fill_nan(None).write_csv(path, quote_style="non_numeric")
        else:
            frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
        yield path
    except ValueError as error:
        for name, refusal in refusals.items():
            if f"there is no column `{name}`" in str(error):
                raise ValueError(refusal) from None
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
    frame = frame.copy(deep=False)
    for name, values in columns.items():
        frame[name] = values
    return frame
