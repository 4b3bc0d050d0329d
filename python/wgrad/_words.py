"""Messages of the crate in terms of Python: it names options of the program, some of which estimators decide themselves."""

import re
from contextlib import contextmanager

# What parameters of an estimator or a Trainer say otherwise, as patterns and what stands in their place.
OF_BOTH = (
    (r": `wgrad adapters` shows \w+( have f16)?", ""),
    (r"‘weight’", "‘sample_weight’"),
    (r"fill in a value, call `fill_gaps` before, or", "fill in a value, or"),
    (r", or give ‘decimal’ comma", ""),
    (r"(say which mark they have with|give) ‘decimal’ point or ‘decimal’ comma", "make the column one of numbers"),
)
OF_ESTIMATORS = (
    (r"‘target’ a,b,c ‘task’ regress", "MLPRegressor with several columns in y"),
    (r"‘task’ labels", "MLPClassifier with 0 and 1 in several columns of y"),
    (r"‘task’ classify or labels", "MLPClassifier"),
    (r"‘task’ classify", "MLPClassifier"),
    (r"‘task’ regress", "MLPRegressor"),
)
OF_TRAINERS = ((r"‘target’ a,b,c ‘task’ regress", "floats in several columns of y"),)
OF_ARRAYS = (
    (r"give ‘ignore’ .*, or take it out of the table", "take it out of the array"),
    (r"out of the table", "out of the array"),
)
OF_HELPS = (
    (r"; `wgrad predict` passes them on", ""),
    (r"; or auto, plain or realmlp by the number of training rows", ""),
    (r"default: auto, or plain if .*\]", "default: plain]"),
    (r"`wgrad vocabulary` lists", "wgrad.vocabulary() lists"),
    (r" and of folds follows", " follows"),
    (r"; each has a folder of its own [^\[]*", " "),
    (r"or weights from a file", "or weights from a file, for a data frame with texts or gaps"),
)
OF_FRAMES = ((r"out of the table", "out of the frame"),)


def reworded(text, estimator=True, frame=False):
    """Return a message of the crate in terms of Python."""
    # Names out of tables stand in backquotes, and stay.
    text = re.sub(r"(`[^`]*`)|(?<![\w-])--([a-z][a-z-]*)", lambda it: it[1] or f"‘{it[2].replace('-', '_')}’", text)
    for pattern, instead in (*OF_BOTH, *(OF_ESTIMATORS if estimator else OF_TRAINERS), *(OF_FRAMES if frame else OF_ARRAYS)):
        text = re.sub(pattern, instead, text)
    return text


def help_of(text):
    """Return the help of an option as it is true of a parameter of an estimator."""
    text = reworded(text)
    for pattern, instead in OF_HELPS:
        text = re.sub(pattern, instead, text)
    return text


@contextmanager
def reworded_errors(**kinds):
    """Reword the errors of the crate that are raised in the context."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        told = reworded(str(error), **kinds)
        if type(error) not in (ValueError, RuntimeError) or told == str(error):
            raise
        raise type(error)(told) from None
