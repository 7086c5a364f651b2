# SPDX-License-Identifier: BSD-3-Clause
"""Damages a handover between two generations, in ways that the next kernel must refuse by name."""
