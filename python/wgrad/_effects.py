"""Parameters that change nothing beside others, on these rows, or on this device."""

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


class _Given(dict):
    """Texts of the options that are given, in lower case."""

    def __init__(self, options):
        given = ((name.replace("-", "_"), value) for name, value in options.items() if value is not None)
        super().__init__((name, text_of(name, value).strip().lower()) for name, value in given)

    def is_zero(self, name):
        """Return whether an option is given as 0."""
        try:
            return float(self.get(name, "nan")) == 0
        except ValueError:
            return False


def refuse_contradictions(options):
    """Refuse options that another one leaves without an effect."""
    given = _Given(options)
    if "keep_later" in given and given.is_zero("valid"):
        raise ValueError("keep_later: with valid=0 there are no validation rows by which epochs could be equally good; leave one of the two out")
    if "tune_ms" in given and given.get("tune", "quick") != "quick":
        raise ValueError("tune_ms: it says how long tune='quick' may take, and tune is another one; leave one of the two out")


def _of_epochs(given):
    """Return the names that partial_fit takes no heed of."""
    same = lambda name: given.is_zero(name) if OF_EPOCHS[name] == "0" else given[name] == OF_EPOCHS[name]
    return [name for name in given if name in OF_EPOCHS and not same(name)]


def idle_in_steps(options):
    """Return a remark on options that partial_fit takes no heed of, or None."""
    names = _of_epochs(_Given(options))
    if not names:
        return None
    why = "it trains once on the rows that it gets, in their order, and knows no end; leave out, or use fit"
    return f"{' and '.join(f'‘{name}’' for name in names)} {'changes' if len(names) == 1 else 'change'} nothing in partial_fit: {why}"


def idle(options, started, columns=None):
    """Return remarks on options that change nothing in a training, which has begun with the event ``started``.

    ``columns`` returns those of a table as the model's file has them, where there is one.
    """
    given = _Given(options)
    told = lambda name, why: f"‘{name}’ changes nothing: {why}"
    drawn = "split_column" not in given and not given.is_zero("valid") and not given.get("valid", "").startswith("last")
    if "split_seed" in given and not drawn:
        yield told("split_seed", "no validation rows are drawn at random")
    for name in ("tune", "tune_ms"):
        if name in given and started["device_kind"] == "cpu":
            yield told(name, "it is for GPUs, and the device is the CPU")
    rows, batch = started["train_rows"], started["batch"]
    if given.get("drop_last") == "true" and (rows < batch or rows % batch == 0):
        are = f"the {rows:,} training rows are "
        yield told("drop_last", are + (f"whole batches of {batch}" if rows >= batch else f"one batch, which is smaller than {batch}"))
    for name in ("activation", "norm", "dropout"):
        if name in given and given.get("hidden") == "none":
            yield told(name, "there is no hidden layer")
    of_texts = [name for name in ("min_count", "one_hot", "embedding_width") if name in given]
    if columns is None or not (of_texts or given.get("scale_texts") == "true"):
        return
    encodings = [column["encoding"] for column in columns()]
    texts = [it for it in encodings if it["kind"] not in ("number", "date")]
    if not texts:
        for name in of_texts:
            yield told(name, "no column is taken for texts")
    elif "embedding_width" in given and not any(it["kind"] == "embedding" for it in texts):
        yield told("embedding_width", "no column has more texts than ‘one_hot’, so none has an embedding")
    as_is = not texts and not any(it.get("gaps") or "fill" in it for it in encodings)
    if given.get("scale_texts") == "true" and (as_is or given.get("scale") == "none"):
        yield told("scale_texts", "no input stands for a text or a gap and is scaled")
