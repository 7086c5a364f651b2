// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/seal.h"

#include "kernel/arch/arch.h"
#include "kernel/base/log.h"
#include "kernel/clients/foreign.h"
#include "kernel/clients/generation_record.h"
#include "kernel/clients/ledger.h"
#include "kernel/rig/event.h"
#include "kernel/rig/fault.h"
#include "kernel/rig/stop.h"
#include "khocore/abi/clients.h"
#include "khocore/abi/kho_test.h"

namespace core {
namespace {

using khocore::FragmentWriter;
using khocore::Order;
using khocore::PageFrame;
using khocore::PageSource;
using khocore::Result;
using khocore::Status;

/// The page source of the tracker with the defect `node-in-scratch`: its second page lies there.
class ScratchPages : public PageSource {
 public:
  explicit ScratchPages(Generation& generation) : generation_(generation) {}

  Result<PageFrame> AllocatePage() override {
    if (count_++ != 1 || !Fire(Fault::kNodeInScratch)) {
      return generation_.memory.allocator.AllocatePage();
    }
    const khocore::PhysRange area = generation_.memory.scratch.area(0);
    const PageFrame page = PageFrame::Containing(area.end()) + (0 - uint64_t{1});
    __builtin_memset(Direct<void>(page.address()), 0, khocore::kPageSize);
    return page;
  }
  void FreePage(PageFrame) override {}

 private:
  Generation& generation_;
  unsigned count_ = 0;
};

PageSource& TrackerPages(Generation& generation) {
  if (!IsArmed(Fault::kNodeInScratch)) return generation.memory.allocator;
  static ScratchPages defect(generation);
  return defect;
}

void PreserveAll(Generation& generation, const Scenario& scenario) {
  scenario.preserve(generation);
  Require(generation.reserved_memory.Preserve(generation), "memblock");
  if (scenario.relays) return Require(clients::PreserveForeign(generation), "foreign");
  Require(generation.archive.Preserve(generation), "archive");
  Require(generation.log_ring.Preserve(generation), "log");
  Require(generation.stores.Preserve(generation), "stores");
}

void WriteFragments(Generation& generation, const Scenario& scenario) {
  Require(generation.reserved_memory.Serialize(generation), "memblock");
  Require(clients::SerializeGenerationRecord(generation, generation.options.generation), "record");
  Require(generation.kho_test.Serialize(generation), khocore::abi::kKhoTestClient);
  if (scenario.relays) return Require(clients::AddForeignClients(generation), "foreign");
  FragmentWriter top(generation.memory.physical, generation.reserve, generation.tracker,
                     khocore::abi::kKhorigCompatible);
  Require(generation.archive.Serialize(top), "archive");
  Require(generation.log_ring.Serialize(top), "log");
  Require(generation.runtime_services.Serialize(generation, top), "runtime-services");
  Require(generation.stores.Serialize(generation, top), "stores");
  for (size_t i = 0; i < generation.link_count; ++i) {
    const Generation::Link& link = generation.links[i];
    Require(top.Link(link.name, link.data.begin, link.data.size), link.name);
  }
  const PageFrame page = Require(top.Close(), "khorig");
  Require(generation.outgoing.AddClient(khocore::abi::kKhorigClient,
                                        {page.address(), khocore::kPageSize}),
          "khorig");
}

}  // namespace

void Seal(Generation& generation, const Scenario& scenario) {
  Memory& memory = generation.memory;
  Phase serialize("serialize");
  generation.tracker =
      Require(khocore::Tracker::Create(memory.physical, TrackerPages(generation)), "tracker");
  // The root, the generation record, the khorig fragment and a list of stores.
  static_assert(PageReserve::kPages == 4);
  Require(generation.reserve.Fill(generation.tracker), "reserve");
  Require(clients::RemoveLedger(generation), "ledger");
  PreserveAll(generation, scenario);
  serialize.Suspend();

  FreezeLog();
  if (!scenario.relays) {
    Phase ledger("ledger");
    generation.ledger_entries = Require(clients::WriteLedger(generation), "ledger");
    ledger.End();
  }

  // The root page changes with every client, so it is not in the ledger.
  serialize.Resume();
  const uint64_t begun = arch::Counter();
  generation.outgoing = Require(
      khocore::Outgoing::Create(memory.physical, generation.reserve, generation.tracker), "root");
  WriteFragments(generation, scenario);
  generation.reserve.Empty();
  const uint64_t finalize = arch::Counter() - begun;
  serialize.End(generation.tracker.block_count(), generation.tracker.page_count());
  ReportPhase("finalize", finalize, 0, 0);
  if (Fire(Fault::kRootNotPreserved)) {
    Require(generation.tracker.Unpreserve({generation.outgoing.root(), Order()}), "fault");
  }
}

NextKernel LoadAndStop(Generation& generation) {
  Phase load("load");
  const NextKernel next = LoadNextKernel(generation);
  load.End();
  if (!generation.options.stop_at_sealed) return next;
  const khocore::Tracker& tracker = generation.tracker;
  Event("stop")
      .Text("at", "sealed")
      .Hex("root", generation.outgoing.root().address().raw())
      .Number("blocks", tracker.block_count())
      .Number("pages", tracker.page_count())
      .Number("nodes", tracker.node_count())
      .Number("ledger_pages", generation.ledger_entries)
      .Number("free_pages", generation.memory.allocator.free_pages());
  WaitForHost();
  return next;
}

}  // namespace core
