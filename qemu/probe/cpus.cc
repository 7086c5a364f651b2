// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/cpus.h"

#include <dlfcn.h>

namespace probe {
namespace {

constexpr uint32_t kMaxCpus = 4096;

using GetCpu = void* (*)(int index);

struct OfThread {
  bool is_known;
  void** current;
  GetCpu get;
  void* last;
  uint32_t last_index;
};

thread_local OfThread here;

}  // namespace

uint32_t RunningCpu(uint32_t told) {
  if (!here.is_known) {
    here.current = static_cast<void**>(dlsym(RTLD_DEFAULT, "current_cpu"));
    here.get = reinterpret_cast<GetCpu>(dlsym(RTLD_DEFAULT, "qemu_get_cpu"));
    here.is_known = true;
  }
  if (here.current == nullptr || here.get == nullptr || *here.current == nullptr) return told;
  if (*here.current == here.last) return here.last_index;
  for (uint32_t i = 0; i < kMaxCpus; ++i) {
    if (here.get(static_cast<int>(i)) != *here.current) continue;
    here.last = *here.current;
    here.last_index = i;
    return i;
  }
  return told;
}

}  // namespace probe
