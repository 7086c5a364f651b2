#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Bazel finds the Python of the PATH by itself; the modules belong to Debian's.
exec /usr/bin/python3 toolchain/run_pytest.py "$@"
