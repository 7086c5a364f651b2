# SPDX-License-Identifier: BSD-3-Clause
"""`python3 -m pytest tests/FOLDER` in a checkout, without an installation and without Bazel."""

import importlib.util
import os
from pathlib import Path

# Tests of scripts run under Bazel without the package.
pytest_plugins = ["khorig.pytest_plugin"] if importlib.util.find_spec("khorig") else []

# For `python3 -m khorig` in tests.
os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent / "qemu"))
