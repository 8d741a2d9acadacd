#!/bin/sh
# Puts on this machine what the tests need beside .venv: a Chromium and fonts for its screenshots, PostgreSQL, Redis,
# and the proxies that deploy/ has files for.
#
# A missing part is installed where that can be done (root on a system with apt-get). Where it cannot, the tests
# that need it are skipped and say so; with CI=true it is a failure. Fonts for Chinese and Japanese are large (60 MB),
# so they are asked for only by CI and by CJK_FONTS=1.
set -eu
cd "$(dirname "$0")/.."
log=.setup/test_machine.log
updated=no

# install WHAT PACKAGE…   WHAT is what a person is told
install() {
    what=$1
    shift
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "Installing $what: apt-get install $*"
        mkdir -p .setup
        [ "$updated" = yes ] || apt-get -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 || true
        updated=yes
        if DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
            "$@" </dev/null >>"$log" 2>&1; then
            return
        fi
        tail -n 15 "$log" >&2
    fi
    if [ "${CI:-}" = true ]; then
        echo "CI needs $what: install $* (log: $log)" >&2
        exit 1
    fi
    echo "No $what here; the tests that need it are skipped. To run them: install $*." >&2
}

have_browser() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null && return
    done
    return 1
}

have_font() { command -v fc-list >/dev/null && [ -n "$(fc-list "$1" family)" ]; }

have_browser || install "Chromium" chromium fonts-liberation fontconfig
if [ "${CI:-}" = true ] || [ -n "${CJK_FONTS:-}" ]; then
    have_font :lang=ja || install "fonts for Chinese and Japanese" fonts-noto-cjk fontconfig
fi

have_postgres() {
    for program in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$program" ] && return
    done
    command -v initdb >/dev/null
}

# The tests start a throw-away cluster of their own; the packages' default one is neither needed nor touched.
have_postgres || install "PostgreSQL" postgresql postgresql-client
have_server() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
have_server nginx || install "nginx" nginx-light
have_server haproxy || install "HAProxy" haproxy
have_server pgbouncer || install "PgBouncer" pgbouncer
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || install "Redis" redis-server
