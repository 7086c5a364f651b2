// SPDX-License-Identifier: BSD-3-Clause
//
// The fuzz target without a fuzzer: its seeds, what was once found (KHORIG_FINDS, a list of files),
// and a bounded number of damages.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "khocore/testing/fuzz_case.h"

namespace fuzz {
namespace {

/// For each seed and each kind of damage.
size_t Cases() {
  const char* const cases = getenv("KHORIG_CASES");
  return cases != nullptr ? strtoul(cases, nullptr, 10) : 1000;
}

bool Answer(const std::string& bytes) {
  // A buffer of its own, so that a sanitizer sees its end.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  return RunCase({exact.data(), exact.size()});
}

TEST(Corpus, TheReaderMakesUseOfEverySeed) {
  ASSERT_FALSE(Seeds().empty());
  for (const auto& [name, bytes] : Seeds()) EXPECT_TRUE(Answer(bytes)) << name;
}

TEST(Corpus, WhatWasFoundIsAnswered) {
  const char* const list = getenv("KHORIG_FINDS");
  std::istringstream names(list != nullptr ? list : "");
  for (std::string name; names >> name;) {
    std::ifstream file(name, std::ios::binary);
    ASSERT_TRUE(file) << name;
    (void)Answer({std::istreambuf_iterator<char>(file), {}});
  }
}

TEST(Corpus, EveryDamageIsAnswered) {
  constexpr uint8_t kBytes[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
  for (const auto& [name, seed] : Seeds()) {
    SCOPED_TRACE(name);
    const size_t step = seed.size() * (sizeof(kBytes) + 1) / Cases() + 1;
    for (size_t at = 0; at < seed.size(); at += step) {
      (void)Answer(seed.substr(0, at));
      std::string damaged = seed;
      for (const uint8_t byte : kBytes) {
        damaged[at] = static_cast<char>(byte);
        (void)Answer(damaged);
      }
    }
  }
}

TEST(Corpus, EveryMixtureIsAnswered) {
  std::mt19937 random(1);
  const auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  std::vector<std::string> seeds;
  for (const auto& [name, seed] : Seeds()) seeds.push_back(seed);
  for (size_t i = 0; i < Cases(); ++i) {
    std::string bytes = seeds[below(seeds.size())];
    for (size_t changes = 1 + below(4); changes != 0 && !bytes.empty(); --changes) {
      const std::string& other = seeds[below(seeds.size())];
      const size_t from = below(other.size());
      const size_t length = 1 + below(16);
      bytes.replace(below(bytes.size()), below(2) * length, other.substr(from, length));
      bytes[below(bytes.size())] = static_cast<char>(random());
    }
    (void)Answer(bytes);
  }
}

}  // namespace
}  // namespace fuzz
