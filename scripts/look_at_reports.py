#!/usr/bin/env python3
"""Makes runs of nine kinds, and looks at their reports with Chromium.

    scripts/look_at_reports.py [--wgrad target/release/wgrad] [--out FOLDER] [--chromium NAME] [--no-shots]

Each report is opened 390 and 1280 pixels wide, in light and dark, and a screenshot of each is kept. A script measures the page: it may
not be wider than the window, no text of a picture may reach beyond the picture or lie on another text, and no picture may be
without marks. Needs Python 3 without further packages, and Chromium. The exit code is 1 if something is wrong.
"""

import argparse
import csv
import html
import json
import math
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTHS = (390, 1280)
LARGEST = 1_000_000

MEASURE = """
<script>
function measure() {
  const wrong = [];
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) {
    wrong.push('page is ' + page.scrollWidth + ' pixels wide in a window of ' + innerWidth);
    for (const it of document.querySelectorAll('main *')) {
      if (it.getBoundingClientRect().right > innerWidth + 1 && !it.closest('.wide')) {
        wrong.push('too wide: ' + it.tagName + ' ' + (it.textContent || '').slice(0, 40));
        break;
      }
    }
  }
  let texts = 0;
  for (const svg of document.querySelectorAll('figure svg')) {
    const name = svg.querySelector('title').textContent;
    const edge = svg.getBoundingClientRect();
    const all = [...svg.querySelectorAll('text')].map(it => [it.textContent, it.getBoundingClientRect()]);
    texts += all.length;
    if (!svg.querySelector('path,circle,polygon') && svg.querySelectorAll('rect').length < 2)
      wrong.push(name + ': no marks');
    all.forEach(([text, a], at) => {
      if (a.left < edge.left - .5 || a.right > edge.right + .5 || a.top < edge.top - .5 || a.bottom > edge.bottom + .5)
        wrong.push(name + ': "' + text + '" is clipped');
      for (const [other, b] of all.slice(at + 1)) {
        // Boxes of texts have room above and below the letters.
        const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (x > 1 && y > .35 * Math.min(a.height, b.height))
          wrong.push(name + ': "' + text + '" lies on "' + other + '"');
      }
    });
  }
  const figures = document.querySelectorAll('figure').length;
  return {wrong, height: page.scrollHeight, figures, texts};
}
</script></body>"""

FRAME = """<!DOCTYPE html><html><head><meta name="color-scheme" content="light dark"><style>body{{margin:0}}iframe{{border:0;display:block}}</style></head>
<body><iframe src="{page}" width="{width}" height="{height}"></iframe><pre id="told" hidden></pre>
<script>addEventListener('load', () => {{
  const of_page = document.querySelector('iframe').contentWindow;
  if (of_page.measure) document.getElementById('told').textContent = JSON.stringify(of_page.measure());
}})</script></body></html>"""


def write(path, names, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(names)
        out.writerows(rows)


def tables(folder):
    """Writes the tables; returns the arguments of each run."""
    rng = random.Random(1)
    rows = []
    for _ in range(2400):
        x, z = rng.uniform(-3, 3), rng.uniform(0, 1)
        rows.append([f"{x:.4f}", f"{z:.4f}", f"{1000 * (math.sin(x) + z) + rng.gauss(0, 100 + 150 * z):.3f}"])
    write(folder / "sine.csv", ["x", "spread", "y"], rows)
    towns = [f"town <{name}>" if name == "Ash" else name for name in
             ("Ash Birch Cedar Dogwood Elm Fir Ginkgo Hazel Ironwood Juniper Katsura Larch Maple Nutmeg Oak Pine Quince Rowan Spruce Tupelo Willow "
              "Yew-with-a-very-long-name-that-has-no-room").split()]
    rows = []
    for _ in range(1500):
        town, floors = rng.choice(towns), rng.choice(["one", "two", "three", ""])
        area = rng.uniform(40, 240)
        day = f"20{rng.randint(10, 24)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        price = 900 * area + 20000 * towns.index(town) ** .5 + (15000 if floors == "two" else 0) + rng.gauss(0, 9000)
        rows.append(["" if rng.random() < .1 else f"{area:.1f}", town, floors, day, rng.choice(["yes", "no"]), f"{price:.0f}"])
    write(folder / "houses.csv", ["area in m²", "town & <county>", "floors", "sold", "garden", "price"], rows)
    rows = []
    for _ in range(1200):
        a, b, c = rng.gauss(0, 1), rng.gauss(0, 1), rng.gauss(0, 1)
        rows.append([f"{a:.4f}", f"{b:.4f}", f"{c:.4f}", "ill" if a * b + .5 * c + rng.gauss(0, .5) > .6 else "healthy"])
    write(folder / "patients.csv", ["pressure", "sugar", "age", "state"], rows)
    rows = []
    for _ in range(900):
        a, b = rng.uniform(-1, 1), rng.uniform(-1, 1)
        rows.append([f"{a:.4f}", f"{b:.4f}", f"{a * b + rng.gauss(0, .05):.4f}", f"{1e6 * (a - b) + rng.gauss(0, 1e5):.1f}", f"{1e-5 * a:.3e}"])
    write(folder / "several.csv", ["a", "b", "product", "difference in millionths of something", "small"], rows)
    rows = []
    for _ in range(900):
        kind = rng.randrange(26)
        rows.append([f"{kind % 6 + rng.gauss(0, .6):.3f}", f"{kind // 6 + rng.gauss(0, .6):.3f}", f"species number {kind}"])
    write(folder / "species.csv", ["length", "width", "species"], rows)
    rows = []
    for _ in range(800):
        a, b = rng.gauss(0, 1), rng.gauss(0, 1)
        rows.append([f"{a:.4f}", f"{b:.4f}", int(a > 0), int(a + b > .5), int(b > 1)])
    write(folder / "labels.csv", ["a", "b", "warm", "wet", "windy"], rows)
    (folder / "sweep.toml").write_text(
        'epochs = 8\nlr = { log = [1e-4, 1e-1] }\nweight-decay = { log = [1e-4, 1.0] }\nbatch-size = { integer = [16, 256] }\n'
        'hidden = [[64], [128, 64], [32, 16, 8]]\noptimizer = ["adamw", "sgd(momentum=0.9)"]\n'
    )
    quantiles = "pinball(0.1, 0.25, 0.5, 0.75, 0.9)"
    return {
        "digits": [str(ROOT / "examples/datasets/digits.csv"), "--target", "digit"],
        "sine": [str(folder / "sine.csv"), "--target", "y", "--loss", quantiles, "--epochs", "40", "--lr", "3e-3"],
        "houses": [str(folder / "houses.csv"), "--target", "price", "--epochs", "30", "--lr", "3e-3"],
        "patients": [str(folder / "patients.csv"), "--target", "state", "--epochs", "30", "--metrics", "f1,roc_auc"],
        "several": [str(folder / "several.csv"), "--target", "product,difference in millionths of something,small", "--epochs", "20"],
        "species": [str(folder / "species.csv"), "--target", "species", "--epochs", "12"],
        "folds": [str(folder / "patients.csv"), "--target", "state", "--folds", "5", "--epochs", "20", "--metrics", "f1"],
        "sweep": [str(folder / "houses.csv"), "--target", "price", "--config", str(folder / "sweep.toml"), "--trials", "15", "--stop-metric", "mae"],
        "labels": [str(folder / "labels.csv"), "--target", "warm,wet,windy", "--task", "labels", "--epochs", "12"],
    }


def browse(chromium, arguments, page):
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def look(chromium, report, folder, name, shots):
    """Opens a report in all widths and both themes. Returns what is wrong."""
    wrong = []
    text = report.read_text(encoding="utf-8")
    if len(text.encode()) >= LARGEST:
        wrong.append(f"{len(text.encode())} bytes")
    if re.search(r"<script|https?://(?!www\.w3\.org)|@import|url\(", text):
        wrong.append("the page has a script, or asks for something from elsewhere")
    measured = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", MEASURE)
    copy = folder / f"{name}.measured.html"
    copy.write_text(measured, encoding="utf-8")
    for width in WIDTHS:
        frame = folder / f"{name}.frame.html"
        frame.write_text(FRAME.format(page=copy.name, width=width, height=900), encoding="utf-8")
        dom = browse(chromium, [f"--window-size={max(width, 500)},900", "--dump-dom"], frame)
        found = re.search(r'<pre id="told"[^>]*>(\{.*?\})</pre>', dom, re.S)
        if not found:
            wrong.append(f"{width}: the page was not measured")
            continue
        told = json.loads(html.unescape(found.group(1)))
        wrong += [f"{width}: {it}" for it in told["wrong"]]
        if told["figures"] < (1 if name == "sweep" else 4) or told["texts"] < 20:
            wrong.append(f"{width}: {told['figures']} pictures with {told['texts']} texts")
        print(f"  {width:>5} px: {told['figures']} pictures, {told['texts']} texts, {told['height']} px high", flush=True)
        if not shots:
            continue
        height = min(told["height"], 16000)
        frame.write_text(FRAME.format(page=report.resolve().as_uri(), width=width, height=height), encoding="utf-8")
        for theme, value in (("light", 1), ("dark", 0)):
            shot = folder / f"{name}-{width}-{theme}.png"
            browse(chromium, [f"--window-size={max(width, 500)},{height}", f"--blink-settings=preferredColorScheme={value}", f"--screenshot={shot}"], frame)
            if not shot.exists():
                wrong.append(f"{width}: no screenshot in {theme}")
        frame.unlink()
    copy.unlink()
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wgrad", default=str(ROOT / "target/release/wgrad"))
    parser.add_argument("--out", type=pathlib.Path, help="folder for runs and screenshots [default: a new one]")
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--no-shots", action="store_true", help="measure only")
    parser.add_argument("--only", help="names of runs between commas")
    args = parser.parse_args()
    folder = (args.out or pathlib.Path(tempfile.mkdtemp(prefix="reports-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    runs = tables(folder)
    if args.only:
        runs = {name: runs[name] for name in args.only.split(",")}
    failed = False
    for name, arguments in runs.items():
        run = folder / name
        verb = "sweep" if name == "sweep" else "train"
        command = [args.wgrad, verb, *arguments, "--out", str(run), "--force", "--device", "cpu", "--seed", "1", "--quiet"]
        subprocess.run(command, check=True)
        report = run / "report.html"
        print(f"{name}: {report.stat().st_size} bytes", flush=True)
        wrong = look(args.chromium, report, folder, name, not args.no_shots)
        for it in wrong:
            print(f"  WRONG {it}")
        failed |= bool(wrong)
    print(f"runs and screenshots are in {folder}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
