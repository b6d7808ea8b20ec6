# Every target does its own set-up; 'make help' lists them. AIRFLOW_PORT, SAGEMAKER_PORT, MLFLOW_PORT, LAPTOP_HOME, KAFKA
# (brokers, as host:port), SCHEDULES (1: unpaused Dags of models also run by the clock; read when Airflow starts) and
# START_UP (aws: jobs and endpoints start as slowly as on AWS), given on the command line or in the environment, reach
# the programs as they are.
#
# A value that a person gives is text, never code: recipes read it from the environment, as "$$MODEL". $(MODEL) would have
# make expand what is in it, and the shell read its quotes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# make expands what the command line gives once more when it exports it: taken as it is, it is not
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),\
  $(eval override $(name) := $$(value $(name)))$(eval export $(name))))
export MODEL ?= predictive_maintenance
setup := include/ops/local_stack/setup.sh
program := PYTHONPATH="$$PWD:$$PWD/plugins" PYTHONDONTWRITEBYTECODE=1 .venv/airflow/bin/python -m include
local_stack := $(program).ops.local_stack

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: ## train, evaluate and register a model on this machine: [MODEL=name] [DATA=file.csv or folder of them] [FORCE=1]
	@$(setup) --for run airflow jobs local_sagemaker
	@$(local_stack).run --model="$$MODEL" $${DATA:+--data="$$DATA"} $${FORCE:+--force}

.PHONY: new-model
new-model: ## create a model folder from a file: NAME=... KIND=binary|multiclass|regression DATA=file.csv [TARGET=column] [ASSUME=yes]
	@$(setup) --for new-model airflow jobs
	@PYTHONPATH=. .venv/jobs/bin/python -m include.models.tabular.new_model --name="$${NAME-}" --kind="$${KIND-}" \
	  --data="$${DATA-}" $${TARGET:+--target="$$TARGET"} $${POSITIVE:+--positive="$$POSITIVE"} \
	  $${ENCODING:+--encoding="$$ENCODING"} $${ASSUME:+--assume="$$ASSUME"}
	@PYTHONWARNINGS=ignore $(program).ops.reference dags

.PHONY: promote
promote: ## bring the newest registered version into production: [MODEL=name] [YES=1]
	@$(setup) --for promote airflow jobs local_sagemaker
	@$(local_stack).promote --model="$$MODEL" $${YES:+--yes}

.PHONY: backfill
backfill: ## score past days: FROM=2015-06-01 TO=2015-06-30 [MODEL=name] [VERSION=...] [FORCE=1] [DRY_RUN=1] [BUDGET=usd]
	@$(setup) --for backfill airflow jobs local_sagemaker
	@$(local_stack).backfill --model="$$MODEL" --from="$${FROM-}" --to="$${TO-}" $${VERSION:+--version="$$VERSION"} \
	  $${FORCE:+--force} $${DRY_RUN:+--dry-run} $${BUDGET:+--budget="$$BUDGET"}

.PHONY: replay
replay: ## compare retraining policies on past days: FROM=1997-05-01 TO=1998-04-30 [MODEL=name] [POLICIES="never weekly"] [DATA=folder]
	@$(setup) airflow jobs local_sagemaker
	@AIRFLOW_HOME="$${LAPTOP_HOME:-$$PWD/.local}/airflow" AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR \
	  $(program).ops.replay --model="$$MODEL" --from="$${FROM-}" --to="$${TO-}" $${POLICIES:+--policies="$$POLICIES"} \
	  $${DATA:+--data="$$DATA"}

.PHONY: serve
serve: ## run a model's online service on 127.0.0.1: raw events in, predictions out: [MODEL=name] [PORT=8765]
	@$(setup) --for serve airflow jobs local_sagemaker
	@$(local_stack).serve --model="$$MODEL" $${PORT:+--port="$$PORT"}

.PHONY: score
score: ## score a file or folder with the champion: DATA=file.csv or folder [MODEL=name] [MODE=job|endpoint]
	@$(setup) --for score airflow jobs local_sagemaker
	@$(local_stack).score --model="$$MODEL" --data="$${DATA-}" $${MODE:+--mode="$$MODE"}

.PHONY: scores
scores: ## show a day's scores: rows, shares, the top ones: DAY=2015-06-01 [MODEL=name] [OUT=file.csv or .parquet]
	@$(setup) --for scores airflow jobs local_sagemaker
	@$(local_stack).score --model="$$MODEL" --day="$${DAY-}" $${OUT:+--out="$$OUT"}

.PHONY: kafka-test
kafka-test: ## test the Kafka sink's transactions and fencing on brokers: KAFKA=host:port; without it, on noida-db if installed
	@$(setup) jobs
	@PYTHONPATH=. .venv/jobs/bin/python -m pytest -q -rs tests/include/jobs/sinks/test_kafka_brokers.py

.PHONY: notebooks
notebooks: ## run the notebooks of docs/notebooks on the stack of 'make up'; one of them trains and deploys: [MODEL=name] [DAY=...]
	@$(setup) jobs
	@PYTHONPATH=. .venv/jobs/bin/python tests/notebooks.py docs/notebooks/train_to_predict.ipynb docs/notebooks/explore_model.ipynb

.PHONY: up
up: ## start Airflow and the local SageMaker; SCHEDULES=1 for runs by the clock of unpaused Dags, off unless given
	@$(setup) airflow jobs local_sagemaker
	@$(local_stack).stack up

.PHONY: mlflow
mlflow: ## serve MLflow's pages of this machine's trainings, until 'make down': [MLFLOW_PORT=5001]
	@$(setup) airflow jobs
	@$(local_stack).stack mlflow

.PHONY: down
down: ## stop everything
	@$(setup) airflow
	@$(local_stack).stack down

.PHONY: status
status: ## show addresses, models with versions and last runs, and pending decisions; installs nothing
	@[ -x .venv/airflow/bin/python ] || { echo "nothing is installed yet. next: make run"; exit 0; }; \
	$(local_stack).status

.PHONY: health
health: ## show what needs attention, for this machine's stack or ENV=dev|staging|prod; JSON=1 for monitors; fails if anything does
	@$(setup) --for health airflow
	@$(program).ops.health $${JSON:+--json} -- "$${ENV-}"

.PHONY: costs
costs: ## what a month's jobs and endpoints have cost, by model, Dag and kind: of this machine's stack, or ENV=...; MONTH=2026-11
	@$(setup) --for costs airflow
	@$(program).ops.costs $${MONTH:+--month "$$MONTH"} -- "$${ENV-}"

.PHONY: bundle
bundle: ## build the artifacts for MWAA in dist/, byte for byte reproducible
	@$(setup) airflow
	@$(program).ops.mwaa.bundle

.PHONY: compose-up
compose-up: ## start the stack in containers: [PROFILES="mlflow kafka online"] [SCHEDULES=1]
	@include/ops/local_stack/compose.sh up

.PHONY: compose-down
compose-down: ## stop the containers; VOLUMES=1 removes their data too
	@include/ops/local_stack/compose.sh down

.PHONY: compose-test
compose-test: ## build the images and test the containers: a model from training to scores, every service restarted [MODEL=name]
	@$(setup) --for compose-test airflow jobs
	@PYTHONPATH="$$PWD:$$PWD/plugins" .venv/airflow/bin/python tests/compose/prove.py --model="$$MODEL"

.PHONY: bundle-test
bundle-test: ## run the unpacked bundle under MWAA's configuration: checks, then a model from training to scores
	@$(setup) airflow jobs local_sagemaker mwaa_image mwaa
	@$(program).ops.mwaa.check

.PHONY: infra
infra: ## create or update an environment's CloudFormation stacks, after asking: ENV=dev|staging|prod [DRY_RUN=1] [YES=1]
	@$(setup) --for infra airflow
	@$(program).ops.mwaa.infra $${DRY_RUN:+--dry-run} $${YES:+--yes} -- "$${ENV-}"

.PHONY: destroy
destroy: ## remove an environment from AWS, including buckets, once you type its name: ENV=dev|staging|prod [DRY_RUN=1]
	@$(setup) --for destroy airflow
	@$(program).ops.mwaa.destroy $${DRY_RUN:+--dry-run} -- "$${ENV-}"

.PHONY: deploy
deploy: ## update an MWAA environment to this checkout: ENV=dev|staging|prod [DRY_RUN=1]
	@$(setup) --for deploy airflow mwaa
	@$(program).ops.mwaa.deploy $${DRY_RUN:+--dry-run} -- "$${ENV-}"

.PHONY: aws-check
aws-check: ## check what only the AWS account can tell, for some cents: ENV=dev|staging|prod
	@$(setup) airflow
	@$(program).ops.mwaa.aws_check -- "$${ENV-}"

.PHONY: iam-test
iam-test: ## run the Dags under enforced IAM, with only the roles of include/ops/infra
	@$(setup) --for iam-test airflow jobs local_sagemaker
	@$(program).ops.mwaa.least_privilege --model="$$MODEL"

.PHONY: test
test: ## run all tests, fast ones first; ONLY=<group> runs one group
	@$(setup) airflow jobs local_sagemaker dev mwaa_image mwaa
	@set -f; .venv/dev/bin/python tests/run.py $${ONLY-}

.PHONY: backfill-faults
backfill-faults: ## backfill a year while schedulers are killed and jobs fail at random; DAYS=30 for fewer days, DATA=folder
	@$(setup) airflow jobs local_sagemaker
	@PYTHONPATH=.:plugins .venv/airflow/bin/python -m tests.faults.year --days="$${DAYS:-365}" $${DATA:+--data="$$DATA"}

.PHONY: faults
faults: export STRIKE_WITH := $(value GROUPS) # bash keeps the name GROUPS to itself
faults: ## inject kills, timeouts and throttling, and count what is lost or paid twice; GROUPS="worker aws" injects only some
	@$(setup) airflow jobs local_sagemaker dev
	@set -f; PYTHONPATH=.:plugins .venv/airflow/bin/python -m tests.faults $$STRIKE_WITH

.PHONY: screenshots
screenshots: ## the pictures of docs/images, from a running stack with a scored model: [MODEL=name] [OUT=folder, for all sizes and schemes]
	@$(setup) airflow jobs
	@PYTHONPATH=.:plugins .venv/airflow/bin/python -m tests.screenshots --model="$$MODEL" $${OUT:+--out="$$OUT"}

.PHONY: lint
lint: ## check style, types, import borders, generated files
	@$(setup) airflow jobs local_sagemaker dev checkov docs
	@tests/lint.sh

.PHONY: check
check: ## check style, types and tests of what differs from main, within 90 s; SINCE=commit for another base
	@$(setup) airflow jobs local_sagemaker dev
	@.venv/dev/bin/python tests/check.py $${SINCE:+--since="$$SINCE"}

.PHONY: docs
docs: ## generate the reference, and the site of docs/ in .local/site
	@$(setup) airflow jobs docs
	@PYTHONWARNINGS=ignore $(program).ops.reference
	@NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --quiet --strict --site-dir .local/site && echo ".local/site/index.html"

.PHONY: audit
audit: ## list known vulnerabilities of everything that is installed, by OSV or PyPI
	@$(setup) dev mwaa airflow jobs
	@.venv/dev/bin/python tests/audit.py

.PHONY: bench
bench: ## measure speed and memory, as ratios side by side
	@$(setup) airflow jobs local_sagemaker dev
	@.venv/airflow/bin/python tests/benchmarks/bench.py

.PHONY: sabotage
sabotage: ## test the gates: broken models must be rejected, honest ones registered [MODEL=name] [DATA=folder] [SEEDS=20]
	@$(setup) jobs
	@PYTHONPATH=. .venv/jobs/bin/python tests/benchmarks/sabotage.py $(if $(filter-out file,$(origin MODEL)),--model="$$MODEL") \
	  $${DATA:+--data="$$DATA"} $${SEEDS:+--seeds="$$SEEDS"}

.PHONY: oracle
oracle: ## compare the estimates of performance with NannyML's, in its own environment
	@$(setup) jobs oracle
	@PYTHONPATH=. .venv/jobs/bin/python -m pytest -q tests/include/jobs/watching/test_oracle.py

.PHONY: pins
pins: ## recompile the pinned requirements
	@$(setup)
	@for folder in include/jobs include/online include/local_sagemaker include/ops/local_stack tests tests/checkov tests/docs tests/oracle; do \
	  .venv/tools/bin/uv pip compile --quiet --upgrade --universal --python-version 3.12 --no-header \
	    --no-emit-index-url --generate-hashes \
	    --output-file $$folder/requirements.txt $$folder/requirements.in; done
	@.venv/tools/bin/uv pip compile --quiet --upgrade --universal --python-version 3.12 --no-header --no-emit-index-url \
	  --generate-hashes --output-file include/online/lambda.txt include/online/lambda.in
