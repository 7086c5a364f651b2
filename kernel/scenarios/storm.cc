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
using rig::Require;

// What goes wrong between CPUs lies in the storm itself.
KHORIG_FAULT(published_early) = {"root-published-early",
                                 "a fragment is linked before it is finished (scenario storm)",
                                 "R17", 1};
KHORIG_FAULT(lost_update) = {"lost-tracker-update",
                             "a CPU overwrites other CPUs' tracker updates (scenario storm)", "R16",
                             1};

StormFragments* fragments = nullptr;

/// The CPU that has a defect when one is armed: not the first, if there is another.
size_t DefectiveCpu() { return cpus::CpuCount() > 1 ? 1 : 0; }

/// The word of the tracker's leaf that has exactly the bits of the contended pages.
uint64_t* ContendedWord(const Outgoing& outgoing, const StormModel& model) {
  namespace abi = khocore::abi;
  static_assert(kStormContended.pages() == 64);
  const uint64_t key =
      uint64_t{1} << abi::kRadixOrder0Bit | StormContended(model, 0).frame.number();
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
  uint64_t preserved = 0;  ///< contended pages, and
  uint64_t released = 0;   ///< those unpreserved again; each by one CPU
  uint64_t finished = 0;   ///< CPUs that have released
  uint64_t stale = 0;      ///< the contended word as the defect read it
};

/// One CPU in the storm, with a tracker and pages of its own: the tree is all that the CPUs share.
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

  void Run() {
    StormSteps steps(storm_.generation.options.seed, storm_.generation.options.generation, number_,
                     storm_.model.cpus);
    for (uint64_t i = StormOperations(storm_.generation); i > 0; --i) {
      const StormStep step = steps.Next();
      step.is_fragment ? Replace(step) : Change(step);
      base::StopIfPanicking();
    }
    PreserveContended();
    Publish();
  }

  void Release() {
    if (HasDefect(lost_update)) return OverwriteUpdates();
    for (uint64_t i = 1; i < kStormContended.pages(); i += 2) {
      Count(tracker_.Unpreserve(StormContended(storm_.model, i)), ErrorCode::kNotPreserved,
            &storm_.released);
    }
    __atomic_add_fetch(&storm_.finished, 1, __ATOMIC_RELEASE);
  }

 private:
  bool HasDefect(const rig::Fault& fault) const {
    return rig::IsArmed(fault) && number_ == DefectiveCpu();
  }

  void Change(const StormStep& step) {
    uint8_t* const pages = storm_.model.pages;
    const Block block{StormBlock(storm_.model, step.at).frame, step.order};
    const Action action = ActionOn(pages, step.at, step.order);
    const Status status =
        action == Action::kPreserve ? tracker_.Preserve(block) : tracker_.Unpreserve(block);
    const bool expected = action != Action::kNothing;
    if (status.ok() != expected) {
      KHORIG_FAIL("storm", "CPU %zu: block 0x%lx of order %u: %s", number_, block.begin().raw(),
                  block.order.log2(),
                  expected ? khocore::ErrorName(status.error().code) : "was not preserved");
    }
    Apply(pages, step.at, step.order, action);
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

  /// Each CPU starts at another page, so that each is first at some.
  void PreserveContended() {
    constexpr uint64_t kContended = kStormContended.pages();
    for (uint64_t i = 0; i < kContended; ++i) {
      const uint64_t page = (number_ * kContended / storm_.model.cpus + i) % kContended;
      Count(tracker_.Preserve(StormContended(storm_.model, page)), ErrorCode::kAlreadyPreserved,
            &storm_.preserved);
    }
    if (HasDefect(lost_update)) {
      storm_.stale =
          __atomic_load_n(ContendedWord(storm_.outgoing, storm_.model), __ATOMIC_RELAXED);
    }
  }

  void Count(const Status& status, ErrorCode too_late, uint64_t* count) {
    if (status.ok()) {
      __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    } else if (status.error().code != too_late) {
      KHORIG_FAIL("storm", "CPU %zu: a contended page: %s", number_,
                  khocore::ErrorName(status.error().code));
    }
  }

  /// The fragment of this CPU, with links to all others that it wrote.
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
    const bool early = HasDefect(published_early);
    if (early) rig::Fire();
    const PageFrame page = Require(early ? pages_.AllocatePage() : WriteOwn(), kStormLink);
    fragments->cpus[number_] = page;
    storm_.names[number_] = StormName("cpu", number_);
    storm_.entries[number_] = {storm_.names[number_].text, {page.address(), kPageSize}};
    storm_.publications.Publish(&storm_.entries[number_]);
  }

  /// The defect: a store of the word as it was read long ago, over what the others changed since.
  void OverwriteUpdates() {
    while (__atomic_load_n(&storm_.finished, __ATOMIC_ACQUIRE) != storm_.model.cpus - 1) {
      base::StopIfPanicking();
      arch::Pause();
    }
    constexpr uint64_t kFirstOdd = 2;
    rig::Fire();
    __atomic_store_n(ContendedWord(storm_.outgoing, storm_.model), storm_.stale & ~kFirstOdd,
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

void ExpectContended(const Storm& storm) {
  constexpr uint64_t kContended = kStormContended.pages();
  const bool loses = rig::IsArmed(lost_update) && storm.model.cpus == 1;
  if (storm.preserved == kContended && (storm.released == kContended / 2 || loses)) return;
  KHORIG_FAIL("storm", "%lu contended pages were preserved %lu times, and %lu released %lu times",
              kContended, storm.preserved, kContended / 2, storm.released);
}

/// Frees the previous generation's memory and allocates new regions.
void Renew(Generation& generation, StormModel& model) {
  memory::PageAllocator& allocator = generation.allocator;
  if (model.region != 0) {
    for (uint64_t at = 0; at < kStormPages; ++at) {
      if (!IsModelHead(model.pages[at])) continue;
      Require(allocator.Free(StormBlock(model, at).frame), kStormStore);
    }
    for (uint64_t i = 0; i < kStormContended.pages(); i += 2) {
      allocator.FreePage(StormContended(model, i).frame);
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
  model.contended = Require(allocator.Allocate(kStormContended), kStormStore).address().raw();
  model.cpus = cpus::CpuCount();
}

/// The frame table is the other view of the same blocks.
void MarkFrames(Generation& generation, const StormModel& model) {
  const auto mark = [&](Block block) { Require(generation.allocator.Regroup(block), kStormStore); };
  for (uint64_t at = 0; at < kStormPages; ++at) {
    if (model.pages[at] != kModelTail) mark(StormBlock(model, at));
  }
  for (uint64_t i = 0; i < kStormContended.pages(); ++i) mark(StormContended(model, i));
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
  cpus::RunOnAllCpus([&](size_t number) { Worker(storm, number).Run(); });
  cpus::RunOnAllCpus([&](size_t number) { Worker(storm, number).Release(); });
  phase.End(StormOperations(generation) * model.cpus, 0);
  LinkPublished(storm);
  ExpectContended(storm);
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
