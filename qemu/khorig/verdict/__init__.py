# SPDX-License-Identifier: BSD-3-Clause
"""Decides from guest memory and from the guest's words whether a handover lost anything."""
