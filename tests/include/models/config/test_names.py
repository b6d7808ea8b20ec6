"""A model name that AWS, Athena or Python would not accept is refused when the file is read, with a suggestion."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.models.config import MODELS_FOLDER, ConfigError, load_model, model_names
from include.models.config.names import NAME, nearest, refusal, taken
from include.models.errors import JobError
from include.models.tabular.new_model import new_model
from include.platform.borders import model_group

GROUP = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # botocore's pattern of a ModelPackageGroupName
REFUSED = {
    "churn_": "churn",  # CreateModelPackageGroup refuses churn-
    "_churn": "churn",
    "churn__": "churn",
    "Churn": "churn",
    "CHURN_EU": "churn_eu",
    "churn-eu": "churn_eu",
    "churn eu": "churn_eu",
    "churn.eu": "churn_eu",
    "2churn": "model_2churn",
    "2024": "model_2024",
    "c": "c_model",
    "": "model",
    "größe": "groe",  # ß has no ASCII equivalent
    "café": "cafe",
    "x" * 64: "x" * 40,
    "x" * 39 + "_y": "x" * 39,
    "churn\n": "churn",
    "../churn": "churn",
}
TAKEN = {
    "file": "the Dag score_file",
    "class": "a word of Python",
    "config": "include.models.config is code of all models",
    "raw": "include.models.raw",
    "tabular": "include.models.tabular",
    "errors": "include.models.errors",  # a folder of this name would be imported instead
    "loader": "include.models.loader",
    "interface": "include.models.interface",
    "quoting": "include.models.quoting",
}


def written(folder: Path, name: str, home: str | None = None) -> Path:
    """A model's folder, complete except for its name."""
    made = folder / (home or name)
    shutil.copytree(MODELS_FOLDER / "tabular_classifier", made)
    text = (made / "model.yaml").read_text()
    (made / "model.yaml").write_text(text.replace("name: tabular_classifier", f"name: {name!r}"))
    return folder


@pytest.mark.parametrize(("name", "instead"), [one for one in REFUSED.items() if re.fullmatch(r"[\w. -]+", one[0])])
def test_a_model_yaml_is_refused_with_the_nearest_name(tmp_path: Path, name: str, instead: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_model(name, written(tmp_path, name))
    message = str(refused.value)
    assert (
        f"name: allowed is 2 to 40 lower-case letters, digits and _, a letter first, _ not at the end; found {name!r}"
        in message
    )
    assert message.endswith(f"The nearest name is '{instead}'.")


def test_a_folder_that_no_model_can_have_is_said_where_the_file_has_another_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_model("churn_", written(tmp_path, "churn", home="churn_"))
    message = str(refused.value)
    assert "name is 'churn', but the folder is 'churn_'" in message
    assert "the folder 'churn_' has a name that no model can have: allowed is" in message


@pytest.mark.parametrize(("name", "why"), TAKEN.items())
def test_a_name_that_is_taken_is_refused_with_who_has_it(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"name: it is taken: .*{why}") as refused:
        load_model(name, written(tmp_path, name))
    assert f"The nearest name is '{name}_model'" in str(refused.value)


@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_a_new_model_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data.csv"
    data.write_text("a,b\n1,2\n")
    instead = REFUSED.get(name, f"{name}_model")
    with pytest.raises(JobError, match=f"cannot be a model's name: .*The nearest name is '{instead}'"):
        new_model(name, "binary", data, folder=tmp_path / "models")
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.parametrize("name", ["ab", "a1", "a__b", "a_1", "x" * 40, "churn_staging", "files", *model_names()])
def test_a_name_that_all_take_is_allowed(name: str) -> None:
    assert refusal(name) is None
    assert GROUP.fullmatch(model_group(name))


@given(st.text(max_size=80))
@example("file")
@example("_" * 64)
@example("a" * 39 + "_b")
def test_the_nearest_name_can_be_taken_as_it_is(text: str) -> None:
    name = nearest(text)
    assert refusal(name) is None
    assert re.fullmatch(NAME, name)
    assert taken(name) is None
    assert GROUP.fullmatch(model_group(name))


def test_a_table_is_named_as_strictly(tmp_path: Path) -> None:
    home = written(tmp_path, "churn") / "churn" / "model.yaml"
    home.write_text(home.read_text().replace("    rows:\n", "    Rows-of-2024:\n", 1))
    with pytest.raises(ConfigError, match=r"data\.tables.*allowed is 2 to 40.*The nearest name is 'rows_of_2024'"):
        load_model("churn", tmp_path)
