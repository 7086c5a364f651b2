// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string.h>

#include "kernel/base/boot_info.h"
#include "khocore/testing/case_check.h"
#include "khocore/types.h"

namespace base {

/// What holds for every description of a machine, whatever the boot protocol carried, when it could
/// read `readable` and nothing else.
inline void CheckBootInfo(const BootInfo& info, khocore::PhysRange readable) {
  CASE_CHECK(info.region_count <= BootInfo::kMaxRegions);
  CASE_CHECK(info.regions_dropped == 0 || info.region_count == BootInfo::kMaxRegions);
  for (size_t i = 0; i < info.region_count; ++i) CASE_CHECK(info.regions[i].range.size != 0);

  const khocore::PhysRange pages = khocore::WholePages(readable);
  CASE_CHECK(info.keep_count <= sizeof(info.keep) / sizeof(info.keep[0]));
  for (size_t i = 0; i < info.keep_count; ++i) {
    const khocore::PhysRange& kept = info.keep[i];
    CASE_CHECK(kept.size != 0 && (kept.begin.raw() | kept.size) % khocore::kPageSize == 0);
    CASE_CHECK(pages.Contains(kept));
    for (size_t other = 0; other < i; ++other) {
      CASE_CHECK(!kept.Overlaps(info.keep[other]));
      CASE_CHECK(kept.begin != info.keep[other].end() && kept.end() != info.keep[other].begin);
    }
  }

  const void* const end = memchr(info.command_line, '\0', sizeof(info.command_line));
  CASE_CHECK(end != nullptr);
  const auto length = static_cast<size_t>(static_cast<const char*>(end) - info.command_line);
  CASE_CHECK(!info.command_line_truncated || length == sizeof(info.command_line) - 1);
  CASE_CHECK(info.has_handover || (info.kho_root.size == 0 && info.kho_scratch.size == 0));
}

}  // namespace base
