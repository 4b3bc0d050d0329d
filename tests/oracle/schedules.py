"""Writes the learning rates that the tests of schedules compare with, 50 optimizer steps a case.

    python3 tests/oracle/schedules.py            writes schedules.json beside this script
    python3 tests/oracle/schedules.py --check    fails if the stored file differs from a fresh computation

Needs torch from PyPI. PyTorch's schedulers are stepped once an optimizer step, with 5 steps an epoch, so that what
this project gives in epochs is 5 times as much for PyTorch. Warm-ups are LinearLR in front, by SequentialLR. What
PyTorch does not have is computed from its formula, in the case's own line.

schedules.json: {"torch": version, "lr": the peak, "steps_per_epoch": 5, "cases": [
    {"schedule": as the option has it, "warmup": epochs, "rates": 50 numbers}            one a schedule
    {"schedule": ..., "values": 10 numbers, "rates": 10 numbers}                          for plateau, one an epoch
]}
"""

import json
import math
import sys
import warnings
from pathlib import Path

import torch
from torch.optim import lr_scheduler as schedulers

FILE = Path(__file__).parent / "schedules.json"
LR = 0.1
STEPS = 50
EPOCH = 5


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)


def rates_of(make, warmup=0):
    """The rate of each step under PyTorch's scheduler, after a linear warm-up of so many steps."""
    sgd = optimizer()
    if warmup:
        rise = schedulers.LinearLR(sgd, start_factor=1 / (warmup + 1), total_iters=warmup)
        scheduler = schedulers.SequentialLR(sgd, [rise, make(sgd)], milestones=[warmup])
    else:
        scheduler = make(sgd)
    rates = []
    for _ in range(STEPS):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return rates


def formula(share):
    """LR times a share of t = step / STEPS."""
    return [LR * share(step / STEPS) for step in range(STEPS)]


def flat_cos(flat, end):
    return lambda t: 1.0 if t <= flat else end + (1 - end) / 2 * (1 + math.cos(math.pi * (t - flat) / (1 - flat)))


def plateau(text, values, **arguments):
    """The rate of each epoch, given what was seen at the end of those before it."""
    sgd = optimizer()
    scheduler = schedulers.ReduceLROnPlateau(sgd, **arguments)
    rates = []
    for value in values:
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step(value)
    return {"schedule": text, "values": values, "rates": rates}


def cases():
    made = [
        ("constant", 0, lambda o: schedulers.ConstantLR(o, factor=1.0)),
        ("step(every=2, gamma=0.5)", 0, lambda o: schedulers.StepLR(o, step_size=10, gamma=0.5)),
        ("step(every=3)", 0, lambda o: schedulers.StepLR(o, step_size=15)),
        ("multi-step(milestones=[1, 4.4, 8], gamma=0.3)", 0,
         lambda o: schedulers.MultiStepLR(o, milestones=[5, 22, 40], gamma=0.3)),
        ("multi-step(milestones=[3, 6])", 0, lambda o: schedulers.MultiStepLR(o, milestones=[15, 30])),
        ("exponential(gamma=0.8)", 0, lambda o: schedulers.ExponentialLR(o, gamma=0.8 ** (1 / EPOCH))),
        ("polynomial", 0, lambda o: schedulers.PolynomialLR(o, total_iters=STEPS)),
        ("polynomial(power=2.5)", 0, lambda o: schedulers.PolynomialLR(o, total_iters=STEPS, power=2.5)),
        ("cosine", 0, lambda o: schedulers.CosineAnnealingLR(o, T_max=STEPS)),
        ("cosine(end=0.05)", 0, lambda o: schedulers.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.05 * LR)),
        ("cosine-restarts(every=2)", 0, lambda o: schedulers.CosineAnnealingWarmRestarts(o, T_0=10)),
        ("cosine-restarts(every=1, mult=2, end=0.01)", 0,
         lambda o: schedulers.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=2, eta_min=0.01 * LR)),
        ("one-cycle", 0, lambda o: schedulers.OneCycleLR(o, max_lr=LR, total_steps=STEPS)),
        ("one-cycle(pct_start=0.5, div_factor=10, final_div_factor=100)", 0,
         lambda o: schedulers.OneCycleLR(o, max_lr=LR, total_steps=STEPS, pct_start=0.5, div_factor=10,
                                         final_div_factor=100)),
        ("constant", 2, lambda o: schedulers.ConstantLR(o, factor=1.0)),
        ("step(every=2, gamma=0.5)", 1, lambda o: schedulers.StepLR(o, step_size=10, gamma=0.5)),
        ("multi-step(milestones=[3, 6])", 0.6, lambda o: schedulers.MultiStepLR(o, milestones=[15, 30])),
        ("exponential(gamma=0.8)", 1, lambda o: schedulers.ExponentialLR(o, gamma=0.8 ** (1 / EPOCH))),
        ("polynomial(power=2)", 2, lambda o: schedulers.PolynomialLR(o, total_iters=STEPS - 10, power=2)),
        ("cosine", 2, lambda o: schedulers.CosineAnnealingLR(o, T_max=STEPS - 10)),
        ("cosine-restarts(every=2)", 2, lambda o: schedulers.CosineAnnealingWarmRestarts(o, T_0=10)),
    ]
    for text, warmup, make in made:
        yield {"schedule": text, "warmup": warmup, "rates": rates_of(make, round(warmup * EPOCH))}
    # Holzmueller et al. 2024, arXiv:2407.04491, flat_cos and coslog4.
    for text, share in [
        ("flat-cosine", lambda t: 0.5 * (1 + math.cos(math.pi * (max(1, 2 * t) - 1)))),
        ("flat-cosine(flat=0.75, end=0.00001)", flat_cos(0.75, 1e-5)),
        ("cos-log-4", lambda t: 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t)))),
    ]:
        yield {"schedule": text, "warmup": 0, "rates": formula(share)}
    # Vaswani et al. 2017, arXiv:1706.03762, equation 3 with its peak set to LR: min(s/w, sqrt(w/s)) for s from 1, where
    # the rise here ends one step later.
    w = 10
    rise = [LR * (step + 1) / (w + 1) for step in range(w)]
    fall = [LR * math.sqrt(w / step) for step in range(w, STEPS)]
    yield {"schedule": "inverse-sqrt", "warmup": w / EPOCH, "rates": rise + fall}
    yield {"schedule": "inverse-sqrt(timescale=4)", "warmup": 0,
           "rates": [LR * math.sqrt(20 / (20 + step)) for step in range(STEPS)]}
    falling = [1.0, 0.8, 0.79995, 0.81, 0.8, 0.7, 0.71, 0.72, 0.7, 0.7, 0.6999, 0.69, 0.7, 0.7, 0.7, 0.7]
    yield plateau("plateau(patience=1)", falling, patience=1)
    yield plateau("plateau(factor=0.5, patience=0, threshold=0.05, mode=abs, cooldown=2, min=0.2)", falling,
                  factor=0.5, patience=0, threshold=0.05, threshold_mode="abs", cooldown=2, min_lr=0.2 * LR)
    yield plateau("plateau(factor=0.01, patience=0)", falling, factor=0.01, patience=0)
    yield plateau("plateau(factor=0.3, patience=2, threshold=0.01, metric=accuracy)",
                  [0.1, 0.5, 0.504, 0.5, 0.6, 0.605, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7],
                  mode="max", factor=0.3, patience=2, threshold=0.01)


def main():
    with warnings.catch_warnings():
        # SequentialLR steps with an argument that PyTorch itself warns of.
        warnings.simplefilter("ignore")
        made = list(cases())
    lines = ",\n".join(json.dumps(case) for case in made)
    head = f'"torch": "{torch.__version__.split("+")[0]}", "lr": {LR}, "steps_per_epoch": {EPOCH}'
    text = f'{{{head}, "cases": [\n{lines}\n]}}\n'
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text() == text else f"{FILE} differs")
    FILE.write_text(text)


main()
