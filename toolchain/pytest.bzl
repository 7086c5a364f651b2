# SPDX-License-Identifier: BSD-3-Clause
"""Python tests.

    load("//toolchain:pytest.bzl", "khorig_pytest")

    khorig_pytest(
        name = "fdt_test",
        size = "small",
        srcs = ["fdt_test.py"],
        data = [":khorig"],  # a filegroup of the modules under test
    )
"""

def khorig_pytest(name, srcs, data = [], only = None, prints = False, **kwargs):
    """Runs pytest on `srcs` with Debian's Python and the package in qemu/ on its path.

    A test runs at the root of the tree and finds there what `data` names, built files below their
    folder (`kernel/khorig-arm64.bin`). What it writes to $TEST_UNDECLARED_OUTPUTS_DIR is kept; its
    temporary folder has a short name, so that sockets fit into it. `--test_filter=EXPRESSION` is
    pytest's `-k`. No test at all is a failure. QEMU and firmware are inputs of every test: after an
    upgrade no cached result counts.

    Args:
      name: of the target.
      srcs: the test files; other Python files they import go to `data`.
      data: everything else the tests read.
      only: which of the tests, as pytest's `-k`; all when it is not given.
      prints: whether what the tests print is wanted when they pass, too.
      **kwargs: `size`, `timeout`, `tags` and whatever else a test takes.
    """
    native.sh_test(
        name = name,
        srcs = ["//toolchain:run_pytest.sh"],
        args = ["$(rootpath %s)" % source for source in srcs] +
               (["-k", "'%s'" % only] if only else []) +
               (["-s"] if prints else []),
        data = srcs + data + [
            "//:pytest_configuration",
            "//third_party:emulators",
            "//toolchain:run_pytest.py",
        ],
        **kwargs
    )
