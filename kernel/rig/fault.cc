// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/fault.h"

#include <string.h>

#include "kernel/rig/event.h"

extern "C" const rig::Fault __faults_begin[];
extern "C" const rig::Fault __faults_end[];

namespace rig {

namespace internal {
Point armed_point = Point::kNowhere;
void (*armed_act)(void* context) = nullptr;
}  // namespace internal

namespace {
const Fault* armed = nullptr;
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
  armed = nullptr;
  internal::armed_point = Point::kNowhere;
  if (fault == nullptr) return;
  if (fault->generation == generation) {
    armed = fault;
    internal::armed_point = fault->point;
    internal::armed_act = fault->act;
  } else if (fault->generation == generation + 1) {
    internal::armed_point = fault->prelude_point;
    internal::armed_act = fault->prelude;
  }
}

bool IsArmed(const Fault& fault) { return armed == &fault; }

void Fire() {
  if (armed == nullptr) return;
  if (!__atomic_exchange_n(&fired, true, __ATOMIC_RELAXED)) {
    Event("fault").Text("name", armed->name);
  }
}

}  // namespace rig
