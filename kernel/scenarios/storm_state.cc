// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/scenarios/storm_state.h"

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/base/format.h"
#include "kernel/clients/stores.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "khocore/fragment_reader.h"

namespace scenarios {

using clients::stores;
using handover::Generation;
using handover::Incoming;
using khocore::FragmentReader;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using rig::Require;

StormName::StormName(const char* word, uint64_t number) {
  base::FormatTo(text, sizeof(text), "%s%lu", word, number);
}

void CreateStormModel(Generation& generation) {
  Require(stores.Create(generation, kStormStore, sizeof(StormModel)), kStormStore);
  memset(&StormModelOf(generation), 0, sizeof(StormModel));
}

StormModel& StormModelOf(const Generation& generation) {
  return *static_cast<StormModel*>(PageOfStore(generation, kStormStore, sizeof(StormModel)));
}

uint64_t StormOperations(const Generation& generation) {
  constexpr uint64_t kDefault = 4000;
  return generation.options.operations != 0 ? generation.options.operations : kDefault;
}

namespace {

void RestoreWithOrder(Incoming& incoming, khocore::Block block) {
  if (incoming.RestoreBlock(block).ok()) return;
  KHORIG_FAIL("storm", "block 0x%lx of order %u: restored with another order or not at all",
              block.begin().raw(), block.order.log2());
}

/// Restoring must fail for pages that nobody preserved.
void ExpectRefused(Incoming& incoming, PageFrame page) {
  if (!incoming.RestoreHead(page).ok()) return;
  KHORIG_FAIL("storm", "page 0x%lx was restored", page.address().raw());
}

/// Opens the fragment behind a link and takes its page back.
FragmentReader RestoreLinked(Incoming& incoming, PhysRange link, PageFrame* page) {
  const FragmentReader reader =
      Require(FragmentReader::Open(incoming.physical(), link), kStormLink);
  *page = PageFrame::Containing(link.begin);
  Require(incoming.RestoreBlock({*page, Order()}), kStormLink);
  return reader;
}

void RestoreSlots(Incoming& incoming, const FragmentReader& cpu, size_t number,
                  StormFragments* fragments) {
  for (uint64_t slot = 0; slot < kStormSlots; ++slot) {
    const Result<khocore::FragmentNode> node = cpu.Subnode(cpu.root(), StormName("f", slot).text);
    if (!node.ok()) continue;
    const FragmentReader reader = RestoreLinked(
        incoming, Require(cpu.Link(node.value()), kStormLink), &fragments->slots[number][slot]);
    fragments->versions[number][slot] =
        Require(reader.PropertyU64(reader.root(), "version"), "version");
  }
}

}  // namespace

void RestoreStorm(Incoming& incoming, const StormModel& model, StormFragments* fragments) {
  for (uint64_t at = 0; at < kStormPages; ++at) {
    const auto block = StormBlock(model, at);
    IsModelHead(model.pages[at]) ? RestoreWithOrder(incoming, block)
                                 : ExpectRefused(incoming, block.frame);
  }
  for (uint64_t i = 0; i < kStormContended.pages(); ++i) {
    const auto page = StormContended(model, i);
    i % 2 == 0 ? RestoreWithOrder(incoming, page) : ExpectRefused(incoming, page.frame);
  }
  const PhysRange link = Require(incoming.FindLink(kStormLink), kStormLink);
  const FragmentReader top = RestoreLinked(incoming, link, &fragments->top);
  for (size_t number = 0; number < model.cpus; ++number) {
    const khocore::FragmentNode node =
        Require(top.Subnode(top.root(), StormName("cpu", number).text), "cpu");
    const FragmentReader cpu =
        RestoreLinked(incoming, Require(top.Link(node), kStormLink), &fragments->cpus[number]);
    RestoreSlots(incoming, cpu, number, fragments);
  }
}

void VerifyStorm(const Generation& generation, const StormModel& model,
                 const StormFragments& fragments) {
  uint8_t pages[kStormPages] = {};
  for (size_t number = 0; number < model.cpus; ++number) {
    uint64_t versions[kStormSlots] = {};
    StormSteps steps(generation.options.seed, generation.options.generation - 1, number,
                     model.cpus);
    for (uint64_t i = StormOperations(generation); i > 0; --i) {
      const StormStep step = steps.Next();
      if (step.is_fragment) {
        versions[step.slot] = step.version;
      } else {
        Apply(pages, step.at, step.order, ActionOn(pages, step.at, step.order));
      }
    }
    if (memcmp(versions, fragments.versions[number], sizeof(versions)) != 0) {
      KHORIG_FAIL("storm", "the fragments of CPU %zu are not those that it wrote last", number);
    }
  }
  if (memcmp(pages, model.pages, sizeof(pages)) != 0) {
    KHORIG_FAIL("storm", "the model is not the outcome of the steps of %lu CPUs", model.cpus);
  }
}

}  // namespace scenarios
