#!/usr/bin/env bash
# The stack of docker-compose.yaml, up and down: include/ops/local_stack/compose.sh up|down|keys|<anything that Compose understands>
#
#   ENV_FILE   where the generated keys are (.env); kept between starts, as the database's volume knows them
#   VOLUMES    1 removes the data too, on the way down
#   PROFILES   what to start beside the rest: "mlflow", "kafka", "online", or several: "mlflow online"
set -euf -o pipefail
cd "$(dirname "$0")/../../.."
ENV_FILE=${ENV_FILE:-.env}
PROFILES=${PROFILES:-}
case ${PWD##*/} in # Compose calls the project after the folder, by these characters alone
  *[A-Za-z0-9]*) ;;
  *) export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-ml-local} ;;
esac

say() { printf 'compose: %s\n' "$*" >&2; }

make_keys() { # new for every machine, read by its owner alone
  [ -e "$ENV_FILE" ] && return
  say "making $ENV_FILE with new keys"
  random() { head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; } # of 32 bytes: also the form of a Fernet key
  (
    umask 077
    {
      printf '# Made by make compose-up. The database knows its password: remove this file only with the volumes.\n'
      printf 'POSTGRES_PASSWORD=%s\n' "$(random 32 | tr -d =)"
      printf 'FERNET_KEY=%s\n' "$(random 32)"
      printf 'API_SECRET_KEY=%s\n' "$(random 32)"
      printf 'JWT_SECRET=%s\n' "$(random 64)"
      # the ports of this start stay those of later ones
      local port
      for port in AIRFLOW_PORT SAGEMAKER_PORT MLFLOW_PORT KAFKA_PORT; do
        [ -z "${!port:-}" ] || printf '%s=%s\n' "$port" "${!port}"
      done
    } >"$ENV_FILE"
  )
}

wait_for_seed() { # it starts when everything else is healthy; what it says is what went wrong
  local container status
  container=$("${compose[@]}" ps -a -q seed)
  status=$(docker wait "$container")
  docker logs --tail 20 "$container" >&2
  [ "$status" = 0 ] || { say "seed failed (exit status $status)"; return 1; }
}

if [ "${1:-}" = keys ]; then # without an engine
  make_keys
  exit
fi

if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
  export DOCKER_BUILDKIT=0 # Compose 1.29 passes builds on to a BuildKit that may not be installed
else
  say "neither 'docker compose' nor 'docker-compose' is installed: https://docs.docker.com/compose/install/"
  exit 1
fi
docker info >/dev/null 2>&1 || { say "no Docker engine answers ('docker info' fails): start it first"; exit 1; }
compose+=(--env-file "$ENV_FILE")
for profile in $PROFILES; do compose+=(--profile "$profile"); done

case "${1:-}" in
  up)
    make_keys
    "${compose[@]}" --profile build build ml-jobs # first: the image of the local SageMaker stands on it
    "${compose[@]}" build
    "${compose[@]}" up --detach
    wait_for_seed
    printf 'Airflow          http://%s   (no sign-in needed)\n' "$("${compose[@]}" port airflow-api-server 8080)"
    sagemaker=$("${compose[@]}" ps -q local-sagemaker)
    printf 'local SageMaker  http://%s/_local/\n' "$(docker port "$sagemaker" | head -1 | sed 's/.*-> //')"
    printf 'stop with: make compose-down (keeps the data), make compose-down VOLUMES=1 (removes it)\n'
    ;;
  down)
    [ -e "$ENV_FILE" ] || { say "there is no $ENV_FILE: nothing was started from here"; exit 0; }
    [ "${VOLUMES:-}" = 1 ] || VOLUMES=
    "${compose[@]}" --profile mlflow --profile kafka down --remove-orphans ${VOLUMES:+--volumes}
    ;;
  *)
    "${compose[@]}" "$@"
    ;;
esac
