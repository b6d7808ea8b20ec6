#!/usr/bin/env bash
# Builds the image of SageMaker's jobs, lists what is in it and looks for known vulnerabilities. Needs Docker 23 or later, and no
# credentials: what a dependency's installation could take is not there yet.
#
#   include/ops/mwaa/build_image.sh <folder>     makes image.tar, its tag and sbom.cdx.json (CycloneDX) in the folder
#
# SageMaker takes an image by Docker's own manifest, and no index of images with attestations beside them, which is what
# current engines make unless told otherwise.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../../.."
base=python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254
trivy=aquasec/trivy:0.58.1@sha256:ab70a02200597efa04748f210f793936eb647cbcdb0ea69cc30b226d6f5a22c7
tag=$(PYTHONPATH=. python3 -m include.ops.mwaa.image)
commit=$(git rev-parse HEAD)
docker build --platform linux/amd64 --provenance=false --sbom=false --output type=image,oci-mediatypes=false \
  --build-arg "BASE=$base" --label "org.opencontainers.image.revision=$commit" --tag "ml-jobs:$tag" include/jobs
docker save --output "$folder/image.tar" "ml-jobs:$tag"
printf '%s' "$tag" >"$folder/tag"
# the scanner sees the image's file, not the engine, which would give it the machine
scan() { docker run --rm --volume "$folder:/image" "$trivy" image --input /image/image.tar "$@"; }
scan --format cyclonedx --output /image/sbom.cdx.json
scan --exit-code 1 --severity CRITICAL --ignore-unfixed
