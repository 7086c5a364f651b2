# SPDX-License-Identifier: BSD-3-Clause
"""Stand-ins for the repositories that Bazel's own BUILD files load.

Bazel 4 expects rules_cc, rules_java, rules_proto and remote_coverage_tools, and would download
them. khorig needs only what is built into Bazel, so each stand-in names the native rules and
nothing else.
"""

# What is loaded from each repository's defs.bzl, anywhere in Bazel's own BUILD files.
_CC = [
    "cc_binary",
    "cc_import",
    "cc_library",
    "cc_proto_library",
    "cc_test",
    "cc_toolchain",
    "cc_toolchain_suite",
    "objc_library",
]
_JAVA = [
    "java_binary",
    "java_import",
    "java_library",
    "java_proto_library",
    "java_runtime",
    "java_test",
    "java_toolchain",
]
_PROTO = ["proto_library"]

_PROGRAM = """\
sh_binary(
    name = "{name}",
    srcs = ["{name}.sh"],
    visibility = ["//visibility:public"],
)
"""

def _builtin_repository_impl(repository):
    repository.file("WORKSPACE", "workspace(name = \"%s\")\n" % repository.name)
    repository.file("BUILD", "".join([_PROGRAM.format(name = p) for p in repository.attr.programs]))
    for program in repository.attr.programs:
        repository.file(program + ".sh", "#!/bin/sh\nexit 1\n")
    if repository.attr.package:
        lines = ["%s = native.%s" % (rule, rule) for rule in repository.attr.rules]
        repository.file(repository.attr.package + "/BUILD", "")
        repository.file(repository.attr.package + "/defs.bzl", "\n".join(lines) + "\n")

_builtin_repository = repository_rule(
    implementation = _builtin_repository_impl,
    attrs = {
        "package": attr.string(doc = "the package with defs.bzl"),
        "programs": attr.string_list(doc = "programs that only coverage runs, which nobody does"),
        "rules": attr.string_list(doc = "native rules that defs.bzl names"),
    },
)

def builtin_repositories():
    _builtin_repository(name = "rules_cc", package = "cc", rules = _CC)
    _builtin_repository(name = "rules_java", package = "java", rules = _JAVA)
    _builtin_repository(name = "rules_proto", package = "proto", rules = _PROTO)
    _builtin_repository(
        name = "remote_coverage_tools",
        programs = ["coverage_report_generator", "lcov_merger"],
    )
