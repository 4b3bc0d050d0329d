#!/usr/bin/env python3
"""Times steps of many small networks side by side: by the program (`wgrad bench --members`), by JAX and by PyTorch, in turn.

    python3 scripts/compare_members.py target/release/wgrad [--members 64] [--rounds 3] [--device cpu]

The networks are those of the workload `tiny`: 8-32-32-1, relu, squared error, Adam, batches of 64 rows. JAX compiles one step over stacked parameters
(`jit` of `vmap`); PyTorch stacks them, too, with `baddbmm` and its own Adam. A library that is not installed is left out. Prints medians of
milliseconds for one step of all networks. Needs jax and torch from PyPI.
"""

import argparse
import json
import statistics
import subprocess
import time

import numpy as np

WIDTHS, BATCH, RATE = [8, 32, 32, 1], 64, 1e-3
SECONDS = 1.0


def timed(step, wait):
    """Median of blocks, in milliseconds a step."""
    for _ in range(10):
        step()
    wait()
    blocks, begun = [], time.perf_counter()
    while time.perf_counter() - begun < SECONDS or len(blocks) < 5:
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < 0.1:
            step()
            count += 1
        wait()
        blocks.append((time.perf_counter() - start) / count)
    return 1e3 * statistics.median(blocks)


def by_program(program, device, members):
    command = [program, "bench", "--device", device, "--workload", "tiny", "--members", str(members)]
    options = ["--seconds", str(SECONDS), "--no-verify", "--quiet", "--json"]
    lines = subprocess.run(command + options, check=True, capture_output=True, text=True).stdout
    return json.loads(lines.splitlines()[-1])["step_ms"]


def rows():
    draw = np.random.default_rng(0)
    return draw.normal(size=(BATCH, WIDTHS[0])).astype(np.float32), draw.normal(size=(BATCH, 1)).astype(np.float32)


def starts(members):
    """Weights and biases of all networks, stacked."""
    draw = np.random.default_rng(1)
    for inputs, outputs in zip(WIDTHS, WIDTHS[1:]):
        bound = inputs**-0.5
        for shape in [(inputs, outputs), (1, outputs)]:
            yield draw.uniform(-bound, bound, (members, *shape)).astype(np.float32)


def by_jax(members):
    import jax
    import jax.numpy as jnp

    x, y = rows()

    def loss(params):
        hidden = x
        for place in range(0, len(params), 2):
            hidden = hidden @ params[place] + params[place + 1]
            if place + 2 < len(params):
                hidden = jax.nn.relu(hidden)
        return jnp.mean((hidden - y) ** 2)

    def step(params, first, second, count):
        count = count + 1
        grads = jax.grad(loss)(params)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads)]
        scale = jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        moved = [p - RATE * scale * m / (jnp.sqrt(v) + 1e-8) for p, m, v in zip(params, first, second)]
        return moved, first, second, count

    state = [[jnp.asarray(p) for p in starts(members)]]
    state += [[jnp.zeros_like(p) for p in state[0]] for _ in range(2)] + [jnp.zeros(members)]
    all_at_once = jax.jit(jax.vmap(step), donate_argnums=(0, 1, 2, 3))

    def one():
        state[:] = all_at_once(*state)

    return timed(one, lambda: jax.block_until_ready(state))


def by_torch(members):
    import torch

    x, y = (torch.from_numpy(values).expand(members, BATCH, -1) for values in rows())
    params = [torch.from_numpy(p).requires_grad_() for p in starts(members)]
    adam = torch.optim.Adam(params, lr=RATE)

    def one():
        adam.zero_grad()
        hidden = x
        for place in range(0, len(params), 2):
            hidden = torch.baddbmm(params[place + 1], hidden, params[place])
            if place + 2 < len(params):
                hidden = torch.relu(hidden)
        ((hidden - y) ** 2).mean(dim=(1, 2)).sum().backward()
        adam.step()

    return timed(one, lambda: None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    ways = {
        f"wgrad, {args.device}": lambda: by_program(args.program, args.device, args.members),
        "JAX, jit of vmap": lambda: by_jax(args.members),
        "PyTorch, stacked": lambda: by_torch(args.members),
    }
    times = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            try:
                times[name].append(way())
            except ModuleNotFoundError as missing:
                print(f"{name}: left out, {missing}")
    print(f"{args.members} networks, one step of all:")
    for name, all_times in times.items():
        if all_times:
            print(f"  {name:<18} {statistics.median(all_times):8.3f} ms  ({', '.join(f'{it:.3f}' for it in all_times)})")


if __name__ == "__main__":
    main()
