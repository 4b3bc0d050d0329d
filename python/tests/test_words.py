"""Messages of the crate in terms of Python."""

import warnings

import numpy as np
import pytest

import wgrad
from wgrad._words import reworded

pytestmark = pytest.mark.filterwarnings("ignore::wgrad.TrainingWarning")

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, 0] + X[:, 1]


def refused(action):
    """The text of the error of an action."""
    with pytest.raises((ValueError, RuntimeError)) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        action()
    return str(caught.value)


def regressor(**options):
    return wgrad.MLPRegressor(**{"hidden": (4,), "epochs": 1, "device": "cpu", **options})


def classifier(**options):
    return wgrad.MLPClassifier(**{"hidden": (4,), "epochs": 1, "device": "cpu", **options})


def test_advice_of_estimators_names_estimators():
    for action, said in (
        (lambda: classifier(loss="binary-cross-entropy").fit(X, Y > 0), "MLPClassifier with 0 and 1 in several columns of y"),
        (lambda: classifier(loss="mse").fit(X, Y > 0), "it compares with numbers: MLPRegressor"),
        (lambda: regressor(loss="cross-entropy").fit(X, Y), "it compares with classes: MLPClassifier"),
        (lambda: regressor(loss="cross-entropy").partial_fit(X, Y), "it compares with classes: MLPClassifier"),
        (lambda: regressor(loss="kl-divergence").fit(X, Y), "MLPRegressor with several columns in y"),
        (lambda: regressor(metrics="accuracy").fit(X, Y), "or MLPClassifier"),
    ):
        text = refused(action)
        assert text.endswith(said) and "task" not in text, text


def test_advice_of_a_trainer_names_its_parameters():
    train = lambda **options: wgrad.Trainer(X, Y, epochs=1, device="cpu", **options).model
    assert refused(lambda: train(loss="cross-entropy")).endswith("it compares with classes: ‘task’ classify")
    assert refused(lambda: train(loss="kl-divergence")).endswith("floats in several columns of y")
    assert refused(lambda: train(class_weights="balanced")).endswith("use ‘sample_weight’ for rows")
    assert refused(lambda: list(wgrad.Trainer(X, Y, loss="kl-divergence", device="cpu"))).endswith("several columns of y")
    events = list(wgrad.Trainer(X, X[:, 0] * 2, epochs=1, device="cpu"))
    told = [event["message"] for event in events if event["event"] == "warning"]
    assert len(told) == 1 and told[0].endswith("If not, take it out of the array")


def test_options_of_the_program_are_parameters():
    for model in (regressor(precision="f16"), classifier(precision="f16")):
        text = refused(lambda: model.fit(X, Y > 0))
        assert text.endswith("use ‘precision’ f32, or a ‘device’ that has f16") and "wgrad adapters" not in text
    assert refused(lambda: regressor(stop_metric="mae", keep="last").fit(X, Y)).endswith("‘stop_patience’ and ‘keep’ best")
    # Names out of tables are what they are.
    assert reworded("column `--valid-x` and `a`: give --batch-size 3") == "column `--valid-x` and `a`: give ‘batch_size’ 3"


def test_warnings_name_what_there_is():
    pd = pytest.importorskip("pandas")
    with pytest.warns(wgrad.TrainingWarning, match=r"`x0`, `x3` tell .* If not, take it out of the array$"):
        regressor().fit(np.column_stack([X[:, 0], X[:, 1:], X[:, 0]]), X[:, 0])
    rows = pd.DataFrame({"a": Y * 2, "b": X[:, 0], "t": ["u", "v"] * 30})
    for frame in (rows, rows[["a", "b"]]):
        with pytest.warns(wgrad.TrainingWarning, match="give ‘ignore’ a, or take it out of the frame$"):
            regressor().fit(frame, Y)
    days = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=60, freq="7D"), "b": X[:, 0]})
    with warnings.catch_warnings():
        # No rows are written again, so there is no such file.
        warnings.simplefilter("error")
        regressor(columns={"day": "date(month)"}).fit(days, Y)


def test_advice_on_texts_of_numbers_names_no_option_of_files():
    pd = pytest.importorskip("pandas")
    rows = pd.DataFrame({"z": [f"0,7{place % 10}" for place in range(60)], "b": X[:, 0]})
    text = refused(lambda: regressor().fit(rows, Y))
    assert "write decimals with a point; " in text and "decimal’" not in text
    model = regressor().fit(pd.DataFrame({"z": [f"{place}" for place in range(60)], "b": X[:, 0]}), Y)
    text = refused(lambda: model.predict(rows))
    assert "write decimals with a point" in text and "decimal’" not in text


@pytest.mark.parametrize("kind", [wgrad.MLPRegressor, wgrad.MLPClassifier])
def test_help_is_true_of_the_package(kind):
    text = kind.__init__.__doc__
    for word in (" --", "run folder", "folds", "auto, plain or realmlp", "default: auto, or plain", "wgrad predict", "`wgrad vocabulary`"):
        assert word not in text, word
    assert "in place of ‘valid’" in text and "[default: plain]" in text and "weights from a file, for a data frame" in text
