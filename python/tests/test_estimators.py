"""Estimators as scikit-learn, pandas and polars use them."""

import importlib.util
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import wgrad
from wgrad import _wgrad
from wgrad._estimators import OF_ONE_KIND
from wgrad._options import OF_FILES

pytestmark = pytest.mark.filterwarnings("ignore::wgrad.TrainingWarning")

# Rows are drawn into batches and validation rows by their places, so rows of weight 2 are no row that stands twice.
DRAWN = {"check_sample_weight_equivalence_on_dense_data": "batches and validation rows are drawn by the rows' places"}


@parametrize_with_checks(
    [wgrad.MLPClassifier(device="cpu"), wgrad.MLPRegressor(device="cpu")], expected_failed_checks=lambda _: DRAWN
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_classes_of_any_kind_come_back():
    X, y = load_breast_cancer(return_X_y=True)
    for names in (np.array([False, True]), np.array(["mild", "bad"]), np.array([7, -3])):
        model = wgrad.MLPClassifier((16,), epochs=10, device="cpu").fit(X, names[y])
        assert model.score(X, names[y]) > 0.9
        assert list(model.classes_) == sorted(names)
        assert model.predict(X[:3]).dtype == names.dtype
        assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_pipelines_searches_and_folds():
    X, y = load_diabetes(return_X_y=True)
    regressor = wgrad.MLPRegressor((16,), epochs=20, lr=0.01, device="cpu")
    assert cross_val_score(make_pipeline(StandardScaler(), regressor), X, y, cv=3).mean() > 0.3
    search = GridSearchCV(regressor, {"hidden": [(4,), (16,)], "optimizer": ["adamw", "lion"]}, cv=2, n_jobs=2)
    search.fit(X, y)
    assert search.best_score_ > 0.2
    assert clone(search.best_estimator_).hidden == search.best_params_["hidden"]


def test_the_same_seed_gives_the_same_model_and_another_one_another():
    X, y = load_diabetes(return_X_y=True)
    fit = lambda **options: wgrad.MLPRegressor((8,), epochs=3, device="cpu", **options).fit(X, y).predict(X)
    assert np.array_equal(fit(seed=5), fit(random_state=5))
    assert not np.array_equal(fit(seed=5), fit(seed=6))
    assert np.array_equal(fit(random_state=np.random.RandomState(1)), fit(random_state=np.random.RandomState(1)))
    with pytest.raises(ValueError, match="random_state and seed say the same"):
        fit(seed=1, random_state=1)


def test_single_and_double_precision_of_the_same_numbers_are_the_same():
    X, y = load_digits(return_X_y=True)
    fit = lambda X: wgrad.MLPClassifier((16,), epochs=2, device="cpu").fit(X, y).predict_proba(X)
    assert np.array_equal(fit(X.astype(np.float32)), fit(X))
    assert np.array_equal(fit(np.asfortranarray(X)), fit(X))


def test_pickles_predict_the_same_bits():
    X, y = load_diabetes(return_X_y=True)
    model = wgrad.MLPRegressor((8,), epochs=3, members=2, device="cpu").fit(X, y)
    other = pickle.loads(pickle.dumps(model))
    assert np.array_equal(other.predict(X), model.predict(X))
    assert other.model_.members == 2
    values, spread = other.model_.predict_with_spread(X)
    assert values.shape == spread.shape == (len(X), 1) and (spread >= 0).all() and spread.max() > 0


def test_several_targets_labels_and_quantiles():
    X, y = load_diabetes(return_X_y=True)
    two = np.column_stack([y, -y])
    model = wgrad.MLPRegressor((16,), epochs=30, lr=0.01, device="cpu").fit(X, two)
    assert model.predict(X).shape == two.shape and model.score(X, two) > 0.3
    labels = np.column_stack([y > 100, y > 200]).astype(int)
    classifier = wgrad.MLPClassifier((16,), epochs=30, lr=0.01, device="cpu").fit(X, labels)
    assert classifier.predict(X).shape == labels.shape
    assert (classifier.predict(X) == labels).mean() > 0.7
    quantiles = wgrad.MLPRegressor((16,), loss="pinball(0.1, 0.5, 0.9)", epochs=30, lr=0.01, device="cpu").fit(X, y)
    columns = quantiles.predict_columns(X)
    assert columns.shape == (len(X), 3)
    assert np.array_equal(quantiles.predict(X), columns[:, 1])
    assert (y <= columns[:, 2]).mean() > 0.8 > (y <= columns[:, 0]).mean()


def test_sample_weights_decide():
    X = np.repeat([[0.0], [1.0]], 50, axis=0)
    y = np.tile([0, 1], 50)
    weight = np.where(y == 1, 9.0, 1.0)
    model = wgrad.MLPClassifier((4,), epochs=60, lr=0.05, valid=0, device="cpu").fit(X, y, sample_weight=weight)
    assert abs(model.predict_proba(X)[:, 1].mean() - 0.9) < 0.03


def test_partial_fit_learns_and_goes_on_after_pickling():
    X, y = load_breast_cancer(return_X_y=True)
    model = wgrad.MLPClassifier((16,), lr=0.01, device="cpu")
    with pytest.raises(ValueError, match="needs all classes"):
        model.partial_fit(X, y)
    for _ in range(10):
        model.partial_fit(X, y, classes=[0, 1])
    assert model.score(X, y) > 0.95 and model.n_iter_ == 10
    other = pickle.loads(pickle.dumps(model))
    assert np.array_equal(other.predict_proba(X), model.predict_proba(X))
    other.partial_fit(X, y)
    assert not np.array_equal(other.predict_proba(X), model.predict_proba(X)) and other.score(X, y) > 0.95
    with pytest.raises(ValueError, match="none of those of the first call"):
        model.partial_fit(X, np.where(y == 1, 2, y))


def frame(library):
    rows = 300
    columns = {
        "size": [float(place % 17) if place % 5 else None for place in range(rows)],
        "town": [["Ulm", "Rome, IT", 'the "old" one'][place % 3] for place in range(rows)],
        "sold": np.datetime64("2024-01-01", "us") + np.arange(rows) * np.timedelta64(86_400_000_000, "us"),
        "new": [place % 2 == 0 for place in range(rows)],
    }
    return library.DataFrame(columns)


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_frames_with_texts_dates_and_gaps(name):
    library = pytest.importorskip(name)
    rows = frame(library)
    price = np.array([{"U": 1.0, "R": 5.0, "t": 9.0}[town[0]] + 2.0 * new for town, new in zip(rows["town"], rows["new"])])
    model = wgrad.MLPRegressor((16,), epochs=60, lr=0.01, device="cpu").fit(rows, price)
    assert model.score(rows, price) > 0.9
    assert list(model.feature_names_in_) == ["size", "town", "sold", "new"]
    # Columns go by their names, and texts that training had not are predicted all the same.
    assert np.array_equal(model.predict(rows[["new", "sold", "town", "size"]]), model.predict(rows))
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict(rows), model.predict(rows))
    with pytest.raises(ValueError, match="`town`"):
        model.predict(rows[["new", "sold", "size"]])
    with pytest.raises(ValueError, match="predicts rows of such a frame"):
        model.predict(np.zeros((2, 4)))
    classes = np.where(price > 5, "dear", "cheap")
    classifier = wgrad.MLPClassifier((16,), epochs=60, lr=0.01, ignore="sold", device="cpu").fit(rows, classes)
    assert classifier.score(rows, classes) > 0.95


def test_categories_of_whole_numbers_are_categories():
    pandas = pytest.importorskip("pandas")
    code = np.arange(200) % 4
    y = np.array([3.0, -1.0, 7.0, 0.0])[code]
    rows = pandas.DataFrame({"code": pandas.Categorical(code), "noise": np.arange(200.0) % 7})
    model = wgrad.MLPRegressor((), epochs=80, lr=0.05, device="cpu").fit(rows, y)
    # A line through the codes as numbers cannot say this.
    assert model.score(rows, y) > 0.99


def test_gaps_in_arrays_are_refused_with_advice():
    X, y = load_diabetes(return_X_y=True)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        wgrad.MLPRegressor(device="cpu").fit(X, y)


def test_parameters_are_the_options_of_the_program():
    known = {name for name, _ in _wgrad.option_helps()}
    for kind, own in ((wgrad.MLPClassifier, {"class_weights", "positive"}), (wgrad.MLPRegressor, {"target_scale"})):
        names = set(kind().get_params()) - {"random_state", "verbose"}
        assert names == known - set(OF_FILES) - {"task"} - (set(OF_ONE_KIND) - own)
    with pytest.raises(TypeError, match="has no parameter 'epoch'"):
        wgrad.MLPRegressor(epoch=3)
    with pytest.raises(ValueError, match="^batch_size: "):
        wgrad.MLPRegressor(batch_size="many").fit(np.eye(4), np.arange(4.0))
    with pytest.raises(ValueError, match="^one_hot: it is about the columns of a table"):
        wgrad.MLPRegressor(one_hot=3).fit(np.eye(4), np.arange(4.0))


def test_recipes_are_taken():
    X, y = load_diabetes(return_X_y=True)
    model = wgrad.MLPRegressor(recipe="realmlp", epochs=2, device="cpu").fit(X[:100], y[:100])
    assert "pbld" in model.model_.layers
    classifier = wgrad.MLPClassifier(recipe="realmlp", hidden=(8,), epochs=2, device="cpu").fit(X[:100], y[:100] > 140)
    assert classifier.model_.layers.startswith("dense(8, init=unit-variance)")
    with pytest.raises(ValueError, match="known: auto, plain, realmlp, tabm"):
        wgrad.MLPRegressor(recipe="real").fit(X, y)
    with pytest.raises(ValueError, match="recipe: auto chooses by the number of rows of a table"):
        wgrad.MLPRegressor(recipe="auto").fit(X, y)


def test_warnings_of_a_training_are_warnings_of_python():
    X = np.column_stack([np.ones(50), np.arange(50.0)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X, np.arange(50.0))
    assert any(issubclass(it.category, wgrad.TrainingWarning) and "x0" in str(it.message) for it in caught)


def test_other_threads_run_while_training():
    X, y = load_digits(return_X_y=True)
    ticks = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    wgrad.MLPClassifier((64, 64), epochs=20, device="cpu").fit(X, y)
    done.set()
    thread.join()
    assert len(ticks) > 5 and max(np.diff(ticks)) < 1.0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_ctrl_c_ends_a_training(tmp_path):
    script = tmp_path / "long.py"
    script.write_text(
        "import numpy as np, wgrad\n"
        "X = np.random.default_rng(0).normal(size=(5000, 20))\n"
        "print('begun', flush=True)\n"
        "try:\n"
        "    wgrad.MLPRegressor((64,), epochs=100000, device='cpu').fit(X, X[:, 0])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    time.sleep(1)
    process.send_signal(2)
    assert process.communicate(timeout=30)[0] == "interrupted\n"


def test_versions_agree():
    assert wgrad.__version__ == "0.1.0"
    assert tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 6)


def test_precision_that_the_device_lacks_is_refused():
    X, y = load_diabetes(return_X_y=True)
    for members in (1, 2):
        with pytest.raises(ValueError, match="^precision: f16 is for GPUs"):
            wgrad.MLPRegressor(precision="f16", members=members, epochs=1, device="cpu").fit(X, y)
    with pytest.raises(ValueError, match="^precision: f16 is for GPUs"):
        wgrad.MLPRegressor(precision="f16", device="cpu").partial_fit(X, y)


def test_stubs_name_all_parameters():
    folder = Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location("stubs", folder / "stubs.py")
    stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    written = (folder / "wgrad" / "_estimators.pyi").read_text()
    assert written == stubs.text(), "run `python stubs.py` in the folder `python`"


def told(action):
    """What an action returns, and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = action()
    return value, [str(warning.message) for warning in caught]


def test_names_of_columns_with_signs_are_taken_as_they_are():
    pd = pytest.importorskip("pandas")
    x, texts = np.linspace(0, 1, 60), np.array(["a", "b", "c"])[np.arange(60) % 3]
    odd = ['a "b"', "a, b", "a:b", "a(b", "it's", "a;b"]
    X = pd.DataFrame({"x": x, **{name: pd.Categorical(np.roll(texts, place % 3)) for place, name in enumerate(odd)}})
    # Each column by itself: those with the same values would be left out.
    for name in odd:
        model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X[["x", name]], x)
        assert model.model_.features == ["x", f"{name}=a", f"{name}=b", f"{name}=c"]
    model = wgrad.MLPRegressor((4,), epochs=1, ignore=odd[:3], device="cpu").fit(X, x)
    assert not any(feature.startswith(tuple(f"{name}=" for name in odd[:3])) for feature in model.model_.features)
    only = pd.DataFrame({"a;b": np.where(texts == "a", "u;v", "w;z")})
    assert wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(only, x).predict(only).shape == (60,)


def test_columns_that_were_left_out_need_not_be_there():
    pd = pytest.importorskip("pandas")
    x = np.linspace(0, 1, 60)
    X = pd.DataFrame({"x": x, "town": np.array(["a", "b"])[np.arange(60) % 2], "id": np.arange(60), "who": np.arange(60) // 6})
    model = wgrad.MLPRegressor((4,), epochs=1, ignore="id", group="who", device="cpu").fit(X, x)
    assert np.array_equal(model.predict(X), model.predict(X[["town", "x"]]))
    with pytest.raises(ValueError, match="the data frame: there is no column `town`"):
        model.predict(X[["x"]])


def test_cells_that_training_did_not_have_are_told():
    pd = pytest.importorskip("pandas")
    kind = np.arange(60) % 3
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(pd.DataFrame({"kind": pd.Categorical(kind)}), kind)
    same, silent = told(lambda: model.predict(pd.DataFrame({"kind": kind})))
    assert same.shape == (60,) and silent == []
    # Whole numbers became floats, which are other texts.
    _, warned = told(lambda: model.predict(pd.DataFrame({"kind": kind.astype(float)})))
    assert len(warned) == 1 and "60 cells hold texts or gaps that training did not have" in warned[0]


def test_gaps_in_dates_and_new_gaps_are_predicted():
    pd = pytest.importorskip("pandas")
    days = pd.Series(pd.date_range("2024-01-01", periods=100, freq="5D"))
    X = pd.DataFrame({"x": np.linspace(0, 1, 100), "day": days.where(days.index % 7 > 0)})
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X, X["x"])
    assert np.isfinite(model.predict(X)).all()
    gap = X.assign(x=X["x"].where(X.index != 3))
    values, warned = told(lambda: model.predict(gap))
    assert np.isfinite(values).all() and len(warned) == 1 and "1 cell holds a text or gap" in warned[0]


def test_infinite_numbers_of_a_frame_are_refused():
    X = frame(pytest.importorskip("pandas")).assign(size=np.where(np.arange(300) % 2, np.inf, 1.0))
    with pytest.raises(ValueError, match="column 'size' holds an infinite number"):
        wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X, np.arange(300.0))


def test_errors_of_a_frame_name_no_file_of_ours():
    X = frame(pytest.importorskip("pandas"))
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X, np.arange(300.0))
    with pytest.raises(ValueError, match="the data frame, line 4 of its CSV .*: column `size`: `large` is not a number"):
        model.predict(X.assign(size=["large" if place == 2 else "1" for place in range(300)]))


def test_the_spread_follows_the_names_of_a_frame():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"a": np.linspace(0, 1, 60), "b": np.linspace(3, 1, 60) ** 2})
    model = wgrad.MLPRegressor((4,), epochs=2, members=2, device="cpu").fit(X, X["b"]).model_
    for one, other in zip(model.predict_with_spread(X), model.predict_with_spread(X[["b", "a"]])):
        assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="the frame has no column 'b'"):
        model.predict_with_spread(X[["a"]])


def test_weights_of_classes_are_a_dict():
    X, y = np.repeat([[0.0], [1.0]], 50, axis=0), np.tile([0, 1], 50)
    share = lambda weights: (
        wgrad.MLPClassifier((4,), epochs=60, lr=0.05, valid=0, class_weights=weights, device="cpu").fit(X, y).predict_proba(X)[:, 1].mean()
    )
    assert abs(share({0: 1, 1: 9}) - 0.9) < 0.03
    assert share({0: 1, 1: 9}) == share("0=1,1=9")


def test_classes_without_an_order_are_refused():
    X, y = np.zeros((4, 1)), np.array(["a", None, "b", "a"], dtype=object)
    with pytest.raises(ValueError, match="values that have no order"):
        wgrad.MLPClassifier((4,), epochs=1, device="cpu").fit(X, y)


def test_a_trainer_says_what_is_wrong_with_classes():
    X, y = np.linspace(0, 1, 20)[:, None], np.array(["a", "b"])[np.arange(20) % 2]
    with pytest.raises(ValueError, match="y has 'b', which is none of the classes"):
        wgrad.Trainer(X, y, classes=["a", "c"])
    with pytest.raises(ValueError, match="classes are a vector"):
        wgrad.Trainer(X, np.ones((20, 2), dtype=int))


def test_a_target_that_is_the_same_in_all_rows_is_told():
    X = np.linspace(0, 1, 20)[:, None]
    _, warned = told(lambda: wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X, np.ones(20)))
    assert any("the target y is 1 in all training rows" in text for text in warned)
    _, warned = told(lambda: wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X, X[:, 0]))
    assert not any("in all training rows" in text for text in warned)


def test_drivers_say_nothing_without_a_desktop():
    code = (
        "import numpy as np, wgrad\n"
        "X = np.linspace(0, 1, 40)[:, None]\n"
        "wgrad.MLPRegressor((4,), epochs=1).fit(X, X[:, 0])\n"
    )
    unset = {"XDG_RUNTIME_DIR", "MESA_VK_DEVICE_SELECT", "NODEVICE_SELECT"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "XDG_RUNTIME_DIR" not in done.stderr


def test_quantiles_without_the_middle_one_have_no_single_number():
    X, y = load_diabetes(return_X_y=True)
    fit = lambda loss, y: wgrad.MLPRegressor((4,), loss=loss, epochs=2, device="cpu").fit(X, y)
    for loss, targets in (("pinball(0.1, 0.9)", y), ("pinball(0.2)", y), ("pinball(0.1, 0.9)", np.column_stack([y, -y]))):
        model = fit(loss, targets)
        for action in (model.predict, lambda X: model.score(X, targets)):
            with pytest.raises(ValueError, match="0.5, the middle one.*predict_columns"):
                action(X)
        assert len(model.predict_columns(X)) == len(X)
    # The middle one need not be in the middle, and the loss of the model decides.
    model = fit("pinball(0.1, 0.2, 0.5)", y).set_params(loss=None)
    assert np.array_equal(model.predict(X), model.predict_columns(X)[:, 2])
    two = fit("pinball(0.5, 0.9)", np.column_stack([y, -y]))
    assert np.array_equal(two.predict(X), two.predict_columns(X)[:, ::2])
    both = fit("gaussian-nll", np.column_stack([y, -y]))
    assert np.array_equal(both.predict(X), both.predict_columns(X)[:, ::2])


@pytest.mark.parametrize("loss", ["Pinball(0.1, 0.5, 0.9)", " pinball(0.1, 0.5, 0.9)", "pinball(0.05, 0.1, 0.5)", "pinball(0.50)"])
def test_the_middle_quantile_is_found_however_the_loss_is_written(loss):
    X, y = load_diabetes(return_X_y=True)
    for targets in (y, np.column_stack([y, -y])):
        model = wgrad.MLPRegressor((4,), loss=loss, epochs=2, device="cpu").fit(X, targets)
        quantiles = [name for name in model.model_._inner.columns]
        middle = model.predict_columns(X)[:, [place for place, name in enumerate(quantiles) if name == "quantile_0.5"]]
        for it in (model, pickle.loads(pickle.dumps(model)).set_params(loss=None)):
            assert np.array_equal(it.predict(X), middle[:, 0] if targets is y else middle)


def hinge_rows():
    X = np.random.default_rng(0).normal(size=(300, 4))
    y = X @ [1, 2, -1, 0.5] + np.random.default_rng(1).normal(size=300)
    return X, y


@pytest.mark.parametrize("loss", ["binary-hinge", "Binary_Hinge(margin=2)"])
def test_labels_by_scores_are_cut_at_zero(loss):
    X, y = hinge_rows()
    labels = np.column_stack([y > 0, y > 1]).astype(int)
    model = wgrad.MLPClassifier((16,), loss=loss, epochs=40, lr=0.01, device="cpu").fit(X, labels)
    scores = model.decision_function(X)
    assert ((scores > 0) & (scores <= 0.5)).sum() > 5
    assert np.array_equal(model.predict(X), scores > 0) and np.array_equal(scores, model.model_.predict(X))
    assert not hasattr(model, "predict_proba") and not hasattr(clone(model), "predict_proba")
    assert np.array_equal(pickle.loads(pickle.dumps(model)).set_params(loss=None).predict(X), scores > 0)


def test_scores_of_classes_are_no_probabilities():
    from sklearn.calibration import CalibratedClassifierCV

    X, y = hinge_rows()
    names = np.array(["b", "a", "c"])
    for classes in (y > 0, names[(y > -1).astype(int) + (y > 1)]):
        model = wgrad.MLPClassifier((8,), loss="hinge", epochs=20, lr=0.01, device="cpu")
        assert hasattr(model, "decision_function") and not hasattr(model, "predict_proba")
        scores = model.fit(X, classes).decision_function(X)
        assert scores.shape == ((300,) if classes is y or len(model.classes_) == 2 else (300, 3))
        found = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        assert np.array_equal(model.predict(X), model.classes_[found])
        assert model.score(X, classes) > 0.7
        with pytest.raises(AttributeError, match="predict_proba") as caught:
            model.predict_proba(X)
        assert "decision_function" in str(caught.value.__cause__)
        assert np.allclose(CalibratedClassifierCV(model, cv=2).fit(X, classes).predict_proba(X).sum(axis=1), 1)
    model = wgrad.MLPClassifier((8,), epochs=1, device="cpu")
    assert hasattr(model, "predict_proba") and not hasattr(model, "decision_function")
    assert not hasattr(model.fit(X, y > 0).set_params(loss="hinge"), "decision_function")
    steps = wgrad.MLPClassifier((8,), loss="hinge", device="cpu").partial_fit(X, y > 0, classes=[False, True])
    assert steps.decision_function(X).shape == (300,)


def test_partial_fit_takes_chunks_larger_than_the_first():
    X, y = load_diabetes(return_X_y=True)
    for options in ({}, {"batch_size": 20}, {"batch_size": "auto"}, {"recipe": "realmlp"}):
        model = wgrad.MLPRegressor(**{"hidden": (4,), "lr": 0.01, "device": "cpu", **options}).partial_fit(X[:5], y[:5])
        model.partial_fit(X[5:], y[5:])
        assert np.isfinite(model.predict(X)).all()
    # The rows of the first call say how columns and targets are scaled.
    model = wgrad.MLPRegressor((4,), optimizer="sgd", lr=1e-9, valid=0, epochs=1, device="cpu")
    begun = clone(model).partial_fit(X[:5], y[:5]).predict(X)
    assert np.allclose(begun, model.fit(X[:5], y[:5]).predict(X), rtol=1e-4)


def test_partial_fit_refuses_parameters_that_changed_on_the_way():
    X, y = load_diabetes(return_X_y=True)
    model = wgrad.MLPRegressor((4,), device="cpu", random_state=np.random.RandomState(3)).partial_fit(X, y)
    model.set_params(verbose=True, hidden=[4]).partial_fit(X, y)
    for changed in ({"lr": 0.1}, {"hidden": (3,)}, {"random_state": 1}, {"device": None}):
        before = {name: model.get_params()[name] for name in changed}
        with pytest.raises(ValueError, match=f"^{next(iter(changed))}: .*partial_fit"):
            model.set_params(**changed).partial_fit(X, y)
        model.set_params(**before).partial_fit(X, y)
    # A fit begins anew, and so does what goes on from its model.
    model.set_params(lr=0.1).fit(X, y).partial_fit(X, y)
    assert clone(model).set_params(lr=0.2).partial_fit(X, y).n_iter_ == 1


def test_the_curve_of_an_ensemble_is_the_mean_of_its_members(capsys):
    X, y = load_diabetes(return_X_y=True)
    model = wgrad.MLPRegressor((4,), members=3, epochs=4, verbose=True, device="cpu").fit(X, y)
    places = [(event["epoch"], event["member"]) for event in model.history_]
    assert places == [(epoch, member) for epoch in (1, 2, 3, 4) for member in (0, 1, 2)]
    losses = np.array([event["train_loss"] for event in model.history_]).reshape(4, 3)
    assert np.allclose(model.loss_curve_, losses.mean(axis=1)) and model.n_iter_ == 4
    shown = capsys.readouterr().err.splitlines()
    assert sorted(line.split(":")[0] for line in shown) == [f"epoch {epoch} of member {member}" for epoch, member in places]
    # A member that stops early is in the means of its own epochs.
    model = wgrad.MLPRegressor((64,), members=3, epochs=60, lr=0.1, stop_patience=3, device="cpu").fit(X, y)
    each = [[it["train_loss"] for it in model.history_ if it["member"] == member] for member in range(3)]
    assert len({len(losses) for losses in each}) > 1 and len(model.loss_curve_) == model.n_iter_ == max(map(len, each))
    ends = [losses[-1] for losses in each if len(losses) == model.n_iter_]
    assert np.isclose(model.loss_curve_[-1], np.mean(ends))
    alone = wgrad.MLPRegressor((4,), epochs=2, device="cpu").fit(X, y)
    assert alone.loss_curve_ == [event["train_loss"] for event in alone.history_]
