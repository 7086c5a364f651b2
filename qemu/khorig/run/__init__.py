# SPDX-License-Identifier: BSD-3-Clause
"""One run of a guest from specification to verdict, and sessions of runs."""
