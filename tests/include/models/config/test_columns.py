"""Labels of any kind become column names that Athena and Parquet allow."""

from __future__ import annotations

import re

from include.models.config.columns import key_columns, probability_columns


def test_labels_of_letters_stay_as_they_are() -> None:
    assert probability_columns(["none", "comp1", "TWF"]) == {
        "none": "probability_none",
        "comp1": "probability_comp1",
        "TWF": "probability_TWF",
    }


def test_labels_of_any_kind_have_a_column_each() -> None:
    labels = ["<=50K", ">50K", "a", "A", "a b", "a,b", "", "🚀", "日本", "x" * 300, "x" * 301, "50K_2"]
    columns = list(probability_columns(labels).values())
    assert all(re.fullmatch("[A-Za-z0-9_]{1,127}", column) for column in columns)
    assert len({column.lower() for column in columns}) == len(labels)
    assert columns[:2] == ["probability_50K", "probability_50K_2"]


def test_a_part_of_a_key_is_not_taken_for_the_table_s_own_columns() -> None:
    assert key_columns(["date", "Reasons", "shop"]) == {"date": "date_2", "Reasons": "Reasons_2", "shop": "shop"}


def test_the_parts_of_a_key_have_a_column_each() -> None:
    assert key_columns(["order no", "order_no", "machineID", "_x"]) == {
        "order no": "order_no",
        "order_no": "order_no_2",
        "machineID": "machineID",
        "_x": "_x",
    }
