# SPDX-License-Identifier: BSD-3-Clause
"""Reports for people, made from what runs have left in their folders.

Everything in those folders may come from a guest that went wrong: it is shown, never trusted.
"""
