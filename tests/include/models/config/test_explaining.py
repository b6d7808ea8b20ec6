"""The error about an invalid model.yaml names the line, and says what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.models.config import MODELS_FOLDER, ConfigError, load_model

MODEL = "tabular_classifier"
TEXT = (MODELS_FOLDER / MODEL / "model.yaml").read_text(encoding="utf-8")


def refusal(folder: Path, content: str | bytes) -> str:
    file = folder / MODEL / "model.yaml"
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as error:
        load_model(MODEL, folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("owner: ml: platform", "mapping values are not allowed"),
        ("owner: [ml", "expected ',' or ']'"),
        ("owner: 'ml", "did not find expected key"),
        ("\towner: ml", "found a tab character"),
        ("owner: {ml: 1, ml: 2}", "the key 'ml' twice"),
        ("owner: *nobody", "undefined alias"),
        ("owner: !!python/object:os.system x", "could not determine a constructor"),
        ("? [a, b]\n: c", "a key that is not a text"),
        ("owner: ml\x07", "control characters are not allowed"),
        ("<<<<<<< HEAD", "could not find expected ':'"),
        ("since: 2024-13-45", "month must be in 1..12"),
        ("since: !!int ", "a value that is empty"),
    ],
)
def test_what_is_not_yaml_has_a_file_and_a_line(tmp_path: Path, line: str, words: str) -> None:
    before, _, after = TEXT.partition("owner: ml-platform\n")
    message = refusal(tmp_path, f"{before}{line}\n{after}")
    assert f"{tmp_path.name}/{MODEL}/model.yaml:" in message
    assert "is not valid YAML" in message
    assert words in message


def test_the_line_of_a_syntax_error_is_its_own(tmp_path: Path) -> None:
    message = refusal(tmp_path, TEXT.replace("  key: [UDI]\n  label", "  key: UDI: x\n  label"))
    number = TEXT.count("\n", 0, TEXT.index("  key: [UDI]\n  label")) + 1
    assert f"model.yaml:{number}: is not valid YAML" in message


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    message = refusal(tmp_path, TEXT.replace("Whether a", "Whether a Fräse").encode("latin-1"))
    assert "model.yaml:3: is not UTF-8: the byte 0xe4. Save the file as UTF-8" in message


def test_a_key_that_yaml_takes_for_something_else(tmp_path: Path) -> None:
    message = refusal(tmp_path, TEXT.replace("        TWF: integer", "        on: integer"))
    assert "data.tables.rows.columns: a key is read as True: quote it to make it a text" in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "owner: ml-platform",
            "owner: no",
            "owner: Input should be a valid string; found False: quote it to make it a text",
        ),
        ("learning_rate: 0.03", "learning_rate: null", "learning_rate: allowed is a number or a text or true or false"),
        ("test_share: 0.2", "test_share: 0,2", "found '0,2'. Written as a number: 0.2"),
        ("learning_rate: 0.03", "learning_rate: .inf", "allowed is a number or a text or true or false; found inf.$"),
        ("  label: Machine failure\n", "", "data.label: is missing"),
        ("test_share: 0.2", "test_share: 1.2", "split.test_share: Input should be less than 0.9; found 1.2.$"),
        ("        TWF: integer", "        TWF: intiger", "or 'string'; found 'intiger'.$"),
        ("        TWF: integer", "        TWF: {kind: timestamp, format: DD.MM.YYYY}", "allowed is strptime's letters"),
        (
            "        TWF: integer",
            "        TWF: {kind: timestamp, format: 2024}",
            "a text or a list of texts; found 2024",
        ),
        ("        TWF: integer", "        TWF: {kind: timestamp, format: {}}", "should be a text or a list of texts"),
        ("        TWF: integer", "        TWF: {kind: timestamp, format: [x]}", "TWF.format.0: allowed is strptime's"),
        ("        TWF: integer", "        TWF: {kind: timestamp, format: '%Y-%m-%Q'}", "format has '%Q', which is not"),
        ("        TWF: integer", "        TWF: {kind: timestamp, format: '%d.%m. %H:%M'}", "format has no year"),
        ("        TWF: integer", "        TWF: {kind: timestamp, format: '%d.%m.%Y %'}", "format has '%', which"),
        ("instance_type: ml.m5.large", "instance_type: m5.large", "an instance type of SageMaker, such as ml.m5.large"),
        ("file: ai4i2020.csv", "file: raw/ai4i2020.csv", "a file name without folders that ends in .csv"),
        ("  score: ", "  score: 0 25 * * * # ", "allowed is a minute and an hour of each day, such as 30 2"),
        ("  train: ", "  train: 0 4 * * 9 # ", "a cron expression's day of a week is 0 to 7, not 9"),
        ("  train: ", "  train: 4 o'clock # ", "allowed is a cron expression of five fields"),
        ("  - {metric: f1, interval: true, min: 0.70}", "  - f1", "gates.0: "),
    ],
)
def test_a_wrong_value_has_the_line_of_its_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    message = refusal(tmp_path, TEXT.replace(old, new, 1))
    assert re.search(words, message, re.MULTILINE)
    assert message.count("model.yaml:") == 1, "no error that only follows from it"
    where = old if new else "data:"
    assert f"model.yaml:{TEXT.count(chr(10), 0, TEXT.index(where)) + 1}: " in message


def test_a_shipped_file_is_named_as_the_tree_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    message = refusal(folder, TEXT.replace("{metric: f1, interval", "{metric: f11, interval"))
    number = TEXT.count("\n", 0, TEXT.index("{metric: f1,")) + 1
    assert message.startswith(
        f"include/models/{MODEL}/model.yaml:{number}: gates.0.metric: there is no metric 'f11'. Did"
    )
