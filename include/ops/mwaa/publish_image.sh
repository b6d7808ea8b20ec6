#!/usr/bin/env bash
# Pushes the image of SageMaker's jobs, unless the repository has the image of these sources already.
#
#   include/ops/mwaa/publish_image.sh <account>.dkr.ecr.<region>.amazonaws.com/<environment>-jobs [<folder>]
#
# The folder is what build_image.sh made; without one the image is built here. Needs Docker, signed in to the registry,
# and the AWS command line. The one tag is the digest of the sources, by which a deploy finds the image; a registry
# gives it to an image that is there whole, so an interrupted push is simply repeated.
set -euo pipefail
repository=$1
folder=${2:+$(cd "$2" && pwd)}
cd "$(dirname "$0")/../../.."
tag=$(PYTHONPATH=. python3 -m include.ops.mwaa.image)

manifest() { # its media type; nothing where there is no such image
  local answer
  answer=$(aws ecr describe-images --repository-name "${repository#*/}" --image-ids "imageTag=$tag" \
    --query 'imageDetails[0].imageManifestMediaType' --output text 2>&1) ||
    case $answer in
      *ImageNotFoundException*) return 0 ;;
      *) echo "$answer" >&2; return 1 ;;
    esac
  printf '%s' "$answer"
}

found=$(manifest)
if [ -z "$found" ]; then
  if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    include/ops/mwaa/build_image.sh "$folder"
  fi
  if [ "$(cat "$folder/tag")" != "$tag" ]; then
    echo "$folder holds the image $(cat "$folder/tag"); the sources here are those of $tag. Build it again." >&2
    exit 1
  fi
  docker load --input "$folder/image.tar"
  docker tag "ml-jobs:$tag" "$repository:$tag"
  docker push "$repository:$tag"
  found=$(manifest)
fi
if [ "$found" != application/vnd.docker.distribution.manifest.v2+json ]; then
  echo "$repository:$tag is $found, which SageMaker refuses (it takes a single image by Docker's own manifest). Remove it" >&2
  echo "(aws ecr batch-delete-image --repository-name ${repository#*/} --image-ids imageTag=$tag) and build it by" >&2
  echo "include/ops/mwaa/build_image.sh, which tells Docker so." >&2
  exit 1
fi
echo "$repository:$tag is there"
