#!/usr/bin/env python3
"""Times whole jobs in turn: read a CSV file, train, write the predictions for another CSV file.

    python3 scripts/compare_jobs.py target/release/wgrad
    python3 scripts/compare_jobs.py target/release/wgrad --job digits --rounds 5

The same network, batch, optimizer (Adam, 0.001) and number of epochs for all: by the program on the CPU, by scikit-learn's MLP, by PyTorch with
tensors kept whole and with its DataLoader, and by Keras where it is installed. Tables: the digits (`examples/datasets`), 100,000 rows of
50 numbers (four classes) and 1,000,000 rows of 20 numbers (a number). Prints for each the median of seconds, the peak of memory, and
the accuracy or R² over the second file's rows, which none trains on. Needs numpy, pandas, scikit-learn and torch from PyPI.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from compare_reading import run

# For each job: sizes of the hidden layers, rows of a batch, epochs, whether the target is a class.
JOBS = {
    "digits": ([128, 64], 32, 30, True),
    "100k": ([128, 64], 128, 5, True),
    "1m": ([64, 64], 256, 2, False),
}
PEERS = ["wgrad", "sklearn", "torch", "torch loader", "keras"]


def make(folder, job):
    """Writes train.csv and test.csv; the last column, y, is the target in both."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(1)
    if job == "digits":
        path = next(pathlib.Path(__file__).parent.parent.glob("examples/datasets/digits*.csv"))
        table = pd.read_csv(path).sample(frac=1.0, random_state=1)
        table = table.rename(columns={table.columns[-1]: "y"})
    else:
        rows, columns = (100_000, 50) if job == "100k" else (1_000_000, 20)
        x = draw.normal(size=(rows, columns)).round(4)
        inner = np.tanh(x @ draw.normal(size=(columns, 8)) / columns**0.5)
        if JOBS[job][3]:
            y = (inner @ draw.normal(size=(8, 4)) + 0.1 * draw.normal(size=(rows, 4))).argmax(1)
        else:
            y = (inner @ draw.normal(size=8) + 0.1 * draw.normal(size=rows)).round(4)
        table = pd.DataFrame(x, columns=[f"x{place}" for place in range(columns)])
        table["y"] = y
    cut = len(table) * 4 // 5
    table[:cut].to_csv(folder / "train.csv", index=False)
    table[cut:].to_csv(folder / "test.csv", index=False)


def read(folder):
    """Returns features, scaled by the training rows, and targets of both files."""
    import numpy as np
    import pandas as pd

    train, test = (pd.read_csv(folder / name) for name in ("train.csv", "test.csv"))
    x, z = (table.drop(columns="y").to_numpy(np.float32) for table in (train, test))
    mean, deviation = x.mean(0), x.std(0)
    deviation[deviation == 0] = 1
    return (x - mean) / deviation, train["y"].to_numpy(), (z - mean) / deviation


def write(folder, predicted):
    import pandas as pd

    pd.DataFrame({"y_predicted": predicted}).to_csv(folder / "predicted.csv", index=False)


def by_sklearn(folder, job):
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    hidden, batch, epochs, classes = JOBS[job]
    x, y, z = read(folder)
    network = (MLPClassifier if classes else MLPRegressor)(
        hidden_layer_sizes=hidden, batch_size=batch, max_iter=epochs, n_iter_no_change=epochs, random_state=0)
    write(folder, network.fit(x, y).predict(z))


def by_torch(folder, job, loader):
    import torch
    from torch import nn

    hidden, batch, epochs, classes = JOBS[job]
    x, y, z = read(folder)
    torch.manual_seed(0)
    x, z = torch.from_numpy(x), torch.from_numpy(z)
    y = torch.from_numpy(y) if classes else torch.from_numpy(y).float().unsqueeze(1)
    sizes = [x.shape[1], *hidden, int(y.max()) + 1 if classes else 1]
    layers = [layer for pair in zip(sizes, sizes[1:]) for layer in (nn.Linear(*pair), nn.ReLU())]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss() if classes else nn.MSELoss()
    if loader:
        data = torch.utils.data.TensorDataset(x, y)
        batches = torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True)
    for _ in range(epochs):
        if not loader:
            order = torch.randperm(len(x))
            batches = ((x[rows], y[rows]) for rows in order.split(batch))
        for rows, targets in batches:
            optimizer.zero_grad(set_to_none=True)
            loss_of(network(rows), targets).backward()
            optimizer.step()
    with torch.no_grad():
        predicted = network(z)
    write(folder, predicted.argmax(1).numpy() if classes else predicted[:, 0].numpy())


def by_keras(folder, job):
    import keras

    hidden, batch, epochs, classes = JOBS[job]
    x, y, z = read(folder)
    keras.utils.set_random_seed(0)
    outputs = keras.layers.Dense(int(y.max()) + 1 if classes else 1)
    network = keras.Sequential([*(keras.layers.Dense(size, "relu") for size in hidden), outputs])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse"
    network.compile(keras.optimizers.Adam(1e-3), loss)
    network.fit(x, y, batch, epochs, verbose=0)
    predicted = network.predict(z, 1024, verbose=0)
    write(folder, predicted.argmax(1) if classes else predicted[:, 0])


def of_wgrad(program, folder, job):
    """Both commands of the job."""
    hidden, batch, epochs, classes = JOBS[job]
    train = ["train", folder / "train.csv", "--target", "y", "--valid", "0", "--no-report", "--task", "classify" if classes else "regress"]
    train += ["--hidden", ",".join(map(str, hidden)), "--batch-size", batch, "--epochs", epochs]
    train += ["--optimizer", "adam", "--lr", "0.001", "--device", "cpu", "--quiet", "--force", "--out", folder / "run"]
    predict = ["predict", folder / "run", folder / "test.csv", "--device", "cpu", "--quiet"]
    predict += ["--force", "--out", folder / "predicted.csv"]
    return [list(map(str, [program, *command])) for command in (train, predict)]


def score(folder, job):
    """Accuracy, or R², of predicted.csv."""
    import numpy as np
    import pandas as pd

    y = pd.read_csv(folder / "test.csv")["y"].to_numpy()
    table = pd.read_csv(folder / "predicted.csv")
    predicted = table["y_predicted"].to_numpy()
    if JOBS[job][3]:
        return float(np.mean(predicted == y))
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def measure(commands):
    """Returns the seconds of commands one after the other, and the largest of their peaks of memory in bytes."""
    seconds, _, memory = zip(*map(run, commands))
    return sum(seconds), max(memory)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wgrad")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", choices=list(JOBS), action="append")
    parser.add_argument("--by", choices=PEERS, action="append", help="only these, such as wgrad and sklearn")
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args()
    peers = [peer for peer in args.by or PEERS if peer != "keras" or importlib.util.find_spec("keras")]
    figures = []
    for job in args.job or JOBS:
        with tempfile.TemporaryDirectory() as folder:
            # Elsewhere, since what making it takes would count for the first one measured.
            subprocess.run([sys.executable, __file__, "--make", folder, job], check=True)
            taken = {peer: [] for peer in peers}
            for _ in range(args.rounds):
                for peer in peers:
                    commands = [[sys.executable, __file__, "--do", peer, folder, job]]
                    if peer == "wgrad":
                        commands = of_wgrad(args.wgrad, pathlib.Path(folder), job)
                    taken[peer].append((*measure(commands), score(pathlib.Path(folder), job)))
        print(f"{job}: hidden layers {JOBS[job][0]}, batches of {JOBS[job][1]}, {JOBS[job][2]} epochs")
        for peer, runs in taken.items():
            seconds, memory, scored = (statistics.median(column) for column in zip(*runs))
            print(f"  {peer:14} {seconds:8.2f} s {memory / 1e6:8.0f} MB  {scored:.4f}")
            figures.append({"job": job, "by": peer, "seconds": seconds, "bytes": memory, "score": scored})
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(pathlib.Path(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["--do"]:
        peer, folder, job = sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
        if peer == "sklearn":
            by_sklearn(folder, job)
        elif peer == "keras":
            by_keras(folder, job)
        else:
            by_torch(folder, job, peer == "torch loader")
    else:
        main()
