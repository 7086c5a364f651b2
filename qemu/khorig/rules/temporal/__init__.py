# SPDX-License-Identifier: BSD-3-Clause
"""Rules over memory before and after."""
