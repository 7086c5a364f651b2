# SPDX-License-Identifier: BSD-3-Clause
"""Every kernel to every kernel."""
