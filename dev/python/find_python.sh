#!/bin/sh
# Prints the path of a Python that can create the virtual environments. Prefers 3.13, because the pinned packages have
# wheels for it. Otherwise takes a newer version. LATCHKEY_PYTHON overrides the choice.

works() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 13))' >/dev/null 2>&1
}

pyenv_root=${PYENV_ROOT:-$HOME/.pyenv}
# The patterns are unquoted. A pattern without a match stays unchanged, and `works` rejects it.
for candidate in ${LATCHKEY_PYTHON:-python3.13 "$pyenv_root"/versions/3.13.*/bin/python3.13 \
    python3.14 "$pyenv_root"/versions/3.14.*/bin/python3.14 python3}; do
    if works "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done
cat >&2 <<'END'
Python 3.13 or newer with venv was not found. Home Assistant and the emulators need it.
  Debian 13, Ubuntu 25.04:  apt-get install python3 python3-venv
  Fedora:                   dnf install python3.13
  anywhere, with pyenv:     pyenv install 3.13
Or set its path: LATCHKEY_PYTHON=/path/to/python3.13
END
exit 1
