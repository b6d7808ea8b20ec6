"""How pages and sentences write numbers, and that every reader can see what they show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.models import pages as look
from include.models.config.wording import counted
from include.platform.pages import short

CSS = (Path(look.__file__).parent / "page.css").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (0.91234, "0.9123"),
        (0.7, "0.7"),
        (-12.3456, "-12.35"),
        (1234.5, "1,234"),
        (999_999, "999,999"),
        (4_788_000_000, "4.788e9"),
        (-1e6, "-1e6"),
        (0.0001, "0.0001"),
        (3.2e-7, "3.2e-7"),
    ],
)
def test_numbers_have_four_digits_that_count_and_stay_short(value: float | None, text: str) -> None:
    assert short(value) == text
    assert len(text) <= 9, "it fits a tile and beside an axis"


def test_things_are_counted_in_english() -> None:
    assert [counted(number, "row") for number in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_marks_stand_out_from_the_page_in_light_and_dark() -> None:
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in CSS.split("@media", 2)[:2])
    for colours in (light, dark):
        for mark in ("before", "link", "other"):
            for behind in ("paper", "back"):
                assert _contrast(colours[mark], colours[behind]) >= 3, f"{mark} on {behind}"


def test_backgrounds_that_mean_something_are_printed() -> None:
    assert "print-color-adjust: exact" in CSS.partition("@media print")[2]


def _contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
