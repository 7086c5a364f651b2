// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/kho_test.h"

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/kexec/linux_boot.h"
#include "kernel/rig/block_entry.h"
#include "kernel/rig/content.h"
#include "kernel/rig/event.h"
#include "khocore/abi/handover.h"
#include "khocore/fragment_reader.h"
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

constexpr uint64_t kEntriesPerPage = khocore::kPageSize / sizeof(uint64_t);
constexpr uint64_t kDefaultMegabytes = 8;  // as Linux's module
constexpr unsigned kOrders = 11;           // Linux's NR_PAGE_ORDERS

uint32_t AddWithCarry(uint32_t a, uint32_t b) {
  const uint32_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

/// Linux's csum_partial. A ones' complement sum does not depend on the width it is added up in, up
/// to where it is folded.
uint32_t AddChecksum(Block folio, uint32_t sum) {
  uint64_t wide = 0;
  const auto* word = base::Direct<const uint64_t>(folio.begin());
  for (uint64_t i = 0; i < folio.bytes() / sizeof(uint64_t); ++i) {
    wide += word[i];
    wide += wide < word[i] ? 1 : 0;
  }
  for (unsigned bits = 32; bits >= kexec::kLinuxChecksumBits; bits /= 2) {
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    while (wide >> bits != 0) wide = (wide & mask) + (wide >> bits);
  }
  return AddWithCarry(static_cast<uint32_t>(wide), sum);
}

template <typename T>
Result<T> ReadValue(const FragmentReader& fragment, khocore::FragmentNode node, const char* name) {
  const Result<Span<const uint8_t>> bytes = fragment.Property(node, name);
  if (!bytes.ok()) return bytes.error();
  if (bytes.value().size != sizeof(T)) {
    return Error{ErrorCode::kPropertySize, fragment.NodeAddress(node), bytes.value().size,
                 sizeof(T)};
  }
  T value;
  memcpy(&value, bytes.value().data, sizeof(value));
  return value;
}

template <typename T>
Status WriteValue(FragmentWriter& writer, const char* name, const T& value) {
  return writer.Property(name, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
}

struct Sums {
  uint32_t folios = 0;
  uint64_t bytes = 0;
  uint32_t checksum = 0;
};

/// Whether `block` was handed over with its order.
Status CheckOrder(const handover::Incoming& incoming, Block block) {
  const Result<Order> order = incoming.OrderOf(block.frame);
  if (!order.ok()) return order.error();
  if (order.value() == block.order) return Ok{};
  return Error{ErrorCode::kNotPreserved, block.begin(), order.value().log2(), block.order.log2()};
}

Status AddFolio(const handover::Incoming& incoming, uint64_t entry, Sums* sums) {
  const Result<Block> decoded = rig::DecodeBlock(entry);
  if (!decoded.ok()) return decoded.error();
  const Block folio = decoded.value();
  KHOCORE_RETURN_IF_ERROR(CheckOrder(incoming, folio));
  ++sums->folios;
  sums->bytes += folio.bytes();
  sums->checksum = AddChecksum(folio, sums->checksum);
  return Ok{};
}

/// Adds up the first `count` folios of a list.
Status AddFolios(const handover::Incoming& incoming, const abi::Vmalloc& list, uint32_t count,
                 Sums* sums) {
  return khocore::WalkVmalloc(
      incoming.physical(), list,
      [&](Block block) -> Status {
        KHOCORE_RETURN_IF_ERROR(CheckOrder(incoming, block));
        const auto* entries = base::Direct<const uint64_t>(block.begin());
        const uint64_t room = block.bytes() / sizeof(uint64_t);
        for (uint64_t i = 0; i < room && sums->folios < count; ++i) {
          KHOCORE_RETURN_IF_ERROR(AddFolio(incoming, entries[i], sums));
        }
        return Ok{};
      },
      [&](PageFrame chunk) { return CheckOrder(incoming, {chunk, Order()}); });
}

}  // namespace

Status KhoTest::Create(handover::Generation& generation) {
  const uint64_t wanted = generation.options.megabytes;
  const uint64_t bytes = (wanted != 0 ? wanted : kDefaultMegabytes) << 20;
  khocore::PageSource& pages = generation.allocator;
  const uint64_t list_pages = (bytes / khocore::kPageSize + kEntriesPerPage - 1) / kEntriesPerPage;
  constexpr uint64_t kMaxListPages = 16;
  PageFrame frames[kMaxListPages];
  if (list_pages > kMaxListPages) return Error{ErrorCode::kNoSpace, PhysAddr(), bytes};
  for (uint64_t i = 0; i < list_pages; ++i) {
    const Result<PageFrame> page = pages.AllocatePage();
    if (!page.ok()) return page.error();
    frames[i] = page.value();
  }
  const Result<abi::Vmalloc> list =
      khocore::WriteVmalloc(generation.physical, pages, {frames, list_pages}, Order());
  if (!list.ok()) return list.error();
  list_ = list.value();
  return Fill(generation, bytes);
}

Status KhoTest::Fill(handover::Generation& generation, uint64_t bytes) {
  base::Random random = base::Random::ForPurpose(generation.options.seed, abi::kKhoTestClient);
  const uint32_t owner = rig::ContentOwner(abi::kKhoTestClient);
  uint64_t left = bytes / khocore::kPageSize;
  const auto add = [&](uint64_t* entry) -> Status {
    auto log2 = static_cast<unsigned>(random.Below(kOrders));
    while (uint64_t{1} << log2 > left) --log2;
    const Order order = Order::FromLog2(log2);
    const Result<PageFrame> frame = generation.allocator.Allocate(order);
    if (!frame.ok()) return frame.error();
    const Block folio{frame.value(), order};
    left -= order.pages();
    *entry = rig::EncodeBlock(folio);
    for (uint64_t i = 0; i < order.pages(); ++i) {
      rig::FillPage(folio.frame + i, generation.options.seed, owner, left + i);
    }
    checksum_ = AddChecksum(folio, checksum_);
    ++folio_count_;
    return Ok{};
  };
  return khocore::WalkVmalloc(
      generation.physical, list_,
      [&](Block page) -> Status {
        auto* entries = base::Direct<uint64_t>(page.begin());
        for (uint64_t i = 0; i < kEntriesPerPage && left != 0; ++i) {
          KHOCORE_RETURN_IF_ERROR(add(entries + i));
        }
        return Ok{};
      },
      [](PageFrame) -> Status { return Ok{}; });
}

Status KhoTest::Preserve(handover::Outgoing& outgoing) const {
  if (folio_count_ == 0) return Ok{};
  KHOCORE_RETURN_IF_ERROR(khocore::PreserveVmalloc(outgoing.physical(), outgoing.tracker(), list_));
  uint32_t seen = 0;
  return khocore::WalkVmalloc(
      outgoing.physical(), list_,
      [&](Block page) -> Status {
        const auto* entries = base::Direct<const uint64_t>(page.begin());
        for (uint64_t i = 0; i < kEntriesPerPage && seen < folio_count_; ++i, ++seen) {
          const Result<Block> folio = rig::DecodeBlock(entries[i]);
          if (!folio.ok()) return folio.error();
          KHOCORE_RETURN_IF_ERROR(outgoing.tracker().Preserve(folio.value()));
        }
        return Ok{};
      },
      [](PageFrame) -> Status { return Ok{}; });
}

Status KhoTest::Serialize(handover::Outgoing& outgoing) const {
  if (folio_count_ == 0) return Ok{};
  FragmentWriter writer(outgoing.physical(), outgoing.final_pages(), outgoing.tracker(),
                        abi::kKhoTestCompatible);
  (void)WriteValue(writer, "magic", abi::kKhoTestMagic);
  (void)writer.BeginNode(abi::kKhoTestData);
  (void)WriteValue(writer, "nr_folios", folio_count_);
  (void)WriteValue(writer, "folios_info", list_);
  (void)WriteValue(writer, "csum", checksum_);
  (void)writer.EndNode();
  const Result<PageFrame> page = writer.Close();
  if (!page.ok()) return page.error();
  return outgoing.AddClient(abi::kKhoTestClient, {page.value().address(), khocore::kPageSize});
}

Status KhoTest::Check(handover::Incoming& incoming) {
  const Result<PhysRange> blob = incoming.Find(abi::kKhoTestClient);
  if (!blob.ok()) return Ok{};
  const auto fragment = incoming.OpenFragment(blob.value(), abi::kKhoTestCompatible);
  if (!fragment.ok()) return fragment.error();
  const Result<khocore::FragmentNode> data =
      fragment.value().Subnode(fragment.value().root(), abi::kKhoTestData);
  if (!data.ok()) return data.error();
  const auto count = ReadValue<uint32_t>(fragment.value(), data.value(), "nr_folios");
  if (!count.ok()) return count.error();
  const auto list = ReadValue<abi::Vmalloc>(fragment.value(), data.value(), "folios_info");
  if (!list.ok()) return list.error();
  const auto checksum = ReadValue<uint32_t>(fragment.value(), data.value(), "csum");
  if (!checksum.ok()) return checksum.error();
  Sums sums;
  KHOCORE_RETURN_IF_ERROR(AddFolios(incoming, list.value(), count.value(), &sums));
  const bool same = sums.folios == count.value() && sums.checksum == checksum.value();
  rig::Event("kho_test").Number("folios", sums.folios).Number("bytes", sums.bytes).Bool("ok", same);
  if (!same) {
    KHORIG_FAIL("kho_test", "sum 0x%x over %u folios, the module says 0x%x over %u", sums.checksum,
                sums.folios, checksum.value(), count.value());
  }
  return Ok{};
}

}  // namespace clients
