# Shared by quickstart and runtests: what is missing is installed, and a build
# directory is brought up to date. Sourced by bash with pipefail on; TOP is the
# top of the tree.

# The interpreter that Debian's python3-* packages belong to; another python3
# may come first in PATH.
PYTHON=/usr/bin/python3

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Packages of the named parts of packages.txt, one a line. A line
# `package:command` needs the package only if the command is not there.
packages_of() {
    local part="" wanted line name
    while read -r line; do
        line=${line%%#*}
        read -r name _ <<<"$line"
        case $name in
            '') ;;
            '['*']') part=${name//[\[\]]/} ;;
            *)
                for wanted in "$@"; do
                    [ "$wanted" = "$part" ] && packages_unless "$name"
                done ;;
        esac
    done <"$TOP/test/stack/packages.txt"
}

packages_unless() {
    local package=${1%%:*} command=${1#*:}
    [ "$command" != "$1" ] && command -v "$command" >/dev/null 2>&1 && return 0
    printf '%s\n' "$package"
}

# Those of the packages given that are not installed.
packages_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# Installs the named parts of packages.txt, as root or by sudo.
install_packages() {
    command -v dpkg-query >/dev/null 2>&1 || {
        say "This is not a Debian system: packages are not installed for you; configure will name what is missing."
        return 0
    }
    local missing as_root=() package
    mapfile -t missing < <(packages_missing $(packages_of "$@"))
    if [ ${#missing[@]} -eq 0 ]; then
        say "All Debian packages needed are installed."
        return 0
    fi
    say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=(sudo)
        else
            fail "installing needs root, and sudo is not to be had. Run this as root, then $0 again:
  apt-get update && apt-get install -y ${missing[*]}"
        fi
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update </dev/null ||
        say "apt-get update failed; trying with the package lists that are there."
    for package in "${missing[@]}"; do
        apt-cache show "$package" >/dev/null 2>&1 ||
            fail "the Debian package $package cannot be had: no configured source in /etc/apt offers it.
Debian 12 (bookworm) main has it; check /etc/apt/sources.list and the network, then run $0 again."
    done
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 "${missing[@]}" </dev/null ||
        fail "apt-get could not install the packages; its message is above. Missing still: $(packages_missing "${missing[@]}" | tr '\n' ' ')"
}

# The configure script, made from configure.ac where it is absent or older than its sources.
prepare_configure() {
    local sources
    sources=$(find "$TOP/configure.ac" "$TOP/Makefile.am" "$TOP"/*/Makefile.inc "$TOP"/*/*.inc "$TOP"/*/*/*.inc \
        -newer "$TOP/Makefile.in" 2>/dev/null | head -1)
    if [ -x "$TOP/configure" ] && [ -f "$TOP/Makefile.in" ] && [ -z "$sources" ]; then
        return 0
    fi
    say "autoreconf -fi"
    (cd "$TOP" && autoreconf -fi >"$1/autoreconf.log" 2>&1) || {
        tail -20 "$1/autoreconf.log" >&2
        fail "autoreconf failed; all of its messages are in $1/autoreconf.log"
    }
    touch "$TOP/Makefile.in"
}

# build_tree DIR CONFIGURE_ARGUMENTS -- MAKE_TARGETS: configures when needed and builds, one line a file.
build_tree() {
    local dir=$1 arguments=() started=$SECONDS
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    mkdir -p "$dir"
    prepare_configure "$dir"
    if [ ! -f "$dir/config.status" ] || [ "$TOP/configure" -nt "$dir/config.status" ] ||
        [ "$(cat "$dir/configure.arguments" 2>/dev/null)" != "${arguments[*]}" ]; then
        say "configure ${arguments[*]} (messages in $dir/configure.log)"
        (cd "$dir" && "$TOP/configure" "${arguments[@]}" >configure.log 2>&1) || {
            tail -15 "$dir/configure.log" >&2
            fail "configure failed; all of its messages are in $dir/configure.log"
        }
        printf '%s' "${arguments[*]}" >"$dir/configure.arguments"
    fi
    say "make -j$(nproc) $* (in $dir)"
    if ! make -C "$dir" --no-print-directory -j"$(nproc)" "$@" 2>&1 | tee "$dir/make.log"; then
        fail "the build failed; all of its messages are in $dir/make.log"
    fi
    say "built in $((SECONDS - started)) s"
}
