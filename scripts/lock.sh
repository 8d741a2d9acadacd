#!/bin/sh
# Writes requirements/lock.txt: every dependency of the server and postgres extras and the dev group, for every platform and
# every Python from 3.11 on, with the hashes of its files. Pins that still fit are kept; to move them:
#   make lock ARGS=--upgrade        make lock ARGS='--upgrade-package httpx'
set -eu
cd "$(dirname "$0")/.."

if [ -x .venv/bin/uv ]; then
    uv=.venv/bin/uv
elif command -v uv >/dev/null; then
    uv=uv
else
    scripts/setup.sh
    uv=.venv/bin/uv
fi

mkdir -p requirements
"$uv" pip compile pyproject.toml \
    --extra server --extra postgres --extra client-postgres --extra client-redis --extra client-encryption --group dev \
    --universal --python-version 3.11 --no-python-downloads \
    --generate-hashes --no-annotate \
    --custom-compile-command 'make lock' \
    --quiet --output-file requirements/lock.txt \
    "$@"
echo "requirements/lock.txt: $(grep -c '==' requirements/lock.txt) packages"
