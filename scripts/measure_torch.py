#!/usr/bin/env python3
"""Times the steps of `wgrad bench` by PyTorch on a CUDA GPU: eager, compiled, and as a captured graph; a line of JSON each.

Products in f32, TF32 off; optimizers fused. `scripts/measure_gpu.sh` calls it. Needs torch with CUDA.
"""

import json
import statistics
import time

import torch
from torch import nn

# Widths, rows of a batch, whether the target is a class, optimizer: as in src/train/workload.rs.
WORKLOADS = {
    "tiny": ([8, 32, 32, 1], 64, False, "adam"),
    "mnist": ([784, 512, 512, 10], 128, True, "adam"),
    "wide": ([512, 1024, 1024, 512], 512, False, "sgd"),
    "large": ([4096, 4096, 4096, 4096], 4096, False, "adamw"),
    "64-64-64-10": ([64, 64, 64, 10], 64, True, "adam"),
}
SECONDS = 1.0


def operations(widths, batch):
    """Floating-point operations of a step's products, as `Workload::operations` counts them."""
    products = [2.0 * batch * a * b for a, b in zip(widths, widths[1:])]
    return 3.0 * sum(products) - products[0]


def steps(name):
    """Returns a function for one step in each form, made when it is called for."""
    widths, batch, classes, optimizer = WORKLOADS[name]
    torch.manual_seed(1)
    layers = [layer for pair in zip(widths, widths[1:]) for layer in (nn.Linear(*pair), nn.ReLU())]
    network = nn.Sequential(*layers[:-1]).cuda()
    x = torch.randn(batch, widths[0], device="cuda")
    y = torch.randint(widths[-1], (batch,), device="cuda") if classes else torch.randn(batch, widths[-1], device="cuda")
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    more = {} if optimizer == "sgd" else {"capturable": True}
    optimizer = kinds[optimizer](network.parameters(), lr=1e-3, fused=True, **more)
    loss_of = nn.CrossEntropyLoss() if classes else nn.MSELoss()

    def eager():
        optimizer.zero_grad(set_to_none=True)
        loss_of(network(x), y).backward()
        optimizer.step()

    def compiled():
        return torch.compile(eager)

    def captured():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                eager()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            eager()
        return graph.replay

    return {"eager": lambda: eager, "compiled": compiled, "captured graph": captured}


def measure(step):
    """Returns the median seconds of a step over blocks that are each waited for."""
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    block, times, begun = 20, [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < SECONDS:
        before = time.perf_counter()
        for _ in range(block):
            step()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - before) / block)
    return statistics.median(times)


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    for name, (widths, batch, *_) in WORKLOADS.items():
        for form, make in steps(name).items():
            line = {"workload": name, "form": form, "torch": torch.__version__, "gpu": torch.cuda.get_device_name()}
            try:
                seconds = measure(make())
                line |= {"step_ms": 1e3 * seconds, "samples_s": batch / seconds}
                line |= {"gflops": operations(widths, batch) / seconds / 1e9}
            except Exception as error:  # One form that cannot run must not hide the others.
                line |= {"error": str(error).splitlines()[0]}
            print(json.dumps(line), flush=True)
    for size in (256, 1024, 4096):
        a, b = (torch.randn(size, size, device="cuda") for _ in range(2))
        seconds = measure(lambda: torch.mm(a, b))
        product = {"workload": f"{size}x{size}x{size}", "form": "product", "step_ms": 1e3 * seconds}
        print(json.dumps(product | {"gflops": 2.0 * size**3 / seconds / 1e9}), flush=True)


if __name__ == "__main__":
    main()
