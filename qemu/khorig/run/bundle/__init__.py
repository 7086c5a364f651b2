# SPDX-License-Identifier: BSD-3-Clause
"""A run in one file, for another machine (docs/reproduce.md)."""
