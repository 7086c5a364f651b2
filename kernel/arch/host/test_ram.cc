// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/testing/test_ram.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/arch/host/machine.h"

namespace arch {
namespace {

void* const kBegin = reinterpret_cast<void*>(host::kRamBase);

void Map(int flags, int file) {
  if (mmap(kBegin, host::kRamSize, PROT_READ | PROT_WRITE, flags, file, 0) != kBegin) abort();
}

}  // namespace

TestRam::TestRam() : file_(memfd_create("test-ram", 0)) {
  if (file_ < 0 || ftruncate(file_, host::kRamSize) != 0) abort();
  Map(MAP_SHARED | MAP_FIXED_NOREPLACE, file_);
}

TestRam::~TestRam() {
  munmap(kBegin, host::kRamSize);
  close(file_);
}

void TestRam::Detach() { Map(MAP_PRIVATE | MAP_FIXED, file_); }

khocore::PhysRange TestRam::Range() {
  return {khocore::PhysAddr::FromRaw(host::kRamBase), host::kRamSize};
}

}  // namespace arch
