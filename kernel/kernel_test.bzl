# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the kernel's own code on the host."""

def kernel_test(name, deps):
    """A GoogleTest beside the code, linked with the architecture that is a Linux process."""
    native.cc_test(
        name = name,
        srcs = [name + ".cc"],
        additional_linker_inputs = ["//kernel/arch/host:layout.ld"],
        linkopts = ["-Wl,-T,$(location //kernel/arch/host:layout.ld)"],
        linkstatic = True,
        deps = deps + [
            "//kernel/arch:current",
            "//kernel/arch/host:test_ram",
            "//kernel/cpus",
            "//khocore",
            "//third_party:gtest_main",
        ],
    )
