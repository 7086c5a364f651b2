// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/fault.h"

#include <string.h>

#include "kernel/rig/event.h"

extern "C" const rig::Fault __faults_begin[];
extern "C" const rig::Fault __faults_end[];

namespace rig {

namespace internal {
const Fault* armed = nullptr;
Point armed_point = Point::kNowhere;
}  // namespace internal

namespace {
bool fired = false;
}  // namespace

const Fault* FindFault(const char* name, size_t length) {
  for (const Fault* fault = __faults_begin; fault != __faults_end; ++fault) {
    if (strlen(fault->name) == length && memcmp(fault->name, name, length) == 0) return fault;
  }
  return nullptr;
}

void ArmFault(const Fault* fault, uint32_t generation) {
  fired = false;
  internal::armed = fault != nullptr && fault->generation == generation ? fault : nullptr;
  internal::armed_point = internal::armed == nullptr ? Point::kNowhere : fault->point;
}

bool IsArmed(const Fault& fault) { return internal::armed == &fault; }

void Fire() {
  if (internal::armed == nullptr) return;
  if (!__atomic_exchange_n(&fired, true, __ATOMIC_RELAXED)) {
    Event("fault").Text("name", internal::armed->name);
  }
}

}  // namespace rig
