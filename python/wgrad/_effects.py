"""Parameters that change nothing in partial_fit; of those of whole trainings the crate knows."""

from ._options import text_of

# What says how epochs follow each other, with the value that partial_fit goes by anyhow.
OF_EPOCHS = {
    "epochs": "1",
    "valid": "0",
    "split_seed": None,
    "shuffle": "false",
    "drop_last": "false",
    "keep": "last",
    "keep_later": "false",
    "time_budget": None,
    "schedule": "constant",
    "schedule_epochs": None,
    "warmup": "0",
    "decay_schedule": "constant",
    "dropout_schedule": "constant",
    "smoothing_schedule": "constant",
}


def _is_taken(name, value):
    """Return whether partial_fit goes by a value of one of these."""
    text = text_of(name, value).strip().lower()
    if OF_EPOCHS[name] != "0":
        return text == OF_EPOCHS[name]
    try:
        return float(text) == 0
    except ValueError:
        return False


def idle_in_steps(options):
    """Return the names of the options that partial_fit takes no heed of."""
    return [name for name, value in options.items() if name in OF_EPOCHS and not _is_taken(name, value)]


def told_of(names):
    """Return a remark on options that partial_fit takes no heed of."""
    why = "it trains once on the rows that it gets, in their order, and knows no end; leave out, or use fit"
    return f"{' and '.join(f'‘{name}’' for name in names)} {'changes' if len(names) == 1 else 'change'} nothing in partial_fit: {why}"
