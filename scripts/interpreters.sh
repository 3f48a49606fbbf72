# Which CPython interpreters this machine has, and which of them leads.
#
# Sourced, never run. An interpreter counts only if it starts and is the version its name says: a pyenv shim may do neither.
# shellcheck shell=bash

supported=(3.10 3.11 3.12 3.13)

# interpreter VERSION: prints the path of a working CPython VERSION, or fails.
interpreter() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        "$candidate" - "$1" 2>/dev/null <<'PYTHON' && return 0
import sys
if sys.implementation.name != "cpython" or "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit(1)
print(sys._base_executable)
PYTHON
    done
    return 1
}

# main_version: 3.11 where there is one, else the newest that the machine has.
main_version() {
    local version
    for version in 3.11 3.13 3.12 3.10; do
        if interpreter "$version" >/dev/null; then
            printf '%s\n' "$version"
            return 0
        fi
    done
    return 1
}

# other_versions: the supported versions beside the main one, whether the machine has them or not.
other_versions() {
    local version main=$1
    for version in "${supported[@]}"; do
        if [[ $version != "$main" ]]; then printf '%s\n' "$version"; fi
    done
}
