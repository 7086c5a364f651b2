// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/cpus.h"
#include "kernel/handover/incoming.h"
#include "kernel/scenarios/region_model.h"
#include "kernel/scenarios/storm_steps.h"
#include "khocore/types.h"

namespace scenarios {

// The names in the handover, which the host reads, too.
inline constexpr char kStormStore[] = "storm";
inline constexpr char kStormLink[] = "storm";
inline constexpr char kStormCompatible[] = "khorig-storm-v1";
inline constexpr char kStormCpuCompatible[] = "khorig-storm-cpu-v1";
inline constexpr char kStormSlotCompatible[] = "khorig-storm-slot-v1";

/// A link's name: a letter or word and a number.
struct StormName {
  char text[16];
  StormName() = default;
  StormName(const char* word, uint64_t number);
};

/// What the tracker must hold, in the store "storm": what the next generation and the host compare
/// with.
struct StormModel {
  uint64_t region;  ///< physical address, as the next; 0 before the first storm
  uint64_t contended;
  uint64_t cpus;               ///< that took part
  uint8_t pages[kStormPages];  ///< region_model.h
};
static_assert(sizeof(StormModel) <= khocore::kPageSize);

/// Creates the store. Ends the run when there is no memory.
void CreateStormModel(handover::Generation& generation);
/// The content of the store; ends the run when there is none.
StormModel& StormModelOf(const handover::Generation& generation);

/// The block at page `at` of the region, see `ModelBlock`.
inline khocore::Block StormBlock(const StormModel& model, uint64_t at) {
  return ModelBlock(model.region, at, model.pages[at]);
}
inline khocore::Block StormContended(const StormModel& model, uint64_t number) {
  return {khocore::PageFrame::Containing(khocore::PhysAddr::FromRaw(model.contended)) + number,
          khocore::Order()};
}

/// The fragments that a generation has, by CPU. Page frame 0 stands for none.
struct StormFragments {
  khocore::PageFrame slots[arch::kMaxCpus][kStormSlots];
  uint64_t versions[arch::kMaxCpus][kStormSlots];
  khocore::PageFrame cpus[arch::kMaxCpus];
  khocore::PageFrame top;
};

/// Takes the blocks of the model and the fragments below the link "storm" back into use. What is
/// missing or different is a failure.
void RestoreStorm(handover::Incoming& incoming, const StormModel& model, StormFragments* fragments);

/// Checks that model and fragments are the outcome of the previous generation's steps.
void VerifyStorm(const handover::Generation& generation, const StormModel& model,
                 const StormFragments& fragments);

/// How many steps each CPU takes.
uint64_t StormOperations(const handover::Generation& generation);

}  // namespace scenarios
