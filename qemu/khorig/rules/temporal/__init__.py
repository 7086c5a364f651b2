# SPDX-License-Identifier: BSD-3-Clause
"""Rules over memory at two stops."""
