#!/usr/bin/env bash
# Makes the Python environments named as arguments under .venv/, from pinned requirements; those that are already
# up to date cost nothing. Needs git, make and a Python 3.12 anywhere usual. Of two at a time one waits for the other.
#
#   include/ops/local_stack/setup.sh airflow jobs local_sagemaker dev
#   include/ops/local_stack/setup.sh --for run airflow jobs     # what make was given is looked at first
set -euo pipefail
cd "$(dirname "$0")/../../.."

say() { printf 'setup: %s\n' "$*" >&2; }

case $PWD in # PYTHONPATH ends at a colon; PostgreSQL's initdb hands its own path to a shell, in double quotes
  *[:\"\$\`]* | *$'\n'*)
    say "this checkout cannot run in $PWD: its path has a colon, a double quote, \$, a backtick or a line break,"
    say "which Python's path or PostgreSQL would read as something else. Move it, or rename the folder."
    exit 1 ;;
esac

find_python() {
  local candidate
  for candidate in "${PYTHON312:-}" python3.12 "$HOME"/.pyenv/versions/3.12*/bin/python \
    "$HOME"/.local/share/uv/python/cpython-3.12*/bin/python3.12 /opt/homebrew/bin/python3.12 python3 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    # venv is required too: Debian ships a python3.12 without it
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null || continue
    "$candidate" -c 'import sys; print(sys.executable)'
    return
  done
  say "no Python 3.12 with venv found: not on the PATH, not under ~/.pyenv/versions, not among uv's."
  say "install one:  $(advice)"
  say "or, anywhere:  uv python install 3.12   or   pyenv install 3.12"
  say "or name one:   PYTHON312=/path/to/python3.12 make ..."
  exit 1
}

advice() { # the command of this system that installs a Python 3.12 with venv
  case "$(uname -s)/$(. "${OS_RELEASE:-/etc/os-release}" 2>/dev/null && echo "${ID-} ${ID_LIKE-} ${VERSION_ID-}")" in
    Darwin/*) echo "brew install python@3.12" ;;
    */*fedora* | */*rhel*) echo "sudo dnf install python3.12" ;;
    */ubuntu*24.*) echo "sudo apt install python3.12 python3.12-venv" ;;
    */*debian*) echo "sudo apt install pipx && pipx install uv   (Debian has no package of 3.12), then" ;;
    */*arch*) echo "yay -S python312" ;;
    *) echo "python3.12 of your system's packages" ;;
  esac
}

ask_mac() { # what no wheel brings there, said before half of it is installed
  [ "$(uname -s)" = Darwin ] || return 0
  [ "$(uname -m)" = arm64 ] ||
    say "some pinned libraries have no wheels for Intel Macs: their build needs Rust, and may fail. Apple silicon needs none."
  local prefix
  for prefix in "${HOMEBREW_PREFIX:-/opt/homebrew}" /usr/local; do
    [ ! -e "$prefix/opt/libomp/lib/libomp.dylib" ] || return 0
  done
  say "LightGBM needs OpenMP, which macOS lacks. Install it:  brew install libomp"
  exit 1
}

requirements_of() { # the files that decide what is in an environment
  case "$1" in
    airflow) echo requirements.txt constraints.txt tests/requirements-airflow.txt ;;
    jobs) echo include/jobs/requirements.txt include/online/requirements.txt tests/requirements-jobs.txt ;;
    local_sagemaker) echo include/local_sagemaker/requirements.txt tests/requirements-local_sagemaker.txt ;;
    dev) echo tests/requirements.txt ;;
    checkov) echo tests/checkov/requirements.txt ;;
    docs) echo tests/docs/requirements.txt ;;
    oracle) echo tests/oracle/requirements.txt ;;
    # MWAA's image, and the image with this repository's requirements installed
    mwaa_image) echo include/ops/mwaa/image.txt constraints.txt ;;
    mwaa) echo requirements.txt include/ops/mwaa/image.txt constraints.txt ;;
    *) say "unknown environment $1"; exit 2 ;;
  esac
}

install() { # with uv, a pinned installer that keeps a cache: seconds where pip takes minutes
  local name=$1 python=$2
  local files stamp
  read -ra files <<<"$(requirements_of "$name")"
  stamp="$python $(cat include/ops/local_stack/setup.sh "${files[@]}" | cksum)"
  [ "$(cat ".venv/$name/.stamp" 2>/dev/null)" = "$stamp" ] && return
  say "installing .venv/$name"
  rm -rf ".venv/$name"
  .venv/tools/bin/uv venv --quiet --python "$python" ".venv/$name"
  local arguments=() file
  for file in "${files[@]}"; do
    case "$file" in
      requirements.txt) # names the constraints by their path on MWAA
        sed 's|^--constraint .*||' requirements.txt >".venv/$name/requirements.txt"
        arguments+=("--requirement=.venv/$name/requirements.txt") ;;
      constraints.txt) arguments+=(--constraint=constraints.txt) ;;
      *) arguments+=("--requirement=$file") ;;
    esac
  done
  .venv/tools/bin/uv pip install --quiet --compile-bytecode --python ".venv/$name/bin/python" "${arguments[@]}"
  printf '%s' "$stamp" >".venv/$name/.stamp.new"
  mv ".venv/$name/.stamp.new" ".venv/$name/.stamp" # whole or not at all, and last: an interrupted installation is repeated
}

wait_for_others() { # until the end of this script: the lock is of the open file, which bash keeps (macOS has no flock)
  mkdir -p .venv
  exec 9>.venv/.lock
  "$1" -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.stderr.write("setup: another set-up is at work here, waiting for it\n")
    fcntl.flock(9, fcntl.LOCK_EX)'
}

python=$(find_python)
if [ "${1-}" = --for ]; then
  "$python" -I include/ops/local_stack/arguments.py "$2"
  shift 2
fi
ask_mac
wait_for_others "$python"
uv_requirements=include/ops/local_stack/requirements.txt
uv_version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' "$uv_requirements")
# behind a company's proxy the system's certificates count, for pip as for uv
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
if [ "$(.venv/tools/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  rm -rf .venv/tools
  "$python" -m venv .venv/tools
  .venv/tools/bin/python -m pip install --quiet --require-hashes --requirement "$uv_requirements"
fi
for name in "$@"; do install "$name" "$python"; done
