# SPDX-License-Identifier: BSD-3-Clause
"""What a guest is asked to do and what it prints: events, facts, exit status."""
