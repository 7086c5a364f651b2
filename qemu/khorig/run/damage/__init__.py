# SPDX-License-Identifier: BSD-3-Clause
"""Damage to a handover, as a defective kernel would have left it."""
