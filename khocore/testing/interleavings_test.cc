// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/interleavings.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>

namespace khocore {
namespace {

using Count = Interleavings::Count;

/// What the workers of a test share.
struct Shared {
  uint64_t x;
  uint64_t y;
  uint64_t plain;
};
alignas(64) Shared shared;
uint64_t results[4];

uint64_t Load(const uint64_t* place, int order = __ATOMIC_RELAXED) {
  return order == __ATOMIC_ACQUIRE ? __atomic_load_n(place, __ATOMIC_ACQUIRE)
                                   : __atomic_load_n(place, __ATOMIC_RELAXED);
}

void Store(uint64_t* place, uint64_t value, int order = __ATOMIC_RELAXED) {
  if (order == __ATOMIC_RELEASE) {
    __atomic_store_n(place, value, __ATOMIC_RELEASE);
  } else {
    __atomic_store_n(place, value, __ATOMIC_RELAXED);
  }
}

using Outcome = std::pair<uint64_t, uint64_t>;

/// The values of the first two results in all interleavings of the work.
std::set<Outcome> Outcomes(std::vector<Interleavings::Work> work, Count* count = nullptr,
                           bool is_reduced = true) {
  std::set<Outcome> outcomes;
  const Count all = Interleavings::ForEach(
      [&](Interleavings& run) {
        shared = {};
        for (uint64_t& result : results) result = 0;
        run.Share(&shared, sizeof(shared), "shared");
        if (!run.Run(work)) return;
        outcomes.emplace(results[0], results[1]);
      },
      {.is_reduced = is_reduced});
  EXPECT_EQ(all.fault, "");
  if (count != nullptr) *count = all;
  return outcomes;
}

/// The fault of the work, and whether it names all of `parts`.
void ExpectFault(std::vector<Interleavings::Work> work, std::vector<std::string> parts) {
  const Count count = Interleavings::ForEach([&](Interleavings& run) {
    shared = {};
    run.Share(&shared, sizeof(shared), "shared");
    (void)run.Run(work);
  });
  for (const std::string& part : parts) {
    EXPECT_NE(count.fault.find(part), std::string::npos) << part << " is not in:\n" << count.fault;
  }
}

TEST(InterleavingsTest, RunsEachSequenceOnce) {
  const std::vector<Interleavings::Work> work(2, [] {
    for (int i = 0; i < 3; ++i) __atomic_fetch_add(&shared.x, 1, __ATOMIC_RELAXED);
  });
  Count count;
  Outcomes(work, &count, false);
  EXPECT_EQ(count.interleavings, 20u) << "6 over 3";
  Outcomes(work, &count);
  EXPECT_EQ(count.interleavings, 20u) << "all of them are different";
}

TEST(InterleavingsTest, LeavesOutWhatIsTheSame) {
  const std::vector<Interleavings::Work> work{
      [] {
        for (int i = 0; i < 5; ++i) __atomic_fetch_add(&shared.x, 1, __ATOMIC_RELAXED);
      },
      [] {
        for (int i = 0; i < 5; ++i) __atomic_fetch_add(&shared.y, 1, __ATOMIC_RELAXED);
      }};
  Count count;
  Outcomes(work, &count, false);
  EXPECT_EQ(count.interleavings, 252u);
  Outcomes(work, &count);
  EXPECT_EQ(count.interleavings, 1u);
}

TEST(InterleavingsTest, ReducedOnesHaveAllResults) {
  const std::vector<Interleavings::Work> work{
      [] {
        results[0] = __atomic_fetch_add(&shared.x, 1, __ATOMIC_RELAXED);
        results[0] = results[0] * 10 + __atomic_fetch_add(&shared.y, 1, __ATOMIC_RELAXED);
      },
      [] {
        results[1] = __atomic_fetch_add(&shared.y, 2, __ATOMIC_RELAXED);
        results[1] = results[1] * 10 + __atomic_fetch_add(&shared.x, 2, __ATOMIC_RELAXED);
      },
      [] {
        if (Load(&shared.x) == 3) __atomic_fetch_or(&shared.y, 8, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared.x, 4, __ATOMIC_RELAXED);
      }};
  Count all, reduced;
  EXPECT_EQ(Outcomes(work, &reduced), Outcomes(work, &all, false));
  EXPECT_LT(reduced.interleavings, all.interleavings);
}

TEST(InterleavingsTest, AStoreMayBeSeenLate) {
  // Store buffering: both may read 0.
  const std::set<Outcome> outcomes = Outcomes({[] {
                                                 Store(&shared.x, 1);
                                                 results[0] = Load(&shared.y);
                                               },
                                               [] {
                                                 Store(&shared.y, 1);
                                                 results[1] = Load(&shared.x);
                                               }});
  EXPECT_EQ(outcomes, (std::set<Outcome>{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
}

TEST(InterleavingsTest, ReleaseAndAcquireOrderAMessage) {
  const auto message = [](int release, int acquire) {
    return Outcomes({[release] {
                       Store(&shared.x, 1);
                       Store(&shared.y, 1, release);
                     },
                     [acquire] {
                       results[0] = Load(&shared.y, acquire);
                       results[1] = Load(&shared.x);
                     }});
  };
  const std::set<Outcome> ordered{{0, 0}, {0, 1}, {1, 1}};
  EXPECT_EQ(message(__ATOMIC_RELEASE, __ATOMIC_ACQUIRE), ordered);
  EXPECT_TRUE(message(__ATOMIC_RELAXED, __ATOMIC_ACQUIRE).contains({1, 0}));
  EXPECT_TRUE(message(__ATOMIC_RELEASE, __ATOMIC_RELAXED).contains({1, 0}));
}

TEST(InterleavingsTest, FencesOrderAMessage) {
  EXPECT_FALSE(Outcomes({[] {
                           Store(&shared.x, 1);
                           __atomic_thread_fence(__ATOMIC_RELEASE);
                           Store(&shared.y, 1);
                         },
                         [] {
                           results[0] = Load(&shared.y);
                           __atomic_thread_fence(__ATOMIC_ACQUIRE);
                           results[1] = Load(&shared.x);
                         }})
                   .contains({1, 0}));
}

TEST(InterleavingsTest, AChangeContinuesARelease) {
  EXPECT_FALSE(Outcomes({[] {
                           Store(&shared.x, 1);
                           Store(&shared.y, 1, __ATOMIC_RELEASE);
                         },
                         [] { __atomic_fetch_add(&shared.y, 1, __ATOMIC_RELAXED); },
                         [] {
                           results[0] = Load(&shared.y, __ATOMIC_ACQUIRE);
                           results[1] = Load(&shared.x);
                         }})
                   .contains({2, 0}));
}

TEST(InterleavingsTest, NobodySeesAPlaceGoBack) {
  const std::set<Outcome> outcomes = Outcomes({[] {
                                                 Store(&shared.x, 1);
                                                 Store(&shared.x, 2);
                                               },
                                               [] {
                                                 results[0] = Load(&shared.x);
                                                 results[1] = Load(&shared.x);
                                               }});
  EXPECT_EQ(outcomes, (std::set<Outcome>{{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}}));
}

TEST(InterleavingsTest, OnlyAWeakExchangeFailsWithoutAReason) {
  const auto exchange = [](bool is_weak) {
    return Outcomes({[is_weak] {
      uint64_t expected = 0;
      results[0] = is_weak ? __atomic_compare_exchange_n(&shared.x, &expected, 1, true,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED)
                           : __atomic_compare_exchange_n(&shared.x, &expected, 1, false,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }});
  };
  EXPECT_EQ(exchange(false), (std::set<Outcome>{{1, 0}}));
  EXPECT_EQ(exchange(true), (std::set<Outcome>{{0, 0}, {1, 0}}));
}

TEST(InterleavingsTest, APlainAccessThatNothingOrdersIsARace) {
  ExpectFault({[] {
                 shared.plain = 1;
                 Store(&shared.x, 1);
               },
               [] {
                 if (Load(&shared.x, __ATOMIC_ACQUIRE) == 1) results[0] = shared.plain;
               }},
              {"race: CPU 2 reads shared+16", "CPU 1 wrote it",
               "interleavings_test.cc:", "CPU 1  store", "CPU 2  load"});
}

TEST(InterleavingsTest, OrderedPlainAccessesAreNone) {
  Outcomes({[] {
              shared.plain = 1;
              Store(&shared.x, 1, __ATOMIC_RELEASE);
            },
            [] {
              if (Load(&shared.x, __ATOMIC_ACQUIRE) == 1) results[0] = shared.plain;
            }});
}

TEST(InterleavingsTest, WhoPollsWaits) {
  const std::set<Outcome> outcomes = Outcomes({[] {
                                                 while (Load(&shared.x) == 0) {
                                                   Interleavings::Current()->Wait();
                                                 }
                                                 results[0] = 1;
                                               },
                                               [] { Store(&shared.x, 1); }});
  EXPECT_EQ(outcomes, (std::set<Outcome>{{1, 0}}));
}

TEST(InterleavingsTest, NobodyComesIsADeadlock) {
  ExpectFault({[] {
                while (Load(&shared.x) == 0) {
                  Interleavings::Current()->Wait();
                }
              }},
              {"deadlock", "CPU 1  load"});
}

TEST(InterleavingsTest, UsesOfFreedPagesAreFound) {
  alignas(4096) static uint8_t page[4096];
  const Count count = Interleavings::ForEach([&](Interleavings& run) {
    shared = {};
    run.Share(&shared, sizeof(shared), "shared");
    run.SharePages(page, sizeof(page), "page");
    uint64_t* const word = reinterpret_cast<uint64_t*>(page);
    (void)run.Run({[&] {
                     run.AllocatePage(page);
                     Store(&shared.x, 1, __ATOMIC_RELEASE);
                     if (Load(&shared.y, __ATOMIC_ACQUIRE) == 0) run.FreePage(page, nullptr);
                   },
                   [&] {
                     if (Load(&shared.x, __ATOMIC_ACQUIRE) == 1) Store(word, 1);
                     Store(&shared.y, 1, __ATOMIC_RELEASE);
                   }});
  });
  EXPECT_NE(count.fault.find("page 0 word 0"), std::string::npos) << count.fault;
}

}  // namespace
}  // namespace khocore
