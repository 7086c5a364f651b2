# SPDX-License-Identifier: BSD-3-Clause
"""Output of `khorig inspect`."""
