#!/bin/sh
# Makes .venv from requirements/lock.txt and installs this checkout into it (`make setup`).
# Why it is built this way: docs/decisions/0003-locked-dependencies-and-setup.md
#
#   PYTHON=/path/to/python3.12 make setup     chooses the Python; otherwise 3.14 … 3.11, python3 are looked for
#
# Once .venv holds what the lock says, this returns at once and says nothing.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd -P)
cd "$root"

lock=requirements/lock.txt
work=.setup
log=$work/setup.log
stamp=.venv/.latchstring-setup
unset PYTHONHOME PYTHONPATH # packages seen through these would count as installed

say() { printf '%s\n' "$*"; }

fail() {
    say "setup: $1" >&2
    [ -s "$log" ] && say "The last lines of $log:" >&2 && tail -n 15 "$log" >&2
    exit 1
}

logged() {
    printf '\n$ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 9>&-
}

# --- What .venv should hold ------------------------------------------------------------------------------------

# Printed by the Python inside .venv, so that a vanished or changed interpreter fails here.
wanted_state() {
    .venv/bin/python -I -c '
import hashlib, os, sys, sysconfig, tomllib
if not os.path.isdir(sysconfig.get_path("purelib")):
    sys.exit("made by another Python version")
with open("pyproject.toml", "rb") as file:
    pyproject = tomllib.load(file)
parts = [pyproject.get(table) for table in ("build-system", "project", "dependency-groups")]
parts.append(pyproject.get("tool", {}).get("hatch"))
for path in ("requirements/lock.txt", "scripts/setup.sh"):
    with open(path, "rb") as file:
        parts.append(hashlib.sha256(file.read()).hexdigest())
parts += [sys.version, os.getcwd()]
print(hashlib.sha256(repr(parts).encode()).hexdigest())
' 2>/dev/null
}

up_to_date() {
    state=$(wanted_state) && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && right_python
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# Whether .venv runs the Python that PYTHON asks for (any, when it asks for none).
right_python() {
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of .venv/bin/python)" ]
}

# An older .venv is kept when its Python runs and its scripts point here; the lock is then installed over it.
reusable() {
    wanted_state >/dev/null && right_python && grep -qsF "$root/.venv" .venv/bin/activate
}

has_pip() { .venv/bin/python -I -m pip --version >/dev/null 2>&1; }

up_to_date && exit 0

# --- One set-up at a time --------------------------------------------------------------------------------------

mkdir -p "$work"
making_venv=no
lock_dir=
finish() {
    status=$?
    trap - EXIT HUP INT TERM
    [ "$making_venv" = yes ] && rm -rf .venv
    [ -n "$lock_dir" ] && rm -rf "$lock_dir"
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if command -v flock >/dev/null; then
    exec 9>"$work/lock"
    if ! flock -n 9; then
        say "Waiting for another set-up of this checkout …"
        flock 9
    fi
else
    exec 9>/dev/null
    waiting=
    until mkdir "$work/lock.d" 2>/dev/null; do
        holder=$(cat "$work/lock.d/pid" 2>/dev/null || true)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
            rm -rf "$work/lock.d" # its owner is gone
        else
            [ -n "$waiting" ] || say "Waiting for another set-up of this checkout ($work/lock.d) …"
            waiting=yes
            sleep 1
        fi
    done
    lock_dir=$work/lock.d
    echo $$ >"$lock_dir/pid"
fi
up_to_date && exit 0
: >"$log"

# --- Find Python -----------------------------------------------------------------------------------------------

# Prints "whole PATH" or "bare PATH" (no ensurepip) for a Python that will do. The path is the real interpreter's:
# not a version manager's shim, nor a .venv that is about to be remade.
probe() {
    "$1" -c '
import sys
if sys.version_info < (3, 11):
    sys.exit(1)
try:
    import ensurepip, venv
    kind = "whole"
except ImportError:
    kind = "bare"
print(kind, getattr(sys, "_base_executable", None) or sys.executable)
' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        found=$(probe "$PYTHON") || fail "PYTHON=$PYTHON is not a Python 3.11 or newer that runs."
        python=${found#* }
        return
    fi
    python=
    for name in python3.14 python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        found=$(probe "$name") || continue
        case $found in
            whole*)
                python=${found#* }
                return
                ;;
            *) [ -n "$python" ] || python=${found#* } ;;
        esac
    done
    [ -n "$python" ] || fail "Latchstring needs Python 3.11 or newer; python3 here is $(python3 --version 2>&1 || true).
Install one, or name it: make setup PYTHON=/path/to/python3.12"
}

# --- Make .venv: each way in turn, nothing left behind by the ones that fail -------------------------------------

# Puts the locked pip into a .venv that has none, with whatever installer this machine has.
bring_pip() {
    awk '/^pip==/ { on = 1 } on { print } on && !/\\$/ { exit }' "$lock" >"$work/pip.txt"
    for installer in "$python" /usr/bin/python3 python3 pip3 pip; do
        case $installer in
            *pip*) set -- "$installer" ;;
            *) set -- "$installer" -m pip ;;
        esac
        "$@" --version >/dev/null 2>&1 || continue
        rm -rf "$work/pip"
        # Downloaded by the foreign pip, unpacked and run by our Python: an old pip for an old Python will do.
        logged "$@" download --dest "$work/pip" --no-deps --only-binary=:all: \
            --python-version "$(version_of .venv/bin/python)" --require-hashes -r "$work/pip.txt" &&
            logged .venv/bin/python -m zipfile -e "$work"/pip/pip-*.whl "$work/pip" &&
            logged env PYTHONPATH="$work/pip" .venv/bin/python -m pip install --no-user --ignore-installed \
                --no-index --no-deps "$work"/pip/pip-*.whl &&
            has_pip && return
    done
    command -v uv >/dev/null &&
        logged uv pip install --python .venv/bin/python --require-hashes -r "$work/pip.txt" && has_pip
}

make_venv() {
    rm -rf .venv
    logged "$python" -m venv .venv && has_pip && return
    rm -rf .venv
    logged "$python" -m venv --without-pip .venv && bring_pip && return
    rm -rf .venv
    command -v virtualenv >/dev/null && logged virtualenv --python "$python" .venv && has_pip && return
    rm -rf .venv
    command -v uv >/dev/null && logged uv venv --python "$python" --no-project .venv && bring_pip && return
    rm -rf .venv
    return 1
}

# Debian keeps ensurepip in a package of its own.
make_venv_with_apt() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    say "  installing python3-venv with apt-get"
    logged apt-get update || true
    for package in "python$(version_of "$python")-venv" python3-venv; do
        logged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" || continue
        make_venv && return
    done
    found=$(probe /usr/bin/python3) || return 1
    python=${found#* }
    make_venv
}

if reusable; then
    python=.venv/bin/python
else
    find_python
    say "Making .venv with Python $("$python" -c 'import platform; print(platform.python_version())') ($python)"
    making_venv=yes
    make_venv || make_venv_with_apt || fail "no way to make .venv with $python:
it has no ensurepip, and this machine has no pip, virtualenv or uv that could stand in (or they could not reach
their package index). On Debian and Ubuntu: apt-get install python3-venv. Elsewhere: install pip for any Python."
fi

# --- Install ---------------------------------------------------------------------------------------------------

rm -f "$stamp"
has_pip || bring_pip || fail "no pip in .venv. Remove .venv and run make setup again."

say "Installing $(grep -c '^[a-z].*==' "$lock") locked packages"
logged .venv/bin/python -I -m pip install --no-user --no-input --disable-pip-version-check \
    --require-hashes -r "$lock" || fail "the locked packages could not be installed."
logged .venv/bin/python -I -m pip install --no-user --no-input --disable-pip-version-check \
    --no-index --no-deps --no-build-isolation --editable . || fail "this checkout could not be installed into .venv."

wanted_state >"$stamp"
making_venv=no
say "Set-up done."
