"""Writes the workbook of tests/xlsx.rs, and the same values as CSV.

Usage: python make_xlsx.py FOLDER. Needs openpyxl.
"""

import csv
import datetime as dt
import sys
from pathlib import Path

import openpyxl
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont

folder = Path(sys.argv[1])
book = openpyxl.Workbook()
sheet = book.active
sheet.title = "May & June"
names = ["id", "code", "when", "at", "took", "open", "town", "count", "fault", "y"]
towns = ["Köln", 'a "b", c', "<x> & y", "", "  two\nlines ", "Zürich 🚲"]
rows = []
sheet.append(names)
for i in range(30):
    when = dt.datetime(2024, 2, 27) + dt.timedelta(days=i % 5, hours=6 * (i % 2))
    row = [
        9007199254740992 + 2 * i if i % 7 else None,
        f"{i % 9:05}",
        when.date() if i % 2 == 0 else when,
        dt.time(1 + i % 20, 30, 15),
        dt.timedelta(hours=20 + i, minutes=3),
        i % 3 == 0,
        towns[i % 6] or None,
        str(i % 4) if i % 5 == 0 else i % 4,
        "#N/A" if i % 6 == 0 else i / 8,
        i * 3 / 64 + 1 / 1024,
    ]
    # Rows of the sheet have room between them, and columns stand apart from its edge.
    place = i + 2 if i < 10 else i + 5
    for column, value in enumerate(row, 1):
        cell = sheet.cell(place, column, value)
        if isinstance(value, str) and value.startswith("#"):
            cell.data_type = "e"
        if names[column - 1] == "when":
            cell.number_format = "yyyy-mm-dd" if i % 2 == 0 else "dd.mm.yyyy hh:mm"
        if names[column - 1] == "took":
            cell.number_format = "[h]:mm:ss"
    rows.append(row)
rich = CellRichText("Kö", TextBlock(InlineFont(b=True), "ln"))
sheet["G2"] = rich
sheet.column_dimensions["L"].width = 20
other = book.create_sheet("other")
other["C4"], other["D4"], other["C5"], other["D5"] = "a", "y", 1, 2
other["C6"], other["D6"], other["C7"], other["D7"] = 3, 4, 5, 6
formulas = book.create_sheet("formulas")
formulas.append(["a", "y"])
formulas.append([1, "=A2*2"])
book.create_chartsheet("picture")
book.save(folder / "few.xlsx")

old = openpyxl.Workbook()
old.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
old.active.append(["when", "y"])
for i in range(3):
    old.active.append([dt.date(1904 + i, 1, 1 + i), i])
old.save(folder / "since-1904.xlsx")


def text(value):
    """The cell that the program makes of a value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return value.isoformat() if value.time() != dt.time() else value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return str(value.hour * 3600 + value.minute * 60 + value.second)
    if isinstance(value, dt.timedelta):
        return str(round(value.total_seconds()))
    return str(value)


with open(folder / "few-xlsx.csv", "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[text(value) for value in row] for row in rows])
