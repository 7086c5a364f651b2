# SPDX-License-Identifier: BSD-3-Clause
"""Pokes: changing a byte of guest memory at a stop."""
