# SPDX-License-Identifier: BSD-3-Clause
"""The probe for one version of QEMU's plugin interface."""

PLUGIN_APIS = range(1, 8)

# Optimized in every mode: it runs for each translated block, or for each store.
PROBE_COPTS = [
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
]

_LIBRARY = [
    "accesses.cc",
    "accesses.h",
    "callbacks.h",
    "control_block.h",
    "counter.cc",
    "counter.h",
    "cpus.cc",
    "cpus.h",
    "plugin.cc",
    "qemu_api.h",
    "ram.cc",
    "ram.h",
    "stops.cc",
    "stops.h",
]

def probe_sources(api):
    """The sources of the probe for one API version."""
    return _LIBRARY + ["callbacks_with_id.cc" if api < 7 else "callbacks_with_data.cc"]

def probe_plugin(api):
    """Makes `probe-api<N>.so`.

    Args:
      api: the version of QEMU's plugin interface.
    """
    native.cc_binary(
        name = "probe-api%d.so" % api,
        srcs = probe_sources(api),
        copts = PROBE_COPTS,
        linkopts = [
            "-nostdlib++",
            "-Wl,--build-id=none",
        ],
        linkshared = True,
        local_defines = ["KHORIG_PLUGIN_API=%d" % api],
        target_compatible_with = ["@platforms//os:linux"],
    )
