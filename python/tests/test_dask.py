"""Trials of a search on the workers of a Dask cluster."""

import os

import pytest
from sklearn.datasets import load_diabetes

import wgrad

distributed = pytest.importorskip("distributed", reason="pip install distributed")

RATES = (1e-4, 3e-3, 1e-2, 3e-2)


def trial(rate):
    """Train with a rate; return the score on rows that were held out, and the process that did it."""
    X, y = load_diabetes(return_X_y=True)
    model = wgrad.MLPRegressor((16,), epochs=20, lr=rate, seed=1, device="cpu").fit(X[:300], y[:300])
    return model.score(X[300:], y[300:]), model, os.getpid()


def test_trials_on_two_workers_are_those_of_one_process():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            workers = list(client.scheduler_info()["workers"])
            jobs = [client.submit(trial, rate, workers=[workers[at % 2]], pure=False) for at, rate in enumerate(RATES)]
            found = client.gather(jobs)
    assert len({process for _, _, process in found}) == 2
    assert os.getpid() not in {process for _, _, process in found}
    here = [trial(rate)[0] for rate in RATES]
    assert [score for score, _, _ in found] == here
    # The models come back, not their figures alone.
    X, y = load_diabetes(return_X_y=True)
    best = max(found, key=lambda it: it[0])
    assert best[1].score(X[300:], y[300:]) == max(here) > 0.3
