// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Deliberate defects, armed with `fault=`, each of which a check of the rig must find. A fault is
/// a record in a linker section and a function in a file of its own; the code that works has one
/// line at each point where faults act.

namespace rig {

/// Where faults act, in the order of a generation.
enum class Point : uint8_t {
  kNowhere,            ///< the scenario that has the defect asks `IsArmed`
  kModesSetting,       ///< the CPU's modes are about to be set; nothing is written yet
  kModesSet,           ///< they are, and no other CPU has started
  kHandoverFound,      ///< the handover is about to be checked; nothing may be written yet
  kNodesFound,         ///< the nodes of memory are known; there is no scratch yet on a cold boot
  kRestored,           ///< all is restored and verified, before the stop `restored`
  kTakenOver,          ///< after the stop `restored`, before anything is freed
  kLiveCpuStarting,    ///< a CPU is about to be sent away to run on for itself
  kTrackerStarting,    ///< the tracker is about to get its page source
  kPreserved,          ///< everything is preserved, and the ledger not written
  kLiveDeviceKeeping,  ///< a live device and its page are about to be kept
  kSealing,            ///< the root is complete
  kParametersPlaced,   ///< the next kernel's parameters have a place, and are not written yet
  kSegmentsPlaced,     ///< all segments have their places; the jump is not prepared yet
  kJumpPrepared,       ///< the pages of the jump are written
  kSealed,             ///< after the stop `sealed`
  kCpusParking,        ///< the other CPUs are about to be parked
  kDevicesStarting,    ///< devices are about to be switched on, to be quiesced later
};

/// What a fault at a point gets, and may change: `ContextOf<kPoint>::Type`, defined beside the code
/// that has the point.
template <Point kPoint>
struct ContextOf;

/// One fault. Registered with `KHORIG_FAULT`; the host lists faults from the linker section without
/// booting.
struct Fault {
  // The host reads these four out of the image (qemu/khorig/run/faults.py), so they come first.
  const char* name;
  const char* summary;
  const char* bugs;     ///< ids of the catalogue of bugs, separated by spaces; may be empty
  uint32_t generation;  ///< the one that has the defect

  Point point = Point::kNowhere;
  Point prelude_point = Point::kNowhere;
  void (*act)(void* context) = nullptr;  ///< see `At`; calls `Fire` when the defect happens
  /// What the generation before leaves, without which the defect shows nothing. It does not fire.
  void (*prelude)(void* context) = nullptr;
};
static_assert(offsetof(Fault, generation) == 24);

/// A fault that acts at `kPoint`, by `kAct`.
template <Point kPoint, void (*kAct)(typename ContextOf<kPoint>::Type&)>
constexpr Fault FaultAt(const char* name, uint32_t generation, const char* bugs,
                        const char* summary) {
  using Context = typename ContextOf<kPoint>::Type;
  Fault fault{name, summary, bugs, generation, kPoint};
  fault.act = [](void* context) { kAct(*static_cast<Context*>(context)); };
  return fault;
}

// AddressSanitizer would put red zones between the records of the section.
#define KHORIG_FAULT(identifier)                  \
  __attribute__((section(".khorig.faults"), used, \
                 no_sanitize("address"))) constinit const ::rig::Fault identifier

/// The fault called by the `length` bytes at `name`, or null.
const Fault* FindFault(const char* name, size_t length);

/// The same with what the generation before does at `kPreludePoint`.
template <Point kPreludePoint, void (*kPrelude)(typename ContextOf<kPreludePoint>::Type&)>
constexpr Fault After(Fault fault) {
  using Context = typename ContextOf<kPreludePoint>::Type;
  fault.prelude_point = kPreludePoint;
  fault.prelude = [](void* context) { kPrelude(*static_cast<Context*>(context)); };
  return fault;
}

/// Arms `fault`, which may be null, in a kernel that is generation number `generation`. In every
/// other generation than its own it is not armed, but for its prelude. Called once, while one CPU
/// runs.
void ArmFault(const Fault* fault, uint32_t generation);

/// Whether `fault` is armed in this generation.
bool IsArmed(const Fault& fault);

/// Called by the armed fault where the defect happens, with nothing left that could prevent it:
/// prints the `fault` event, once in a generation. Any CPU may call it.
void Fire();

namespace internal {
extern Point armed_point;
extern void (*armed_act)(void* context);
}  // namespace internal

/// The point itself: calls the armed fault if it acts here.
template <Point kPoint>
inline void At(typename ContextOf<kPoint>::Type& context) {
  if (__builtin_expect(internal::armed_point == kPoint, 0)) internal::armed_act(&context);
}

}  // namespace rig
