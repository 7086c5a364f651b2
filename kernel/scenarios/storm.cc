// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/base/direct_map.h"
#include "kernel/clients/list.h"
#include "kernel/cpus/cpus.h"
#include "kernel/handover/scenario.h"
#include "kernel/memory/page_cache.h"
#include "kernel/rig/event.h"
#include "kernel/rig/fault.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"
#include "kernel/scenarios/storm_state.h"
#include "khocore/abi/radix.h"
#include "khocore/fragment_writer.h"
#include "khocore/publications.h"

namespace scenarios {
namespace {

using arch::SpinGuard;
using handover::Generation;
using handover::Incoming;
using handover::Outgoing;
using khocore::Block;
using khocore::ErrorCode;
using khocore::FragmentWriter;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::Publications;
using khocore::Result;
using khocore::Status;
using khocore::Tracker;
using memory::PageCache;
using rig::Fault;
using rig::Require;

StormFragments* fragments = nullptr;

/// The CPU that has a defect when one is armed: not the first, if there is another.
size_t DefectiveCpu() { return cpus::CpuCount() > 1 ? 1 : 0; }

/// The word of the tracker's leaf in which the prizes are bits; there are as many as bits.
uint64_t* WordOfPrizes(const Outgoing& outgoing, const StormModel& model) {
  namespace abi = khocore::abi;
  static_assert(kStormPrizes.pages() == 64);
  const uint64_t key = uint64_t{1} << abi::kRadixOrder0Bit | StormPrize(model, 0).frame.number();
  PhysAddr node = outgoing.tracker().root().address();
  for (unsigned level = abi::kRadixLevels - 1; level > 0; --level) {
    const unsigned shift = (level - 1) * abi::kRadixTableLog2 + abi::kRadixBitmapLog2;
    const uint64_t slot = key >> shift & (abi::kRadixTableEntries - 1);
    node = PhysAddr::FromRaw(base::Direct<uint64_t>(node)[slot]);
  }
  return &base::Direct<uint64_t>(node)[(key & (abi::kRadixBitmapBits - 1)) / 64];
}

/// What all CPUs share while the storm lasts.
struct Storm {
  Storm(Outgoing& storm_outgoing, StormModel& storm_model)
      : outgoing(storm_outgoing),
        generation(outgoing.generation()),
        model(storm_model),
        pages(generation.allocator) {}

  Outgoing& outgoing;
  Generation& generation;
  StormModel& model;
  memory::SharedAllocator pages;
  Publications publications;
  Publications::Entry entries[arch::kMaxCpus] = {};
  StormName names[arch::kMaxCpus];
  uint64_t won = 0;         ///< prizes preserved, and
  uint64_t given_back = 0;  ///< unpreserved; each by one CPU
  uint64_t finished = 0;    ///< CPUs that have given back
  uint64_t stale = 0;       ///< the prizes as the defect remembers them
};

/// One CPU in the storm: its own tracker and pages, so that it meets the others in the tree alone.
class Worker {
 public:
  Worker(Storm& storm, size_t number)
      : storm_(storm),
        number_(number),
        pages_(storm.pages),
        tracker_(storm.outgoing.tracker().ForCpu(pages_)) {}
  ~Worker() {
    const SpinGuard guard(storm_.pages.lock);
    storm_.outgoing.tracker().Join(tracker_);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Rage() {
    StormSteps steps(storm_.generation.options.seed, storm_.generation.options.generation, number_,
                     storm_.model.cpus);
    for (uint64_t i = StormOperations(storm_.generation); i > 0; --i) {
      const StormStep step = steps.Next();
      step.is_fragment ? Replace(step) : Change(step);
      base::StopIfPanicking();
    }
    TakePrizes();
    Publish();
  }

  void GiveBack() {
    if (HasDefect(Fault::kLostUpdate)) return LoseUpdates();
    for (uint64_t i = 1; i < kStormPrizes.pages(); i += 2) {
      Count(tracker_.Unpreserve(StormPrize(storm_.model, i)), ErrorCode::kNotPreserved,
            &storm_.given_back);
    }
    __atomic_add_fetch(&storm_.finished, 1, __ATOMIC_RELEASE);
  }

 private:
  bool HasDefect(Fault fault) const { return rig::IsArmed(fault) && number_ == DefectiveCpu(); }

  void Change(const StormStep& step) {
    uint8_t* const pages = storm_.model.pages;
    const Block block = StormBlock(storm_.model, step.at, step.order);
    const StormAction action = ActionOf(pages, step);
    const Status status =
        action == StormAction::kPreserve ? tracker_.Preserve(block) : tracker_.Unpreserve(block);
    const bool expected = action != StormAction::kNothing;
    if (status.ok() != expected) {
      KHORIG_FAIL("storm", "CPU %zu: block 0x%lx of order %u: %s", number_, block.begin().raw(),
                  block.order.log2(),
                  expected ? khocore::ErrorName(status.error().code) : "preserved by nobody");
    }
    ApplyStep(pages, step, action);
  }

  void Replace(const StormStep& step) {
    FragmentWriter writer(storm_.generation.physical, pages_, tracker_, kStormSlotCompatible);
    (void)writer.PropertyU64("cpu", number_);
    (void)writer.PropertyU64("slot", step.slot);
    (void)writer.PropertyU64("version", step.version);
    const PageFrame page = Require(writer.Close(), kStormLink);
    PageFrame& place = fragments->slots[number_][step.slot];
    Drop(place);
    place = page;
  }

  void Drop(PageFrame page) {
    if (page == PageFrame()) return;
    Require(tracker_.Unpreserve({page, Order()}), kStormLink);
    pages_.FreePage(page);
  }

  /// Each CPU starts at another prize, so that each may win some.
  void TakePrizes() {
    constexpr uint64_t kPrizes = kStormPrizes.pages();
    for (uint64_t i = 0; i < kPrizes; ++i) {
      const uint64_t prize = (number_ * kPrizes / storm_.model.cpus + i) % kPrizes;
      Count(tracker_.Preserve(StormPrize(storm_.model, prize)), ErrorCode::kAlreadyPreserved,
            &storm_.won);
    }
    if (HasDefect(Fault::kLostUpdate)) {
      storm_.stale = __atomic_load_n(WordOfPrizes(storm_.outgoing, storm_.model), __ATOMIC_RELAXED);
    }
  }

  void Count(const Status& status, ErrorCode lost, uint64_t* won) {
    if (status.ok()) {
      __atomic_add_fetch(won, 1, __ATOMIC_RELAXED);
    } else if (status.error().code != lost) {
      KHORIG_FAIL("storm", "CPU %zu: a prize: %s", number_,
                  khocore::ErrorName(status.error().code));
    }
  }

  /// The fragment of this CPU, which leads to all others that it wrote.
  Result<PageFrame> WriteOwn() {
    FragmentWriter writer(storm_.generation.physical, pages_, tracker_, kStormCpuCompatible);
    (void)writer.PropertyU64("cpu", number_);
    for (uint64_t slot = 0; slot < kStormSlots; ++slot) {
      const PageFrame page = fragments->slots[number_][slot];
      if (page == PageFrame()) continue;
      (void)writer.Link(StormName("f", slot).text, page.address(), kPageSize);
    }
    return writer.Close();
  }

  void Publish() {
    const bool early = HasDefect(Fault::kPublishedEarly) && rig::Fire(Fault::kPublishedEarly);
    const PageFrame page = Require(early ? pages_.AllocatePage() : WriteOwn(), kStormLink);
    fragments->cpus[number_] = page;
    storm_.names[number_] = StormName("cpu", number_);
    storm_.entries[number_] = {storm_.names[number_].text, {page.address(), kPageSize}};
    storm_.publications.Publish(&storm_.entries[number_]);
  }

  /// The defect: a read, and much later a write that knows nothing of what the others did.
  void LoseUpdates() {
    while (__atomic_load_n(&storm_.finished, __ATOMIC_ACQUIRE) != storm_.model.cpus - 1) {
      base::StopIfPanicking();
      arch::Pause();
    }
    constexpr uint64_t kFirstOdd = 2;
    (void)rig::Fire(Fault::kLostUpdate);
    __atomic_store_n(WordOfPrizes(storm_.outgoing, storm_.model), storm_.stale & ~kFirstOdd,
                     __ATOMIC_RELEASE);
  }

  Storm& storm_;
  size_t number_;
  PageCache pages_;
  Tracker tracker_;
};

void LinkPublished(Storm& storm) {
  Outgoing& outgoing = storm.outgoing;
  FragmentWriter top(outgoing.physical(), outgoing.generation().allocator, outgoing.tracker(),
                     kStormCompatible);
  (void)top.PropertyU64("cpus", storm.model.cpus);
  const Publications::Entry* entry = storm.publications.Take();
  for (; entry != nullptr; entry = entry->next) {
    (void)top.Link(entry->name, entry->data.begin, entry->data.size);
  }
  fragments->top = Require(top.Close(), kStormLink);
  Require(outgoing.AddLink(kStormLink, {fragments->top.address(), kPageSize}), kStormLink);
}

void ExpectPrizes(const Storm& storm) {
  constexpr uint64_t kPrizes = kStormPrizes.pages();
  const bool loses = rig::IsArmed(Fault::kLostUpdate) && storm.model.cpus == 1;
  if (storm.won == kPrizes && (storm.given_back == kPrizes / 2 || loses)) return;
  KHORIG_FAIL("storm", "%lu prizes were won %lu times, and %lu given back %lu times", kPrizes,
              storm.won, kPrizes / 2, storm.given_back);
}

/// Gives back the memory of the generation before and takes new regions.
void Renew(Generation& generation, StormModel& model) {
  memory::PageAllocator& allocator = generation.allocator;
  if (model.region != 0) {
    for (uint64_t at = 0; at < kStormPages; ++at) {
      if (model.pages[at] == 0 || model.pages[at] == kStormTail) continue;
      Require(allocator.Free(StormBlock(model, at, Order()).frame), kStormStore);
    }
    for (uint64_t i = 0; i < kStormPrizes.pages(); i += 2) {
      allocator.FreePage(StormPrize(model, i).frame);
    }
    const auto* all = reinterpret_cast<const PageFrame*>(fragments->slots);
    for (size_t i = 0; i < arch::kMaxCpus * kStormSlots; ++i) {
      if (all[i].number() != 0) allocator.FreePage(all[i]);
    }
    for (size_t i = 0; i < model.cpus; ++i) allocator.FreePage(fragments->cpus[i]);
    allocator.FreePage(fragments->top);
  }
  *fragments = {};
  model = {};
  model.region = Require(allocator.Allocate(kStormRegion), kStormStore).address().raw();
  model.prizes = Require(allocator.Allocate(kStormPrizes), kStormStore).address().raw();
  model.cpus = cpus::CpuCount();
}

/// The frame table is the other view of the same blocks.
void MarkFrames(Generation& generation, const StormModel& model) {
  const auto mark = [&](Block block) { Require(generation.allocator.Regroup(block), kStormStore); };
  for (uint64_t at = 0; at < kStormPages; ++at) {
    const uint8_t entry = model.pages[at];
    if (entry == kStormTail) continue;
    mark(StormBlock(model, at, Order::FromLog2(entry == 0 ? 0 : entry - 1u)));
  }
  for (uint64_t i = 0; i < kStormPrizes.pages(); ++i) mark(StormPrize(model, i));
}

void MakeFragments(Generation& generation) {
  const auto place =
      Require(generation.allocator.AllocateRange(sizeof(StormFragments), kPageSize), kStormStore);
  fragments = base::Direct<StormFragments>(place.begin);
  *fragments = {};
}

void Create(Generation& generation) {
  MakeFragments(generation);
  CreateStormModel(generation);
}

void Restore(Incoming& incoming) {
  MakeFragments(incoming.generation());
  RestoreStorm(incoming, StormModelOf(incoming.generation()), fragments);
}

void Verify(Incoming& incoming) {
  VerifyStorm(incoming.generation(), StormModelOf(incoming.generation()), *fragments);
}

void Preserve(Outgoing& outgoing) {
  Generation& generation = outgoing.generation();
  StormModel& model = StormModelOf(generation);
  Renew(generation, model);
  Storm storm(outgoing, model);
  rig::Phase phase("storm");
  cpus::RunOnAllCpus([&](size_t number) { Worker(storm, number).Rage(); });
  cpus::RunOnAllCpus([&](size_t number) { Worker(storm, number).GiveBack(); });
  phase.End(StormOperations(generation) * model.cpus, 0);
  LinkPublished(storm);
  ExpectPrizes(storm);
  MarkFrames(generation, model);
}

KHORIG_SCENARIO(storm) = {
    .name = "storm",
    .summary = "all CPUs preserve, unpreserve, write and replace fragments at the same time",
    .expects_refusal = false,
    .clients = clients::kOwn,
    .create = Create,
    .restore = Restore,
    .verify = Verify,
    .preserve = Preserve};

}  // namespace
}  // namespace scenarios
