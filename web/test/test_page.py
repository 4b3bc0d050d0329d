#!/usr/bin/env python3
"""Trains in the page as a person would, and compares the figures of the devices.

    web/test/test_page.py FOLDER [--wgrad PROGRAM] [--chromium NAME] [--shots FOLDER]

FOLDER is what `scripts/build_web.sh` made. With the program, the page's models are given to `wgrad predict` and its figures compared
with those of `wgrad train`. Needs Python 3 without further packages, and Chromium. The exit code is 1 if something is wrong.
"""

import argparse
import csv
import io
import json
import math
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from browser import Browser, serve  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DIGITS = ROOT / "examples/datasets/digits.csv"
FLATS = ROOT / "examples/datasets/flats.csv"
# Relative difference of losses that other devices may have: as between adapters and the CPU natively.
TOLERANCE = 1e-4
# Seconds for a run on the software adapter.
SLOW = 120
# Bytes of page and program at most, compressed: a little more than they have, so that they do not grow unseen. `docs/browser.md` tells them.
MOST_BYTES = {".gz": 1_300_000, ".br": 1_000_000}

TOO_WIDE = """
(() => {
  const wrong = [];
  if (document.documentElement.scrollWidth > innerWidth) {
    wrong.push('the page is ' + document.documentElement.scrollWidth + ' pixels wide');
    for (const it of document.querySelectorAll('body *'))
      if (it.getBoundingClientRect().right > innerWidth + 1 && !it.closest('.wide, pre, svg'))
        wrong.push(it.tagName + ' ' + (it.id || it.textContent.slice(0, 30)));
  }
  for (const it of document.querySelectorAll('button, label, h1, h2, dd, th'))
    if (it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0 && getComputedStyle(it).display !== 'inline' && !it.closest('.wide'))
      wrong.push('cut off: ' + it.tagName + ' ' + it.textContent.slice(0, 30));
  return wrong;
})()
"""

# Gives every WGSL text of the program to the browser's compiler, and makes a pipeline of each kernel's first text.
COMPILE = """
(async () => {
  const worker = new Worker('worker.js', { type: 'module' });
  const texts = await new Promise((done, fail) => {
    worker.onmessage = ({ data }) => data.id === 0 && done(data.answer);
    worker.onerror = event => fail(new Error(event.message));
    worker.postMessage({ id: 0, call: 'run', request: { do: 'shaders' } });
  });
  worker.terminate();
  if (texts.error) throw new Error(texts.error);
  const adapter = await navigator.gpu.requestAdapter();
  const requiredLimits = {};
  for (const name in adapter.limits) if (typeof adapter.limits[name] === 'number') requiredLimits[name] = adapter.limits[name];
  const device = await adapter.requestDevice({ requiredFeatures: [...adapter.features], requiredLimits });
  const lacks = wgsl => {
    if (wgsl.includes('enable wgpu_cooperative_matrix;')) return 'a language of wgpu alone';
    return wgsl.includes('enable subgroups;') && !device.features.has('subgroups') ? 'subgroups' : '';
  };
  // Where the adapter has no f16, the name stands for f32: all but the sizes of numbers is compiled.
  const isShort = wgsl => wgsl.includes('enable f16;') && !device.features.has('shader-f16');
  const found = { texts: texts.length, compiled: 0, asSingle: 0, pipelines: 0, skipped: {}, wrong: [] };
  const kernels = new Map();
  async function compile({ kernel, label, wgsl }) {
    const lack = lacks(wgsl);
    if (lack) {
      found.skipped[lack] = (found.skipped[lack] ?? 0) + 1;
      return;
    }
    // The error scope keeps the same message out of the console.
    device.pushErrorScope('validation');
    const code = isShort(wgsl) ? wgsl.replace('enable f16;', '') + '\\nalias f16 = f32;\\n' : wgsl;
    const module = device.createShaderModule({ code });
    const scope = device.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    await scope;
    const errors = messages.filter(({ type }) => type === 'error');
    if (errors.length > 0) {
      const { lineNum, message } = errors[0];
      found.wrong.push(`${label}, line ${lineNum}: ${message.split('\\n')[0]} in ‘${(wgsl.split('\\n')[lineNum - 1] ?? '').trim()}’`);
      return;
    }
    found.compiled += 1;
    found.asSingle += isShort(wgsl);
    if (!kernels.has(kernel)) kernels.set(kernel, [label, module]);
  }
  for (let first = 0; first < texts.length; first += 32) await Promise.all(texts.slice(first, first + 32).map(compile));
  for (const [label, module] of kernels.values()) {
    try {
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
      found.pipelines += 1;
    } catch (error) {
      found.wrong.push(`${label}: no pipeline: ${error.message}`);
    }
  }
  found.kernels = new Set(texts.map(it => it.kernel)).size;
  device.destroy();
  return found;
})()
"""


class Test:
    def __init__(self, browser, address, shots):
        self.browser, self.address, self.shots = browser, address, shots
        self.wrong = []

    def check(self, right, what):
        print(("ok    " if right else "WRONG ") + what, flush=True)
        if not right:
            self.wrong.append(what)

    def open(self, width=1280, dark=False):
        self.browser.open(self.address, width=width, dark=dark)
        self.browser.wait_for("document.readyState === 'complete' && document.body.dataset.ready")

    def text(self, name):
        return self.browser.value(f"document.getElementById('{name}').innerText")

    def set(self, **fields):
        for name, value in fields.items():
            self.browser.value(f"document.getElementById('settings').{name}.value = {json.dumps(str(value))}")

    def take(self, path):
        self.browser.choose("#table", path)
        told = f"document.getElementById('columns-told').textContent.startsWith({json.dumps(pathlib.Path(path).name + ':')})"
        self.browser.wait_for(f"{told} && !document.getElementById('train').disabled")

    def train(self, limit=120, button="#train", **fields):
        """Trains with these settings and returns the answer."""
        self.set(**fields)
        self.browser.value("delete window.lastResult")
        self.browser.click(button)
        self.browser.wait_for("window.lastResult || !document.getElementById('problem').hidden", limit)
        problem = self.browser.problem()
        if problem:
            raise RuntimeError(f"the run failed: {problem}")
        return self.browser.value("({...window.lastResult, curves: 0, pictures: [...window.lastResult.curves, ...window.lastResult.pictures].map(it => it.name)})")

    def fits(self, what):
        wrong = self.browser.value(TOO_WIDE)
        self.check(not wrong, f"{what}: everything fits the window {wrong or ''}")
        if self.shots:
            self.browser.shot(self.shots / f"{what.replace(' ', '-')}.png")


def size(test, folder):
    """Page and program are no larger than they were."""
    plain = [it for it in folder.iterdir() if it.suffix in (".html", ".css", ".js", ".wasm")]
    for kind, most in MOST_BYTES.items():
        packed = [it.with_name(it.name + kind) for it in plain]
        # Without a program for brotli there are no files of this kind.
        if kind == ".br" and not any(it.exists() for it in packed):
            print("no files for brotli were made, so only those of gzip are measured")
            continue
        bytes_of_all = sum(it.stat().st_size for it in packed)
        test.check(bytes_of_all <= most, f"page and program have {bytes_of_all:,} bytes as {kind}, at most {most:,}")


def xor(path):
    draw = random.Random(1)
    with open(path, "w") as out:
        out.write("a,b,class\n")
        for row in range(400):
            a, b = row & 1, row >> 1 & 1
            out.write(f"{2 * a - 1 + draw.gauss(0, 0.1):.4f},{2 * b - 1 + draw.gauss(0, 0.1):.4f},{'yes' if a ^ b else 'no'}\n")


def near(a, b, tolerance=TOLERANCE):
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-6)


def same_figures(test, one, other, what):
    for name in ("train_loss", "valid_loss"):
        a, b = one["outcome"][name], other["outcome"][name]
        test.check(near(a, b), f"{what}: {name} {a:.9} and {b:.9}")


def devices(test, folder):
    """The software adapter of the browser gives the figures of the CPU device."""
    table = folder / "xor.csv"
    xor(table)
    common = {"hidden": "16", "activation": "tanh", "lr": "0.01", "epochs": 20}
    test.take(table)
    cpu = test.train(device="cpu", **common)
    gpu = test.train(SLOW, device="software", **common)
    test.check("BrowserWebGpu" in gpu["device"] and "cpu" in cpu["device"], f"XOR on {cpu['device']} and on {gpu['device']}")
    same_figures(test, cpu, gpu, "XOR")
    test.check(cpu["outcome"]["valid_accuracy"] > 0.99, f"XOR is learned: {cpu['told']}")
    test.check("checks right" in test.text("figures"), "the kernels of the run were checked, and are right")


def digits(test, program, folder):
    test.take(DIGITS)
    rows = test.text("columns-told")
    test.check("1797 rows, 65 columns" in rows, rows)
    common = {"hidden": "128,64", "activation": "relu", "lr": "0.001", "epochs": 2}
    gpu = test.train(SLOW, device="software", **common)
    cpu = test.train(device="cpu", **common)
    same_figures(test, cpu, gpu, "digits")
    auto = test.train(device="auto", **common)
    test.check("cpu" in auto["device"], f"a software adapter is not taken without being asked for: {auto['device']}")
    full = test.train(device="cpu", epochs=12)
    test.check(full["outcome"]["valid_accuracy"] > 0.95, full["told"])
    test.check({"loss", "confusion"} <= set(full["pictures"]), f"pictures: {', '.join(full['pictures'])}")
    model = downloads(test, 12)
    if program:
        path = folder / "model.safetensors"
        path.write_bytes(model)
        with_program(test, program, path, (cpu, full), folder)
    test.fits("digits 1280")


def downloads(test, epochs):
    for name in ("model.safetensors", "model.onnx", "report.html", "history.csv"):
        test.browser.click(f"[data-file='{name}']")
        test.browser.downloaded(name)
    files = test.browser.downloads
    report = (files / "report.html").read_text()
    test.check("<!doctype html>" in report[:20].lower() and "digits.csv" in report, "the report is a page")
    lines = (files / "history.csv").read_text().splitlines()
    test.check(len(lines) == epochs + 1 and lines[0].startswith("epoch,steps,lr,train_loss,valid_loss"), lines[0])
    test.check(b"wgrad" in (files / "model.onnx").read_bytes()[:200], "the ONNX file names its maker")
    test.browser.choose("#predict", DIGITS)
    text = test.browser.downloaded("predicted.csv").decode()
    test.check(len(text.splitlines()) == 1798 and text.startswith("digit_predicted,"), "1797 rows are predicted")
    return (files / "model.safetensors").read_bytes()


def with_program(test, program, model, runs, folder):
    """The program takes the page's model, and trains to the same figures."""
    out = folder / "predicted.csv"
    subprocess.run([program, "predict", model, DIGITS, "--out", out, "--device", "cpu", "--quiet"], check=True)
    with open(out) as lines:
        native = [row["digit_predicted"] for row in csv.DictReader(lines)]
    page = csv.DictReader(io.StringIO((test.browser.downloads / "predicted.csv").read_text()))
    own = [row["digit_predicted"] for row in page]
    differ = sum(a != b for a, b in zip(native, own, strict=True))
    test.check(differ == 0, f"`wgrad predict` with the page's model: {differ} of {len(own)} rows differ")
    run = folder / "run"
    command = [program, "train", DIGITS, "--target", "digit", "--recipe", "plain", "--epochs", "2", "--device", "cpu", "--out", run, "--quiet"]
    subprocess.run(command, check=True)
    metrics = json.loads((run / "metrics.json").read_text())
    same_figures(test, runs[0], {"outcome": metrics}, "the page and `wgrad train`")
    # And the other way round.
    test.browser.choose("#model", run / "model.safetensors")
    test.browser.wait_for("document.getElementById('model-told').textContent")
    told = test.text("model-told")
    test.check("predicts digit from 64 columns" in told, told)
    test.browser.click("[data-file='history.csv']")
    test.browser.wait_for("!document.getElementById('problem').hidden")
    test.check("not trained in this page" in test.browser.problem(), test.browser.problem())


def texts(test, folder, copy):
    """The browser's compiler takes every WGSL text, and a fault that wgpu's own takes is found."""
    test.open()
    found = test.browser.value(COMPILE, 600)
    skipped = ", ".join(f"{count} for want of {what}" for what, count in found["skipped"].items())
    test.check(not found["wrong"], f"{found['compiled']} of {found['texts']} WGSL texts compile, {found['asSingle']} with f32 in place of f16, skipped {skipped or 'none'} {found['wrong'][:5] or ''}")
    test.check(found["compiled"] > 1500, "most texts were tried")
    test.check(found["pipelines"] == found["kernels"], f"{found['pipelines']} of {found['kernels']} kernels become pipelines")
    # Texts with subgroups need this line in a browser, and wgpu's compiler needs none.
    line = b"enable subgroups;\n"
    program = (folder / "wgrad_bg.wasm").read_bytes()
    test.check(program.count(line) == 1, "the program has the line for subgroups once")
    shutil.copytree(folder, copy)
    (copy / "wgrad_bg.wasm").write_bytes(program.replace(line, b" " * (len(line) - 1) + b"\n"))
    address, test.address = test.address, serve(copy)
    test.open()
    faulty = test.browser.value(COMPILE, 600)
    test.check(any("subgroup" in it for it in faulty["wrong"]), f"a fault is found in {len(faulty['wrong'])} texts: {faulty['wrong'][:1]}")
    test.address = address


def wrong_kernels(test, folder, copy):
    """A form of a kernel that is wrong is found and not used; a kernel without a right form is an error."""
    whole, alone = b"var sums = array<array<f32, REG_N>, REG_M>();\nvar a_sums", b"= partial[0] / f32(step.rows)"
    faults = [
        # As the compiler of a browser that forgets the zero of a loop's variable.
        (whole, b"var sums: array<array<f32, REG_N>, REG_M>;   \nvar a_sums", "1 of "),
        (alone, b"= partial[1] / f32(step.rows)", "1 of "),
    ]
    program = (folder / "wgrad_bg.wasm").read_bytes()
    right = {"hidden": "128,64", "activation": "relu", "lr": "0.001", "epochs": 1}
    shutil.copytree(folder, copy)
    address, test.address = test.address, serve(copy)
    for found, other, told in faults:
        test.check(program.count(found) == 1 and len(found) == len(other), f"the program has {found.decode()[:30]} … once")
        (copy / "wgrad_bg.wasm").write_bytes(program.replace(found, other))
        test.open()
        test.take(DIGITS)
        if found == whole:
            cpu = test.train(device="cpu", **right)
            same_figures(test, cpu, test.train(SLOW, device="software", **right), "digits without the wrong form")
        else:
            try:
                test.train(SLOW, device="software", **right)
                test.check(False, "a run with a wrong kernel was refused")
            except RuntimeError as error:
                test.check("right numbers" in str(error) and "cpu" in str(error), str(error))
        test.check(told in test.text("figures"), test.text("figures").split("Device")[0].replace("\n", ": "))
    test.address = address


def numbers(test):
    """A target of numbers, on a phone, in the dark."""
    test.open(width=390, dark=True)
    test.browser.click("[data-example='flats.csv']")
    test.browser.wait_for("!document.getElementById('train').disabled")
    test.fits("columns 390")
    answer = test.train(target="rent", device="cpu", epochs=15)
    test.check(math.isfinite(answer["outcome"]["valid_loss"]), f"rent: {answer['told']}")
    test.check(any("actual" in name for name in answer["pictures"]), f"pictures: {', '.join(answer['pictures'])}")
    test.fits("flats 390")


def stop(test):
    test.open()
    test.take(DIGITS)
    test.set(device="cpu", epochs=100000)
    test.browser.value("delete window.lastResult")
    test.browser.click("#train")
    test.browser.wait_for("document.getElementById('progress').value > 2")
    # The page answers while the worker trains.
    begun = time.monotonic()
    test.browser.value("new Promise(done => setTimeout(done, 0))")
    test.check(time.monotonic() - begun < 2, "the page answers while a network is trained")
    test.browser.click("#stop")
    test.browser.wait_for("window.lastResult", 30)
    answer = test.browser.value("({...window.lastResult, curves: 0, pictures: 0})")
    test.check(answer["stopped"] and answer["outcome"]["epoch"] >= 1, test.text("told"))
    again = test.train(device="cpu", epochs=1)
    test.check(not again["stopped"], "another run follows a stopped one")


def go_on(test):
    """A run that was stopped and one that got more epochs go on with the bits of a run left alone."""
    test.open()
    test.take(DIGITS)
    test.check(test.browser.value("document.getElementById('go-on').hidden"), "nothing goes on before the first run")
    for device, hidden in (("cpu", "128,64"), ("software", "16")):
        common = {"device": device, "hidden": hidden, "lr": "0.001"}
        test.set(epochs=100000, **common)
        test.browser.value("delete window.lastResult")
        test.browser.click("#train")
        test.browser.wait_for("document.getElementById('progress').value >= 1")
        test.browser.click("#stop")
        test.browser.wait_for("window.lastResult", SLOW)
        stopped = test.browser.value("({...window.lastResult, curves: 0, pictures: 0})")
        done = stopped["epochs"]
        test.check(stopped["stopped"] and stopped["may_go_on"], test.text("told"))
        test.set(epochs=done)
        test.browser.click("#go-on")
        test.browser.wait_for("!document.getElementById('problem').hidden")
        test.check(f"{done} have been trained" in test.browser.problem(), test.browser.problem())
        further = test.train(SLOW, button="#go-on", epochs=done + 1)
        more = test.train(SLOW, button="#go-on", epochs=done + 3)
        alone = test.train(SLOW, epochs=done + 3, **common)
        test.check(not further["stopped"] and not more["stopped"] and more["warnings"] == alone["warnings"], f"it went on: {more['warnings']}")
        test.check(len(alone["history"]) == done + 3, f"{len(alone['history'])} epochs")
        test.check(stopped["history"] == alone["history"][:done], f"{device}: losses of the {done} epochs before the stop")
        same = more["history"] == alone["history"] and further["history"] == alone["history"][: done + 1]
        test.check(same, f"{device}: losses after the stop and after more epochs are those of a run left alone")
        figures = [{k: v for k, v in run["outcome"].items() if k != "seconds"} for run in (more, alone)]
        test.check(figures[0] == figures[1], f"{device}: the same network is kept, of epoch {alone['outcome']['epoch']}")


def errors(test, folder):
    test.open()
    table = folder / "ragged.csv"
    table.write_text("a,b,y\n1,2,3\n1,2\n4,5,6\n")
    test.browser.choose("#table", table)
    test.browser.wait_for("!document.getElementById('problem').hidden")
    said = test.browser.problem()
    test.check("ragged.csv" in said and "3" in said, f"a row that is too short: {said}")
    workbook = folder / "book.xlsx"
    workbook.write_bytes(b"PK\x03\x04" + bytes(100))
    test.browser.choose("#table", workbook)
    test.browser.wait_for("document.getElementById('problem').textContent.includes('book.xlsx')")
    test.check("as CSV" in test.browser.problem(), test.browser.problem())
    # The same page goes on.
    test.take(DIGITS)
    for fields, words in [({"lr": "fast"}, "no number"), ({"lr": "-1"}, "lr"), ({"lr": "0.001", "hidden": "a,b"}, "hidden")]:
        test.set(device="cpu", epochs=1, **fields)
        test.browser.click("#train")
        test.browser.wait_for(f"document.getElementById('problem').textContent.includes({json.dumps(words)})")
        test.check(not test.browser.value("document.getElementById('train').disabled"), test.browser.problem())
    answer = test.train(hidden="8", epochs=1)
    test.check(not answer["stopped"], "a run follows after errors")
    # By dropping instead of choosing.
    test.browser.value("""(() => {
      const data = new DataTransfer();
      data.items.add(new File(['x,y\\n' + Array.from({length: 50}, (_, i) => i + ',' + 2 * i).join('\\n')], 'dropped.csv'));
      document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
    })()""")
    test.browser.wait_for("document.getElementById('columns-told').textContent.startsWith('dropped.csv: 50 rows')")
    test.check(True, "a table is dropped")


def policy(test):
    blocked = test.browser.value("""new Promise(done => {
      addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
      fetch('http://127.0.0.1:9/elsewhere').catch(() => setTimeout(() => done('none'), 500));
    })""")
    test.check(blocked == "connect-src", f"the page may load nothing from elsewhere: {blocked}")


def playground(test):
    test.open(width=390)
    test.browser.click("#play .main")
    test.browser.wait_for("document.getElementById('play-status').textContent.startsWith('Epoch 120')")
    said = test.text("play-status")
    right = float(said.rsplit("right ", 1)[1].split(" ")[0])
    test.check(right > 90, f"playground: {said}")
    test.fits("playground 390")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--wgrad")
    options.add_argument("--chromium", default="chromium")
    options.add_argument("--shots", type=pathlib.Path)
    given = options.parse_args()
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with Browser(given.chromium) as browser, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        test = Test(browser, serve(given.folder), given.shots)
        test.open()
        print(test.text("browser"))
        test.fits("empty 1280")
        size(test, given.folder)
        devices(test, folder)
        digits(test, given.wgrad, folder)
        stop(test)
        go_on(test)
        errors(test, folder)
        texts(test, given.folder, folder / "faulty")
        wrong_kernels(test, given.folder, folder / "wrong")
        numbers(test)
        playground(test)
        said = [it for it in browser.messages if "exceptionDetails" in it or it.get("type") == "error" or it.get("entry", {}).get("level") == "error"]
        test.check(not said, f"nothing is wrong in the console {json.dumps(said)[:600] if said else ''}")
        policy(test)
    print(f"{len(test.wrong)} wrong, {time.monotonic() - begun:.0f} s")
    sys.exit(bool(test.wrong))


if __name__ == "__main__":
    main()
