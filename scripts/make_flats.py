#!/usr/bin/env python3
"""Writes examples/datasets/flats.csv: made flats to let, with texts, dates and gaps, for the guide and the examples.

    python3 scripts/make_flats.py > examples/datasets/flats.csv

Rents follow from a formula and noise, so the best possible error is known: the noise has a standard deviation of 60.
"""
import datetime
import random

DISTRICTS = {"centre": 260, "harbour": 180, "hill": 90, "station": -40, "meadow": -90}
HEATING = {"district heating": 40, "gas": 0, "electric": -60}

random.seed(2026)
print("id,district,area,rooms,built,heating,balcony,listed,rent,costs,let")
for row in range(1, 901):
    district = random.choice(list(DISTRICTS))
    heating = random.choices(list(HEATING), [4, 5, 2])[0]
    area = round(random.gauss(70, 22))
    area = min(max(area, 20), 160)
    rooms = min(max(round(area / 25 + random.gauss(0, 0.6)), 1), 6)
    built = random.randint(1900, 2024)
    balcony = random.random() < 0.5
    listed = datetime.date(2025, 1, 1) + datetime.timedelta(days=random.randrange(365))
    # New and very old houses are dear; rents rise over the year.
    fair = 250 + 9.5 * area + DISTRICTS[district] + HEATING[heating] + 55 * balcony
    fair += 0.03 * (built - 1960) ** 2 + 0.25 * listed.timetuple().tm_yday
    rent = fair + random.gauss(0, 60)
    costs = 1.9 * area + (30 if heating == "electric" else 0) + random.gauss(0, 12)
    # A flat that is cheap for what it is goes within a week.
    dear = rent - fair + random.gauss(0, 25)
    let = "week" if dear < -35 else "month" if dear < 35 else "later"
    # Gaps as they come: unknown years, mostly of old houses, and heatings nobody wrote down.
    built_text = "" if random.random() < (0.2 if built < 1960 else 0.05) else str(built)
    heating_text = "" if random.random() < 0.08 else heating
    print(f"{row},{district},{area},{rooms},{built_text},{heating_text},{'yes' if balcony else 'no'},"
          f"{listed},{rent:.0f},{costs:.0f},{let}")
