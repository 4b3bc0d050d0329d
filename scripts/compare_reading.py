#!/usr/bin/env python3
"""Times how tables are read: `wgrad inspect` and `wgrad plan` beside pandas and polars, in turn.

Usage: python scripts/compare_reading.py WGRAD [--rows 1500000] [--rounds 3] [--table mixed|numbers|parquet]

Makes the table in a temporary folder: 8 floats with 2 % empty cells, 2 whole numbers, 2 texts, a date and a target (mixed), or 12 floats
and a target (numbers). For each reader it prints seconds, CPU seconds, MB a second, MB a second of CPU time, and the peak of memory. The
medians of all rounds are printed last. Needs numpy, pandas, polars and pyarrow.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PANDAS = "import pandas as pd, sys; print(pd.read_csv(sys.argv[1]).shape)"
PANDAS_DATES = "import pandas as pd, sys; print(pd.read_csv(sys.argv[1], parse_dates=['day']).shape)"
POLARS = "import polars as pl, sys; print(pl.read_csv(sys.argv[1], try_parse_dates=True).shape)"
PARQUET = "import pandas as pd, sys; print(pd.read_parquet(sys.argv[1]).shape)"
POLARS_PARQUET = "import polars as pl, sys; print(pl.read_parquet(sys.argv[1]).shape)"


def make(folder, kind, rows):
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(1)
    columns = {}
    floats = 12 if kind == "numbers" else 8
    for place in range(floats):
        values = pl.Series(draw.normal(size=rows) * 10.0**(place % 4)).round(5)
        gaps = pl.Series(draw.random(rows) < (0.02 if kind != "numbers" else 0.0))
        columns[f"x{place}"] = pl.select(pl.when(gaps).then(None).otherwise(values)).to_series()
    target = sum(columns[f"x{place}"].fill_null(0.0) * (place + 1) for place in range(3))
    if kind != "numbers":
        columns["count"] = draw.integers(0, 1000, rows)
        columns["id"] = draw.integers(0, 10**7, rows)
        columns["city"] = draw.choice([f"city {place}" for place in range(300)], rows)
        columns["kind"] = draw.choice(["red", "green", "blue", "black"], rows)
        days = pl.Series(draw.integers(15000, 20000, rows)).cast(pl.Int32).cast(pl.Date)
        columns["day"] = days
    columns["y"] = target.round(4)
    table = pl.DataFrame(columns)
    path = folder / ("t.parquet" if kind == "parquet" else "t.csv")
    table.write_parquet(path) if kind == "parquet" else table.write_csv(path)
    return path


def run(command):
    """Returns seconds, CPU seconds and the peak of memory in bytes."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{command} failed: {said.decode()}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wgrad")
    parser.add_argument("--rows", type=int, default=1_500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", choices=["mixed", "numbers", "parquet"], default="mixed")
    parser.add_argument("--keep", help="folder of the table, which is made if it is not there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(args.keep or folder)
        folder.mkdir(exist_ok=True)
        path = folder / ("t.parquet" if args.table == "parquet" else "t.csv")
        if not path.exists():
            # Elsewhere, since the memory that making it takes would count for the first reader.
            subprocess.run([sys.executable, __file__, "--make", str(folder), args.table, str(args.rows)], check=True)
        size = path.stat().st_size / 1e6
        print(f"{path.name}: {size:.0f} MB, {args.rows} rows")
        python = [sys.executable, "-c"]
        readers = {
            "wgrad inspect": [args.wgrad, "inspect", str(path)],
            "wgrad plan": [args.wgrad, "plan", str(path), "--target", "y", "--device", "cpu"],
        }
        if args.table == "parquet":
            readers["pandas"] = [*python, PARQUET, str(path)]
            readers["polars"] = [*python, POLARS_PARQUET, str(path)]
        else:
            dates = PANDAS_DATES if args.table == "mixed" else PANDAS
            readers["pandas"] = [*python, dates, str(path)]
            readers["polars"] = [*python, POLARS, str(path)]
        taken = {name: [] for name in readers}
        for _ in range(args.rounds):
            for name, command in readers.items():
                taken[name].append(run(command))
        for name, runs in taken.items():
            seconds, cpu, memory = (statistics.median(column) for column in zip(*runs))
            print(f"{name:14} {seconds:6.2f} s {cpu:6.2f} s of CPU {size / seconds:6.0f} MB/s "
                  f"{size / cpu:6.0f} MB/s a core {memory / 1e6:6.0f} MB of memory")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
