# SPDX-License-Identifier: BSD-3-Clause
"""A dump's handover for people and for scripts."""
