# SPDX-License-Identifier: BSD-3-Clause
"""What programs and tests use: an opened dump, and runs under QEMU. `import khorig` has both."""
