# Airflow as Amazon MWAA lays it out: Airflow 3.3.1 on Python 3.12 under /usr/local/airflow, run by the user airflow, with
# the packages of MWAA's own image and then, as MWAA does it, requirements.txt. For docker-compose.yaml; MWAA has its own.
FROM python:3.12-slim-bookworm

ENV AIRFLOW_HOME=/usr/local/airflow \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

RUN useradd --uid 1000 --home-dir "$AIRFLOW_HOME" --create-home --shell /usr/sbin/nologin airflow

# A package index of one's own is taken from the environment of whoever builds. Its address stays in the image's history:
# it must hold no password.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL

# requirements.txt names the constraints where MWAA finds them: shipped with the Dags
COPY constraints.txt $AIRFLOW_HOME/dags/
RUN pip install --constraint "$AIRFLOW_HOME/dags/constraints.txt" \
      apache-airflow==3.3.1 \
      apache-airflow-providers-amazon \
      apache-airflow-providers-celery \
      apache-airflow-providers-common-compat \
      apache-airflow-providers-common-io \
      apache-airflow-providers-common-sql \
      apache-airflow-providers-fab \
      apache-airflow-providers-http \
      apache-airflow-providers-postgres \
      apache-airflow-providers-smtp \
      apache-airflow-providers-standard \
      aiobotocore \
      asyncpg

COPY requirements.txt $AIRFLOW_HOME/requirements/
RUN pip install --requirement "$AIRFLOW_HOME/requirements/requirements.txt"

COPY include/ops/local_stack/healthcheck.py /usr/local/bin/healthy

# a named volume takes its owner from the folder that it covers
RUN mkdir -p "$AIRFLOW_HOME/logs" "$AIRFLOW_HOME/plugins" && chown airflow: "$AIRFLOW_HOME" "$AIRFLOW_HOME/logs"

USER airflow
WORKDIR $AIRFLOW_HOME
EXPOSE 8080
ENTRYPOINT ["airflow"]
