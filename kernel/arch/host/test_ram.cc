// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/testing/test_ram.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "kernel/arch/host/machine.h"

namespace arch {
namespace {

void* const kBegin = reinterpret_cast<void*>(host::kRamBase);

}  // namespace

TestRam::TestRam() {
  const void* const at = mmap(kBegin, host::kRamSize, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != kBegin) abort();
}

TestRam::~TestRam() { munmap(kBegin, host::kRamSize); }

khocore::PhysRange TestRam::Range() {
  return {khocore::PhysAddr::FromRaw(host::kRamBase), host::kRamSize};
}

}  // namespace arch
