"""Where everything lies in S3. With ``run_folders``, which has what runs write, the only place that spells a key. Pure;
nothing here talks to S3.

raw/<model>/<table>.csv[.gz|.zst]         raw data; also .tsv, .txt, .data, .xlsx, .parquet
daily/<model>/date=<day>/<table>.csv...   one day's raw data, to be scored; replay/ in it: rejected rows, corrected
scores/<model>/date=<day>/...             one day's scores: Parquet, and _SUCCESS.json, which names them
scores_athena/<model>/date=<day>/files    the same names for Athena
monitoring/<model>/date=<day>/...         the day's verdict: drift.json, report.html
monitoring/<model>/date=<day>/captured.json  the counted requests to its production endpoint that day
monitoring/<model>/traffic/...            verdicts on the endpoint of a model that is also scored daily, and told.json
monitoring/<model>/told.json              the last notification about it
monitoring/<model>/probes.json            the newest probes of the production endpoint
labels/<model>/date=<day>/<file>          key and label of the day's rows, where no raw table has the truth
performance/<model>/date=<day>/...        performance.json, once labels arrive; rows.parquet, to_label.csv;
                                          version=<n>/ for a candidate that scored the day beside production, or was
                                          the endpoint's shadow
code/<hash>/code.zip                      code that runs inside jobs
code/<hash>/scoring.json                  the parts of that code, and of model.yaml, that each model's scores depend on
code/<hash>/training.json                 likewise, that each model's training depends on
runs/<dag_id>/<run folder>/<task_id>/...  what each task of each run wrote
runs/<dag_id>/checks/checks.json          what the Dag's last ten validations found
runs/backfill/<model>/<run folder>/...    what a backfill's jobs read and wrote
artifacts/<model>/<etag>/model.tar.gz     a registered version's artifact, which no job can write
inbox/<model>/<file>                      a file to be scored
outbox/<model>/<file>/manifest.json       its outcome, written last; <version>/ beside it: scores, quarantine/
capture/<endpoint>/...                    requests and responses that endpoints captured
production/<model>/history.json           which version was in production, from when to when
production/<model>/rollback.json          the run of the rollback Dag that may change that
production/<model>/training.json          what the last complete training was made of
production/<model>/costs/<month>.json     what its jobs cost in a month
production/<model>/question.json          the promotion that waits for an answer
index/<model>.json                        what the console shows of a model, derived from all of these
messages/idle.json                        the last notification about idle endpoints
messages/recent.json                      the newest notifications, as the console shows them
"""

from __future__ import annotations

import re

from include.models.config import files

LONGEST_NAME = 255  # bytes of a file's name, on the machines of jobs
CODE_ARCHIVE = "code.zip"
DRIFT = "drift.json"  # the verdict on a day


def raw_prefix(model: str) -> str:
    """Key prefix of one model's raw tables, with its slash."""
    return f"raw/{model}/"


def daily_prefix(model: str) -> str:
    """Key prefix of a model's daily raw partitions, with its slash."""
    return f"daily/{model}/"


def daily_partition(model: str, day: str) -> str:
    """Key prefix of one day's raw data, with its slash. ``day`` is an ISO date, or a template of one."""
    return f"{daily_prefix(model)}{files.day_folder(day)}/"


def day_of(key: str) -> str | None:
    """The day of the partition that a key lies in; None if it lies in none."""
    return files.day_of_folder(key.rpartition("/")[0])


def scores_prefix(model: str) -> str:
    """Key prefix of a model's scores, with its slash: a Hive table partitioned by date."""
    return f"scores/{model}/"


def scores_partition(model: str, day: str) -> str:
    return f"{scores_prefix(model)}{files.day_folder(day)}/"


def scores_manifest(model: str, day: str) -> str:
    """Key of the manifest of a day's scores; without it the day has none."""
    return f"{scores_partition(model, day)}{files.SCORES_MANIFEST}"


def scores_links(model: str) -> str:
    """Key prefix of the lists of files that Athena reads, with a trailing slash."""
    return f"scores_athena/{model}/"


def scores_symlink(model: str, day: str) -> str:
    """Key of the list of a day's files."""
    return f"{scores_links(model)}{files.day_folder(day)}/files"


def labels_partition(model: str, day: str) -> str:
    """Key prefix of a day's files of labels, with its slash."""
    return f"labels/{model}/{files.day_folder(day)}/"


def performance_partition(model: str, day: str) -> str:
    """Key prefix of the performance of a day's scores, once labels arrive, with a trailing slash."""
    return f"{performance_prefix(model)}{files.day_folder(day)}/"


def performance_of(bucket: str, model: str, day: str) -> str:
    return f"s3://{bucket}/{performance_partition(model, day)}{files.PERFORMANCE}"


def challenger_folder(model: str, day: str, version: int) -> str:
    """Key prefix of a day's scores by a candidate, beside those of production, with its slash."""
    return f"{performance_partition(model, day)}{files.VERSION}{version}/"


def performance_prefix(model: str) -> str:
    """Key prefix of the performance of all of a model's days, with a trailing slash."""
    return f"performance/{model}/"


def monitoring_prefix(model: str) -> str:
    """Key prefix of the verdicts on all of a model's days, with a trailing slash."""
    return f"monitoring/{model}/"


def drift_of(bucket: str, model: str, day: str) -> str:
    return f"s3://{bucket}/{monitoring_prefix(model)}{files.day_folder(day)}/{DRIFT}"


def drift_report_of(bucket: str, model: str, day: str) -> str:
    """The same as an HTML report."""
    return _beside(drift_of(bucket, model, day), "report.html")


def captured_day(bucket: str, model: str, day: str) -> str:
    """What a model's production endpoint was asked in a day."""
    return _beside(drift_of(bucket, model, day), files.CAPTURED)


def of_traffic(model: str) -> str:
    """In the place of a model's name in the keys of ``monitoring/``: of its endpoint, where its scores have those."""
    return f"{model}/traffic"


def inbox_object(key: str) -> tuple[str, str] | None:
    """Model and file of a key in the inbox; None for any other key, such as a folder's, and for a name that no file
    system takes."""
    match = re.fullmatch(r"inbox/([^/]+)/([^/]+)", key, re.DOTALL)
    if match is None or match[2] in (".", "..") or len(match[2].encode()) > LONGEST_NAME or "\0" in match[2]:
        return None
    return match[1], match[2]


def inbox_prefix(model: str) -> str:
    """Key prefix of the files to be scored, with a trailing slash."""
    return f"inbox/{model}/"


def inbox_key(model: str, file: str) -> str:
    return f"{inbox_prefix(model)}{file}"


def outbox_prefix(model: str, file: str) -> str:
    """Key prefix of the outcome of an inbox file, with a trailing slash."""
    return f"outbox/{model}/{file}/"


def told_of(bucket: str, model: str) -> str:
    """The last notification about a model's verdicts."""
    return f"s3://{bucket}/{monitoring_prefix(model)}told.json"


def probes_of(bucket: str, model: str) -> str:
    """The newest probes of a model's production endpoint."""
    return f"s3://{bucket}/{monitoring_prefix(model)}probes.json"


def code_archive(code_hash: str) -> str:
    """Key of one version of the job code."""
    return f"code/{code_hash}/{CODE_ARCHIVE}"


def scoring_parts(bucket: str, code_hash: str) -> str:
    """The parts of that code, and of model.yaml, that each model's scores depend on."""
    return f"s3://{bucket}/code/{code_hash}/scoring.json"


def training_parts(bucket: str, code_hash: str) -> str:
    """Likewise, that each model's training depends on."""
    return f"s3://{bucket}/code/{code_hash}/training.json"


def registered_artifact(bucket: str, model: str, etag: str) -> str:
    """A copy of a training's artifact that is written once. ``etag``: the artifact's, without quotes."""
    return f"s3://{bucket}/artifacts/{model}/{etag}/{files.MODEL_ARCHIVE}"


def production_history(bucket: str, model: str) -> str:
    return f"s3://{bucket}/production/{model}/history.json"


def month_costs(bucket: str, model: str, month: str) -> str:
    """What a model's jobs cost in a month (``2026-11``)."""
    return f"s3://{bucket}/production/{model}/costs/{month}.json"


def endpoints_served(bucket: str, model: str) -> str:
    """On what a model's endpoints have run, and when."""
    return f"s3://{bucket}/production/{model}/endpoints.json"


def model_index(model: str) -> str:
    """Key of what the console shows of a model."""
    return f"index/{model}.json"


def recent_messages(bucket: str) -> str:
    return f"s3://{bucket}/messages/recent.json"


def idle_told(bucket: str) -> str:
    """The last notification about idle endpoints, and which they were."""
    return f"s3://{bucket}/messages/idle.json"


def open_question(bucket: str, model: str) -> str:
    return f"s3://{bucket}/production/{model}/question.json"


def rollback_claim(bucket: str, model: str) -> str:
    return f"s3://{bucket}/production/{model}/rollback.json"


def last_training(bucket: str, model: str) -> str:
    return f"s3://{bucket}/production/{model}/training.json"


def data_capture(bucket: str) -> str:
    """SageMaker adds ``/<endpoint>/<variant>/<year>/<month>/<day>/<hour>/``."""
    return f"s3://{bucket}/capture"


def captured(bucket: str, endpoint: str, variant: str) -> str:
    """Folder of what was captured of one endpoint's variant; ``/<year>/<month>/<day>/<hour>/`` follows."""
    return f"{data_capture(bucket)}/{endpoint}/{variant}"


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``.

    Raises:
        ValueError: not an S3 URI.
    """
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", uri)
    if not match:
        raise ValueError(f"'{uri}' is not an S3 URI (s3://bucket/key)")
    return match[1], match[2]


def training_job_of(artifact: str) -> str:
    """The name of the training job that wrote ``.../<job name>/output/model.tar.gz``."""
    return artifact.split("/")[-3]


def golden_requests_of(evaluation_statistics: str) -> str:
    """The golden requests beside the quality statistics that a model package names."""
    return _beside(evaluation_statistics, files.GOLDEN_REQUESTS)


def metrics_of(evaluation_statistics: str) -> str:
    """Likewise, the flat metrics that gates check."""
    return _beside(evaluation_statistics, files.METRICS)


def drift_profile_of(evaluation_statistics: str) -> str:
    """Likewise, the distribution of the training data."""
    return _beside(evaluation_statistics, files.DRIFT_PROFILE)


def reference_of(evaluation_statistics: str) -> str:
    """Likewise, the training data counted by day. Versions from before this existed have none."""
    return _beside(evaluation_statistics, files.REFERENCE)


def _beside(uri: str, name: str) -> str:
    return f"{uri.rsplit('/', 1)[0]}/{name}"
