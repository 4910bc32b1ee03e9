# Shared by the scripts beside it.  They source it; it leaves them in the project's root.
#
# Two things are made by need and never twice: Debian packages, which dpkg-query is
# asked about first, and the virtual environment .venv, whose stamp says what is in it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=.venv/bin/python
# Hundreds of processes of the tests would compile the same modules again.
unset PYTHONDONTWRITEBYTECODE
STAMP=.venv/.signetrpc-stamp
# gssapi and krb5 have no wheels for Linux and take minutes to build, so what is built
# outlives the clone.
WHEELS=${XDG_CACHE_HOME:-$HOME/.cache}/signetrpc/wheels

# A Kerberos KDC and clients, and what gssapi and krb5 are built with.
KERBEROS_PACKAGES=(krb5-kdc krb5-admin-server krb5-user libkrb5-dev gcc libc6-dev)
# A KDC that knows which services may act for their callers.
LDAP_KDC_PACKAGES=(krb5-kdc-ldap slapd ldap-utils)
# A domain controller, and what makes, fills and asks it.
SAMBA_PACKAGES=(samba samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind libnss-winbind ldb-tools smbclient)
# A shifted clock, an NTLM that is not ours, and the list of files to package.
TEST_PACKAGES=("${KERBEROS_PACKAGES[@]}" "${LDAP_KDC_PACKAGES[@]}" "${SAMBA_PACKAGES[@]}" faketime gss-ntlmssp git)

say() { printf '==> %s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# quietly COMMAND...: shows the command's output only if it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" = 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

check_interpreter() {
    command -v python3 >/dev/null || die "python3 is not in PATH; Python 3.11 or later is needed"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$(command -v python3) is $(python3 --version), but Python 3.11 or later is needed; put one first in PATH as python3"
}

python_has() { python3 -c "$1" 2>/dev/null; }

# debian_packages PACKAGE...: installs those that are missing.
debian_packages() {
    local missing=() package
    # Only a Debian python3 has these apart; any other brings its own.
    python_has 'import ensurepip, venv' || set -- "$@" python3-venv
    case " $* " in *" gcc "*)
        python_has 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' ||
            set -- "$@" python3-dev
        ;;
    esac
    if ! command -v dpkg-query >/dev/null; then
        [ $# = 0 ] || say "not a Debian system; what these Debian packages hold has to be there: $*"
        return
    fi
    for package; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} = 0 ] && return
    say "Debian packages to install: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        printf 'Not root: run this line, then start again.\n  sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n' "${missing[*]}" >&2
        exit 1
    fi
    install_packages "${missing[@]}"
}

# A subshell, so that its trap restores policy-rc.d whatever happens.
install_packages() (
    policy=/usr/sbin/policy-rc.d
    saved=$policy.before-signetrpc
    exec 9>/run/signetrpc-apt.lock
    flock 9
    restore() { if [ -e "$saved" ]; then mv "$saved" "$policy"; else rm -f "$policy"; fi; }
    trap restore EXIT
    trap 'exit 1' INT TERM
    # The tests start a KDC of their own; the packages' daemons must not start.  A policy
    # of ours still there was left by a run that was killed, and $saved is the original.
    if [ -e "$policy" ] && ! grep -q signetrpc "$policy"; then
        mv "$policy" "$saved"
    fi
    printf '#!/bin/sh\n# signetrpc: no daemon starts while its scripts install packages\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    apt=(apt-get -q -y -o DPkg::Lock::Timeout=600)
    # The LDAP schema of a KDC's database is among the documents, which systems for
    # containers leave out.
    documents=(-o "Dpkg::Options::=--path-include=/usr/share/doc/krb5-kdc-ldap/*")
    install=("${apt[@]}" "${documents[@]}" install --no-install-recommends "$@")
    # Lists of packages may be there already, and current enough.
    "${install[@]}" >/dev/null 2>&1 </dev/null && exit
    say "updating the lists of packages"
    quietly "${apt[@]}" update && quietly "${install[@]}"
)

# environment SET: makes .venv hold one of these sets, from small to large.
#   demo      the package and its command
#   kerberos  the same with gssapi and krb5
#   all       everything, with the tools for tests and checks
environment() {
    local key wanted=$1 held=none
    check_interpreter
    key=$( (pwd; python3 --version; cat pyproject.toml hatch_build.py scripts/lib.sh) | sha256sum | cut -c1-64)
    if [ -x $PYTHON ] && $PYTHON -c '' 2>/dev/null; then
        [ -f $STAMP ] && [ "$(head -n1 $STAMP)" = "$key" ] && held=$(tail -n1 $STAMP)
    else
        rm -rf .venv
    fi
    case "$wanted:$held" in
    demo:demo | demo:kerberos | demo:all | kerberos:kerberos | kerberos:all | all:all) return ;;
    esac
    say "preparing .venv ($wanted)"
    [ -d .venv ] || quietly python3 -m venv .venv
    rm -f $STAMP
    # An environment that uv made has no pip.
    $PYTHON -c 'import pip' 2>/dev/null || quietly $PYTHON -m ensurepip
    case $wanted in
    demo) pip_install -e '.[cli]' ;;
    kerberos)
        build_wheels
        pip_install -e '.[cli,kerberos]'
        ;;
    all)
        build_wheels
        pip_install 'pip>=25.1' # the first to know --group
        pip_install --group dev -e '.[cli,kerberos,trio,uvloop]'
        ;;
    esac
    printf '%s\n%s\n' "$key" "$wanted" >$STAMP
}

pip_install() {
    mkdir -p "$WHEELS"
    quietly $PYTHON -m pip install --disable-pip-version-check --prefer-binary --find-links "$WHEELS" "$@"
}

# Both at once, and hardly optimised: they are thin, and the time goes into compiling.
build_wheels() {
    local name pids=() pid status=0
    mkdir -p "$WHEELS"
    for name in gssapi krb5; do
        compgen -G "$WHEELS/$name-*$(uname -m).whl" >/dev/null && continue
        say "building $name (once, in $WHEELS)"
        # Without pip's own cache: others should not be given an unoptimised wheel.
        CFLAGS="-O0 -g0" quietly $PYTHON -m pip wheel --disable-pip-version-check \
            --no-cache-dir --no-deps -w "$WHEELS" "$name" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
    return "$status"
}
