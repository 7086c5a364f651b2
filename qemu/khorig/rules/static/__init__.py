# SPDX-License-Identifier: BSD-3-Clause
"""Rules over one snapshot."""
