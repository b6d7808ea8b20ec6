"""Files that people would try: a few lines each of public files, with invented names of people.

By the packages that ship them: vega-datasets (birdstrikes.csv, stocks.csv, zipcodes.csv, github.csv), lifelines
(canadian_senators.csv, lymph_node.csv, ACTG175.csv), statsmodels (anes96.csv, modechoice.csv, co2.csv), mlxtend
(wine.csv).

These complete files went through new-model (ASSUME=yes), run, promote, a backfill of two to five days and serve (with
its example request) on a local stack, without any edit of model.yaml: penguins.csv and penguins-raw.csv
(palmerpenguins; the species), seattle-weather.csv (vega-datasets; the weather), gbsg2.csv (cens), lung.csv (status),
dd.csv (duration) and stanford_heart.csv (event) of lifelines, boston_housing.csv (mlxtend; without a header),
macrodata.csv (unemp) and engel.csv (foodexp) of statsmodels. A gate correctly rejected two more: rossi.csv (lifelines;
arrest), in which weeks almost determine the arrest, and us-employment.csv (vega-datasets; nonfarm_change), for which no
model beats the mean.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from include.models.config import named
from include.models.raw.reader import Form, no_rows, open_raw
from include.models.tabular.first_look.columns import Look, look_at
from include.models.tabular.first_look.file_form import find_form

PUBLIC: dict[str, tuple[str, dict[str, object], dict[str, str | None], str]] = {
    "birdstrikes.csv": (
        "Effect Amount of damage,Flight Date,Phase of flight,Cost Total $,Speed IAS in knots\n"
        "None,1990-01-08,Climb,0,300\nNone,1990-01-09,Approach,0,200\nMedium,1990-01-11,Landing Roll,66,\n",
        {},
        {"Effect Amount of damage": "string", "Flight Date": "timestamp", "Speed IAS in knots": "integer"},
        "Speed IAS in knots",
    ),
    "stocks.csv": (
        "symbol,date,price\nMSFT,Jan 1 2000,39.81\nMSFT,Feb 1 2000,36.35\nAMZN,Mar 1 2000,67\n",
        {},
        {"symbol": "string", "date": "%b %d %Y", "price": "number"},
        "price",
    ),
    "zipcodes.csv": (
        "zip_code,latitude,longitude,city,state,county\n00501,40.922326,-72.637078,Holtsville,NY,Suffolk\n"
        "10001,40.750742,-73.99653,New York,NY,New York\n",
        {},
        {"zip_code": "string", "latitude": "number", "city": "string"},
        "county",
    ),
    "github.csv": (
        "time,count\n2015/01/01 01:00:00,2\n2015/01/01 04:00:00,3\n2015/01/13 05:00:00,1\n",
        {},
        {"time": "%Y/%m/%d %H:%M:%S", "count": "integer"},
        "count",
    ),
    "canadian_senators.csv": (
        "Name,Province / Territory,Term (yyyy.mm.dd),start_date,end_date,reason,diff_days,observed\n"
        '"Doe, Jane",Quebec,1887.05.12 - 1893.10.30  (Death),1887-05-12 00:00:00,1893-10-30 00:00:00,Death,2363,True\n'
        '"Roe, Richard",Ontario,2009.09.14 - (),2009-09-14 00:00:00,2013-03-25 00:00:00,,1288,False\n',
        {},
        {"Term (yyyy.mm.dd)": "string", "start_date": "timestamp", "diff_days": "integer", "observed": "string"},
        "observed",
    ),
    "lymph_node.csv": (
        '"id","diagdateb","recdate","age","censdead"\n1,"17-08-1984","15-04-1988",38,0\n2,"25-04-1985","15-03-1989",52,0\n',
        {},
        {"id": "integer", "diagdateb": "%d-%m-%Y", "recdate": "%d-%m-%Y", "censdead": "integer"},
        "censdead",
    ),
    "ACTG175.csv": (
        '"","pidnum","wtkg","cd496"\n"1",10056,89.8128,660\n"2",10059,49.4424,NA\n',
        {},
        {"column_1": "integer", "pidnum": "integer", "wtkg": "number", "cd496": "integer"},
        "cd496",
    ),
    "anes96.csv": (
        "'popul'\t'TVnews'\t'vote'\n0\t7\t1\n190\t1\t0\n31\t7\t0\n",
        {"delimiter": "\t"},
        {"'popul'": "integer", "'vote'": "integer"},
        "'vote'",
    ),
    "modechoice.csv": (
        "individual;mode;choice;ttme\n1;1;0;69\n1;2;0;34\n",
        {"delimiter": ";"},
        {"individual": "integer", "choice": "integer"},
        "choice",
    ),
    "co2.csv": (
        "date,co2\n19580329,316.1\n19580405,317.3\n19580412,\n",
        {},
        {"date": "%Y%m%d", "co2": "number"},
        "co2",
    ),
    "wine.csv": (
        "14.23,1.71,2.43,0\n13.20,1.78,2.14,0\n13.16,2.36,2.67,1\n",
        {"header": False},
        {"column_1": "number", "column_4": "integer"},
        "column_4",
    ),
}


def looked_at(file: Path, form: Form, target: str) -> Look:
    with open_raw(file, form) as raw:
        header = named(raw.header or ["", "", "", ""])
        blocks = list(raw.blocks(header)) or [no_rows(header)]
    return look_at(blocks[0].lines.drop("file_line"), form.delimiter, target, "regression", assume=True)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_file_is_seen_as_what_it_is(tmp_path: Path, name: str) -> None:
    text, written, columns, target = PUBLIC[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    form = find_form(tmp_path / name, assume=True).form
    assert form == Form(**written)  # type: ignore[arg-type]
    look = looked_at(tmp_path / name, form, target)
    found = {each: column.format or column.kind.name for each, column in look.columns.items()}
    assert {each: found[each] for each in columns} == columns
