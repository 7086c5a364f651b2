// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/stores.h"

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/base/format.h"
#include "khocore/abi/clients.h"
#include "khocore/abi/handover.h"
#include "khocore/fragment_writer.h"
#include "khocore/vmalloc.h"

namespace clients {
namespace {

using khocore::Block;
using khocore::Error;
using khocore::ErrorCode;
using khocore::FragmentReader;
using khocore::FragmentWriter;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Span;
using khocore::Status;
namespace abi = khocore::abi;

constexpr char kNode[] = "stores";
constexpr char kMore[] = "more";
constexpr char kPagesProperty[] = "vmalloc";
constexpr char kSizeProperty[] = "size";

Status WriteStore(FragmentWriter& writer, const Stores::Store& store) {
  (void)writer.BeginNode(store.name);
  (void)writer.PropertyString(abi::kCompatibleProperty, abi::kStoreCompatible);
  (void)writer.Property(kPagesProperty,
                        {reinterpret_cast<const uint8_t*>(&store.pages), sizeof(store.pages)});
  (void)writer.PropertyU64(kSizeProperty, store.size);
  return writer.EndNode();
}

/// Stores in one fragment, whatever their names.
constexpr size_t kStoresInFragment = 32;

constexpr size_t FragmentsFor(size_t stores) {
  return (stores + kStoresInFragment - 1) / kStoresInFragment;
}

/// Writes stores `[first, end)` and a link to `next`, if that is not null.
Result<PageFrame> WriteFragment(handover::Outgoing& outgoing, const Stores::Store* first,
                                const Stores::Store* end, PhysAddr next) {
  FragmentWriter writer(outgoing.physical(), outgoing.final_pages(), outgoing.tracker(),
                        abi::kStoresCompatible);
  for (const Stores::Store* store = first; store != end; ++store) {
    KHOCORE_RETURN_IF_ERROR(WriteStore(writer, *store));
  }
  if (!next.is_null()) (void)writer.Link(kMore, next, khocore::kPageSize);
  return writer.Close();
}

}  // namespace

Result<Stores::Store*> Stores::Create(handover::Generation& generation, const char* name,
                                      uint64_t size) {
  const uint64_t pages = khocore::AlignUp(size, khocore::kPageSize) / khocore::kPageSize;
  if (count_ == kMaxStores || strlen(name) >= kMaxName || pages == 0 || pages > UINT32_MAX) {
    return Error{ErrorCode::kNoSpace, PhysAddr(), pages};
  }
  memory::PageAllocator& allocator = generation.allocator;
  const auto list = allocator.AllocateRange(pages * sizeof(PageFrame), khocore::kPageSize);
  if (!list.ok()) return list.error();
  auto* frames = base::Direct<PageFrame>(list.value().begin);
  uint64_t got = 0;
  Status status = Ok{};
  for (; got < pages; ++got) {
    const Result<PageFrame> page = allocator.Allocate(Order());
    if (!page.ok()) {
      status = page.error();
      break;
    }
    frames[got] = page.value();
  }
  Store& store = stores_[count_];
  if (status.ok()) {
    const auto written =
        khocore::WriteVmalloc(generation.physical, allocator, {frames, pages}, Order());
    if (written.ok()) {
      store.pages = written.value();
    } else {
      status = written.error();
    }
  }
  for (uint64_t i = 0; !status.ok() && i < got; ++i) allocator.FreePage(frames[i]);
  (void)allocator.FreeRange(list.value());
  if (!status.ok()) return status.error();
  base::FormatTo(store.name, kMaxName, "%s", name);
  store.size = size;
  ++count_;
  return &store;
}

Status Stores::Remove(handover::Generation& generation, const char* name) {
  const Store* found = Find(name);
  if (found == nullptr) return Error{ErrorCode::kNotFound};
  memory::PageAllocator& allocator = generation.allocator;
  // A chunk is read after it was announced, so it is freed one step later.
  PageFrame chunk_before;
  const auto free_chunk = [&](PageFrame chunk) -> Status {
    if (chunk_before.number() != 0) allocator.FreePage(chunk_before);
    chunk_before = chunk;
    return Ok{};
  };
  KHOCORE_RETURN_IF_ERROR(khocore::WalkVmalloc(
      generation.physical, found->pages, [&](Block block) { return allocator.Free(block.frame); },
      free_chunk));
  (void)free_chunk(PageFrame());
  Store* store = stores_ + (found - stores_);
  *store = stores_[--count_];
  return Ok{};
}

const Stores::Store* Stores::Find(const char* name) const {
  for (size_t i = 0; i < count_; ++i) {
    if (strcmp(stores_[i].name, name) == 0) return &stores_[i];
  }
  return nullptr;
}

Status Stores::ForEachPage(const khocore::PhysicalMemory& physical, const Store& store,
                           khocore::FunctionRef<Status(PageFrame, uint64_t index)> visit) {
  uint64_t index = 0;
  return khocore::WalkVmalloc(
      physical, store.pages,
      [&](Block block) -> Status {
        for (uint64_t i = 0; i < block.order.pages(); ++i) {
          KHOCORE_RETURN_IF_ERROR(visit(block.frame + i, index++));
        }
        return Ok{};
      },
      [](PageFrame) -> Status { return Ok{}; });
}

Status Stores::RestoreOne(handover::Incoming& incoming, const FragmentReader& fragment,
                          khocore::FragmentNode node, const char* name) {
  const Result<Span<const uint8_t>> pages = fragment.Property(node, kPagesProperty);
  if (!pages.ok()) return pages.error();
  const Result<uint64_t> size = fragment.PropertyU64(node, kSizeProperty);
  if (!size.ok()) return size.error();
  if (pages.value().size != sizeof(abi::Vmalloc)) {
    return Error{ErrorCode::kPropertySize, fragment.address(), pages.value().size,
                 sizeof(abi::Vmalloc)};
  }
  if (count_ == kMaxStores || strlen(name) >= kMaxName) {
    return Error{ErrorCode::kNoSpace, fragment.address(), count_};
  }
  Store& store = stores_[count_];
  base::FormatTo(store.name, kMaxName, "%s", name);
  memcpy(&store.pages, pages.value().data, sizeof(store.pages));
  store.size = size.value();
  if (store.size == 0 || store.size > uint64_t{store.pages.total_pages} * khocore::kPageSize) {
    return Error{ErrorCode::kBlobSizeRange, fragment.address(), store.size,
                 store.pages.total_pages};
  }
  ++count_;
  ++incoming.stores;
  return khocore::WalkVmalloc(
      incoming.physical(), store.pages, [&](Block block) { return incoming.RestoreBlock(block); },
      [&](PageFrame chunk) { return incoming.RestoreBlock({chunk, Order()}); });
}

Status Stores::RestoreFragmentOf(handover::Incoming& incoming, PhysRange blob, PhysRange* next) {
  const Result<FragmentReader> fragment = incoming.RestoreFragment(blob, abi::kStoresCompatible);
  if (!fragment.ok()) return fragment.error();
  const FragmentReader& reader = fragment.value();
  *next = {};
  return reader.ForEachSubnode(reader.root(),
                               [&](khocore::FragmentNode node, const char* name) -> Status {
                                 if (strcmp(name, kMore) != 0) {
                                   return RestoreOne(incoming, reader, node, name);
                                 }
                                 const Result<PhysRange> link = reader.Link(node);
                                 if (!link.ok()) return link.error();
                                 *next = link.value();
                                 return Ok{};
                               });
}

Status Stores::Restore(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(kNode);
  if (!link.ok()) return Ok{};  // the previous generation had no store
  // Every fragment is restored, and a block can be restored only once, so a cycle ends in an error.
  for (PhysRange at = link.value(); at.size != 0;) {
    PhysRange next;
    KHOCORE_RETURN_IF_ERROR(RestoreFragmentOf(incoming, at, &next));
    at = next;
  }
  return Ok{};
}

Status Stores::PreserveOne(handover::Outgoing& outgoing, const Store& store) {
  return khocore::PreserveVmalloc(outgoing.physical(), outgoing.tracker(), store.pages);
}

Status Stores::Preserve(handover::Outgoing& outgoing) const {
  for (size_t i = 0; i < count_; ++i) {
    KHOCORE_RETURN_IF_ERROR(PreserveOne(outgoing, stores_[i]));
  }
  // The ledger is created later.
  return outgoing.SetAside(FragmentsFor(count_ + 1) - kStoresFinalPages);
}

Status Stores::Serialize(handover::Outgoing& outgoing) const {
  // From the last fragment to the first, so that each can link to the next one.
  PhysAddr next;
  for (size_t end = count_; end > 0;) {
    const size_t first = (FragmentsFor(end) - 1) * kStoresInFragment;
    const Result<PageFrame> page = WriteFragment(outgoing, stores_ + first, stores_ + end, next);
    if (!page.ok()) return page.error();
    next = page.value().address();
    end = first;
  }
  if (next.is_null()) return Ok{};
  return outgoing.AddLink(kNode, {next, khocore::kPageSize});
}

}  // namespace clients
