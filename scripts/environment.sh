# Sourced by ./run and ./check: makes the environment, installs only what is missing. No Python needed but python3.
# shellcheck shell=bash

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "these need root: $* (run them as root, or install sudo)"
    fi
}

# need_packages PACKAGE=FILE_OR_COMMAND…  installs the packages whose command or file is not there yet.
need_packages() {
    local missing=() pair package probe
    for pair in "$@"; do
        package=${pair%%=*} probe=${pair#*=}
        case $probe in
            /*) [ -e "$probe" ] || missing+=("$package") ;;
            *) PATH=$PATH:/usr/sbin command -v "$probe" >/dev/null || missing+=("$package") ;;
        esac
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
    command -v apt-get >/dev/null || die "please install: ${missing[*]} (apt-get is not here)"
    say "Installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# need_python EXTRAS  makes .venv with the project and its pinned dependencies, once per change of either.
need_python() {
    local wanted stamp=.venv/.installed
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed, this is $(python3 -V)"
    wanted=$(cat pyproject.toml constraints.txt scripts/environment.sh | sha256sum | cut -c1-16)
    if [ -f "$stamp" ] && grep -qx "$1 $wanted" "$stamp"; then return; fi
    python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv=/nonexistent
    [ -x .venv/bin/python ] || python3 -m venv .venv
    say "Installing Python packages (once; a few minutes on a small machine)"
    .venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[$1]"
    # The larger set serves the smaller one: ./run after ./check installs nothing.
    echo "$1 $wanted" >"$stamp"
    if [ "$1" = edge,server,dev ]; then echo "edge,server $wanted" >>"$stamp"; fi
}
