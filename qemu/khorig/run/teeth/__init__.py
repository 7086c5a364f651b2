# SPDX-License-Identifier: BSD-3-Clause
"""Checks that a flipped byte of any owner at any stop is found."""
