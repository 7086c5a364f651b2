# SPDX-License-Identifier: BSD-3-Clause
"""Rules for UEFI applications and the volumes they are started from.

    load("//toolchain:efi.bzl", "efi_application", "efi_binary", "fat_volume")

    efi_binary(
        name = "loader_library",
        deps = [":main"],
    )

    efi_application(
        name = "loader-arm64",
        arch = "arm64",
        binary = ":loader_library",
    )

    fat_volume(
        name = "khorig-arm64-efi",
        out = "khorig-arm64.esp",
        files = {":loader-arm64": "EFI/BOOT/BOOTAA64.EFI"},
    )

An application is linked by GNU-EFI's linker script as a shared library that relocates itself when
it starts; `loader-arm64.efi` is that in the format of UEFI, `loader-arm64.so` has the symbols.
"""

load("@system//:defs.bzl", "EFI_CRT0_IS_PE", "MCOPY", "MKFS_FAT", "OBJCOPY", "OBJCOPY_ARM64", "PYTHON")

_ARCHES = ["arm64", "x86_64"]

# The script and the object that makes a shared library an application, from GNU-EFI.
_GNU_EFI = "@system//:efi/%s/%s"

# As binutils calls it.
_CPU = {"arm64": "aarch64", "x86_64": "x86_64"}

# Sections that the firmware loads. binutils makes the PE header, unless crt0.o is one, as it was on arm64
# before binutils could: then the file is what lies in memory.
_SECTIONS = [
    ".text",
    ".sdata",
    ".data",
    ".rodata",
    ".dynamic",
    ".dynsym",
    ".rel",
    ".rela",
    ".rel.*",
    ".rela.*",
    ".reloc",
]

def efi_binary(name, deps, **kwargs):
    """A `cc_binary` linked as GNU-EFI wants it. Has `efi_main` in `deps`.

    Args:
      name: of the target.
      deps: the application's parts.
      **kwargs: whatever else `cc_binary` takes.
    """
    inputs = {
        "//toolchain:%s_efi" % arch: [_GNU_EFI % (arch, "crt0.o"), _GNU_EFI % (arch, "efi.lds")]
        for arch in _ARCHES
    }
    options = {
        setting: [
            "$(location %s)" % crt0,
            "-Wl,-T,$(location %s)" % script,
            # From version 3.0.18 on crt0.o calls this, which would set up GNU-EFI's library first.
            "-Wl,--defsym=_entry=efi_main",
        ]
        for setting, (crt0, script) in inputs.items()
    }
    native.cc_binary(
        name = name,
        additional_linker_inputs = select(dict(inputs, **{"//conditions:default": []})),
        linkopts = select(dict(options, **{"//conditions:default": []})),
        linkstatic = True,
        malloc = "//toolchain:no_malloc",
        target_compatible_with = ["//toolchain/platforms:efi"],
        deps = deps + ["@system//:efi_relocate"],
        **kwargs
    )

def _efi_transition_impl(settings, attributes):
    features = settings["//command_line_option:features"]
    return {
        "//command_line_option:features": features + (["ubsan"] if attributes.ubsan else []),
        "//command_line_option:platforms": "//toolchain/platforms:%s_efi" % attributes.arch,
    }

_efi_transition = transition(
    implementation = _efi_transition_impl,
    inputs = ["//command_line_option:features"],
    outputs = [
        "//command_line_option:features",
        "//command_line_option:platforms",
    ],
)

def _efi_application_impl(ctx):
    library = ctx.attr.binary[0][DefaultInfo].files.to_list()[0]
    symbols = ctx.actions.declare_file(ctx.label.name + ".so")
    application = ctx.actions.declare_file(ctx.label.name + ".efi")
    ctx.actions.symlink(output = symbols, target_file = library)
    arguments = ctx.actions.args()
    if EFI_CRT0_IS_PE[ctx.attr.arch]:
        arguments.add("-O", "binary")
    else:
        arguments.add_all(_SECTIONS, before_each = "-j")
        arguments.add("--target=efi-app-" + _CPU[ctx.attr.arch])
    arguments.add_all([library, application])
    ctx.actions.run(
        executable = OBJCOPY if ctx.attr.arch == "x86_64" else OBJCOPY_ARM64,
        arguments = [arguments],
        inputs = [library],
        outputs = [application],
        mnemonic = "EfiApplication",
        progress_message = "Making application %s" % application.short_path,
    )
    return [
        DefaultInfo(
            files = depset([application]),
            runfiles = ctx.runfiles(files = [application]),
        ),
        OutputGroupInfo(symbols = depset([symbols])),
    ]

efi_application = rule(
    implementation = _efi_application_impl,
    attrs = {
        "arch": attr.string(mandatory = True, values = _ARCHES),
        "binary": attr.label(cfg = _efi_transition, mandatory = True),
        "ubsan": attr.bool(doc = "with UndefinedBehaviorSanitizer (kernel/base/ubsan.cc)"),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    doc = "Builds an `efi_binary` for `arch` and makes `<name>.efi` of it.",
)

def _fat_volume_impl(ctx):
    arguments = ctx.actions.args()
    arguments.add(ctx.file._make_fat)
    arguments.add("--mkfs", MKFS_FAT)
    arguments.add("--mcopy", MCOPY)
    arguments.add(ctx.outputs.out)
    inputs = [ctx.file._make_fat]
    for target, path in ctx.attr.files.items():
        candidates = [
            file
            for file in target[DefaultInfo].files.to_list()
            if not ctx.attr.suffixes or file.extension in ctx.attr.suffixes
        ]
        if len(candidates) != 1:
            fail("%s: %d files for %s, one is needed" % (target.label, len(candidates), path))
        inputs.append(candidates[0])
        arguments.add("%s=%s" % (path, candidates[0].path))
    ctx.actions.run(
        executable = PYTHON,
        arguments = [arguments],
        inputs = inputs,
        outputs = [ctx.outputs.out],
        mnemonic = "FatVolume",
        progress_message = "Packing %s" % ctx.outputs.out.short_path,
    )
    files = [ctx.outputs.out]
    return [DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files = files))]

fat_volume = rule(
    implementation = _fat_volume_impl,
    attrs = {
        "files": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "what goes onto the volume, and under which path",
            mandatory = True,
        ),
        "out": attr.output(mandatory = True),
        "suffixes": attr.string_list(
            doc = "which files to take of targets that have several, without the dot",
        ),
        "_make_fat": attr.label(
            allow_single_file = True,
            default = "//toolchain:make_fat.py",
        ),
    },
    doc = "Makes a FAT volume with the given files, and `checksums.txt` beside each of them.",
)
