# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a handover, each with a stable id, and whether a dump keeps them."""
