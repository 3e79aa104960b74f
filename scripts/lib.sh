# What the scripts share: where the cache is, how to become root, how to say what is going on. Sourced, not run.

set -euo pipefail

CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
mkdir -p "$CACHE"

# All talk goes to standard error: standard output belongs to what a script returns.
say() { printf '· %s\n' "$*" >&2; }
fail() { printf 'weir: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "this needs root: run it as root or install sudo ($*)"
    fi
}

# packages NAME…: installs those Debian packages that are missing.
packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || fail "install these packages by hand, this is not Debian: ${missing[*]}"
    say "installing Debian packages (under a minute): ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if ! as_root apt-get install -y --no-install-recommends "${missing[@]}" >"$CACHE/apt.log" 2>&1; then
        as_root apt-get update >>"$CACHE/apt.log" 2>&1 || true
        as_root apt-get install -y --no-install-recommends "${missing[@]}" >>"$CACHE/apt.log" 2>&1 ||
            fail "apt-get could not install: ${missing[*]} (see $CACHE/apt.log)"
    fi
}

# once NAME COMMAND…: runs a long installation under a lock, so that two runs do not build the same thing into each other.
once() {
    local name=$1; shift
    exec 9>"$CACHE/$name.lock"
    flock 9
    "$@"
    exec 9>&-
}

# free_port: a TCP port that nobody listens on now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for SECONDS WHAT COMMAND…: waits until the command succeeds.
wait_for() {
    local seconds=$1 what=$2 deadline; shift 2
    deadline=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what did not answer within $seconds seconds"
        sleep 0.1
    done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
