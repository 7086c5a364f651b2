// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "khocore/testing/incoming_case.h"
#include "khocore/testing/incoming_seeds.h"

namespace khocore {
namespace {

constexpr char kDirectory[] = "khocore/testing/testdata/incoming";

std::map<std::string, std::string> Corpus() {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    files[entry.path().filename()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return files;
}

void Answer(const std::string& input) {
  RunIncomingCase({reinterpret_cast<const uint8_t*>(input.data()), input.size()});
}

TEST(IncomingCorpus, EveryInputIsAnswered) {
  for (const auto& [name, bytes] : Corpus()) {
    SCOPED_TRACE(name);
    Answer(bytes);
  }
}

/// With KHOCORE_WRITE_SEEDS set to a directory, writes the seeds there instead.
TEST(IncomingCorpus, HoldsTheSeeds) {
  const std::map<std::string, std::string> corpus = Corpus();
  const char* directory = getenv("KHOCORE_WRITE_SEEDS");
  for (const auto& [name, bytes] : IncomingSeeds()) {
    if (directory != nullptr) {
      std::ofstream(std::filesystem::path(directory) / name, std::ios::binary) << bytes;
      continue;
    }
    ASSERT_EQ(corpus.count(name), 1u) << name;
    EXPECT_EQ(corpus.at(name), bytes) << name << " is not what khocore writes now; see the test";
  }
}

/// Cheap mutations of the seeds on every run; the fuzzer does the rest.
TEST(IncomingCorpus, SeedsWithOneByteChangedAreAnswered) {
  for (const auto& [name, seed] : IncomingSeeds()) {
    SCOPED_TRACE(name);
    const size_t step = seed.size() / 200 + 1;
    for (size_t at = 0; at < seed.size(); at += step) {
      std::string input = seed;
      input[at] = static_cast<char>(input[at] ^ (1u << at % 8));
      Answer(input);
      input.resize(at);
      Answer(input);
    }
  }
}

}  // namespace
}  // namespace khocore
