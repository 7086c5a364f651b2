# SPDX-License-Identifier: BSD-3-Clause
"""One clang toolchain for each of host, x86_64-none and arm64-none.

    clang_toolchain(
        name = "arm64_none",
        clang_target = "aarch64-unknown-none-elf",
        linker_target = "aarch64-linux-gnu",
        constraints = ["@platforms//cpu:aarch64", "@platforms//os:none"],
        compile_flags = [...],
        link_flags = [...],
    )

makes `:arm64_none_toolchain`, for `register_toolchains`.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    "feature",
    "feature_set",
    "flag_group",
    "flag_set",
    "tool_path",
)
load("@system//:defs.bzl", "AR", "CLANG", "INCLUDE_DIRECTORIES", "LLD", "NM", "OBJCOPY", "OBJDUMP", "STRIP")

_ASSEMBLE = [ACTION_NAMES.assemble, ACTION_NAMES.preprocess_assemble]
_CXX = [
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.linkstamp_compile,
]
_COMPILE = _CXX + [ACTION_NAMES.c_compile]
_LINK = [
    ACTION_NAMES.cpp_link_executable,
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

_WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]

# The same input gives the same output, wherever the tree lies.
_REPRODUCIBLE = [
    "-no-canonical-prefixes",
    "-Wno-builtin-macro-redefined",
    "-D__DATE__=\"redacted\"",
    "-D__TIME__=\"redacted\"",
    "-D__TIMESTAMP__=\"redacted\"",
]

# kernel/base/ubsan.cc is the runtime. vptr needs C++'s run-time types; function wants a type in front of
# everything that is called, assembly too; and there is no floating point.
_UBSAN = [
    "-fsanitize=undefined",
    "-fno-sanitize=float-cast-overflow,function,vptr",
    "-fno-sanitize-recover=all",
]

def _flags(name, sets, enabled = False, **kwargs):
    """A feature that adds flags: `sets` is a list of (actions, flags)."""
    return feature(
        name = name,
        enabled = enabled,
        flag_sets = [
            flag_set(actions = actions, flag_groups = [flag_group(flags = flags)])
            for actions, flags in sets
            if flags
        ],
        **kwargs
    )

def _layering_features():
    """A target includes headers of its direct dependencies only, and headers parse alone."""
    module = ["-fmodule-name=%{module_name}", "-fmodule-map-file=%{module_map_file}"]
    dependencies = flag_group(
        iterate_over = "dependent_module_map_files",
        flags = ["-fmodule-map-file=%{dependent_module_map_files}"],
    )
    return [
        feature(name = "module_maps", enabled = True),
        _flags(
            "use_module_maps",
            [(_COMPILE, module)],
            requires = [feature_set(features = ["module_maps"])],
        ),
        feature(
            name = "layering_check",
            enabled = True,
            implies = ["use_module_maps"],
            flag_sets = [flag_set(
                actions = _COMPILE,
                flag_groups = [
                    flag_group(flags = [
                        "-Xclang",
                        "-fno-cxx-modules",
                        "-fmodules-strict-decluse",
                        "-Wprivate-header",
                    ]),
                    dependencies,
                ],
            )],
        ),
        _flags("parse_headers", [(
            [ACTION_NAMES.cpp_header_parsing],
            ["-xc++-header", "-Wno-pragma-once-outside-header"],
        )], enabled = True),
    ]

def _config_impl(ctx):
    freestanding = ctx.attr.freestanding
    target = ["--target=" + ctx.attr.clang_target] if ctx.attr.clang_target else []

    # For a bare-metal target clang would call gcc to link, for a Linux one it calls lld.
    link_target = ["--target=" + ctx.attr.linker_target] if ctx.attr.linker_target else []
    features = [
        _flags("default_flags", [
            (_COMPILE + _ASSEMBLE, target + _REPRODUCIBLE + ctx.attr.compile_flags),
            (_COMPILE, _WARNINGS),
            (_CXX, ["-std=c++20"] + ctx.attr.cxx_flags),
            (_LINK, link_target + ["--ld-path=" + LLD] + ctx.attr.link_flags),
        ], enabled = True),
        feature(name = "supports_start_end_lib", enabled = True),
        feature(name = "supports_pic", enabled = not freestanding),
        feature(name = "supports_dynamic_linker", enabled = not freestanding),
    ] + _layering_features()
    if freestanding:
        features.append(_flags("ubsan", [(_COMPILE, _UBSAN)]))
    else:
        sanitize = ["-fsanitize=address,undefined"]
        features += [
            _flags("asan", [
                (_COMPILE, sanitize + [
                    "-O1",
                    "-fno-sanitize-recover=all",
                    "-fno-omit-frame-pointer",
                ]),
                (_LINK, sanitize),
            ]),
            _flags("tsan", [
                (_COMPILE, ["-fsanitize=thread", "-fno-omit-frame-pointer"]),
                (_LINK, ["-fsanitize=thread"]),
            ]),
            _flags("fuzzer_coverage", [(_COMPILE, ["-fsanitize=fuzzer-no-link"])]),
            _flags("fuzzer", [(_LINK, ["-fsanitize=fuzzer"])], implies = ["fuzzer_coverage"]),
        ]
    tools = {
        "ar": AR,
        "cpp": CLANG,
        "gcc": CLANG,
        "gcov": "/bin/false",
        "ld": LLD,
        "nm": NM,
        "objcopy": OBJCOPY,
        "objdump": OBJDUMP,
        "strip": STRIP,
    }
    directories = INCLUDE_DIRECTORIES
    if freestanding:
        directories = [d for d in directories if "/clang/" in d]
        directories.append("%workspace%/third_party/freestanding/include")
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        toolchain_identifier = ctx.label.name,
        host_system_name = "local",
        target_system_name = ctx.attr.clang_target or "local",
        target_cpu = ctx.attr.clang_target or "k8",
        target_libc = "none" if freestanding else "glibc",
        compiler = "clang",
        abi_version = "local",
        abi_libc_version = "local",
        cxx_builtin_include_directories = directories,
        features = features,
        tool_paths = [tool_path(name = name, path = path) for name, path in tools.items()],
    )

_clang_toolchain_config = rule(
    implementation = _config_impl,
    attrs = {
        "clang_target": attr.string(),
        "compile_flags": attr.string_list(),
        "cxx_flags": attr.string_list(),
        "freestanding": attr.bool(),
        "link_flags": attr.string_list(),
        "linker_target": attr.string(),
    },
    provides = [CcToolchainConfigInfo],
)

def clang_toolchain(
        name,
        constraints,
        module_map,
        files = [],
        freestanding = False,
        **flags):
    """Defines `<name>_toolchain`.

    Args:
      name: of the target, as "x86_64_none".
      constraints: what the target platform has to be.
      module_map: of the headers that everybody may include.
      files: headers that every compilation may read.
      freestanding: no C library, nothing shared, position fixed by the linker script.
      **flags: `clang_target`, `linker_target`, `compile_flags`, `cxx_flags`, `link_flags`.
    """
    _clang_toolchain_config(
        name = name + "_config",
        freestanding = freestanding,
        **flags
    )
    native.filegroup(name = name + "_files", srcs = files)
    native.cc_toolchain(
        name = name + "_clang",
        all_files = name + "_files",
        ar_files = name + "_files",
        as_files = name + "_files",
        compiler_files = name + "_files",
        dwp_files = name + "_files",
        linker_files = name + "_files",
        module_map = module_map,
        objcopy_files = name + "_files",
        strip_files = name + "_files",
        supports_header_parsing = True,
        supports_param_files = True,
        toolchain_config = name + "_config",
    )
    native.toolchain(
        name = name + "_toolchain",
        exec_compatible_with = ["@platforms//cpu:x86_64", "@platforms//os:linux"],
        target_compatible_with = constraints,
        toolchain = name + "_clang",
        toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
    )
