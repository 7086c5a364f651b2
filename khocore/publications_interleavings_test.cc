// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <stdio.h>

#include <functional>
#include <string>
#include <vector>

#include "khocore/publications.h"
#include "khocore/testing/interleavings.h"

namespace khocore {
namespace {

/// What is published, with its content.
struct Fragment {
  Publications::Entry entry;
  uint64_t content;
};
constexpr unsigned kFragments = 6;

struct State {
  Publications publications;
  Fragment fragments[kFragments];
};
State state;
constexpr const char* kNames[kFragments] = {"a", "b", "c", "d", "e", "f"};

void Publish(unsigned number) {
  state.fragments[number].content = number + 1;
  state.fragments[number].entry.name = kNames[number];
  state.publications.Publish(&state.fragments[number].entry);
}

/// Interleaves CPUs that publish with one that takes so many times; `numbers` has what each
/// publishes. Everything is taken once, in order, with its content.
void Interleave(const std::vector<std::vector<unsigned>>& numbers, unsigned takes) {
  const Interleavings::Count count = Interleavings::ForEach([&](Interleavings& run) {
    state = {};
    run.Share(&state, sizeof(state), "publications");
    char taken[32] = {};
    size_t length = 0;
    std::vector<Interleavings::Work> work;
    for (const std::vector<unsigned>& mine : numbers) {
      work.emplace_back([&mine] {
        for (const unsigned number : mine) Publish(number);
      });
    }
    const auto take = [&] {
      char previous = 0;
      for (auto* entry = state.publications.Take(); entry != nullptr; entry = entry->next) {
        auto* fragment = reinterpret_cast<Fragment*>(entry);
        const char name = fragment->content == 0 ? '?' : entry->name[0];
        if (name < previous) taken[length++] = '!';
        previous = taken[length++] = name;
        fragment->content = 0;
      }
    };
    if (takes != 0) {
      work.emplace_back([&] {
        for (unsigned i = 0; i < takes; ++i) take();
      });
    }
    if (!run.Run(work)) return;
    take();
    unsigned all = 0;
    std::string found(taken, length);
    for (const std::vector<unsigned>& mine : numbers) {
      for (const unsigned number : mine) {
        ++all;
        if (found.find(kNames[number]) == std::string::npos) {
          run.Fail(std::string(kNames[number]) + " was never taken, only " + found);
        }
      }
    }
    if (found.size() != all) run.Fail("taken twice, without content (?) or unsorted (!): " + found);
  });
  if (!count.fault.empty()) ADD_FAILURE() << count.fault;
  printf("%lu interleavings, %lu steps\n", count.interleavings, count.steps);
}

TEST(PublicationsInterleavingsTest, TwoPublish) { Interleave({{0, 1}, {2, 3}}, 0); }

TEST(PublicationsInterleavingsTest, OneTakesWhatAnotherPublishes) {
  Interleave({{0, 1}}, 2);
  Interleave({{1, 0, 2}}, 3);
}

TEST(PublicationsInterleavingsTest, ThreePublish) { Interleave({{0}, {1}, {2}}, 0); }

TEST(PublicationsInterleavingsTest, OneTakesWhatTwoPublish) { Interleave({{0}, {1}}, 2); }

TEST(PublicationsInterleavingsTest, NightlyOneTakesWhatTwoPublish) {
  Interleave({{0, 2}, {1}}, 2);
  Interleave({{1}, {2}, {0}}, 1);
}

}  // namespace
}  // namespace khocore
