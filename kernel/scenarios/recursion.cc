// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "kernel/scenarios/fragment_tree.h"
#include "khocore/fragment_reader.h"
#include "khocore/fragment_writer.h"

namespace scenarios {
namespace {

using handover::Generation;
using handover::Incoming;
using handover::Outgoing;
using khocore::Error;
using khocore::ErrorCode;
using khocore::FragmentNode;
using khocore::FragmentReader;
using khocore::FragmentWriter;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using khocore::Span;
using khocore::Status;
using rig::Require;

constexpr char kLink[] = "tree";
constexpr khocore::Text kCompatible = "khorig-tree-v1";
constexpr khocore::Text kId = "id";
constexpr khocore::Text kPayload = "payload";

FragmentTree tree;

/// "f" and a number, put together from its end: the scenario makes two names for each fragment.
class NodeName {
 public:
  explicit NodeName(uint64_t id) {
    *--begin_ = '\0';
    do {
      *--begin_ = static_cast<char>('0' + id % 10);
      id /= 10;
    } while (id != 0);
    *--begin_ = 'f';
  }
  khocore::Text text() const {
    return {begin_, static_cast<size_t>(text_ + sizeof(text_) - begin_)};
  }

 private:
  char text_[sizeof("f18446744073709551615")];
  char* begin_ = text_ + sizeof(text_);
};

void Plan(Generation& generation) {
  const uint64_t wanted = generation.options.fragments;
  const uint64_t count = wanted != 0 ? wanted : FragmentTree::kDefaultCount;
  memory::PageAllocator& allocator = generation.allocator;
  const uint64_t page_count = FragmentTree::PagesFor(count);
  const PhysRange list =
      Require(allocator.AllocateRange(page_count * sizeof(void*), khocore::kPageSize), kLink);
  auto* const pages = base::Direct<void*>(list.begin);
  for (uint64_t i = 0; i < page_count; ++i) {
    pages[i] = base::Direct<void>(Require(allocator.AllocatePage(), kLink).address());
  }
  tree = FragmentTree(generation.options.seed, count, pages);
}

Status WriteNode(Outgoing& outgoing, uint64_t id) {
  FragmentWriter writer(outgoing.physical(), outgoing.generation().allocator, outgoing.tracker(),
                        kCompatible);
  (void)writer.PropertyU64(kId, id);
  const FragmentTree::Payload payload = tree.PayloadOf(id);
  const Result<Span<uint8_t>> place = writer.PropertyInPlace(kPayload, payload.size);
  if (!place.ok()) return place.error();
  payload.Make(place.value().data);
  for (uint64_t child = tree.first_child(id); child != 0; child = tree.next_sibling(child)) {
    (void)writer.Link(NodeName(child).text(), tree.page(child).address(), khocore::kPageSize);
  }
  const Result<PageFrame> page = writer.Close();
  if (!page.ok()) return page.error();
  tree.set_page(id, page.value());
  return Ok{};
}

Result<FragmentReader> Open(const Incoming& incoming, uint64_t id) {
  return FragmentReader::Open(incoming.physical(), {tree.page(id).address(), khocore::kPageSize});
}

void CheckNode(const FragmentReader& reader, uint64_t expected_id) {
  const uint64_t id = Require(reader.PropertyU64(reader.root(), kId.begin), kId.begin);
  const Span<const uint8_t> found =
      Require(reader.Property(reader.root(), kPayload.begin), kPayload.begin);
  const FragmentTree::Payload payload = tree.PayloadOf(expected_id);
  alignas(uint64_t) uint8_t expected[FragmentTree::kMaxPayload];
  payload.Make(expected);
  if (id == expected_id && found.size == payload.size &&
      memcmp(found.data, expected, payload.size) == 0) {
    return;
  }
  KHORIG_FAIL("tree", "fragment at 0x%lx is not number %lu as it was written",
              reader.address().raw(), expected_id);
}

/// Restores one fragment and records where its children lie. Errors: `kNotFound` when its links
/// are not those that were written, in this order.
Status RestoreNode(Incoming& incoming, uint64_t id) {
  const Result<FragmentReader> fragment = Open(incoming, id);
  if (!fragment.ok()) return fragment.error();
  const FragmentReader& reader = fragment.value();
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreBlock({tree.page(id), Order()}));
  uint64_t child = tree.first_child(id);
  const auto restore = [&](FragmentNode node, const char* name) -> Status {
    if (child == 0 || strcmp(name, NodeName(child).text().begin) != 0) {
      return Error{ErrorCode::kNotFound, reader.NodeAddress(node), 0, child};
    }
    const Result<PhysRange> link = reader.Link(node);
    if (!link.ok()) return link.error();
    tree.set_page(child, PageFrame::Containing(link.value().begin));
    child = tree.next_sibling(child);
    return Ok{};
  };
  KHOCORE_RETURN_IF_ERROR(reader.ForEachSubnode(reader.root(), restore));
  if (child == 0) return Ok{};
  return Error{ErrorCode::kNotFound, reader.address(), 0, child};
}

void Create(Generation& generation) { Plan(generation); }

void Restore(Incoming& incoming) {
  Plan(incoming.generation());
  tree.set_page(0, PageFrame::Containing(Require(incoming.FindLink(kLink), kLink).begin));
  // Parents have lower numbers than their children, so every page is known when its turn comes.
  for (uint64_t id = 0; id < tree.count(); ++id) Require(RestoreNode(incoming, id), kLink);
}

void Verify(Incoming& incoming) {
  for (uint64_t id = 0; id < tree.count(); ++id) CheckNode(Require(Open(incoming, id), kLink), id);
}

void Preserve(Outgoing& outgoing) {
  // Children have higher numbers than their parents, so a link's target is always there already.
  for (uint64_t id = tree.count(); id-- > 0;) {
    if (tree.page(id).number() == 0) {
      Require(WriteNode(outgoing, id), kLink);
    } else {
      Require(outgoing.tracker().Preserve({tree.page(id), Order()}), kLink);
    }
  }
  Require(outgoing.AddLink(kLink, {tree.page(0).address(), khocore::kPageSize}), kLink);
}

KHORIG_SCENARIO(recursion) = {
    .name = "recursion",
    .summary = "a tree of 1200 fragments, at least 12 deep, each a page; compared node by node",
    .expects_refusal = false,
    .clients = clients::kOwn,
    .create = Create,
    .restore = Restore,
    .verify = Verify,
    .preserve = Preserve};

}  // namespace
}  // namespace scenarios
