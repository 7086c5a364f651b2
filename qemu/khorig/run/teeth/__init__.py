# SPDX-License-Identifier: BSD-3-Clause
"""Whether a change of handed-over memory is found, whoever's it is and whenever it comes."""
