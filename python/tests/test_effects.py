"""Parameters that change nothing beside others, on these rows or on this device: a warning or an error says so."""

import warnings

import numpy as np
import pytest

import wgrad

pd = pytest.importorskip("pandas")

X = np.random.default_rng(0).normal(size=(80, 3))
Y = X[:, 0] + X[:, 1] ** 2
FRAME = pd.DataFrame({"x": X[:, 0], "k": X[:, 1], "t": ["u", "v"] * 40})
OF_NUMBERS = FRAME[["x", "k"]]
MANY = FRAME.assign(t=[f"{chr(97 + place % 26)}{'xy'[place % 2]}" for place in range(80)])
GAPS = OF_NUMBERS.assign(k=FRAME["k"].where(np.arange(80) % 9 > 0))


def told(action):
    """The texts of the warnings that say of a parameter that it changes nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(warning.message) for warning in caught if " nothing" in str(warning.message)]


def fit(rows, **options):
    return told(lambda: wgrad.MLPRegressor(**{"hidden": (4,), "epochs": 1, "device": "cpu", **options}).fit(rows, Y))


@pytest.mark.parametrize(
    "rows, options, said",
    [
        (X, {"split_seed": 3, "valid": "last"}, "no validation rows are drawn at random, so split_seed changes"),
        (X, {"split_seed": 3, "valid": 0}, "split_seed"),
        (FRAME, {"split_seed": 3, "valid": "last:0.1"}, "split_seed"),
        (FRAME.assign(s=["train", "valid"] * 40), {"split_seed": 3, "split_column": "s", "columns": {"t": "ignore"}}, "split_seed"),
        (X, {"tune": "full"}, "tune is for GPUs, and changes"),
        (X, {"tune_ms": 4}, "tune_ms"),
        (X, {"members": 2, "tune": "off"}, "tune"),
        (X, {"drop_last": True, "batch_size": 16, "valid": 0}, "the 80 training rows leave no smaller batch behind whole ones of 16, so drop_last changes"),
        (X, {"drop_last": True, "batch_size": 32, "valid": 0.6}, "drop_last"),
        (OF_NUMBERS, {"min_count": 3}, "no column is taken for texts, so min_count changes"),
        (OF_NUMBERS, {"one_hot": 3}, "one_hot"),
        (OF_NUMBERS, {"embedding_width": 3}, "no column is taken for texts, so embedding_width changes"),
        (FRAME, {"embedding_width": 3}, "of an embedding, as columns of more than ‘one_hot’ texts have, so embedding_width changes"),
        (OF_NUMBERS, {"scale_texts": True}, "no input stands for a text or a gap and is scaled, so scale_texts changes"),
        (FRAME, {"scale_texts": True, "scale": "none"}, "scale_texts"),
    ],
)
def test_what_changes_nothing_is_told(rows, options, said):
    found = fit(rows, **options)
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    "rows, options",
    [
        (X, {"split_seed": 3}),
        (X, {"split_seed": 3, "valid": "0.3"}),
        (X, {"drop_last": True, "batch_size": 15, "valid": 0}),
        (X, {"drop_last": False, "batch_size": 16, "valid": 0}),
        (MANY, {"embedding_width": 3, "one_hot": 5, "min_count": 1}),
        (FRAME, {"min_count": 3, "one_hot": 4, "scale_texts": True}),
        (GAPS, {"scale_texts": True}),
        (FRAME, {"scale_texts": False}),
        (X, {"activation": "gelu"}),
        (X, {"valid": 0}),
    ],
)
def test_what_changes_something_is_not(rows, options):
    assert fit(rows, **options) == []


def test_what_contradicts_another_parameter_is_refused():
    for options, said in (
        ({"keep_later": True, "valid": 0}, "^keep.later: with ‘valid’ 0"),
        ({"tune_ms": 4, "tune": "full"}, "^tune.ms: .*quick"),
        ({"activation": "gelu", "hidden": ()}, "^activation: it is for hidden layers"),
        ({"dropout": 0.1, "hidden": "none"}, "^dropout: it is for hidden layers"),
        ({"norm": "layer", "hidden": []}, "^norm: it is for hidden layers"),
    ):
        with pytest.raises(ValueError, match=said):
            fit(X, **options)
        with pytest.raises(ValueError, match=said):
            wgrad.Trainer(X, Y, device="cpu", **{name.replace("_", "-"): value for name, value in options.items()})
    for verbose in ("abc", 1.5, [True]):
        with pytest.raises(ValueError, match="^verbose: .* is neither True nor False"):
            fit(X, verbose=verbose)


def test_a_trainer_tells_it_as_an_event():
    events = list(wgrad.Trainer(X, Y, epochs=1, device="cpu", members=2, **{"split-seed": 3, "valid": 0, "tune": "off"}))
    found = [event["message"] for event in events if event["event"] == "warning" and " nothing" in event["message"]]
    assert len(found) == 2 and "split-seed" in found[0] and found[1].startswith("tune is for GPUs"), found


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosine"},
        {"schedule": "cosine", "schedule_epochs": 3},
        {"warmup": 3},
        {"valid": 0.3},
        {"epochs": 3},
        {"shuffle": True},
        {"split_seed": 2},
        {"keep_later": True},
        {"time_budget": "3s"},
        {"drop_last": True},
        {"decay_schedule": "cosine", "weight_decay": 0.1},
        {"dropout_schedule": "cosine", "dropout": 0.1},
    ],
)
def test_partial_fit_tells_what_it_takes_no_heed_of(options):
    model = wgrad.MLPRegressor((4,), device="cpu", **options)
    names = [name for name in options if name not in ("weight_decay", "dropout")]
    verb = "changes" if len(names) == 1 else "change"
    found = told(lambda: model.partial_fit(X, Y))
    assert len(found) == 1 and found[0].startswith(f"{' and '.join(f'‘{name}’' for name in names)} {verb} nothing in partial_fit"), found
    # Once is enough.
    assert told(lambda: model.partial_fit(X, Y)) == []
    plain = wgrad.MLPRegressor((4,), device="cpu", **{name: value for name, value in options.items() if name not in names})
    assert np.array_equal(model.predict(X), plain.partial_fit(X, Y).partial_fit(X, Y).predict(X))


def test_partial_fit_takes_what_it_does_anyhow():
    model = wgrad.MLPRegressor((4,), device="cpu", valid=0, epochs=1, shuffle=False, keep="last", schedule="constant")
    assert told(lambda: model.partial_fit(X, Y)) == []
