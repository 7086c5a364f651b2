# SPDX-License-Identifier: BSD-3-Clause
"""The axes of the hardware matrix, a TOML file for each (docs/hardware.md)."""
