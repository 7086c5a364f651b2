// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/fault.h"

#include <string.h>

#include "kernel/rig/event.h"

namespace rig {
namespace {

/// One row a fault.
constexpr struct {
  const char* name;
  uint32_t generation;  ///< the one that has the defect
  Fault fault;
} kFaults[] = {
    {"root-not-preserved", 1, Fault::kRootNotPreserved},
    {"node-in-scratch", 1, Fault::kNodeInScratch},
    {"write-after-seal", 1, Fault::kWriteAfterSeal},
    {"segment-outside-scratch", 1, Fault::kSegmentOutsideScratch},
    {"tail-not-restored", 2, Fault::kTailNotRestored},
    {"hang-before-jump", 1, Fault::kHangBeforeJump},
    {"panic-after-restore", 2, Fault::kPanicAfterRestore},
#if __has_feature(undefined_behavior_sanitizer)
    {"undefined-behavior", 2, Fault::kUndefinedBehavior},
#endif
    {"ap-spins-in-old-text", 1, Fault::kCpuSpins},
    {"park-page-unowned", 1, Fault::kParkPageUnowned},
    {"root-published-early", 1, Fault::kPublishedEarly},
    {"lost-tracker-update", 1, Fault::kLostUpdate},
    {"bus-master-left-on", 1, Fault::kBusMasterLeftOn},
    {"virtio-left-on", 1, Fault::kVirtioLeftOn},
    {"timer-left-armed", 1, Fault::kTimerLeftArmed},
    {"interrupt-left-unmasked", 1, Fault::kInterruptLeftUnmasked},
    {"interrupt-controller-left-on", 1, Fault::kControllerLeftOn},
    {"write-text", 2, Fault::kWriteText},
    {"write-constants", 2, Fault::kWriteConstants},
    {"execute-data", 2, Fault::kExecuteData},
    {"execute-ram", 2, Fault::kExecuteRam},
    {"stack-overflow", 2, Fault::kStackOverflow},
    {"stack-overflow-ap", 2, Fault::kOtherStackOverflow},
};

Fault armed = Fault::kNone;
bool fired = false;

}  // namespace

bool FindFault(const char* name, size_t length, Fault* fault) {
  for (const auto& row : kFaults) {
    if (strlen(row.name) != length || memcmp(row.name, name, length) != 0) continue;
    *fault = row.fault;
    return true;
  }
  return false;
}

void ArmFault(Fault fault, uint32_t generation) {
  armed = Fault::kNone;
  fired = false;
  for (const auto& row : kFaults) {
    if (row.fault == fault && row.generation == generation) armed = fault;
  }
}

bool IsArmed(Fault fault) { return armed == fault; }

bool Fire(Fault fault) {
  if (!IsArmed(fault)) return false;
  if (!__atomic_exchange_n(&fired, true, __ATOMIC_RELAXED)) {
    for (const auto& row : kFaults) {
      if (row.fault == fault) Event("fault").Text("name", row.name);
    }
  }
  return true;
}

}  // namespace rig
