"""A day's scores in the terminal, and in a file: ``python -m include.client <model> <day> [file.csv or .parquet]``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import boto3
import polars as pl

from include.client.client import Client, ClientError, over_http
from include.jobs.serving.reasons import risks_of
from include.models.config.columns import PROBABILITY
from include.models.score_table import score_table

TOP = 10


def shown(scores: pl.DataFrame) -> str:
    """The number of scores, their distribution, and the rows with the highest risk."""
    prediction = scores["prediction"]
    lines = [f"{scores.height:,} {'row' if scores.height == 1 else 'rows'}"]
    if prediction.dtype == pl.String:
        counts = prediction.value_counts(sort=True)
        lines += [f"{label:24}{count:8,}  {count / scores.height:7.2%}" for label, count in counts.iter_rows()]
        columns = [name for name in scores.columns if name.startswith(PROBABILITY)]
        ranked = scores.with_columns(pl.Series("risk", risks_of(scores, columns))).sort("risk", descending=True)
        ranked = ranked.with_columns(pl.col("risk").round(4))
        lines.append(f"highest risk, at most {TOP}:")
    else:
        mean, least, most = scores.select(
            mean=pl.col("prediction").mean(), least=pl.col("prediction").min(), most=pl.col("prediction").max()
        ).row(0)
        lines.append(f"mean {mean:.4g}, from {least:.4g} to {most:.4g}")
        ranked = scores.sort("prediction", descending=True)
        lines.append(f"highest, at most {TOP}:")
    return "\n".join([*lines, score_table(ranked.head(TOP))])


def main(argv: list[str]) -> int:
    model, day, *out = argv
    try:
        client = Client(over_http("http://127.0.0.1"), boto3.Session(), os.environ["BUCKET"])
        scores = client.scores(model, day)
        print(f"{model}, {day}: {shown(scores)}")
        for file in map(Path, out):
            if file.suffix.lower() == ".parquet":
                scores.write_parquet(file)
            else:
                scores.write_csv(file)
            print(f"written to {file}")
    except (ClientError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
