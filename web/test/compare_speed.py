#!/usr/bin/env python3
"""Times training steps in Chromium: the page's program beside TensorFlow.js and jax-js, and how long the page takes to its first step.

    web/test/compare_speed.py FOLDER [--rounds COUNT] [--markdown] [--only NAME,…] [--packages FOLDER]

FOLDER is what `scripts/build_web.sh` made. The digits, 64-128-64-10, ReLU, cross-entropy, Adam, batches of 64 rows. All run in turn in one
headless Chromium, each in a page of its own, on one thread and on the browser's software adapter; figures are medians of the rounds.
npm puts the packages of others into a temporary folder; give `--packages` to keep and use them again. Needs Python 3, Chromium and npm.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from browser import Browser, FreeHandler, serve  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm", "@tensorflow/tfjs-backend-webgpu", "@jax-js/jax"]

DIGITS = """
  const lines = (await (await fetch('/digits.csv')).text()).trim().split('\\n').slice(1);
  const table = lines.map(line => line.split(',').map(Number));
  const BATCH = 64, STEPS = 22;
  const batch = step => table.slice(step * BATCH, (step + 1) * BATCH);
  const xs = step => Float32Array.from(batch(step).flatMap(row => row.slice(0, 64).map(value => value / 16)));
  const ys = step => Float32Array.from(batch(step).flatMap(row => Array.from({ length: 10 }, (_, digit) => Number(row[64] === digit))));
  const SIZES = [64, 128, 64, 10];
  const uniform = (rows, columns) => Float32Array.from({ length: rows * columns }, () => (2 * Math.random() - 1) * Math.sqrt(6 / rows));
"""

# The program by itself, in the page's worker. Its own clock counts training without validation.
WGRAD = """
(async (device, epochs) => {
  const worker = new Worker('/wgrad/worker.js', { type: 'module' });
  const ask = (id, message, transfer = []) => new Promise((done, fail) => {
    worker.onmessage = ({ data }) => {
      if (data.id !== id) return;
      if (data.answer?.error) fail(new Error(data.answer.error)); else done(data.answer);
    };
    worker.onerror = event => fail(new Error(event.message));
    worker.postMessage({ id, ...message }, transfer);
  });
  const bytes = new Uint8Array(await (await fetch('/digits.csv')).arrayBuffer());
  await ask(1, { call: 'table', name: 'digits.csv', bytes }, [bytes.buffer]);
  const request = {
    do: 'train', target: 'digit', task: 'auto', ignore: [], hidden: '128,64', activation: 'relu', optimizer: 'adam', lr: 0.001,
    epochs, batch_size: 64, valid: 0.2, stop_patience: null, seed: 0, device,
  };
  const answer = await ask(2, { call: 'run', request });
  const text = new TextDecoder().decode((await ask(3, { call: 'file', name: 'history.csv' })).bytes);
  worker.terminate();
  const [head, ...epochsOf] = text.trim().split('\\n').map(line => line.split(','));
  const speed = head.indexOf('samples_per_second');
  const times = epochsOf.slice(1).map(line => 64 / Number(line[speed]));
  return { seconds: times.reduce((sum, it) => sum + it, 0) / times.length, loss: answer.outcome.train_loss };
})
"""

TENSORFLOW = """
(async (backend, epochs) => {
  for (const file of ['tf.min.js', 'tf-backend-wasm.min.js', 'tf-backend-webgpu.min.js']) {
    await new Promise((done, fail) => {
      const script = document.createElement('script');
      script.src = '/tf/' + file;
      script.onload = done;
      script.onerror = () => fail(new Error(file));
      document.head.append(script);
    });
  }
  tf.wasm.setWasmPaths('/tf/');
  if (!await tf.setBackend(backend)) throw new Error(backend + ' is not there');
  await tf.ready();
  DIGITS
  const weights = SIZES.slice(1).map((to, at) => [tf.variable(tf.tensor2d(uniform(SIZES[at], to), [SIZES[at], to])), tf.variable(tf.zeros([to]))]);
  const model = x => weights.reduce((a, [w, bias], at) => tf.fused.matMul({ a, b: w, bias, activation: at < 2 ? 'relu' : 'linear' }), x);
  const batches = Array.from({ length: STEPS }, (_, step) => [tf.tensor2d(xs(step), [BATCH, 64]), tf.tensor2d(ys(step), [BATCH, 10])]);
  const adam = tf.train.adam(0.001);
  let loss;
  const run = async epochs => {
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const [x, y] of batches) {
        loss?.dispose();
        loss = tf.tidy(() => adam.minimize(() => tf.losses.softmaxCrossEntropy(y, model(x)), true));
      }
    }
    return (await loss.data())[0];
  };
  await run(2);
  const begun = performance.now();
  const last = await run(epochs);
  return { seconds: (performance.now() - begun) / 1e3 / epochs / STEPS, loss: last };
})
"""

JAX = """
(async (device, epochs) => {
  const { numpy: np, nn, jit, valueAndGrad, init, defaultDevice, blockUntilReady } = await import('/jax/index.js');
  if (!(await init(device)).includes(device)) throw new Error(device + ' is not there');
  defaultDevice(device);
  DIGITS
  const array = (values, shape) => np.array(values).reshape(shape);
  const params = SIZES.slice(1).flatMap((to, at) => [array(uniform(SIZES[at], to), [SIZES[at], to]), np.zeros([to])]);
  const lossOf = ([w1, b1, w2, b2, w3, b3], x, y) => {
    const first = nn.relu(np.matmul(x, w1).add(b1));
    const second = nn.relu(np.matmul(first, w2).add(b2));
    return nn.logSoftmax(np.matmul(second, w3).add(b3)).mul(y).sum().mul(-1 / BATCH);
  };
  const update = jit((params, means, squares, x, y, rate) => {
    const [loss, slopes] = valueAndGrad(lossOf)(params.map(it => it.ref), x, y);
    const newMeans = means.map((it, at) => it.mul(0.9).add(slopes[at].ref.mul(0.1)));
    const newSquares = squares.map((it, at) => it.mul(0.999).add(slopes[at].ref.mul(slopes[at]).mul(0.001)));
    const steps = newMeans.map((it, at) => it.ref.mul(rate.ref).div(np.sqrt(newSquares[at].ref).add(1e-8)));
    const newParams = params.map((it, at) => it.sub(steps[at]));
    rate.dispose();
    return [newParams, newMeans, newSquares, loss];
  });
  const batches = Array.from({ length: STEPS }, (_, step) => [array(xs(step), [BATCH, 64]), array(ys(step), [BATCH, 10])]);
  let state = [params, params.map(it => np.zeros(it.shape)), params.map(it => np.zeros(it.shape))];
  let count = 0, loss;
  const run = async epochs => {
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const [x, y] of batches) {
        count += 1;
        const rate = np.array(0.001 * Math.sqrt(1 - 0.999 ** count) / (1 - 0.9 ** count));
        loss?.dispose();
        const [params, means, squares, now] = update(...state, x.ref, y.ref, rate);
        state = [params, means, squares];
        loss = now;
      }
    }
    await blockUntilReady(state);
    return (await loss.ref.data())[0];
  };
  await run(2);
  const begun = performance.now();
  const last = await run(epochs);
  return { seconds: (performance.now() - begun) / 1e3 / epochs / STEPS, loss: last };
})
"""

# Name, script, device or backend, epochs that are timed.
RUNS = [
    ("wgrad, CPU", WGRAD, "cpu", 41),
    ("TensorFlow.js, WASM", TENSORFLOW, "wasm", 10),
    ("TensorFlow.js, JavaScript", TENSORFLOW, "cpu", 2),
    ("jax-js, WASM", JAX, "wasm", 10),
    ("wgrad, software adapter", WGRAD, "software", 6),
    ("TensorFlow.js, software adapter", TENSORFLOW, "webgpu", 2),
    ("jax-js, software adapter", JAX, "webgpu", 2),
]

# Runs in the page from its first line on: notes when the status first tells of a step or an epoch.
WATCH = """
addEventListener('DOMContentLoaded', () => {
  const look = () => {
    if (!window.ready && document.body.dataset.ready) {
      window.ready = performance.now();
      document.querySelector("[data-example='digits.csv']").click();
    }
    const train = document.getElementById('train');
    if (!window.clicked && window.ready && !train.disabled) {
      window.clicked = performance.now();
      train.click();
    }
    if (!window.first && /Epoch|step/.test(document.getElementById('status').textContent)) window.first = performance.now();
    if (!window.first) setTimeout(look, 1);
  };
  look();
});
"""


def fetch(folder):
    """Puts the packages of others into a folder, unless they are there."""
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES], cwd=folder, check=True)
    modules = folder / "node_modules"
    return modules, {name: json.loads((modules / name / "package.json").read_text())["version"] for name in PACKAGES}


def site(dist, modules, folder):
    """Makes a folder with all that the pages need."""
    shutil.copytree(dist, folder / "wgrad")
    shutil.copy(ROOT / "examples/datasets/digits.csv", folder)
    (folder / "index.html").write_text("<!doctype html><meta charset=utf-8><title>speed</title><link rel=icon href='data:,'>")
    (folder / "tf").mkdir()
    for part in ("tfjs", "tfjs-backend-wasm", "tfjs-backend-webgpu"):
        for file in (modules / "@tensorflow" / part / "dist").glob("*"):
            if file.name.endswith(".min.js") or file.suffix == ".wasm":
                shutil.copy(file, folder / "tf")
    shutil.copytree(modules / "@jax-js/jax/dist", folder / "jax")


def first_step(browser, address):
    """Opens the page and trains the digits; returns the milliseconds to the page, to the table and to the first step."""
    script = browser.page("Page.addScriptToEvaluateOnNewDocument", source=WATCH)["identifier"]
    browser.open(address + "wgrad/index.html")
    browser.wait_for("window.first", 60)
    times = browser.value("[window.ready, window.clicked, window.first]")
    browser.page("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    return times


def processor():
    told = pathlib.Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{found.get('model name', 'processor')}, family {found.get('cpu family', '?')}"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="")
    options.add_argument("--packages", type=pathlib.Path)
    options.add_argument("--chromium", default="chromium")
    options.add_argument("--markdown", action="store_true")
    given = options.parse_args()
    runs = [run for run in RUNS if not given.only or any(part in run[0] for part in given.only.split(","))]
    with tempfile.TemporaryDirectory() as temp:
        temp = pathlib.Path(temp)
        modules, versions = fetch(given.packages or temp / "packages")
        site(given.folder, modules, temp / "site")
        address = serve(temp / "site", FreeHandler)
        times, losses, opened = {run[0]: [] for run in runs}, {}, []
        with Browser(given.chromium) as browser:
            version = browser.call("Browser.getVersion")["product"]
            for number in range(given.rounds):
                for name, script, device, epochs in runs:
                    browser.open(address)
                    browser.wait_for("document.title === 'speed'")
                    code = script.replace("DIGITS", DIGITS) + f"({json.dumps(device)}, {epochs})"
                    begun = time.monotonic()
                    try:
                        found = browser.value(code, 300)
                    except RuntimeError as error:
                        print(f"{name}: {str(error).splitlines()[0]}", flush=True)
                        continue
                    times[name].append(found["seconds"])
                    losses[name] = found["loss"]
                    print(f"round {number + 1}: {name}: {found['seconds'] * 1e6:,.0f} µs a step, loss {found['loss']:.4f}, {time.monotonic() - begun:.1f} s in all", flush=True)
                opened.append(first_step(browser, address))
                print(f"round {number + 1}: page, table, first step after {', '.join(f'{it:.0f}' for it in opened[-1])} ms", flush=True)
    print(f"{processor()}; {version}; " + ", ".join(f"{name} {it}" for name, it in versions.items()))
    row = "| {} | {} |" if given.markdown else "{}: {}"
    for name, all_times in times.items():
        if all_times:
            print(row.format(name, f"{statistics.median(all_times) * 1e6:,.0f} µs"))
    # The first time fills the cache.
    warm = opened[1:] or opened
    print(row.format("first step after opening the page", f"{statistics.median(it[2] for it in warm):.0f} ms"))


if __name__ == "__main__":
    main()
