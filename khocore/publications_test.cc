// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/publications.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace khocore {
namespace {

using Entry = Publications::Entry;

TEST(PublicationsTest, GivesEachOnceInTheOrderOfNames) {
  Publications publications;
  EXPECT_EQ(publications.Take(), nullptr);
  Entry c{"c", {}}, a{"a", {}}, b{"b", {}};
  for (Entry* entry : {&c, &a, &b}) publications.Publish(entry);
  Entry* taken = publications.Take();
  ASSERT_EQ(taken, &a);
  ASSERT_EQ(taken->next, &b);
  ASSERT_EQ(taken->next->next, &c);
  EXPECT_EQ(taken->next->next->next, nullptr);
  EXPECT_EQ(publications.Take(), nullptr);
}

/// Under ThreadSanitizer this fails when a reader can be faster than what was written before.
TEST(PublicationsTest, ShowsWhatWasWrittenBefore) {
  constexpr uint64_t kThreads = 8;
  constexpr uint64_t kEach = 500;
  struct Fragment {
    Entry entry;
    uint64_t content;
  };
  std::vector<Fragment> fragments(kThreads * kEach);
  std::vector<std::string> names;
  for (uint64_t i = 0; i < fragments.size(); ++i) names.push_back(std::to_string(i));
  Publications publications;
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = thread * kEach; i < (thread + 1) * kEach; ++i) {
        fragments[i].content = i + 1;
        fragments[i].entry = {names[i].c_str(), {PhysAddr::FromRaw(i), kPageSize}};
        publications.Publish(&fragments[i].entry);
      }
    });
  }
  uint64_t taken = 0;
  while (taken < fragments.size()) {
    for (const Entry* entry = publications.Take(); entry != nullptr; entry = entry->next) {
      const uint64_t i = entry->data.begin.raw();
      EXPECT_EQ(fragments[i].content, i + 1);
      fragments[i].content = 0;
      ++taken;
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(publications.Take(), nullptr);
}

}  // namespace
}  // namespace khocore
