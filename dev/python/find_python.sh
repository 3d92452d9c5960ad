#!/bin/sh
# Prints a Python that can make the virtual environments: 3.13, which the pinned packages have wheels for, else newer.
# LATCHKEY_PYTHON names one outright.

works() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 13))' >/dev/null 2>&1
}

pyenv_root=${PYENV_ROOT:-$HOME/.pyenv}
# Unquoted patterns: one that matches nothing stays as it is, and then does not work.
for candidate in ${LATCHKEY_PYTHON:-python3.13 "$pyenv_root"/versions/3.13.*/bin/python3.13 \
    python3.14 "$pyenv_root"/versions/3.14.*/bin/python3.14 python3}; do
    if works "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done
cat >&2 <<'END'
No Python 3.13 or newer with venv was found; Home Assistant and the emulators need one.
  Debian 13, Ubuntu 25.04:  apt-get install python3 python3-venv
  Fedora:                   dnf install python3.13
  anywhere, with pyenv:     pyenv install 3.13
Or name one: LATCHKEY_PYTHON=/path/to/python3.13
END
exit 1
