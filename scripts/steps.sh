# What all scripts share: how a step is shown, where logs and tools lie, how the wheel reaches a venv.
#
# Sourced, never run. Every script runs from the project's root, without stdin, so that it behaves alike under a terminal and in CI.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
logs=target/logs
mkdir -p "$logs"
exec </dev/null

export PATH="$root/target/tools/bin:$PATH"
# maturin and plain cargo read the same description of the abi3 interpreter, else each would undo the other's build of PyO3.
export PYO3_BUILD_EXTENSION_MODULE=1
export PYO3_CONFIG_FILE="$root/target/abi3.txt"
if [[ ! -f $PYO3_CONFIG_FILE ]]; then
    printf '%s\n' implementation=CPython version=3.10 target_abi=CPython-abi3-3.10 shared=true build_flags= \
        suppress_build_script_link_lines=false >"$PYO3_CONFIG_FILE"
fi

# In CI the lock file is law; at a desk, cargo follows an edited Cargo.toml.
locked=()
if [[ -n ${CI:-} ]]; then locked=(--locked); fi

# What Rust tests build: every engine and the service, without Python, which a test program cannot link.
# shellcheck disable=SC2034
engines=(--no-default-features --features "redis,service,sqlite")

die() {
    local status=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$status"
}

# step TITLE COMMAND...: one line while it works; its whole log when it fails, with the command's status.
step() {
    local title=$1 started=$SECONDS status=0 log
    shift
    log="$logs/$(tr -cs '[:alnum:].\n' '-' <<<"$title").log"
    printf '==> %-64s ' "$title"
    "$@" >"$log" 2>&1 || status=$?
    if ((status == 0)); then
        printf '%4d s\n' $((SECONDS - started))
    else
        printf 'FAILED (%d)\n' "$status"
        sed 's/^/    /' "$log"
    fi
    return "$status"
}

# need_package COMMAND PACKAGE...: has COMMAND installed from Debian when root, else says what to install.
need_package() {
    local command=$1
    shift
    if command -v "$command" >/dev/null; then return 0; fi
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        printf 'error: %s is missing; install it first: apt-get install %s\n' "$command" "$*" >&2
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    step "install $*" apt_install "$@"
}

apt_install() {
    apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

# build_wheel: one abi3 wheel of the dev profile, left alone in target/wheels/dev.
build_wheel() {
    rm -rf target/wheels/dev
    step "build the wheel, dev profile" \
        .venv/bin/maturin build --profile dev --auditwheel skip --out target/wheels/dev "${locked[@]}"
}

# install_wheel VENV: puts the wheel that build_wheel left into VENV; what it depends on is setup's work.
install_wheel() {
    step "install the wheel into $1" pip_install "$1" --force-reinstall --no-deps target/wheels/dev/*.whl
}

# pip_install VENV ARGUMENTS...: only .venv carries pip, so that the other environments are made in a moment.
pip_install() {
    local venv=$1
    shift
    .venv/bin/python -m pip --disable-pip-version-check --python "$venv/bin/python" install "$@"
}
