# SPDX-License-Identifier: BSD-3-Clause
"""The page size of what is built.

//khocore:page_size is a build setting: "4k" by default, "16k" or "64k". Kernel images choose theirs
by transition (kernel.bzl), and so does a test at another page size:

    load("//toolchain:page_size.bzl", "page_size_tests")

    page_size_tests(tests = ["geometry_test"])   # geometry_test_16k, geometry_test_64k

`bazel test --//khocore:page_size=16k TARGET` does the same by hand.
"""

# The words of the setting, and the page shift.
PAGE_SIZES = {
    "16k": 14,
    "4k": 12,
    "64k": 16,
}
DEFAULT_PAGE_SIZE = "4k"
PAGE_SIZE_SETTING = "//khocore:page_size"

def _page_size_impl(ctx):
    if ctx.build_setting_value not in PAGE_SIZES:
        fail("page_size is %s, not one of %s" % (ctx.build_setting_value, sorted(PAGE_SIZES)))
    return []

page_size = rule(
    implementation = _page_size_impl,
    build_setting = config.string(flag = True),
    doc = "The build setting.",
)

# Defines by condition of a `select`; the headers know the default.
PAGE_SIZE_DEFINES = dict(
    {
        "//khocore:pages_" + size: ["KHOCORE_PAGE_SHIFT=%d" % shift]
        for size, shift in PAGE_SIZES.items()
        if size != DEFAULT_PAGE_SIZE
    },
    **{"//conditions:default": []}
)

def _transition_impl(_settings, attributes):
    return {PAGE_SIZE_SETTING: attributes.page_size}

_transition = transition(
    implementation = _transition_impl,
    inputs = [],
    outputs = [PAGE_SIZE_SETTING],
)

def _page_size_test_impl(ctx):
    test = ctx.attr.test[0][DefaultInfo]
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = executable,
        target_file = test.files_to_run.executable,
        is_executable = True,
    )
    return [DefaultInfo(
        executable = executable,
        runfiles = ctx.runfiles(files = [executable]).merge(test.default_runfiles),
    )]

_page_size_test = rule(
    implementation = _page_size_test_impl,
    attrs = {
        "page_size": attr.string(mandatory = True),
        "test": attr.label(cfg = _transition, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    doc = "A test, built for another page size.",
    test = True,
)

def page_size_tests(tests, **kwargs):
    """Defines `<test>_16k` and `<test>_64k` of each test.

    Args:
      tests: `cc_test`s of this package.
      **kwargs: `tags` and whatever else a test takes.
    """
    for test in tests:
        for size in PAGE_SIZES:
            if size != DEFAULT_PAGE_SIZE:
                _page_size_test(
                    name = "%s_%s" % (test, size),
                    size = "small",
                    page_size = size,
                    test = test,
                    **kwargs
                )
