// SPDX-License-Identifier: BSD-3-Clause
// Faults of writing the handover: fragments, lists, the root.

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/clients/stores.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"
#include "khocore/abi/clients.h"
#include "khocore/abi/handover.h"
#include "khocore/abi/radix.h"
#include "khocore/abi/vmalloc.h"
#include "khocore/fragment_reader.h"

namespace defects {
namespace {

using handover::Outgoing;
using khocore::FragmentNode;
using khocore::FragmentReader;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::abi::VmallocChunk;
using rig::FaultAt;
using rig::Fire;
using rig::Point;
using rig::Require;

namespace abi = khocore::abi;

void UnpreserveRoot(Outgoing& outgoing) {
  Fire();
  Require(outgoing.tracker().Unpreserve({outgoing.root(), Order()}), "fault");
}
KHORIG_FAULT(root_not_preserved) = FaultAt<Point::kSealing, UnpreserveRoot>(
    "root-not-preserved", 1, "S1", "the root page is not in the tracker");

// ---- properties, which are changed in place

FragmentReader Fragment(const Outgoing& outgoing, PhysAddr address) {
  return Require(FragmentReader::Open(outgoing.physical(), {address, kPageSize}), "fault");
}

/// The node of the `khorig` fragment in the root.
FragmentNode KhorigNode(const FragmentReader& root) {
  return Require(root.Subnode(FragmentReader::root(), abi::kKhorigClient), "fault");
}

PhysAddr KhorigFragment(const Outgoing& outgoing) {
  const FragmentReader root = Fragment(outgoing, outgoing.root().address());
  return Require(root.Link(KhorigNode(root)), "fault").begin;
}

uint8_t* PropertyOf(const FragmentReader& fragment, FragmentNode node, const char* name) {
  return const_cast<uint8_t*>(Require(fragment.Property(node, name), "fault").data);
}

/// Lets `change` replace a u64 property of the `khorig` fragment's node in the root.
template <typename Change>
void ChangeLink(const Outgoing& outgoing, const char* name, Change change) {
  const FragmentReader root = Fragment(outgoing, outgoing.root().address());
  uint8_t* const bytes = PropertyOf(root, KhorigNode(root), name);
  uint64_t value = 0;
  memcpy(&value, bytes, sizeof(value));
  value = change(value);
  Fire();
  memcpy(bytes, &value, sizeof(value));
}

/// More levels than the tree of larger pages has: a reader takes its nodes for those of the level
/// above.
void DeepenTracker(Outgoing& outgoing) {
  constexpr unsigned kLevels = abi::Geometry{12}.levels();
  if (abi::kRadixLevels == kLevels) return;
  const FragmentReader root = Fragment(outgoing, outgoing.root().address());
  uint8_t* const map = PropertyOf(root, FragmentReader::root(), abi::kMemoryMapProperty);
  Fire();
  for (unsigned level = abi::kRadixLevels; level < kLevels; ++level) {
    const PageFrame page = Require(outgoing.generation().allocator.AllocatePage(), "fault");
    const uint64_t address = page.address().raw();
    memcpy(base::Direct<void>(page.address()), map, sizeof(address));
    memcpy(map, &address, sizeof(address));
  }
}
KHORIG_FAULT(tracker_depth_of_4k) = FaultAt<Point::kSealing, DeepenTracker>(
    "tracker-depth-of-4k", 1, "A3", "the tracker has as many levels as with pages of 4 KiB");

/// Takes a u64 property out: its tag, its two words and its value become tags without meaning.
void DropProperty(const FragmentReader& fragment, FragmentNode node, const char* name) {
  constexpr uint8_t kNop[] = {0, 0, 0, 4};
  constexpr size_t kHead = 12;
  uint8_t* const begin = PropertyOf(fragment, node, name) - kHead;
  for (size_t at = 0; at < kHead + sizeof(uint64_t); at += sizeof(kNop)) {
    memcpy(begin + at, kNop, sizeof(kNop));
  }
}

void DropSize(Outgoing& outgoing) {
  const FragmentReader root = Fragment(outgoing, outgoing.root().address());
  Fire();
  DropProperty(root, KhorigNode(root), abi::kSizeProperty);
}
KHORIG_FAULT(client_half_written) = FaultAt<Point::kSealing, DropSize>(
    "client-half-written", 1, "R9",
    "the node of a client that did not fit stays in the root, without its size");

void UnpreserveBlob(Outgoing& outgoing) {
  const PageFrame page = PageFrame::Containing(KhorigFragment(outgoing));
  Fire();
  Require(outgoing.tracker().Unpreserve({page, Order()}), "fault");
}
KHORIG_FAULT(blob_not_preserved) = FaultAt<Point::kSealing, UnpreserveBlob>(
    "blob-not-preserved", 1, "S2", "a client's blob is linked and not preserved");

void FreeLinkedFragment(Outgoing& outgoing) {
  const FragmentReader top = Fragment(outgoing, KhorigFragment(outgoing));
  const auto node = Require(top.Subnode(FragmentReader::root(), "stores"), "fault");
  const PageFrame page = PageFrame::Containing(Require(top.Link(node), "fault").begin);
  Fire();
  Require(outgoing.tracker().Unpreserve({page, Order()}), "fault");
  outgoing.generation().allocator.FreePage(page);
}
KHORIG_FAULT(freed_fragment_linked) = FaultAt<Point::kSealing, FreeLinkedFragment>(
    "freed-fragment-linked", 1, "R17", "a fragment is unpreserved and freed, and its link stays");

/// The fragment moves by half of what it must be aligned to.
void MisalignFragment(Outgoing& outgoing) {
  constexpr uint64_t kShift = 4;
  auto* const bytes = base::Direct<uint8_t>(KhorigFragment(outgoing));
  ChangeLink(outgoing, abi::kSizeProperty, [](uint64_t size) { return size - kShift; });
  ChangeLink(outgoing, abi::kDataProperty, [](uint64_t data) { return data + kShift; });
  memmove(bytes + kShift, bytes, kPageSize - kShift);
}
KHORIG_FAULT(fragment_misaligned) = FaultAt<Point::kSealing, MisalignFragment>(
    "fragment-misaligned", 1, "S3", "a fragment lies at a multiple of 4 bytes");

void SwapBytes(Outgoing& outgoing) {
  ChangeLink(outgoing, abi::kDataProperty, [](uint64_t data) { return __builtin_bswap64(data); });
}
KHORIG_FAULT(address_big_endian) = FaultAt<Point::kSealing, SwapBytes>(
    "address-big-endian", 1, "S4", "a client's address is written as a cell of a device tree");

/// A first attempt was given up, and took what the second one serializes with it.
void SerializeNothing(Outgoing& outgoing) {
  const FragmentReader top = Fragment(outgoing, KhorigFragment(outgoing));
  const auto node = Require(top.Subnode(FragmentReader::root(), "stores"), "fault");
  Fire();
  DropProperty(top, node, abi::kDataProperty);
  DropProperty(top, node, abi::kSizeProperty);
}
KHORIG_FAULT(retry_serializes_nothing) = FaultAt<Point::kSealing, SerializeNothing>(
    "retry-serializes-nothing", 1, "S6",
    "stores are serialized again after a failed attempt, and the link to them is lost");

void MakeSizeZero(Outgoing& outgoing) {
  ChangeLink(outgoing, abi::kSizeProperty, [](uint64_t) { return uint64_t{0}; });
}
KHORIG_FAULT(blob_size_zero) = FaultAt<Point::kSealing, MakeSizeZero>(
    "blob-size-zero", 1, "S7", "a client's blob has no bytes");

/// More than are preserved behind any blob.
constexpr uint64_t kTooMany = 256;

void MakeSizeTooLong(Outgoing& outgoing) {
  ChangeLink(outgoing, abi::kSizeProperty,
             [](uint64_t size) { return size + kTooMany * kPageSize; });
}
KHORIG_FAULT(blob_size_too_long) = FaultAt<Point::kSealing, MakeSizeTooLong>(
    "blob-size-too-long", 1, "S7", "a client's blob is longer than what is preserved");

void CountJumpTwice(Outgoing& outgoing) {
  const FragmentReader root = Fragment(outgoing, outgoing.root().address());
  const auto node = Require(root.Subnode(FragmentReader::root(), abi::kMetadataClient), "fault");
  const PhysRange blob = Require(root.Link(node), "fault");
  Fire();
  ++base::Direct<abi::KexecMetadata>(blob.begin)->kexec_count;
}
KHORIG_FAULT(jump_counted_twice) = FaultAt<Point::kSealing, CountJumpTwice>(
    "jump-counted-twice", 1, "G6", "the generation record counts a jump twice");

// ---- the list of pages of a store

VmallocChunk* FirstChunk(const clients::Stores::Store& store) {
  return base::Direct<VmallocChunk>(PhysAddr::FromRaw(store.pages.first));
}

/// Calls `change(chunk, entries)` with the first chunk of the ledger's store, which has several
/// pages in every scenario, and the number of its entries.
template <typename Change>
void ChangeList(Change change) {
  const auto* store = clients::stores.Find(abi::kLedgerStore);
  if (store == nullptr || store->pages.total_pages < 2) return;
  const uint32_t pages = store->pages.total_pages;
  Fire();
  change(FirstChunk(*store), pages < abi::kVmallocChunkEntries ? pages : abi::kVmallocChunkEntries);
}

void CutList(Outgoing&) {
  ChangeList([](VmallocChunk* chunk, uint32_t entries) { chunk->blocks[entries - 1] = 0; });
}
KHORIG_FAULT(list_cut_short) = FaultAt<Point::kSealing, CutList>(
    "list-cut-short", 1, "R8", "a list that ran out of memory is handed over as complete");

void CloseCycle(Outgoing&) {
  ChangeList([](VmallocChunk* chunk, uint32_t) {
    chunk->next = PhysAddr::FromRaw(reinterpret_cast<uint64_t>(chunk)).raw();
  });
}
KHORIG_FAULT(list_cycle) = FaultAt<Point::kSealing, CloseCycle>(
    "list-cycle", 1, "S5", "a chunk of a list links to itself");

void RepeatEntry(Outgoing&) {
  ChangeList(
      [](VmallocChunk* chunk, uint32_t entries) { chunk->blocks[entries - 1] = chunk->blocks[0]; });
}
KHORIG_FAULT(list_repeats_page) = FaultAt<Point::kSealing, RepeatEntry>(
    "list-repeats-page", 1, "T2", "a list has its first page twice, and not its last");

/// As many bits as the number needs but one.
void TruncateCount(Outgoing& outgoing) {
  const FragmentReader top = Fragment(outgoing, KhorigFragment(outgoing));
  const auto link = Require(top.Subnode(FragmentReader::root(), "stores"), "fault");
  const FragmentReader stores = Fragment(outgoing, Require(top.Link(link), "fault").begin);
  const auto node = Require(stores.Subnode(FragmentReader::root(), abi::kLedgerStore), "fault");
  abi::Vmalloc list;
  uint8_t* const bytes = PropertyOf(stores, node, "vmalloc");
  memcpy(&list, bytes, sizeof(list));
  const unsigned top_bit = 31 - static_cast<unsigned>(__builtin_clz(list.total_pages));
  list.total_pages &= (1u << top_bit) - 1;
  Fire();
  memcpy(bytes, &list, sizeof(list));
}
KHORIG_FAULT(count_truncated) = FaultAt<Point::kSealing, TruncateCount>(
    "count-truncated", 1, "R15", "the number of a list's pages is kept in too few bits");

}  // namespace
}  // namespace defects
