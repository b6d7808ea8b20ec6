"""The Athena table of a model's scores: Glue's definition, for the templates and for ``create_table``.

Its partitions are projected from dates, so none has to be added. Athena reads each day's list of files, which is one
object: it sees either the old scores or the new ones, never a mix.
"""

from __future__ import annotations

from typing import Any

from include.models.config import ModelConfig
from include.models.config.columns import key_columns, probability_columns
from include.platform.borders import description
from include.platform.storage import scores_links

FIRST_DAY = "2015-01-01"


def scores_table(model: ModelConfig, bucket: str) -> dict[str, Any]:
    """Glue's ``TableInput``: ``scores_<model>``, partitioned by ``date``."""
    kinds = {name: kind for table in model.data.tables.values() for name, kind in table.kinds.items()}
    named = key_columns(model.data.key)
    columns = {named[column]: kinds[column].glue if column in kinds else "string" for column in model.data.key}
    if model.problem == "regression":
        columns["prediction"] = "double"
    else:
        columns["prediction"] = "string"
        columns |= dict.fromkeys(probability_columns(model.data.classes or []).values(), "double")
    if model.explain:
        columns["reasons"] = "string"
    location = f"s3://{bucket}/{scores_links(model.name)}"
    return {
        "Name": f"scores_{model.name}",
        "Description": description(f"Daily scores: {model.description}"),
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": "date", "Type": "string"}],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "projection.enabled": "true",
            "projection.date.type": "date",
            "projection.date.format": "yyyy-MM-dd",
            "projection.date.range": f"{FIRST_DAY},NOW",
            "storage.location.template": f"{location}date=${{date}}/",
        },
        "StorageDescriptor": {
            "Columns": [{"Name": name.lower(), "Type": kind} for name, kind in columns.items()],
            "Location": location,
            "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
        },
    }
