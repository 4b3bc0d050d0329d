"""Data frames of pandas and polars, column by column."""

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
