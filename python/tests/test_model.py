"""Models, trainings with their events, and files that other programs read."""

import json
import threading

import numpy as np
import pytest

import wgrad

pytestmark = pytest.mark.filterwarnings("ignore::wgrad.TrainingWarning")


def rows():
    X = np.random.default_rng(1).normal(size=(200, 3))
    return X, X[:, 0] - 2 * X[:, 1]


def test_events_come_as_they_happen():
    X, y = rows()
    trainer = wgrad.Trainer(X, y, hidden=8, epochs=4, device="cpu")
    events = list(trainer)
    assert [event["event"] for event in events if event["event"] != "progress"] == ["started", *["epoch"] * 4, "finished"]
    losses = [event["train_loss"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < losses[0]
    assert trainer.model.predict(X).shape == (200, 1)


def test_a_training_can_be_stopped():
    X, y = rows()
    trainer = wgrad.Trainer(X, y, epochs=100_000, device="cpu")
    epochs = 0
    for event in trainer:
        epochs += event["event"] == "epoch"
        if epochs == 3:
            trainer.stop()
    assert 3 <= epochs < 1000
    assert trainer.model.predict(X).shape == (200, 1)


def test_a_training_can_be_stopped_by_another_thread():
    X, y = rows()
    trainer = wgrad.Trainer(X, y, epochs=10**6, device="cpu")
    timer = threading.Timer(0.3, trainer.stop)
    timer.start()
    # Waits for the end, and holds nothing that the other thread needs.
    assert trainer.model.predict(X).shape == (200, 1)
    timer.join()


def test_members_name_themselves():
    X, y = rows()
    trainer = wgrad.Trainer(X, y, members=3, epochs=2, hidden=4, device="cpu")
    assert {event["member"] for event in trainer if event["event"] == "epoch"} == {0, 1, 2}
    weights = trainer.model.weights()
    assert [sorted(each) for each in weights] == [["0.bias", "0.weight", "2.bias", "2.weight"]] * 3
    assert not np.array_equal(weights[0]["0.weight"], weights[1]["0.weight"])


def test_classes_keep_the_order_that_is_given():
    X, y = rows()
    names = np.where(y > 0, "up", "down")
    trainer = wgrad.Trainer(X, names, classes=["up", "down"], hidden=8, epochs=30, lr=0.01, device="cpu")
    model = trainer.model
    assert model.classes == ["up", "down"] and model.kind == "classes"
    assert (np.array(model.classes)[model.predict(X).argmax(axis=1)] == names).mean() > 0.9


def test_a_trainer_obeys_the_task():
    X, y = rows()
    signs = np.sign(y).astype(int)
    train = lambda y, **options: wgrad.Trainer(X, y, epochs=1, device="cpu", **options).model
    assert train(np.sign(y), task="classify").classes == ["-1.0", "1.0"]
    assert train(signs, task="classify").classes == train(signs, task="auto").classes == ["-1", "1"]
    assert train(signs, task="regress").kind == train(y > 0, task="regress").kind == "numbers"
    assert train(np.column_stack([signs, signs]), task="regress").predict(X).shape == (200, 2)
    assert train(y > 0, task="labels").kind == "labels"
    both = np.column_stack([y > 0, y > 1])
    assert train(both, task="labels").classes == ["label0", "label1"]
    assert train(both, task="labels", classes=["up", "high"]).classes == ["up", "high"]
    for wrong, said in (
        ({"task": "labels"}, "labels are 0 or 1"),
        ({"task": "labels", "classes": ["a", "b"]}, "classes: 2 names"),
        ({"task": "regress", "classes": ["a", "b"]}, "classes: .*task='regress'"),
        ({"task": "sort"}, "task: unknown name"),
    ):
        with pytest.raises(ValueError, match=said):
            train(y, **wrong)
    with pytest.raises(ValueError, match="task='regress'"):
        train(np.where(y > 0, "up", "down"), task="regress")


@pytest.mark.parametrize(
    "option",
    [
        {"ignore": "x1"},
        {"features": "x1"},
        {"columns": "x1:category"},
        {"group": "x1"},
        {"split_column": "x1"},
        {"split-column": "x1"},
        {"gaps": "drop"},
        {"missing": "0"},
        {"one_hot": 3},
        {"min_count": 2},
        {"duplicates": "keep"},
        {"embedding_width": 4},
        {"scale_texts": True},
        {"delimiter": ";"},
        {"decimal": "comma"},
        {"header": "yes"},
        {"sheet": "a"},
        {"host_memory": "1GiB"},
        {"weight": "x1"},
    ],
)
def test_a_trainer_refuses_what_is_about_tables(option):
    X, y = rows()
    (name,) = option
    with pytest.raises(ValueError, match=f"^{name}: "):
        wgrad.Trainer(X, y, epochs=1, device="cpu", **option)
    wgrad.Trainer(X, y, epochs=1, device="cpu", **{name: None}).stop()


def test_files_hold_the_same_model(tmp_path):
    X, y = rows()
    model = wgrad.MLPRegressor((8,), epochs=3, device="cpu").fit(X, y).model_
    model.save(tmp_path / "model.safetensors")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        assert np.array_equal(wgrad.load(path).predict(X), model.predict(X))
    with pytest.raises(OSError, match="nowhere"):
        wgrad.load(tmp_path / "nowhere")


def test_a_model_predicts_tables_of_its_columns(tmp_path):
    X, y = rows()
    model = wgrad.MLPRegressor((8,), epochs=3, device="cpu").fit(X, y).model_
    table = tmp_path / "new.csv"
    lines = [",".join(map(repr, map(float, row))) for row in X[:5, ::-1]]
    table.write_text("x2,x1,x0\n" + "\n".join(lines) + "\n")
    assert np.allclose(model.predict(table), model.predict(X[:5]), rtol=1e-6)


def test_onnx_predicts_the_same(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, y = rows()
    model = wgrad.MLPRegressor((8,), epochs=3, device="cpu").fit(X, y).model_
    model.export_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    taken = session.get_inputs()[0]
    kind = np.float64 if "double" in taken.type else np.float32
    got = session.run(None, {taken.name: X.astype(kind)})[0]
    assert np.allclose(got.reshape(-1, 1), model.predict(X), rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_the_layers():
    X, y = rows()
    estimator = wgrad.MLPRegressor((), epochs=200, lr=0.05, device="cpu", scale="none", valid=0).fit(X, y)
    weight = estimator.model_.weights()["0.weight"]
    assert weight.shape == (1, 3) and weight.dtype == np.float32
    assert np.allclose(weight, [[1, -2, 0]], atol=0.02)


def test_what_is_wrong_is_said():
    X, y = rows()
    with pytest.raises(ValueError, match="did you mean `epochs`"):
        wgrad.Trainer(X, y, epoch=3)
    with pytest.raises(ValueError, match="out: it belongs to run folders"):
        wgrad.Trainer(X, y, out="somewhere")
    with pytest.raises(ValueError, match="dimensions"):
        wgrad.Trainer(X[0], y)
    model = wgrad.Trainer(X, y, epochs=1, device="cpu").model
    with pytest.raises(ValueError, match="columns"):
        model.predict(X[:, :2])
    assert json.dumps(model.columns) and "dense" in repr(model)


def test_the_vocabulary_is_that_of_the_program():
    assert "adamw" in wgrad.vocabulary()


def test_the_spread_says_that_it_takes_numbers(tmp_path):
    pd = pytest.importorskip("pandas")
    X, y = rows()
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 2] > 1, np.nan, X[:, 2])})
    town, many = np.where(X[:, 1] > 0, "bonn", "ulm"), pd.Categorical(np.arange(200) % 40)
    frame.to_csv(tmp_path / "table.csv", index=False)
    for columns in (frame, frame[["a"]].assign(town=town), frame[["a"]].assign(many=many)):
        model = wgrad.MLPRegressor((4,), epochs=1, members=2, device="cpu").fit(columns, y).model_
        with pytest.raises(ValueError, match="takes numbers, but no texts, dates and gaps of a frame; use predict, or"):
            model.predict_with_spread(columns)
        for path in (tmp_path / "table.csv", str(tmp_path / "table.csv")):
            with pytest.raises(ValueError, match="takes numbers, but no paths of tables; use predict, or"):
                model.predict_with_spread(path)


def test_columns_of_several_targets_name_them():
    X, y = rows()
    fit = lambda y, **options: wgrad.Trainer(X, y, epochs=1, hidden=4, device="cpu", **options).model
    both = np.column_stack([y, -y])
    assert fit(both).columns == ["y0_predicted", "y1_predicted"]
    assert fit(both, loss="pinball(0.1, 0.9)").columns == ["y0_quantile_0.1", "y0_quantile_0.9", "y1_quantile_0.1", "y1_quantile_0.9"]
    assert fit(both > 0, task="labels", classes=["up", "high"]).columns == ["up_probability", "high_probability"]
    assert fit(both > 0, task="labels", loss="binary-hinge").columns == ["label0_score", "label1_score"]
    for names in (fit(y).columns, fit(y, members=2).columns):
        assert names == ["predicted"]
    assert fit(both, members=2).columns == ["y0_predicted", "y1_predicted"]
    assert fit(y > 0).columns == ["probability_False", "probability_True"]


def test_a_gap_in_an_array_is_refused_in_terms_of_python():
    X, y = rows()
    model = wgrad.Trainer(X, y, epochs=1, hidden=4, members=2, device="cpu").model
    X[3, 1] = np.nan
    for action in (model.predict, model.predict_with_spread):
        with pytest.raises(ValueError, match="column `x1`: .*NaN.*no number; fill in a value, or remove the row"):
            action(X)
