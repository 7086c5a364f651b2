# SPDX-License-Identifier: BSD-3-Clause
"""Formats of Linux's clients, a file each. A module here adds what it reads by its FORMATS."""
