"""What ``make new-model`` reports about an unknown file: near-numbers and near-times, and the file's format."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import xlsxwriter

from include.models.config import Column, ModelConfig, load_model
from include.models.config.kinds import TIMESTAMP
from include.models.errors import JobError
from include.models.tabular.column_profile import Wishes
from include.models.tabular.first_look.offers import shown
from include.models.tabular.first_look.times import FORMATS
from include.models.tabular.new_model import new_model

ROWS = 300
START = datetime.fromisoformat("2024-01-01")
TAKEN, ASKED = Wishes(assume=True), Wishes()


def file_of(
    folder: Path,
    cell: Callable[[int], object],
    *,
    name: str = "seen.csv",
    header: str = "x,n,y",
    delimiter: str = ",",
    before: str = "",
    end: str = "\n",
    encoding: str = "utf-8",
) -> Path:
    """A file with a column of these cells, a column of digits and a target that follows from the digits."""
    lines = [header.replace(",", delimiter)]
    for row in range(ROWS):
        digit = row * 7919 % 10
        target = "yes" if digit + row * 104_729 % 100 / 20 > 8 else "no"
        lines.append(delimiter.join([str(cell(row)), str(digit), target]))
    file = folder / name
    file.write_bytes((before + end.join(lines) + end).encode(encoding))
    return file


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def look(models: Path, file: Path, wishes: Wishes) -> tuple[ModelConfig, str]:
    for folder in models.iterdir():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
    load_model.cache_clear()
    lines = new_model("seen", "binary", file, wishes, folder=models)
    return load_model("seen", models), "\n".join(lines)


def ago(row: int, form: str, step: timedelta = timedelta(hours=7)) -> str:
    return (START + row * step).strftime(form)


NUMBERS: dict[str, tuple[Callable[[int], object], str, str]] = {
    "qmark": (
        lambda row: "?" if row % 50 == 7 else 40 + row * 3 % 97,
        "x is a number but for 6 of 300 rows ('?')",
        "['?']",
    ),
    "excel": (lambda row: "#N/A" if row == 9 else row / 4, "x is a number but for 1 of 300 rows ('#N/A')", "#N/A"),
    "dash": (lambda row: "-" if row % 3 == 1 else row / 4, "x is a number but for 100 of 300 rows ('-')", "'-'"),
    "infinite": (lambda row: "inf" if row == 9 else row / 4, "x is a number but for 1 of 300 rows ('inf')", "inf"),
    "thousands": (lambda row: f'"{1000 + row * 7:,}"', "in 300 of 300 rows ('1,000'", "thousands: ','"),
    "pound": (lambda row: f"£{row / 3:.2f}", "in 300 of 300 rows ('£0.00'", "unit: £"),
    "percent": (lambda row: f"{row / 3:.1f} %", "in 300 of 300 rows ('0.0 %'", "unit: '%'"),
    "lakh": (lambda row: f'"6,57,{row:03}"', "('6,57,000'", "thousands: ','"),
    "code": (lambda row: f"USD {row}.50", "('USD 0.50'", "unit: USD"),
    "blank": (lambda row: f"1\u202f{row:03}", "in 300 of 300 rows", "thousands: ' '"),
    "apostrophe": (lambda row: f"1'{row:03}.5", "in 300 of 300 rows", "thousands: ''''"),
    "negative": (lambda row: f"(1.{row})" if row % 2 else f'"1,{row:03}"', "('1,000'", "thousands: ','"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_nearly_a_number_is_said_and_with_a_word_declared(models: Path, tmp_path: Path, kind: str) -> None:
    cell, said, declared = NUMBERS[kind]
    file = file_of(tmp_path, cell)
    if kind == "infinite":
        with pytest.raises(JobError, match=r"line 11, column 1: x is 'inf' in 1 of 300 rows"):
            look(models, file, ASKED)
    else:
        config, lines = look(models, file, ASKED)
        assert said in lines
        assert "now it is of kind" in lines
        assert "ASSUME=yes does" in lines
        assert config.data.tables["rows"].kinds["x"].name == "string"
        assert config.data.key == ["row_number"]
    config, lines = look(models, file, TAKEN)
    assert said in lines
    column = config.data.tables["rows"].columns["x"]
    assert column.kind.name == "number"
    assert declared in shown(column)


TIMES: dict[str, tuple[Callable[[int], object], object]] = {
    "iso with Z": (lambda row: ago(row, "%Y-%m-%dT%H:%M:%SZ"), "%Y-%m-%dT%H:%M:%S%z"),
    "iso with an offset": (lambda row: ago(row, "%Y-%m-%dT%H:%M:%S+02:00"), "%Y-%m-%dT%H:%M:%S%z"),
    "american": (lambda row: ago(row, "%-m/%-d/%Y %I:%M:%S %p"), "%m/%d/%Y %I:%M:%S %p"),
    "day first": (lambda row: ago(row, "%d/%m/%Y %H:%M:%S"), "%d/%m/%Y %H:%M:%S"),
    "german": (lambda row: ago(row, "%d.%m.%Y %H:%M"), "%d.%m.%Y %H:%M"),
    "a month's name": (lambda row: ago(row, "%d-%b-%y"), "%d-%b-%y"),
    "two digits of the year": (lambda row: ago(row, "%d/%m/%y"), "%d/%m/%y"),
    "months": (lambda row: ago(row, "%Y-%m", timedelta(days=31)), "%Y-%m"),
    "weeks": (lambda row: ago(row, "%G-W%V", timedelta(days=7)), "%G-W%V"),
}
NEARLY_TIMES: dict[str, tuple[Callable[[int], object], object]] = {
    "seconds": (lambda row: int(START.timestamp()) + row * 25_200, "epoch"),
    "milliseconds": (lambda row: (int(START.timestamp()) + row * 25_200) * 1000, "epoch_ms"),
    "without marks": (lambda row: ago(row, "%Y%m%d"), "%Y%m%d"),
    "two formats": (lambda row: ago(row, "%Y-%m-%d" if row % 3 else "%d.%m.%Y"), ["%Y-%m-%d", "%d.%m.%Y"]),
    "a word": (lambda row: "n.a." if row % 90 == 8 else ago(row, "%d.%m.%Y"), "%d.%m.%Y"),
}


@pytest.mark.parametrize("kind", [*TIMES, *NEARLY_TIMES])
def test_a_time_is_found_and_splits_the_file(models: Path, tmp_path: Path, kind: str) -> None:
    cell, form = (TIMES | NEARLY_TIMES)[kind]
    file = file_of(tmp_path, cell, header="ts,n,y")
    config, lines = look(models, file, TAKEN)
    column = config.data.tables["rows"].columns["ts"]
    assert (column.kind.name, column.format) == ("timestamp", form)
    assert config.data.time == "ts"
    if kind == "a word":
        assert "the split is random" in lines
        assert "ts is missing in 4 of 300 rows" in lines
    else:
        assert config.split.kind == "time"
        assert "the split is by time: by ts, in which the file is ordered" in lines
    config, lines = look(models, file, ASKED)
    assert ("ASSUME=yes does" in lines) == (kind in NEARLY_TIMES)
    assert config.data.tables["rows"].kinds["ts"].is_time == (kind in TIMES)


def test_every_format_that_may_be_found_may_be_declared() -> None:
    for form in FORMATS:
        assert Column(kind=TIMESTAMP, format=form).formats == (form,)


def test_a_zone_s_name_and_a_birthday_are_not_taken_for_the_row_s_time(models: Path, tmp_path: Path) -> None:
    config, lines = look(models, file_of(tmp_path, lambda row: ago(row, "%Y-%m-%d %H:%M CET")), TAKEN)
    assert "x looks like a time with a zone's name in 300 of 300 rows" in lines
    assert config.data.time is None
    config, _ = look(models, file_of(tmp_path, lambda row: ago(row, "%Y-%m-%d"), header="birth_date,n,y"), TAKEN)
    assert (config.data.time, config.features.exclude) == (None, ["birth_date"])


def test_a_date_and_a_time_apart_tell_a_moment(models: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, lambda row: ago(row, "%d/%m/%Y,%H.%M.%S"), header="Date,Time,n,y")
    _, lines = look(models, file, ASKED)
    assert "Date and Time form a time together in 300 of 300 rows ('01/01/2024 00.00.00')" in lines
    config, _ = look(models, file, TAKEN)
    moment = config.data.tables["rows"].moment
    assert moment is not None
    assert moment.of == {"Date": "%d/%m/%Y", "Time": "%H.%M.%S"}
    assert (config.data.time, config.features.exclude) == ("moment", ["Date", "Time"])


def test_a_workbook_may_have_a_title_and_its_days_and_hours_apart(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "seen.xlsx"
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet("data")
        day, hour = (book.add_format({"num_format": form}) for form in ("dd.mm.yyyy", "hh:mm"))
        sheet.merge_range("A1:D1", "Readings of June")
        sheet.write_row("A3", ["Date", "Time", "n", "y"])
        for row in range(ROWS):
            moment = START + timedelta(hours=7 * row)
            sheet.write_datetime(row + 3, 0, moment.replace(hour=0), day)
            sheet.write_datetime(row + 3, 1, moment.time(), hour)
            sheet.write_row(row + 3, 2, [row % 10, "yes" if row % 10 > 7 else "no"])
    with pytest.raises(JobError, match=r"seen.xlsx, line 1: 'Readings of June' is not a header; line 3 seems to be"):
        look(models, file, ASKED)
    config, lines = look(models, file, TAKEN)
    table = config.data.tables["rows"]
    assert table.moment is not None
    assert table.moment.of == {"Date": "%Y-%m-%d 00:00:00", "Time": "%H:%M:%S"}
    assert (table.file, table.skip_lines, config.data.time) == ("seen.xlsx", 2, "moment")
    assert "the split is by time" in lines


def test_decimal_commas_tell_what_dots_mean(models: Path, tmp_path: Path) -> None:
    file = file_of(
        tmp_path, lambda row: f"{row},5;{f'1.{row:03}' if row % 9 else 987}", header="a,b,n,y", delimiter=";"
    )
    config, lines = look(models, file, TAKEN)
    table = config.data.tables["rows"]
    assert (table.delimiter, table.columns["a"].decimal) == (";", ",")
    assert (table.columns["b"].decimal, table.columns["b"].thousands) == (",", ".")
    assert "b has dots before three digits" in lines


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (lambda row: f"{row},5;1.{row:03}", "number"),  # or three decimals, as a program writes them
        (lambda row: f'"{row},5","1,{row:03}"', "string"),
        (lambda row: f"{row},5;1,{row % 9} K", "string"),  # a unit that is none stays doubtful
    ],
)
def test_what_may_be_thousands_or_decimals_is_not_assumed(
    models: Path, tmp_path: Path, cells: Callable[[int], object], kind: str
) -> None:
    delimiter = ";" if ";" in str(cells(0)) else ","
    config, lines = look(models, file_of(tmp_path, cells, header="a,b,n,y", delimiter=delimiter), TAKEN)
    columns = config.data.tables["rows"].columns
    assert (columns["a"].decimal, columns["b"].kind.name) == (",", kind)
    assert "it may mean something else, so ASSUME=yes does not" in lines


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            lambda row: -999 if row % 20 == 0 else 40 + row % 90,
            "x is -999 in 15 of 300 rows, all others from 40 to 129",
        ),
        (lambda row: f"{row} {'km' if row % 2 else 'mi'}", "x has numbers with 2 different units in 300 of 300 rows"),
        (lambda row: f"{1000 + row:05}", "x stays a text, though its cells are digits: zeros lead ('01000'"),
        (lambda row: 98765432109876543210 + row, "they are too long to count ('98765432109876543210'"),
        (lambda row: "low" if row == 5 else row, "x is a number but for 1 of 300 rows ('low')"),
    ],
)
def test_what_only_a_person_knows_is_said_and_left(
    models: Path, tmp_path: Path, cell: Callable[[int], object], said: str
) -> None:
    config, lines = look(models, file_of(tmp_path, cell), TAKEN)
    assert said in lines
    assert config.data.tables["rows"].columns["x"].null_words == []


@pytest.mark.parametrize("cell", [lambda row: f"{row:08x}-{row * 7919:04x}", lambda row: f"user{row}@example.org"])
def test_ids_in_letters_and_digits_stay_texts(models: Path, tmp_path: Path, cell: Callable[[int], object]) -> None:
    config, lines = look(models, file_of(tmp_path, cell), TAKEN)
    assert config.data.key == ["x"]
    assert "nearly" not in lines


@pytest.mark.parametrize(
    ("header", "key", "excluded"),
    [
        (",n,y", "column_1", []),
        ("row_number,n,y", "row_number", []),
        ("b,n,y", "b", []),
        ("prediction,n,y", "row_number", ["prediction"]),
        ("customerID,n,y", "customerID", []),
    ],
)
def test_counters_and_nameless_columns_are_ids(
    models: Path, tmp_path: Path, header: str, key: str, excluded: list[str]
) -> None:
    config, _ = look(models, file_of(tmp_path, lambda row: row, header=header), ASKED)
    assert (config.data.key, config.features.exclude) == ([key], excluded)


def test_a_counter_that_starts_again_is_not_a_feature(models: Path, tmp_path: Path) -> None:
    config, lines = look(models, file_of(tmp_path, lambda row: row % 150, header="row_number,n,y"), ASKED)
    assert (config.data.key, config.features.exclude) == (["row_number_2"], ["row_number"])
    assert "row_number (counts rows)" in lines


FORMS: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "semicolons": ({"delimiter": ";"}, {"delimiter": ";"}),
    "tabs": ({"delimiter": "\t", "name": "seen.tsv"}, {"delimiter": "\t"}),
    "bars": ({"delimiter": "|", "name": "seen.txt"}, {"delimiter": "|"}),
    "sep=": ({"before": "sep=;\r\n", "delimiter": ";", "end": "\r\n"}, {"delimiter": ";"}),
    "windows-1252": ({"header": "größe,n,y", "encoding": "cp1252"}, {"encoding": "cp1252"}),
    "utf-16": ({"encoding": "utf-16"}, {"encoding": "utf-16"}),
    "utf-16 without its mark": ({"encoding": "utf-16-le"}, {"encoding": "utf-16-le"}),
    "comments": ({"before": "# made by a logger\n# in June\n"}, {"skip_lines": 2}),
    "header after #": ({"before": "# from a logger\n", "header": "#x,n,y"}, {"skip_lines": 1}),
    "a title": ({"before": "Readings of June\n\n"}, {"skip_lines": 2}),
    "a mark of UTF-8": ({"encoding": "utf-8-sig"}, {}),
    "two marks of UTF-8": ({"encoding": "utf-8-sig", "before": "\ufeff"}, {}),
    "utf-32": ({"encoding": "utf-32"}, {"encoding": "utf-32"}),
    "a quoted header": ({"header": '"x","n","y"'}, {}),
    "CR": ({"end": "\r"}, {}),
    "blanks in the header": ({"header": " x , n,y "}, {}),
    "a name with blanks": ({"name": "seen (1) twice.csv"}, {}),
    "rows that end in a mark": ({"header": "x,n,y,"}, {}),
}
NEED_A_WORD = ("windows-1252", "utf-16", "utf-32", "utf-16 without its mark", "comments", "a title", "header after #")


@pytest.mark.parametrize("kind", FORMS)
def test_how_a_file_is_written_is_found(models: Path, tmp_path: Path, kind: str) -> None:
    options, declared = FORMS[kind]
    file = file_of(tmp_path, lambda row: row / 7, **options)  # type: ignore[arg-type]
    if kind == "rows that end in a mark":
        file.write_text(file.read_text().replace("yes\n", "yes,\n").replace("no\n", "no,\n"))
    if kind in NEED_A_WORD:
        with pytest.raises(JobError, match=r"seen.csv, line 1.*ASSUME=yes takes it so"):
            look(models, file, ASKED)
    config, _ = look(models, file, TAKEN)
    table = config.data.tables["rows"].model_dump(exclude_defaults=True)
    assert {name: table[name] for name in ("delimiter", "encoding", "skip_lines") if name in table} == declared
    assert config.data.label == "y"
    assert config.data.tables["rows"].columns.keys() >= {"n", "y"}
    assert config.schedule.score == "0 1 * * *"
    assert config.schedule.monitor is not None


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.zst", ".parquet"])
def test_a_packed_file_is_the_same(models: Path, tmp_path: Path, ending: str) -> None:
    text = file_of(tmp_path, lambda row: row / 7)
    packed = tmp_path / f"packed{ending}"
    if ending == ".parquet":
        pl.read_csv(text).write_parquet(packed)
    else:
        with pa.CompressedOutputStream(packed, "gzip" if ending.endswith("gz") else "zstd") as file:
            file.write(text.read_bytes())
    config, _ = look(models, packed, ASKED)
    table = config.data.tables["rows"]
    assert (table.file, table.kinds["x"].name, config.data.label) == ("packed.csv", "number", "y")


def test_a_file_without_a_header_is_given_names(models: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, lambda row: row / 7, header="5.1,3,no")
    with pytest.raises(JobError, match=r"line 1: 5.1, 3, no is a row, not a header"):
        look(models, file, ASKED)
    config, _ = look(models, file, TAKEN)
    assert (config.data.tables["rows"].header, config.data.label) == (False, "column_3")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("\n9,", "\n9,9,", 1), r"line 11, column 4: 4 fields instead of 3"),
        (lambda text: text.replace("\n9,", "\n<<<<<<< HEAD\n9,", 1), r"line 11, column 1: a mark of a merge conflict"),
        (
            lambda text: text.replace("x,n,y", "'x','n','y'"),
            r"line 1: the names are in single quotes \('x',",
        ),
        (lambda text: "file_line" + text[1:], r"line 1, column 1: a column cannot be called 'file_line'"),
        (lambda text: "*" + text[1:], r"line 1, column 1: a column cannot be called '\*', which stands for several"),
        (lambda text: "^x$" + text[1:], r"line 1, column 1: a column cannot be called '\^x\$'"),
        (lambda text: text.replace("x,n,y", "n,y"), r"line 2, column 3: every row has 3 fields instead of 2"),
        (lambda text: text.replace(",", " "), r"has one column, 'x n y': a comma, a semicolon, a tab or |"),
        (lambda text: text + text, r"line 302: the header is repeated. Remove it there."),
        (lambda text: text.replace("\n", "\ncm,kg,class\n", 1), r"line 2: 'cm, kg, class' seems to be a second line"),
        (lambda text: text.replace("\n9,", '\n"9,', 1), r"column x: found a quote that is opened in line 11"),
        (lambda text: text + "\0" * 50, r"column x: found a byte 0x00 in line 302; allowed: UTF-8 text. Was it copied"),
        (lambda text: text.replace("\n9,", "\n\0,", 1), r"column x: found a byte 0x00 in line 11"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    models: Path, tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    file = file_of(tmp_path, lambda row: row)
    file.write_text(change(file.read_text()))
    with pytest.raises(JobError, match=words):
        look(models, file, TAKEN)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("n,n,y", "2 columns are called n: the later ones are n_2"),
        ("N,n,y", "N and n differ only in case"),
        (",n,y", "without a name, and named by position: column_1"),
    ],
)
def test_unusual_names_are_said(models: Path, tmp_path: Path, header: str, said: str) -> None:
    assert said in look(models, file_of(tmp_path, lambda row: row / 7, header=header), ASKED)[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SEEN.CSV", "Rename it: seen.csv."),
        ("seen.csv.GZ", "Rename it: seen.csv.gz."),
        ("seen", "Rename it: seen.csv."),
        ("seen.dat", "Rename it: seen.csv."),
        ("", "is a folder; name the file in it"),
    ],
)
def test_a_file_s_name_is_corrected(models: Path, tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(JobError, match=said):
        look(models, file_of(tmp_path, lambda row: row, name=name or "seen.csv") if name else tmp_path, ASKED)


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "mac_roman", "cp437"])
def test_an_encoding_that_is_not_western_is_not_assumed(models: Path, tmp_path: Path, encoding: str) -> None:
    word = "größe" if encoding in ("mac_roman", "cp437") else "東京"
    with pytest.raises(JobError, match=r"line 2, column 1: a byte .* is not UTF-8.*say what it is"):
        look(models, file_of(tmp_path, lambda _: word, encoding=encoding), TAKEN)


def test_another_alphabet_is_not_assumed(models: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, lambda row: ("Привет", "Москва")[row % 2], encoding="cp1251")
    with pytest.raises(JobError, match=r"line 2, column 1: a byte 0xcf is not UTF-8.*ENCODING=windows-1251"):
        look(models, file, TAKEN)
    config, _ = look(models, file, Wishes(encoding="windows-1251"))
    assert config.data.tables["rows"].encoding == "cp1251"
    suite = (models / "seen" / "expectations" / "rows.json").read_text(encoding="utf-8")
    assert "Привет" in suite


@pytest.mark.parametrize(
    ("words", "classes", "said"),
    [
        (("Yes", "no "), ["no", "Yes"], "positive: Yes, its name says so; to swap: POSITIVE=no"),
        (("0.0", "1.0"), ["0", "1"], "positive: 1"),
        (("benign", "malignant"), ["benign", "malignant"], "positive: malignant"),
        ((" red", "blue"), ["red", "blue"], "positive: blue, the rarer"),
        (("1", "2"), ["1", "2"], "positive: 2, the rarer"),
        (("1", "-1"), ["-1", "1"], "positive: 1, its name says so"),
    ],
)
def test_the_positive_class_is_said(
    models: Path, tmp_path: Path, words: tuple[str, str], classes: list[str], said: str
) -> None:
    file = file_of(tmp_path, lambda row: row)
    text = file.read_text().replace(",no\n", f",{words[0]}\n").replace(",yes\n", f",{words[1]}\n")
    file.write_text(text)
    config, lines = look(models, file, ASKED)
    assert config.data.classes == classes
    assert said in lines
    config, _ = look(models, file, Wishes(positive=classes[0]))
    assert config.data.classes == classes[::-1]


def test_classes_that_differ_in_case_alone_are_named(models: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, lambda row: row)
    file.write_text(file.read_text().replace(",no\n", ",NO\n", 20))
    with pytest.raises(JobError, match=r"(NO and no|no and NO) differ only in case: spell them alike"):
        look(models, file, ASKED)


def test_texts_with_line_breaks_are_declared(models: Path, tmp_path: Path) -> None:
    config, lines = look(models, file_of(tmp_path, lambda row: f'"first\nsecond {row % 3}"'), ASKED)
    assert config.data.tables["rows"].columns["x"].multiline
    assert "x has line breaks within its texts in 300 of 300 rows" in lines


def test_a_row_that_adds_up_the_others_is_pointed_at(models: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, lambda row: ("Graz", "Linz")[row % 2])
    file.write_text(file.read_text() + "Total,1350,\n")
    assert "line 302 seems to be a total of the others ('Total')" in look(models, file, ASKED)[1]
    with_mean = file_of(tmp_path, lambda row: "mean" if row == 5 else "max")
    assert "seems to be a total" not in look(models, with_mean, ASKED)[1]
