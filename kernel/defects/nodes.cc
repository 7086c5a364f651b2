// SPDX-License-Identifier: BSD-3-Clause
// Faults of NUMA nodes.

#include "kernel/base/node_map.h"
#include "kernel/memory/points.h"

namespace defects {
namespace {

using khocore::PhysAddr;
using memory::FoundNodes;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

constinit base::NodeMap one_node;

bool HasNodes(const base::NodeMap& nodes) {
  return !nodes.IsInOne({PhysAddr(), khocore::AlignDown(~uint64_t{0}, khocore::kPageSize)});
}

void ForgetNodesOfBlocks(FoundNodes& nodes) {
  if (!HasNodes(*nodes.of_blocks)) return;
  Fire();
  nodes.of_blocks = &one_node;
}
KHORIG_FAULT(block_spans_nodes) = FaultAt<Point::kNodesFound, ForgetNodesOfBlocks>(
    "block-spans-nodes", 1, "R3", "the page allocator joins free blocks of two NUMA nodes");

void ForgetNodesOfScratch(FoundNodes& nodes) {
  if (!HasNodes(*nodes.of_scratch)) return;
  Fire();
  nodes.of_scratch = &one_node;
}
KHORIG_FAULT(scratch_of_one_node) = FaultAt<Point::kNodesFound, ForgetNodesOfScratch>(
    "scratch-of-one-node", 1, "", "only one NUMA node gets scratch of its own");

}  // namespace
}  // namespace defects
