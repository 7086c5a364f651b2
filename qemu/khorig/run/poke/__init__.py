# SPDX-License-Identifier: BSD-3-Clause
"""Writing into a guest at a stop, by hand."""
