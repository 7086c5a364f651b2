# SPDX-License-Identifier: BSD-3-Clause
"""What people and machines get to read, made from results and journals alone."""
