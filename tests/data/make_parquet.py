#!/usr/bin/env python3
"""Writes the Parquet and Arrow files that tests/parquet.rs reads, and beside them the same tables as pandas writes CSV.

Usage: python tests/data/make_parquet.py        (needs pyarrow, pandas and polars)
"""
import datetime
import decimal
import pathlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).parent
ROWS = 60


def mixed():
    """A table with a column of each type, and gaps in most of them."""
    row = np.arange(ROWS)
    day = datetime.date(2024, 2, 20)
    moment = datetime.datetime(1969, 12, 31, 23, 59, 58, 250000)
    gap = lambda values, every: [None if i % every == 3 else v for i, v in enumerate(values)]
    columns = {
        "i8": pa.array(gap(row - 30, 7), pa.int8()),
        "u8": pa.array(row * 4, pa.uint8()),
        "i16": pa.array(row * 500 - 15000, pa.int16()),
        "u16": pa.array(row * 1000, pa.uint16()),
        "i32": pa.array(gap(row * 70_000_000 - 2_000_000_000, 11), pa.int32()),
        "u32": pa.array(row * 70_000_000, pa.uint32()),
        "i64": pa.array(row * 10**12 - 5, pa.int64()),
        "u64": pa.array([2**53 + 2 * int(i) for i in row], pa.uint64()),
        "f16": pa.array((row / 8 - 3).astype(np.float16), pa.float16()),
        "f32": pa.array((row / 7).astype(np.float32), pa.float32()),
        "f64": pa.array(gap([v / 3 for v in row.tolist()], 9), pa.float64()),
        "flag": pa.array(gap([bool(v % 3) for v in row], 13), pa.bool_()),
        "money": pa.array(gap([decimal.Decimal(int(v) * 1001 - 20000) / 100 for v in row], 10), pa.decimal128(9, 2)),
        "city": pa.array(gap([["Bonn", "Rome, east", 'the "X"', "Köln"][v % 4] for v in row], 8), pa.string()),
        "zip": pa.array([f"{v % 5:05}" for v in row], pa.large_string()),
        "kind": pa.array([["a", "b", None, "c"][v % 4] for v in row]).dictionary_encode(),
        "day": pa.array(gap([day + datetime.timedelta(days=int(v)) for v in row], 12), pa.date32()),
        "at_ms": pa.array([moment + datetime.timedelta(hours=int(v) * 5) for v in row], pa.timestamp("ms")),
        "at_zone": pa.array([moment + datetime.timedelta(hours=int(v) * 7) for v in row], pa.timestamp("us", "UTC")),
        "took": pa.array([datetime.timedelta(milliseconds=int(v) * 1500 - 4750) for v in row], pa.duration("ms")),
        "y": pa.array(row * 0.5 + (row % 4), pa.float64()),
    }
    return pa.table(columns)


def main():
    table = mixed()
    # Small row groups and pages, so that rows cross both.
    small = {"row_group_size": 25, "data_page_size": 64, "write_statistics": False}
    pq.write_table(table, FOLDER / "mixed.parquet", compression="snappy", **small)
    with ipc.new_stream(FOLDER / "mixed.arrow", table.schema) as sink:
        sink.write_table(table, max_chunksize=25)
    few = table.select(["f64", "city", "kind", "y"])
    for codec in ["none", "gzip", "lz4", "zstd"]:
        pq.write_table(few, FOLDER / f"few-{codec}.parquet", compression=codec, **small)
    pq.write_table(few, FOLDER / "few-brotli.parquet", compression="brotli")
    pq.write_table(few, FOLDER / "few-v2.parquet", compression="zstd", data_page_version="2.0", version="2.6", **small)
    feather.write_feather(few, FOLDER / "few.feather", compression="lz4", chunksize=25)
    feather.write_feather(few, FOLDER / "few-zstd.feather", compression="zstd")
    # Columns without gaps, whose buffers of gaps are empty.
    row = np.arange(400)
    whole = pa.table({"x": pa.array(row % 7, pa.int64()), "y": pa.array(row / 2, pa.float64())})
    feather.write_feather(whole, FOLDER / "whole.feather", compression="lz4")
    # Texts of polars are views.
    pl.from_arrow(few).cast({"kind": pl.String}).write_parquet(FOLDER / "few-polars.parquet")
    pl.from_arrow(few).cast({"kind": pl.String}).write_ipc(FOLDER / "few-polars.arrow", compat_level=pl.CompatLevel.newest())

    # The same as pandas reads and writes it: what the readers have to find.
    frame = pd.read_parquet(FOLDER / "mixed.parquet", dtype_backend="pyarrow")
    frame["f16"] = frame["f16"].astype("float64")
    frame["f32"] = frame["f32"].astype("float64")
    frame["flag"] = frame["flag"].map({True: "true", False: "false"})
    frame["took"] = frame["took"].dt.total_seconds()
    frame["kind"] = frame["kind"].astype("string")
    frame.to_csv(FOLDER / "mixed.csv", index=False)

    nested = pa.table({
        "a": [1.5, None, 2.5] * 10,
        "tags": pa.array([[1], [], None] * 10, pa.list_(pa.int32())),
        "place": pa.array([{"x": 1, "y": 2}] * 30),
        "raw": pa.array([b"\x00"] * 30),
        "y": [1.0, 2.0, 3.0] * 10,
    })
    pq.write_table(nested, FOLDER / "nested.parquet", compression="snappy")
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.5] * 4, "y": [1, 2, 3] * 4}, index=list("abcdefghijkl"))
    frame.to_parquet(FOLDER / "index.parquet", compression="snappy")
    text = pa.table({"x": [0.5, 1.5] * 20, "digit": [str(i % 3) for i in range(40)]})
    pq.write_table(text, FOLDER / "digits.parquet", compression="snappy")
    gaps = pa.table({"y": pa.array([1.0, None, 3.0])})
    pq.write_table(gaps, FOLDER / "one.parquet", compression="none")


if __name__ == "__main__":
    main()
