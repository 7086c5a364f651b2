# SPDX-License-Identifier: BSD-3-Clause
"""Rules for kernel images.

    load("//toolchain:kernel.bzl", "kernel_archive", "kernel_binary", "kernel_image")

    kernel_binary(
        name = "kernel",
        deps = ["//kernel/handover:course", ...],
    )

    kernel_image(
        name = "khorig-arm64",
        kernel = ":kernel",
        platform = "//toolchain/platforms:arm64_none",
    )

    kernel_archive(
        name = "khorig-arm64-archive",
        image = ":khorig-arm64",
        out = "khorig-arm64.cpio",
    )

One `bazel build //...` then makes `khorig-arm64.elf` (with symbols and debug information),
`khorig-arm64.bin` (the image in Linux's boot format) and `khorig-arm64.cpio` (the archive for the
initrd).

The kernel's parts are plain `cc_library` targets. What exists for one architecture only chooses its
files with `select` on //toolchain:x86_64_none, //toolchain:arm64_none and //toolchain:host, and what
cannot exist on the host has `target_compatible_with = ["@platforms//os:none"]`. A library whose
objects nobody refers to (entry code, linker-section records) needs `alwayslink = True`.
"""

load("@system//:defs.bzl", "CXXFILT", "PYTHON")
load(
    "//toolchain:page_size.bzl",
    "DEFAULT_PAGE_SIZE",
    "PAGE_SIZES",
    "PAGE_SIZE_DEFINES",
    "PAGE_SIZE_SETTING",
)

_LINKER_SCRIPTS = {
    "//toolchain:arm64_none": "//kernel/arch/arm64:kernel.ld",
    "//toolchain:x86_64_none": "//kernel/arch/x86_64:kernel.ld",
}

def linker_script(name, src, headers):
    """Makes `<name>.ld` of a linker script for the preprocessor.

    Args:
      name: of the target.
      src: the script, which shares numbers with C++ and assembly.
      headers: that it includes.
    """
    command = "$(CC) -E -P -x assembler-with-cpp -I. %s $(location %s) -o $@"
    native.genrule(
        name = name + "_ld",
        srcs = [src] + headers,
        outs = [name + ".ld"],
        cmd = select({
            condition: command % (" ".join(["-D" + define for define in defines]), src)
            for condition, defines in PAGE_SIZE_DEFINES.items()
        }),
        target_compatible_with = ["@platforms//os:none"],
        toolchains = ["@bazel_tools//tools/cpp:current_cc_toolchain"],
    )

def kernel_binary(name, **kwargs):
    """A `cc_binary` for bare metal, laid out by kernel/arch/<arch>/kernel.lds.S.

    Args:
      name: of the target.
      **kwargs: `srcs`, `deps` and whatever else `cc_binary` takes.
    """
    native.cc_binary(
        name = name,
        additional_linker_inputs = select(dict(
            {setting: [script] for setting, script in _LINKER_SCRIPTS.items()},
            **{"//conditions:default": []}
        )),
        linkopts = select(dict(
            {
                setting: ["-Wl,-T,$(location %s)" % script]
                for setting, script in _LINKER_SCRIPTS.items()
            },
            **{"//conditions:default": []}
        )),
        linkstatic = True,
        # There is no malloc; without this Bazel links its default one.
        malloc = "//toolchain:no_malloc",
        target_compatible_with = ["@platforms//os:none"],
        **kwargs
    )

KernelImageInfo = provider(
    doc = "The files of one kernel image.",
    fields = {
        "bin": "the image in Linux's boot format",
        "elf": "the same with symbols and debug information",
    },
)

_KIBIBYTE = 1024
_PARTS = 3  # text, constants and data

def _platform_transition_impl(settings, attributes):
    features = settings["//command_line_option:features"]
    return {
        "//command_line_option:features": features + (["ubsan"] if attributes.ubsan else []),
        "//command_line_option:platforms": str(attributes.platform),
        PAGE_SIZE_SETTING: attributes.page_size,
    }

_platform_transition = transition(
    implementation = _platform_transition_impl,
    inputs = ["//command_line_option:features"],
    outputs = [
        "//command_line_option:features",
        "//command_line_option:platforms",
        PAGE_SIZE_SETTING,
    ],
)

def _kernel_image_impl(ctx):
    kernel = ctx.attr.kernel[0][DefaultInfo].files.to_list()[0]
    elf = ctx.actions.declare_file(ctx.label.name + ".elf")
    image = ctx.actions.declare_file(ctx.label.name + ".bin")
    arguments = ctx.actions.args()
    arguments.add(ctx.file._make_image)
    arguments.add("--cxxfilt", CXXFILT)
    arguments.add("--kernel", kernel)
    checked = ctx.attr.ubsan or "ubsan" in ctx.features

    # Each part of an image ends with a page, however large.
    padding = _PARTS * ((1 << PAGE_SIZES[ctx.attr.page_size]) - (1 << 12))
    arguments.add("--limit", (640 if checked else 320) * _KIBIBYTE + padding)
    arguments.add("--elf", elf)
    arguments.add("--image", image)
    ctx.actions.run(
        executable = PYTHON,
        arguments = [arguments],
        inputs = [kernel, ctx.file._make_image],
        outputs = [elf, image],
        mnemonic = "KernelImage",
        progress_message = "Making image %s" % image.short_path,
    )
    files = [elf, image]
    return [
        DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files = files)),
        KernelImageInfo(bin = image, elf = elf),
    ]

kernel_image = rule(
    implementation = _kernel_image_impl,
    attrs = {
        "kernel": attr.label(cfg = _platform_transition, mandatory = True),
        "page_size": attr.string(default = DEFAULT_PAGE_SIZE),
        "platform": attr.label(mandatory = True),
        "ubsan": attr.bool(doc = "with UndefinedBehaviorSanitizer (kernel/base/ubsan.cc)"),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
        "_make_image": attr.label(
            allow_single_file = True,
            default = "//toolchain:make_image.py",
        ),
    },
    doc = "Builds a kernel for `platform` with pages of `page_size` (page_size.bzl) and makes " +
          "`<name>.elf` and `<name>.bin` of it.",
)

def _kernel_archive_impl(ctx):
    image = ctx.attr.image[KernelImageInfo].bin
    arguments = ctx.actions.args()
    arguments.add(ctx.file._make_archive)
    arguments.add(ctx.outputs.out)
    arguments.add("kernel=" + image.path)
    ctx.actions.run(
        executable = PYTHON,
        arguments = [arguments],
        inputs = [image, ctx.file._make_archive],
        outputs = [ctx.outputs.out],
        mnemonic = "KernelArchive",
        progress_message = "Packing %s" % ctx.outputs.out.short_path,
    )
    files = [ctx.outputs.out]
    return [DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files = files))]

kernel_archive = rule(
    implementation = _kernel_archive_impl,
    attrs = {
        "image": attr.label(mandatory = True, providers = [KernelImageInfo]),
        "out": attr.output(mandatory = True),
        "_make_archive": attr.label(
            allow_single_file = True,
            default = "//toolchain:make_archive.py",
        ),
    },
    doc = "Packs a kernel image as `kernel` into the cpio archive that a run gets as initrd.",
)
