"""Data frames of pandas and polars, column by column."""

import json
import re
import warnings
from datetime import datetime, time, timedelta

import numpy as np
import pytest

import wgrad

pytestmark = pytest.mark.filterwarnings("ignore::wgrad.TrainingWarning")

pd = pytest.importorskip("pandas")


def features(frame, y=None, **options):
    """Names of the inputs of a model that was trained on a frame."""
    y = np.linspace(0, 1, frame.shape[0]) if y is None else y
    return wgrad.MLPRegressor((4,), epochs=1, device="cpu", **options).fit(frame, y).model_.features


@pytest.mark.parametrize(
    "rules", ["ab:number", '"ab" : number', "ab:number,", {"ab": "number"}, ["ab:number"], "ab:log", "ab:date(%Y:%m)"]
)
def test_a_rule_for_one_column_leaves_the_types_of_others(rules):
    """`b:` stands within `ab:number`, too."""
    X = pd.DataFrame({"ab": np.arange(60.0) ** 2, "b": pd.Categorical(np.arange(60) % 3)})
    if "date" in rules:
        X["ab"] = [f"{1990 + place}:0{1 + place % 9}" for place in range(60)]
    found = features(X, columns=rules)
    assert found[-3:] == ["b=0", "b=1", "b=2"] and all(name.startswith("ab") for name in found[:-3])


def test_rules_name_columns_with_signs_and_numbers():
    X = pd.DataFrame({"a, b": pd.Categorical(np.arange(60) % 3), 7: pd.Categorical(np.arange(60) % 4), "x": np.arange(60.0)})
    for rules in ('"a, b":number, 7:number', {"a, b": "number", 7: "number"}, ["a, b:number", "7:number"]):
        assert features(X, columns=rules) == ["a, b", "7", "x"]
    for ignored in ('"a, b", 7', ["a, b", 7]):
        assert features(X, ignore=ignored) == ["x"]
    assert features(X.assign(**{"a, b": pd.Categorical(np.arange(60) // 6)}), group="a, b", ignore="7") == ["x"]


UNREAD = {
    "lists": [[0], [1], [2]],
    "maps": [{"a": 0}, {"a": 1}, {"a": 2}],
    "bytes": [b"a", b"b", b"c"],
    "complex": [1j, 2j, 3 + 1j],
    "tuples": [(0, 1), (2, 3), (4, 5)],
    "sets": [{1}, {2}, {3}],
    "arrays": [np.zeros(2), np.ones(2), np.ones(3)],
    "categories": pd.Categorical([(0, 1), (2, 3), (4, 5)]),
    "gaps": [None, [1], "x"],
}


@pytest.mark.parametrize("kind", UNREAD)
def test_cells_that_are_no_numbers_or_texts_are_refused(kind):
    repeated = pd.Series(UNREAD[kind]).repeat(20).reset_index(drop=True)
    X = pd.DataFrame({"x": np.arange(60.0), "t": ["u", "v"] * 30, "k": repeated})
    for rows in (X, X[["x", "k"]]):
        with pytest.raises(ValueError, match="^column 'k' holds .*"):
            features(rows)
    # One that is no feature may hold anything, and may be there when predicting.
    for options in ({"ignore": "k"}, {"columns": "k:ignore"}):
        assert features(X, **options) == ["x", "t=v"]
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X[["x", "t"]], X["x"])
    assert np.array_equal(model.predict(X), model.predict(X[["x", "t"]]))
    other = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X.assign(k=np.arange(60) % 5), X["x"])
    with pytest.raises(ValueError, match="^column 'k' holds "):
        other.predict(X)


def test_cells_of_polars_that_are_no_numbers_or_texts_are_refused():
    polars = pytest.importorskip("polars")
    beside = {"x": np.arange(60.0), "t": ["u", "v"] * 30}
    kinds = {"lists": [[1, 2]], "records": [{"a": 1}], "bytes": [b"a"], "objects": polars.Series([{1}], dtype=polars.Object)}
    for kind, cells in kinds.items():
        X = polars.DataFrame({**beside, "k": polars.Series(list(cells) * 60, dtype=polars.Object if kind == "objects" else None)})
        with pytest.raises(ValueError, match=f"^column 'k' holds {kind}"):
            features(X)
        assert features(X, ignore="k") == ["x", "t=v"]
        model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(X[["x", "t"]], X["x"].to_numpy())
        assert np.array_equal(model.predict(X), model.predict(X[["x", "t"]]))


def test_types_of_arrow_in_pandas_are_refused_too():
    arrow = pytest.importorskip("pyarrow")
    for cells, said in (([[1], [2]], "lists"), ([{"a": 1}, {"a": 2}], "maps"), ([b"a", b"b"], "bytes")):
        k = pd.Series(arrow.array(cells * 30).to_pandas(types_mapper=pd.ArrowDtype))
        with pytest.raises(ValueError, match=f"^column 'k' holds ({said})"):
            features(pd.DataFrame({"x": np.arange(60.0), "k": k}))


def test_usual_cells_of_objects_are_taken():
    from decimal import Decimal

    X = pd.DataFrame({"d": [Decimal(place) / 7 for place in range(60)], "m": ["u", True, None] * 20, "i": pd.interval_range(0, 60)})
    assert features(X, columns="i:one-hot", one_hot=60)[0] == "d"


def lengths(rows=60):
    """Durations of different lengths."""
    return [timedelta(seconds=place * place * 7 + place % 3 / 2) for place in range(rows)]


def clocks(rows=60):
    """Times of day, as in the seconds of `lengths`."""
    return [time(place % 24, place, 7 * place % 60, 500_000) for place in range(rows)]


def as_seconds(cells):
    """Cells as numbers, in seconds."""
    start = datetime(2000, 1, 1)
    return [
        None if it is None else it.total_seconds() if isinstance(it, timedelta) else (datetime.combine(start, it) - start).total_seconds()
        for it in cells
    ]


@pytest.mark.parametrize("library", ["pandas", "polars", "objects", "arrow"])
@pytest.mark.parametrize("kind", [lengths, clocks])
def test_durations_and_times_of_day_are_numbers_in_seconds(library, kind):
    cells = [None if place % 9 == 4 else cell for place, cell in enumerate(kind())]
    texts = ["u", "v"] * 30
    if library == "polars":
        polars = pytest.importorskip("polars")
        rows, same = (polars.DataFrame({"day": it, "t": texts}) for it in (cells, as_seconds(cells)))
    else:
        types = {"pandas": None, "objects": object}
        if library == "arrow":
            arrow = pytest.importorskip("pyarrow")
            types["arrow"] = pd.ArrowDtype(arrow.duration("us") if kind is lengths else arrow.time64("us"))
        rows = pd.DataFrame({"day": pd.Series(cells, dtype=types[library]), "t": texts})
        same = pd.DataFrame({"day": pd.Series(as_seconds(cells), dtype=float), "t": texts})
    y = np.arange(60.0)
    model = wgrad.MLPRegressor((4,), epochs=2, device="cpu").fit(rows, y)
    assert model.model_.features == features(same, y) and model.model_.features[0] == "day"
    again = wgrad.MLPRegressor((4,), epochs=2, device="cpu").fit(same, y)
    assert np.array_equal(model.predict(rows), again.predict(same))
    assert np.array_equal(model.predict(rows), model.predict(same))
    assert rows["day"][0] == cells[0]


def test_units_of_durations_are_told_apart():
    polars = pytest.importorskip("polars")
    for library, units in ((pd, ("s", "ms", "us", "ns")), (polars, ("ms", "us", "ns"))):
        for unit in units:
            whole = np.arange(60) ** 2 * 1000
            cells = whole.astype("timedelta64[s]").astype(f"timedelta64[{unit}]")
            rows, same = (library.DataFrame({"day": days, "t": ["u", "v"] * 30}) for days in (cells, whole))
            model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(rows, whole)
            assert np.array_equal(model.predict(rows), model.predict(same))


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_gaps_in_frames_of_numbers_are_gaps(name):
    library = pytest.importorskip(name)
    y = np.arange(60.0)
    b = [float("nan") if place % 7 == 3 else place % 5 + 0.5 for place in range(60)]
    rows = library.DataFrame({"a": y, "b": b})
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(rows, y)
    assert model.model_.features == features(pd.DataFrame({"a": y, "b": b}), y) != ["a", "b"]
    none = library.DataFrame({"a": y, "b": [None if value != value else value for value in b]})
    assert np.array_equal(model.predict(rows), model.predict(none))
    # Texts that mark a gap are no more than those.
    assert features(rows, y, missing="-1") == model.model_.features


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_gaps_that_only_rows_to_predict_have_stand_for_the_mean(name):
    library = pytest.importorskip(name)
    y = np.arange(60.0)
    rows = library.DataFrame({"a": y, "b": (y % 5) + 0.5})
    model = wgrad.MLPRegressor((4,), epochs=5, lr=0.05, valid=0, device="cpu").fit(rows, y)
    gap = library.DataFrame({"a": [3.0, 4.0], "b": [float("nan"), 1.5]})
    mean = library.DataFrame({"a": [3.0, 4.0], "b": [2.5, 1.5]})
    with pytest.warns(wgrad.TrainingWarning, match="1 cell holds a text or gap"):
        found = model.predict(gap)
    assert np.allclose(found, model.predict(mean), rtol=1e-6)
    if library is pd:
        whole = model.predict(pd.DataFrame({"a": pd.array([3, 4], "Int64"), "b": pd.array([None, 1.5], "Float64")}))
        assert np.array_equal(whole, found)
    classes = wgrad.MLPClassifier((4,), epochs=1, device="cpu").fit(rows, y > 30)
    assert classes.predict_proba(gap).shape == (2, 2)
    # What is checked of other rows is checked of these, too.
    with pytest.raises(ValueError, match="feature names"):
        model.predict(gap[["b", "a"]])
    with pytest.raises(ValueError, match="infinity"):
        model.predict(library.DataFrame({"a": [float("inf"), 1.0], "b": [float("nan"), 1.0]}))
    with pytest.raises(ValueError, match="NaN"), pytest.warns(UserWarning, match="feature names"):
        model.predict(np.array([[1.0, np.nan]]))
    # Rows of an array have no names by which columns of a frame could be found.
    with pytest.raises(ValueError, match="NaN"), pytest.warns(UserWarning, match="feature names"):
        wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(rows.to_numpy(), y).predict(gap)
    with pytest.raises(ValueError, match="NaN"):
        wgrad.MLPRegressor((4,), device="cpu").partial_fit(rows, y).predict(gap)


def test_frames_that_have_no_rows_yet_or_are_of_arrow_are_refused_with_advice():
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    y = np.arange(60.0)
    columns = {"a": y, "t": ["kyiv", "lviv"] * 30}
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(polars.DataFrame(columns), y)
    for rows, said in ((polars.DataFrame(columns).lazy(), r"LazyFrame.*collect\(\)"), (arrow.table(columns), r"pyarrow.*to_pandas\(\)")):
        for action in (lambda rows: wgrad.MLPRegressor().fit(rows, y), model.predict, model.model_.predict):
            with pytest.raises(ValueError, match=said):
                action(rows)
        with pytest.raises(ValueError, match=said):
            wgrad.MLPClassifier().partial_fit(rows, y, classes=y)
    # Numbers of Arrow are an array.
    numbers = arrow.table({"a": y, "b": y % 3})
    assert wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(numbers, y).predict(numbers).shape == (60,)


def target_of(model, tmp_path):
    """The name of the target in a file of a model."""
    model.model_.save(tmp_path / "model.safetensors")
    data = (tmp_path / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return re.search(r'target\W+([\w, ]+)', " ".join(header["__metadata__"].values()))[1].strip()


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_the_target_has_the_name_of_its_series(name, tmp_path):
    library = pytest.importorskip(name)
    rows = library.DataFrame({"t": ["u", "v"] * 30, "price": np.arange(60.0), "c": ["a", "b", "c"] * 20})
    fit = lambda y, kind=wgrad.MLPRegressor: kind((4,), epochs=1, device="cpu").fit(rows[["t", "price"]], y)
    assert target_of(fit(rows["c"], wgrad.MLPClassifier), tmp_path) == "c"
    assert target_of(fit(rows["price"]), tmp_path) == "price_"
    assert target_of(fit(rows["price"].to_numpy()), tmp_path) == "target"
    assert target_of(fit(rows["price"].rename("self")), tmp_path) == "self"
    weighed = wgrad.MLPRegressor((4,), epochs=1, device="cpu")
    y = library.Series(name="sample_weight", **({"data": np.arange(60.0)} if library is pd else {"values": np.arange(60.0)}))
    assert target_of(weighed.fit(rows[["t"]], y, sample_weight=np.ones(60)), tmp_path) == "sample_weight"


def test_dates_are_no_numbers_to_predict():
    X = np.arange(60.0)[:, None]
    days = pd.Series(pd.date_range("2024-01-01", periods=60))
    frames = (X, pd.DataFrame({"t": ["u", "v"] * 30}))
    for rows in frames:
        for y, said in ((days, "dates"), (days.to_numpy(), "dates"), (days - days[0], "durations")):
            with pytest.raises(ValueError, match=f"^y holds {said}"):
                wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(rows, y)
    with pytest.raises(ValueError, match="^y holds dates"):
        wgrad.MLPRegressor((4,), device="cpu").partial_fit(X, days)
    with pytest.raises(ValueError, match="y holds .*datetime"):
        wgrad.Trainer(X, days, task="regress")


def test_a_class_whose_rows_have_no_weight_is_told():
    X, y = np.arange(60.0)[:, None], np.array(["en", "fr", "vi"])[np.arange(60) % 3]
    for rows in (X, pd.DataFrame({"t": ["u", "v"] * 30})):
        with pytest.warns(wgrad.TrainingWarning, match="^sample_weight: all rows of class 'vi' have weight 0"):
            wgrad.MLPClassifier((4,), epochs=1, device="cpu").fit(rows, y, sample_weight=(y != "vi").astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wgrad.MLPClassifier((4,), epochs=1, device="cpu").fit(X % 7, y, sample_weight=1.0)


def test_a_first_column_without_a_name_is_refused():
    for library in (pd, pytest.importorskip("polars")):
        for name in ("", " "):
            rows = library.DataFrame({name: np.random.default_rng(0).normal(size=60), "t": ["u", "v"] * 30})
            with pytest.raises(ValueError, match="column 1 has no name"):
                features(rows)
        # It may be there when predicting, as names of rows.
        model = wgrad.MLPRegressor((4,), epochs=1, device="cpu").fit(rows[["t"]], np.arange(60.0))
        assert np.array_equal(model.predict(rows), model.predict(rows[["t"]]))


def test_marks_of_gaps_that_are_targets_are_refused():
    X = pd.DataFrame({"t": ["a", "u", "v"] * 20, "x": np.arange(60.0)})
    classes = np.array(["a", "b", "c"])[np.arange(60) % 3]
    fit = lambda kind, y, **options: kind((4,), epochs=1, device="cpu", **options).fit(X, y)
    for missing in ("a", ["u", "a"], '"a"'):
        with pytest.raises(ValueError, match="^missing: 'a' is in y, too"):
            fit(wgrad.MLPClassifier, classes, missing=missing)
    with pytest.raises(ValueError, match="^missing: '3.0' is in y, too"):
        fit(wgrad.MLPRegressor, np.arange(60.0), missing="3.0")
    assert fit(wgrad.MLPClassifier, classes, missing="u").predict(X).shape == (60,)
    assert fit(wgrad.MLPRegressor, np.arange(60.0), missing="u").model_.features == ["t=a", "t=v", "t is missing", "x"]


@pytest.mark.parametrize("name", ["pandas", "polars", "arrays"])
def test_targets_and_weights_are_checked_as_those_of_arrays(name):
    rows = np.arange(60.0)[:, None] % 7
    if name != "arrays":
        rows = pytest.importorskip(name).DataFrame({"t": ["u", "v"] * 30, "x": rows[:, 0]})
    model = wgrad.MLPRegressor((4,), epochs=1, device="cpu")
    y = np.arange(60.0)
    for place, said in ((np.nan, "Input y contains NaN"), (np.inf, "Input y contains infinity")):
        with pytest.raises(ValueError, match=said):
            model.fit(rows, np.where(y == 3, place, y))
    for weight, said in (
        (np.ones((60, 1)), "Sample weights must be 1D"),
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(60,\)"),
        (np.where(y == 3, np.nan, 1), "Input sample_weight contains NaN"),
    ):
        with pytest.raises(ValueError, match=said):
            model.fit(rows, y, sample_weight=weight)
    plain = model.fit(rows, y).predict(rows)
    assert np.array_equal(model.fit(rows, y, sample_weight=2.0).predict(rows), plain)
    if name == "pandas":
        classes = pd.Series(y > 20).astype("boolean")
        assert wgrad.MLPClassifier((4,), epochs=1, device="cpu").fit(rows, classes).classes_.tolist() == [False, True]
    gap = pd.Series(y, dtype="Int64").where(y != 3)
    with pytest.raises(ValueError, match="NaN|NA"):
        model.fit(rows, gap)


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_texts_that_mark_gaps_are_told(name):
    library = pytest.importorskip(name)
    texts = ["None", "x", "y"] * 20
    kinds = {"t": texts}
    if name == "pandas":
        kinds["c"] = pd.Categorical(texts)
    for column, cells in kinds.items():
        rows = library.DataFrame({"x": np.arange(60.0), column: cells})
        if name == "polars":
            rows = rows.with_columns(c=rows["t"].cast(library.Categorical)).drop("t") if column == "c" else rows
        with pytest.warns(wgrad.TrainingWarning, match=f"^column '{column}': the text 'None' is taken for a gap, as in files.*‘missing’"):
            assert features(rows) == ["x", f"{column}=x", f"{column}=y", f"{column} is missing"]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert features(rows, missing="-")[1:] == [f"{column}={text}" for text in ("None", "x", "y")]
            features(rows, ignore=column)
            features(rows.drop(columns=column).assign(t=["a", None] * 30) if name == "pandas" else rows.drop(column).with_columns(t=library.Series(["a", None] * 30)))
        assert not any("is taken for a gap" in str(it.message) for it in caught)
