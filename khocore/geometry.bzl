# SPDX-License-Identifier: BSD-3-Clause
"""The page sizes that khocore is built for: the kernel's 4 KiB, and for tests 16 and 64 KiB."""

# The suffix of the targets, and the page shift.
GEOMETRIES = {
    "": 12,
    "_16k": 14,
    "_64k": 16,
}

def geometry_defines(shift):
    """The one constant that all else follows from; 12 is the default of the headers."""
    return [] if shift == 12 else ["KHOCORE_PAGE_SHIFT=%d" % shift]
