# SPDX-License-Identifier: BSD-3-Clause
"""Code whose atomic operations a test interleaves (interleavings.h)."""

# Without ThreadSanitizer's runtime, which atomic_hooks.cc stands for.
_INTERLEAVED = [
    "-O1",
    "-gline-tables-only",
    "-fsanitize=thread",
    "-include",
    "khocore/testing/weak_exchange.h",
]

# Two sanitizers exclude each other.
WITHOUT_SANITIZERS = [
    "-asan",
    "-fuzzer",
    "-fuzzer_coverage",
    "-tsan",
]

def interleavings_test(name, srcs, deps = [], **kwargs):
    """A GoogleTest that runs code in every interleaving.

    Args:
      name: of the test.
      srcs: its files, and those under test, which are compiled for it.
      deps: what is not interleaved.
      **kwargs: `size`, `tags` and whatever else a test takes.
    """
    native.cc_test(
        name = name,
        srcs = srcs,
        copts = _INTERLEAVED,
        features = WITHOUT_SANITIZERS,
        target_compatible_with = ["@platforms//os:linux"],
        deps = deps + [
            "//khocore/testing:interleavings",
            "//third_party:gtest_main",
        ],
        **kwargs
    )
