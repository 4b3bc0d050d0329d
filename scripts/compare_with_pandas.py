#!/usr/bin/env python3
"""Writes a folder of tables as people have them, and compares how pandas and wgrad read each.

    scripts/compare_with_pandas.py [--wgrad target/release/wgrad] [--out FOLDER]

Compared are the columns' names, the number of rows, numbers against other cells, and gaps. pandas is told the form of a table where it cannot
find it; wgrad is told nothing. Where pandas is not right, the difference stands in DIFFERENT with its reason, and is shown. The exit code is 1 for any other
difference, and for one of these that is no more. Needs pandas.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import pandas as pd

ROWS = range(40)


def lines(header, row, end="\n"):
    return end.join([*([header] if header else []), *[row(i) for i in ROWS]]) + end


def tables():
    """Returns for each file its bytes, and what pandas has to be told."""
    word = ["red", "green", "blue"]
    gap = lambda i, text, mark="": mark if i % 7 == 3 else text
    marks = ["", "NA", "N/A", "#N/A", "NULL", "null", "NaN", "nan", "n/a", "None", "<NA>", "-nan", "1.#QNAN"]
    made = {
        "plain.csv": (lines("a,b,c", lambda i: f"{i},{i / 4},{word[i % 3]}"), {}),
        "semicolons.csv": (lines("a;b;c", lambda i: f"{i};{i / 4};{word[i % 3]}"), {"sep": ";"}),
        "decimal_commas.csv": (lines("a;b;c", lambda i: f"{i};{i // 4},{i % 4};{word[i % 3]}"), {"sep": ";", "decimal": ","}),
        "tabs.tsv": (lines("a\tb\tc", lambda i: f"{i}\t{i / 4}\t{word[i % 3]}"), {"sep": "\t"}),
        "bars.txt": (lines("a|b|c", lambda i: f"{i}|{i / 4}|{word[i % 3]}"), {"sep": "|"}),
        "byte_order_mark.csv": ("\ufeff" + lines("a,b", lambda i: f"{i},{word[i % 3]}"), {}),
        "windows_lines.csv": (lines("a,b", lambda i: f"{i},{word[i % 3]}", "\r\n"), {}),
        "no_last_line_end.csv": (lines("a,b", lambda i: f"{i},{word[i % 3]}").rstrip("\n"), {}),
        "quoted_commas.csv": (lines("a,b", lambda i: f'{i},"{word[i % 3]}, dark"'), {}),
        "quoted_lines.csv": (lines("a,b", lambda i: f'{i},"{word[i % 3]}\nsecond line"'), {}),
        "doubled_quotes.csv": (lines("a,b", lambda i: f'{i},"say ""{word[i % 3]}"""'), {}),
        "quoted_numbers.csv": (lines('"a","b"', lambda i: f'"{i}","{i / 4}"'), {}),
        "quoted_names.csv": (lines('"height, cm","b"', lambda i: f"{i},{word[i % 3]}"), {}),
        "row_names.csv": (lines("a,b", lambda i: f"r{i},{i},{word[i % 3]}"), {}),
        "pandas_index.csv": (lines(",a,b", lambda i: f"{i},{i * 2},{word[i % 3]}"), {"index_col": 0}),
        "trailing_commas.csv": (lines("a,b,", lambda i: f"{i},{word[i % 3]},"), {}),
        "blank_lines.csv": (lines("a,b", lambda i: f"{i},{word[i % 3]}" + ("\n" if i % 9 == 0 else "")), {}),
        "sep_line.csv": ("sep=;\n" + lines("a;b", lambda i: f"{i};{word[i % 3]}"), {"sep": ";", "skiprows": 1}),
        "no_header.csv": (lines("", lambda i: f"{i}.5,{i / 4},{word[i % 3]}"), {"header": None}),
        "gaps_of_numbers.csv": (lines("a,b", lambda i: f"{gap(i, i / 4, marks[i % len(marks)])},{i}"), {}),
        "gaps_of_texts.csv": (lines("a,b", lambda i: f"{gap(i, word[i % 3])},{i}"), {}),
        "all_marks.csv": (lines("a,b", lambda i: f"{marks[i] if i < len(marks) else i},{i}"), {}),
        "empty_column.csv": (lines("a,b,c", lambda i: f"{i},,{word[i % 3]}"), {}),
        "whole_numbers_beyond_2_53.csv": (lines("a,b", lambda i: f"{9007199254740993 + i},{i}"), {}),
        "exponents.csv": (lines("a,b", lambda i: f"{i}.5e-3,{i}E+02"), {}),
        "signs.csv": (lines("a,b", lambda i: f"+{i},-{i}.25"), {}),
        "points_alone.csv": (lines("a,b", lambda i: f".{i},{i}."), {}),
        "spaces.csv": (lines("a, b, c", lambda i: f"{i}, {i / 4}, {word[i % 3]}"), {"skipinitialspace": True}),
        "true_false.csv": (lines("a,b", lambda i: f"{i % 3 == 0},{i}"), {}),
        "capitals.csv": (lines("a,b", lambda i: f"{'TRUE' if i % 3 else 'FALSE'},{i}"), {}),
        "other_letters.csv": (lines("größe,ville", lambda i: f"{i},{['Zürich', 'Łódź', '東京'][i % 3]}"), {}),
        "gzip.csv.gz": (lines("a,b", lambda i: f"{i},{word[i % 3]}"), {"compression": "gzip"}),
        "hexadecimal.csv": (lines("a,b", lambda i: f"0x{i % 9:02X},{i}"), {}),
        "iso_dates.csv": (lines("a,b", lambda i: f"2024-03-{i % 28 + 1:02},{i}"), {}),
        "times.csv": (lines("a,b", lambda i: f"2024-03-{i % 28 + 1:02}T{i % 24:02}:30:00,{i}"), {}),
        "question_marks.csv": (lines("a,b", lambda i: f"{gap(i, i / 4, '?')},{i}"), {}),
        "thousands.csv": (lines("a,b", lambda i: f'"{i + 1},234",{i}'), {"thousands": ","}),
        "thousands_points.csv": (lines("a;b", lambda i: f"{i + 1}.234,5;{i}"), {"sep": ";", "decimal": ",", "thousands": "."}),
        "codes.csv": (lines("a,b", lambda i: f"{i % 5:03},{i}"), {}),
    }
    return made


# A table, and why wgrad does not read it as pandas does.
DIFFERENT = {
    "trailing_commas.csv": "pandas makes a column of the nothing behind the last comma",
    "question_marks.csv": "pandas takes the numbers for texts, since some cells are `?`; wgrad takes these for gaps, and says so",
}


def by_pandas(path, told):
    frame = pd.read_csv(path, **told)
    if told.get("header", 0) is None:
        frame.columns = [f"c{at + 1}" for at in range(frame.shape[1])]
    of = lambda column: ("number" if pd.api.types.is_numeric_dtype(column) and column.dtype != bool else "other", int(column.isna().sum()))
    # A column without a value has numbers, all of them NaN, for pandas, and is nothing for wgrad.
    return len(frame), {str(name): ("empty", len(frame)) if frame[name].isna().all() else of(frame[name]) for name in frame}


def by_wgrad(program, path):
    told = subprocess.run([program, "inspect", str(path), "--json"], capture_output=True, text=True, check=False)
    if told.returncode:
        return told.stderr.strip() or told.stdout.strip()
    columns = [json.loads(line) for line in told.stdout.splitlines()]
    kind = lambda it: "empty" if it["gaps"] == it["cells"] else "number" if it["kind"] == "number" else "other"
    return columns[0]["cells"], {it["name"]: (kind(it), it["gaps"]) for it in columns}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wgrad", default="target/release/wgrad")
    parser.add_argument("--out", type=pathlib.Path)
    given = parser.parse_args()
    folder = given.out or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    made = tables()
    for name, (text, told) in made.items():
        path = folder / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        want, got = by_pandas(path, told), by_wgrad(given.wgrad, path)
        if want == got and name not in DIFFERENT:
            print(f"same       {name}")
        elif want != got and name in DIFFERENT:
            print(f"different  {name}: {DIFFERENT[name]}")
        else:
            wrong += 1
            print(f"WRONG      {name}\n  pandas {want}\n  wgrad  {got}")
    print(f"{len(made)} tables, {len(DIFFERENT)} differences with a reason, {wrong} without")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
