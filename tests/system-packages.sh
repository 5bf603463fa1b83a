#!/bin/sh
# What the tests need of the system: as root it is installed, otherwise told.
find_postgres() { ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | head -n 1; }
missing=""
[ -n "$(find_postgres)" ] || missing="postgresql"
command -v chromium >/dev/null || missing="$missing chromium"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing for the tests:" $missing
        (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing) \
            >/dev/null 2>&1 || echo "They could not be installed; the tests that need them will say so"
    else
        echo "Tests of PostgreSQL and of the console need on Debian: apt-get install" $missing
    fi
fi
command -v npm >/dev/null || echo "The tests of the JavaScript client and of accessibility need Node.js 20 or newer, and npm"
command -v gcloud >/dev/null || echo "The tests of gcloud need the Google Cloud CLI"
