// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/ledger.h"

#include "kernel/base/direct_map.h"
#include "kernel/base/hash.h"
#include "kernel/clients/stores.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"
#include "khocore/radix_walk.h"

namespace clients {
namespace {

using khocore::Block;
using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::Result;
using khocore::Status;
using khocore::abi::kLedgerStore;
using khocore::abi::LedgerEntry;

constexpr uint64_t kEntriesPerPage = khocore::kPageSize / sizeof(LedgerEntry);
constexpr uint64_t kMismatchesShown = 8;

uint64_t HashPage(PageFrame page) {
  return base::Hash(base::Direct<void>(page.address()), khocore::kPageSize);
}

/// Fills the pages of a store entry by entry, in step with a walk over something else.
class EntryWriter {
 public:
  explicit EntryWriter(const khocore::abi::Vmalloc& pages) : pages_(pages) {}

  Status Add(PageFrame page) {
    if (at_ == kEntriesPerPage) {
      at_ = 0;
      if (++slot_ == khocore::abi::kVmallocChunkEntries) {
        slot_ = 0;
        chunk_ = Chunk()->next;
      }
    }
    const uint64_t target = chunk_ == 0 ? 0 : Chunk()->blocks[slot_];
    if (target == 0) return Error{ErrorCode::kNoSpace, page.address(), count_};
    base::Direct<LedgerEntry>(PhysAddr::FromRaw(target))[at_++] = {page.address().raw(),
                                                                   HashPage(page)};
    ++count_;
    return Ok{};
  }
  uint64_t count() const { return count_; }

 private:
  const khocore::abi::VmallocChunk* Chunk() const {
    return base::Direct<khocore::abi::VmallocChunk>(PhysAddr::FromRaw(chunk_));
  }
  const khocore::abi::Vmalloc& pages_;
  uint64_t chunk_ = pages_.first;
  uint32_t slot_ = 0;
  uint64_t at_ = 0;
  uint64_t count_ = 0;
};

}  // namespace

void VerifyLedger(handover::Incoming& incoming) {
  const Stores::Store* store = stores.Find(kLedgerStore);
  if (store == nullptr) {
    KHORIG_FAIL("ledger", "the previous generation handed no ledger over");
    return;
  }
  uint64_t left = store->size / sizeof(LedgerEntry);
  uint64_t wrong = 0;
  const Status status =
      Stores::ForEachPage(incoming.physical(), *store, [&](PageFrame page, uint64_t) -> Status {
        const auto* entries = base::Direct<const LedgerEntry>(page.address());
        for (uint64_t i = 0; i < kEntriesPerPage && left > 0; ++i, --left) {
          const PhysAddr address = PhysAddr::FromRaw(entries[i].page);
          if (incoming.physical().Find({address, khocore::kPageSize}) == nullptr) {
            return Error{ErrorCode::kOutsideRam, address};
          }
          const uint64_t got = HashPage(PageFrame::Containing(address));
          if (got == entries[i].hash || ++wrong > kMismatchesShown) continue;
          rig::Event("mismatch")
              .Hex("page", address.raw())
              .Hex("want", entries[i].hash)
              .Hex("got", got);
        }
        return Ok{};
      });
  rig::Require(status, "ledger");
  if (wrong != 0) KHORIG_FAIL("ledger", "%lu preserved pages changed", wrong);
}

Status RemoveLedger(handover::Generation& generation) {
  return stores.Remove(generation, kLedgerStore);
}

Status WriteLedger(handover::Outgoing& outgoing) {
  rig::Phase phase("ledger");
  const uint64_t bytes = outgoing.tracker().page_count() * sizeof(LedgerEntry);
  const Result<Stores::Store*> store = stores.Create(outgoing.generation(), kLedgerStore, bytes);
  if (!store.ok()) return store.error();
  EntryWriter writer(store.value()->pages);
  const auto pass_node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto add_block = [&](Block block) -> Status {
    for (uint64_t i = 0; i < block.order.pages(); ++i) {
      KHOCORE_RETURN_IF_ERROR(writer.Add(block.frame + i));
    }
    return Ok{};
  };
  KHOCORE_RETURN_IF_ERROR(khocore::WalkRadix(outgoing.physical(),
                                             outgoing.tracker().root().address(),
                                             {.node = pass_node, .block = add_block}));
  KHOCORE_RETURN_IF_ERROR(Stores::PreserveOne(outgoing, *store.value()));
  outgoing.ledger_pages = writer.count();
  phase.End();
  return Ok{};
}

}  // namespace clients
