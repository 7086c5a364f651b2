// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/reserved_memory.h"

#include <string.h>

#include "kernel/base/format.h"
#include "kernel/console/escape.h"
#include "kernel/console/print.h"
#include "kernel/rig/content.h"
#include "kernel/rig/event.h"
#include "khocore/abi/handover.h"
#include "khocore/fragment_reader.h"
#include "khocore/fragment_writer.h"

namespace clients {
namespace {

using khocore::Error;
using khocore::ErrorCode;
using khocore::FragmentReader;
using khocore::Ok;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
namespace abi = khocore::abi;

Result<PhysRange> ReadArea(const FragmentReader& fragment, khocore::FragmentNode node) {
  const Result<uint64_t> start = fragment.PropertyU64(node, "start");
  if (!start.ok()) return start.error();
  const Result<uint64_t> size = fragment.PropertyU64(node, "size");
  if (!size.ok()) return size.error();
  const PhysRange range{PhysAddr::FromRaw(start.value()), size.value()};
  if (((start.value() | size.value()) & (khocore::kPageSize - 1)) != 0 || range.Wraps() ||
      range.size == 0) {
    return Error{ErrorCode::kPropertySize, range.begin, range.size};
  }
  return range;
}

}  // namespace

Status ReservedMemory::Create(handover::Generation& generation) {
  const rig::Options& options = generation.options;
  for (size_t i = 0; i < options.reserved_count; ++i) {
    const rig::Options::Reserved& wanted = options.reserved[i];
    const auto range = generation.allocator.AllocateRange(wanted.size, wanted.alignment);
    if (!range.ok()) {
      rig::EndWithError(rig::RequestError::kNoMemory, "no-memory",
                        "no room for reserve_mem=%s: %lu bytes", wanted.name, wanted.size);
    }
    Area& area = areas_[count_++];
    base::FormatTo(area.name, sizeof(area.name), "%s", wanted.name);
    area.range = range.value();
    rig::FillContent(area.range, options.seed, rig::ContentOwner(area.name));
  }
  return Ok{};
}

Status ReservedMemory::Restore(handover::Incoming& incoming) {
  const Result<PhysRange> blob = incoming.Find(abi::kMemblockClient);
  if (!blob.ok()) return Ok{};  // the previous kernel reserved nothing
  const Result<FragmentReader> fragment =
      incoming.RestoreFragment(blob.value(), abi::kMemblockCompatible);
  if (!fragment.ok()) return fragment.error();
  const FragmentReader& reader = fragment.value();
  return reader.ForEachSubnode(
      reader.root(), [&](khocore::FragmentNode node, const char* name) -> Status {
        const Result<PhysRange> range = ReadArea(reader, node);
        if (!range.ok()) return range.error();
        if (count_ == rig::Options::kMaxReserved || strlen(name) >= sizeof(areas_[0].name)) {
          return Error{ErrorCode::kNoSpace, range.value().begin, count_};
        }
        Area& area = areas_[count_++];
        base::FormatTo(area.name, sizeof(area.name), "%s", name);
        area.range = range.value();
        console::Print("revived reserved memory '%s' at 0x%lx\n", console::Escaped(name).text(),
                       area.range.begin.raw());
        return incoming.RestoreRange(area.range);
      });
}

void ReservedMemory::Verify(const handover::Incoming& incoming) const {
  for (size_t i = 0; i < count_; ++i) {
    const PageFrame first = PageFrame::Containing(areas_[i].range.begin);
    const uint32_t owner = rig::ContentOwner(areas_[i].name);
    for (uint64_t page = 0; page < areas_[i].range.size / khocore::kPageSize; ++page) {
      if (rig::HasContent(first + page, incoming.generation().options.seed, owner, page)) continue;
      KHORIG_FAIL("reserved-memory", "%s: page 0x%lx lost its content", areas_[i].name,
                  (first + page).address().raw());
    }
  }
}

Status ReservedMemory::Preserve(handover::Outgoing& outgoing) const {
  for (size_t i = 0; i < count_; ++i) {
    KHOCORE_RETURN_IF_ERROR(outgoing.tracker().PreserveRange(areas_[i].range));
  }
  return Ok{};
}

Status ReservedMemory::Serialize(handover::Outgoing& outgoing) const {
  if (count_ == 0) return Ok{};
  khocore::FragmentWriter writer(outgoing.physical(), outgoing.final_pages(), outgoing.tracker(),
                                 abi::kMemblockCompatible);
  for (size_t i = 0; i < count_; ++i) {
    (void)writer.BeginNode(areas_[i].name);
    (void)writer.PropertyString(abi::kCompatibleProperty, abi::kReserveMemCompatible);
    (void)writer.PropertyU64("start", areas_[i].range.begin.raw());
    (void)writer.PropertyU64("size", areas_[i].range.size);
    (void)writer.EndNode();
  }
  const Result<PageFrame> page = writer.Close();
  if (!page.ok()) return page.error();
  return outgoing.AddClient(abi::kMemblockClient, {page.value().address(), khocore::kPageSize});
}

}  // namespace clients
