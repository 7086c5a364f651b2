# SPDX-License-Identifier: BSD-3-Clause
"""Fuzz targets.

    load("//toolchain:fuzz.bzl", "fuzz_target")

    fuzz_target(
        name = "cpio",
        srcs = ["cpio_case.cc"],
        deps = [":base"],
    )

`srcs` define `fuzz::RunCase` and `fuzz::Seeds` (khocore/testing/fuzz_case.h). Of that there are
`cpio_corpus_test`, which runs the seeds and many damages of them, and for the nightly tier
`cpio_fuzz_nightly`, in which libFuzzer runs for a minute. For longer:

    bazel run --config=fuzz //kernel/base:cpio_fuzz -- -runs=10000000
"""

_SECONDS = 60

def _fuzzer_transition_impl(settings, _attributes):
    features = settings["//command_line_option:features"]
    return {"//command_line_option:features": features + ["asan", "fuzzer_coverage"]}

_fuzzer_transition = transition(
    implementation = _fuzzer_transition_impl,
    inputs = ["//command_line_option:features"],
    outputs = ["//command_line_option:features"],
)

def _fuzz_test_impl(ctx):
    fuzzer = ctx.attr.fuzzer[0][DefaultInfo].files_to_run.executable
    corpus = ctx.files.corpus
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.write(script, is_executable = True, content = """\
#!/bin/sh
# What is found goes to $TEST_UNDECLARED_OUTPUTS_DIR.
export TMPDIR="$TEST_TMPDIR"
mkdir "$TEST_TMPDIR/corpus"
exec {fuzzer} -max_total_time={seconds} -print_final_stats=1 -verbosity=0 -timeout=10 \\
  -artifact_prefix="$TEST_UNDECLARED_OUTPUTS_DIR/" "$TEST_TMPDIR/corpus" {folders}
""".format(
        fuzzer = fuzzer.short_path,
        seconds = _SECONDS,
        folders = " ".join({file.dirname: None for file in corpus}),
    ))
    return [DefaultInfo(
        executable = script,
        runfiles = ctx.runfiles(files = [fuzzer] + corpus),
    )]

fuzz_test = rule(
    implementation = _fuzz_test_impl,
    attrs = {
        "corpus": attr.label_list(allow_files = True),
        "fuzzer": attr.label(cfg = _fuzzer_transition, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    doc = "Runs a libFuzzer binary for a minute, from the inputs in `corpus` and its own seeds.",
    test = True,
)

def fuzz_target(name, srcs, deps, copts = [], finds = [], cases = 8000, **kwargs):
    """Defines `<name>_corpus_test`, `<name>_fuzz` and `<name>_fuzz_nightly`.

    Args:
      name: of the reader.
      srcs: define `fuzz::RunCase` and `fuzz::Seeds`.
      deps: the reader, and what the case compares it with.
      copts: of `srcs`.
      finds: inputs that once showed a bug.
      cases: how many damages of each kind the corpus test runs, fewer where one takes long.
      **kwargs: whatever else the binaries take.
    """
    host = ["@platforms//os:linux"]
    native.cc_library(
        name = name + "_case",
        testonly = True,
        srcs = srcs,
        copts = copts,
        # Its own comparisons tell the fuzzer nothing and take time.
        features = ["-fuzzer_coverage"],
        target_compatible_with = host,
        deps = deps + [
            "//khocore",
            "//khocore/testing:fuzz_case",
        ],
    )
    native.cc_test(
        name = name + "_corpus_test",
        size = "small",
        srcs = ["//khocore/testing:corpus_test.cc"],
        data = finds,
        env = {
            "KHORIG_CASES": str(cases),
            "KHORIG_FINDS": " ".join(["$(rootpath %s)" % file for file in finds]),
        },
        linkstatic = True,
        target_compatible_with = host,
        deps = [
            name + "_case",
            "//khocore/testing:fuzz_case",
            "//third_party:gtest_main",
        ],
        **kwargs
    )
    native.cc_binary(
        name = name + "_fuzz",
        testonly = True,
        srcs = ["//khocore/testing:fuzz_main.cc"],
        features = ["fuzzer"],
        linkstatic = True,
        tags = ["manual"],
        target_compatible_with = host,
        deps = [
            name + "_case",
            "//khocore/testing:fuzz_case",
        ],
        **kwargs
    )
    fuzz_test(
        name = name + "_fuzz_nightly",
        testonly = True,
        size = "medium",
        corpus = finds,
        fuzzer = name + "_fuzz",
        tags = ["nightly"],
    )
