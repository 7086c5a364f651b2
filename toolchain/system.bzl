# SPDX-License-Identifier: BSD-3-Clause
"""The repository @system: compilers and libraries of the machine.

Everything that is missing is named at once, with the command that mends it.
"""

_PROGRAMS = {
    "AR": "/usr/bin/ar",
    "CLANG": "/usr/bin/clang-19",
    "CLANG_FORMAT": "/usr/bin/clang-format-19",
    "CLANG_TIDY": "/usr/bin/clang-tidy-19",
    "CXXFILT": "/usr/bin/c++filt",
    "LLD": "/usr/bin/ld.lld-19",
    "MCOPY": "/usr/bin/mcopy",
    "MKFS_FAT": "/usr/sbin/mkfs.fat",
    "MYPY": "/usr/bin/mypy",
    "NM": "/usr/bin/nm",
    "OBJCOPY": "/usr/bin/objcopy",
    "OBJCOPY_ARM64": "/usr/bin/aarch64-linux-gnu-objcopy",
    "OBJDUMP": "/usr/bin/objdump",
    "PYTHON": "/usr/bin/python3",
    "QEMU_ARM64": "/usr/bin/qemu-system-aarch64",
    "QEMU_X86_64": "/usr/bin/qemu-system-x86_64",
    "SHELLCHECK": "/usr/bin/shellcheck",
    "STRIP": "/usr/bin/strip",
}

_HOST_LIBRARIES = "/usr/lib/x86_64-linux-gnu/"
_ARM64_SYSROOT = "/khorig/sysroot-arm64"
_ARM64_LIBRARIES = _ARM64_SYSROOT + "/usr/lib/aarch64-linux-gnu/"

# GNU-EFI: what starts and relocates an application, and the layout that its linker script gives it.
_EFI_FILES = {
    "efi/arm64/crt0.o": _ARM64_SYSROOT + "/usr/lib/crt0-efi-aarch64.o",
    "efi/arm64/efi.lds": _ARM64_SYSROOT + "/usr/lib/elf_aarch64_efi.lds",
    "efi/arm64/libgnuefi.a": _ARM64_SYSROOT + "/usr/lib/libgnuefi.a",
    "efi/arm64/include": _ARM64_SYSROOT + "/usr/include/efi",
    "efi/x86_64/crt0.o": "/usr/lib/crt0-efi-x86_64.o",
    "efi/x86_64/efi.lds": "/usr/lib/elf_x86_64_efi.lds",
    "efi/x86_64/libgnuefi.a": "/usr/lib/libgnuefi.a",
    "efi/x86_64/include": "/usr/include/efi",
}

# What guests run on: inputs of every test that may start one, so that what an older QEMU or firmware
# has shown does not count after an upgrade. Firmware may be missing; what needs it is skipped then.
_EMULATORS = [_PROGRAMS["QEMU_ARM64"], _PROGRAMS["QEMU_X86_64"]]
_FIRMWARE = [
    "/usr/share/AAVMF/AAVMF_CODE.fd",
    "/usr/share/AAVMF/AAVMF_VARS.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
    "/usr/share/qemu/linuxboot_dma.bin",
    "/usr/share/qemu/pvh.bin",
    "/usr/share/qemu/qboot.rom",
    "/usr/share/seabios/bios-256k.bin",
]

_HEADERS = ["fdt.h", "libfdt.h", "libfdt_env.h", "xxhash.h"]
_GTEST_LIBRARIES = ["libgmock.a", "libgtest.a", "libgtest_main.a"]

_PYTHON_MODULES = [
    "click",
    "elftools",
    "hypothesis",
    "jinja2",
    "libarchive",
    "libfdt",
    "numpy",
    "pytest",
    "rich",
    "xxhash",
    "zstandard",
]

_BUILD = """\
# Written by //toolchain:system.bzl.
package(
    default_visibility = ["//visibility:public"],
    features = ["-parse_headers"],
)

exports_files(["headers.cppmap"])

exports_files(glob([
    "efi/*/crt0.o",
    "efi/*/efi.lds",
]))

filegroup(
    name = "emulators",
    srcs = glob(["emulators/**"]),
)

# The headers of UEFI. On x86_64 its functions have Microsoft's calling convention.
[cc_library(
    name = "efi_headers_" + arch,
    hdrs = glob(["efi/%s/include/**/*.h" % arch]),
    defines = ["GNU_EFI_USE_MS_ABI"] if arch == "x86_64" else [],
    includes = ["efi/%s/include" % arch],
) for arch in ["arm64", "x86_64"]]

alias(
    name = "efi_headers",
    actual = select({
        "@khorig//toolchain:arm64_efi": ":efi_headers_arm64",
        "//conditions:default": ":efi_headers_x86_64",
    }),
)

# What crt0 calls.
cc_library(
    name = "efi_relocate",
    srcs = select({
        "@khorig//toolchain:arm64_efi": ["efi/arm64/libgnuefi.a"],
        "//conditions:default": ["efi/x86_64/libgnuefi.a"],
    }),
)

cc_library(
    name = "libfdt",
    srcs = select({
        "@khorig//toolchain:arm64_efi": ["arm64/libfdt.a"],
        "@khorig//toolchain:arm64_none": ["arm64/libfdt.a"],
        "//conditions:default": ["x86_64/libfdt.a"],
    }),
    hdrs = ["include/fdt.h", "include/libfdt.h", "include/libfdt_env.h"],
    includes = ["include"],
)

# Used as a header alone, so that the kernel can have it, too; vector units are off limits there.
cc_library(
    name = "xxhash",
    hdrs = ["include/xxhash.h"],
    defines = ["XXH_INLINE_ALL"] + select({
        "@khorig//toolchain:host": [],
        "//conditions:default": ["XXH_VECTOR=0"],
    }),
    includes = ["include"],
)

# The headers are the compiler's own, below /usr/include.
cc_library(
    name = "gtest",
    srcs = ["x86_64/libgmock.a", "x86_64/libgtest.a"],
    linkopts = ["-lpthread"],
)

# Debian has it as a shared library alone.
cc_library(
    name = "benchmark",
    linkopts = [
        "-lbenchmark",
        "-lpthread",
    ],
)

cc_library(
    name = "gtest_main",
    srcs = ["x86_64/libgtest_main.a"],
    deps = [":gtest"],
)
"""

# Says to the layering check that system headers are there for everybody.
_MODULE_MAP = """\
module "crosstool" [system] {
%s
}
"""

def _include_directories(repository, clang):
    """Where clang looks for the host's system headers, in its order."""
    result = repository.execute(
        [clang, "-no-canonical-prefixes", "-E", "-x", "c++", "-std=c++20", "-v", "/dev/null"],
    )
    lines = [line.strip() for line in result.stderr.splitlines()]
    if "End of search list." not in lines:
        fail("%s does not say where its headers are:\n%s" % (clang, result.stderr))
    first = lines.index("#include <...> search starts here:") + 1
    paths = [repository.path(line) for line in lines[first:lines.index("End of search list.")]]
    return [path for path in paths if path.exists]

def _missing_modules(repository):
    """Python modules that cannot be found by the interpreter all scripts use."""
    script = "import importlib.util, sys\nfor name in sys.argv[1:]:\n" + \
             "    if importlib.util.find_spec(name) is None: print(name)\n"
    result = repository.execute([_PROGRAMS["PYTHON"], "-c", script] + _PYTHON_MODULES)
    return ["Python module " + name for name in result.stdout.splitlines()]

def _crt0_is_pe(repository, arch):
    """Whether GNU-EFI's crt0.o has a header of UEFI's format in it."""
    result = repository.execute([_PROGRAMS["NM"], repository.path("efi/%s/crt0.o" % arch)])
    return "optional_header" in result.stdout

def _system_repository_impl(repository):
    cache = repository.os.environ.get("XDG_CACHE_HOME")
    if not cache:
        cache = repository.os.environ.get("HOME", "/root") + "/.cache"
    files = {"include/" + name: "/usr/include/" + name for name in _HEADERS}
    files["x86_64/libfdt.a"] = _HOST_LIBRARIES + "libfdt.a"
    files["arm64/libfdt.a"] = cache + _ARM64_LIBRARIES + "libfdt.a"
    for name in _GTEST_LIBRARIES:
        files["x86_64/" + name] = _HOST_LIBRARIES + name
    for name, path in _EFI_FILES.items():
        files[name] = cache + path if path.startswith(_ARM64_SYSROOT) else path

    headers = ["/usr/include/benchmark/benchmark.h", "/usr/include/gtest/gtest.h"]
    needed = _PROGRAMS.values() + files.values() + headers
    missing = [path for path in needed if not repository.path(path).exists]
    if _PROGRAMS["PYTHON"] not in missing:
        missing += _missing_modules(repository)
    if missing:
        fail("\n\nMissing on this machine:\n  %s\nMend it with: scripts/setup\n" %
             "\n  ".join(missing))

    # Bazel looks at the content behind these links before each build.
    for path in _EMULATORS + [path for path in _FIRMWARE if repository.path(path).exists]:
        files["emulators" + path] = path
    for name, path in files.items():
        repository.symlink(path, name)
    constants = ["%s = %r" % (name, path) for name, path in _PROGRAMS.items()]
    constants.append("EFI_CRT0_IS_PE = %r" % {
        arch: _crt0_is_pe(repository, arch)
        for arch in ["arm64", "x86_64"]
    })
    directories = _include_directories(repository, _PROGRAMS["CLANG"])
    constants.append("INCLUDE_DIRECTORIES = %r" %
                     [str(path) for d in directories for path in (d, d.realpath)])
    modules = ["  module \"%s\" { umbrella \"%s\" }" % (d, d.realpath) for d in directories]
    repository.file("headers.cppmap", _MODULE_MAP % "\n".join(modules))
    repository.file("defs.bzl", "\n".join(constants) + "\n")
    repository.file("WORKSPACE", "workspace(name = \"%s\")\n" % repository.name)
    repository.file("BUILD", _BUILD)

system_repository = repository_rule(
    implementation = _system_repository_impl,
    environ = ["HOME", "XDG_CACHE_HOME"],
    local = True,
    doc = "Finds the machine's tools and libraries; fails with a list of what is missing.",
)
