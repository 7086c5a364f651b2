# SPDX-License-Identifier: BSD-3-Clause
"""The state of each client, Linux's and khorig's."""
