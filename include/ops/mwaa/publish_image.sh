#!/usr/bin/env bash
# Builds, scans and pushes the image of SageMaker's jobs, unless the repository has the image of these sources already.
#
#   include/ops/mwaa/publish_image.sh <account>.dkr.ecr.<region>.amazonaws.com/<environment>-jobs
#
# Needs Docker, signed in to the registry, and the AWS command line. Tags: the digest of the sources, by which a deploy
# finds it, and the commit.
set -euo pipefail
cd "$(dirname "$0")/../../.."
repository=$1
tag=$(PYTHONPATH=. python3 -m include.ops.mwaa.image)
if aws ecr describe-images --repository-name "${repository#*/}" --image-ids imageTag="$tag" >/dev/null 2>&1; then
  echo "$repository:$tag is there already"
  exit 0
fi
commit=$(git rev-parse HEAD)
docker build --platform linux/amd64 --tag "$repository:$tag" --tag "$repository:$commit" include/jobs
docker run --rm --volume /var/run/docker.sock:/var/run/docker.sock \
  aquasec/trivy:0.58.1 image --exit-code 1 --severity CRITICAL --ignore-unfixed "$repository:$tag"
docker push "$repository:$commit"
docker push "$repository:$tag"
