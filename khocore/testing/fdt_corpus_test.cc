// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <libfdt.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "khocore/testing/fdt_case.h"

namespace khocore {
namespace {

constexpr char kDirectory[] = "khocore/testing/testdata/fdt";

bool Accepts(const std::string& tree) {
  return RunFdtCase({reinterpret_cast<const uint8_t*>(tree.data()), tree.size()});
}

/// A tree that libfdt's sequential writer makes.
class Sequence {
 public:
  Sequence() {
    Ok(fdt_create(page_, sizeof(page_)));
    Ok(fdt_finish_reservemap(page_));
    Ok(fdt_begin_node(page_, ""));
  }
  Sequence& Begin(const char* name) { return Ok(fdt_begin_node(page_, name)); }
  Sequence& End() { return Ok(fdt_end_node(page_)); }
  Sequence& Put(const char* name, const std::string& value) {
    return Ok(fdt_property(page_, name, value.data(), static_cast<int>(value.size())));
  }
  std::string Finish() {
    End().Ok(fdt_finish(page_));
    return {page_, fdt_totalsize(page_)};
  }

 private:
  Sequence& Ok(int error) {
    EXPECT_EQ(error, 0);
    return *this;
  }
  alignas(8) char page_[kPageSize];
};

std::string ReadWrite() {
  alignas(8) char page[512];
  EXPECT_EQ(fdt_create_empty_tree(page, sizeof(page)), 0);
  EXPECT_EQ(fdt_add_mem_rsv(page, 0x1000, 0x2000), 0);
  EXPECT_EQ(fdt_setprop_string(page, 0, "compatible", "x-v1"), 0);
  const int node = fdt_add_subnode(page, 0, "n@1");
  EXPECT_EQ(fdt_setprop_u64(page, node, "size", 7), 0);
  EXPECT_EQ(fdt_setprop_u64(page, node, "gone", 7), 0);
  EXPECT_EQ(fdt_nop_property(page, node, "gone"), 0);
  EXPECT_GT(fdt_add_subnode(page, node, "below"), 0);
  EXPECT_EQ(fdt_nop_node(page, fdt_add_subnode(page, 0, "gone")), 0);
  return {page, sizeof(page)};
}

std::map<std::string, std::string> Seeds() {
  const std::string number(8, '\1');
  return {
      {"root", Sequence().Finish()},
      {"link", Sequence()
                   .Put("compatible", std::string("x-v1\0", 5))
                   .Begin("name")
                   .Put("preserved-data", number)
                   .Put("blob-size", number)
                   .End()
                   .Finish()},
      {"values", Sequence()
                     .Put("", "")
                     .Put("empty", "")
                     .Put("blob-size", "123")
                     .Put("size", "12345")
                     .Put("size", number)
                     .Finish()},
      {"names", Sequence()
                    .Begin("a@1")
                    .End()
                    .Begin("a")
                    .Begin("")
                    .End()
                    .Put("late", "x")
                    .End()
                    .Begin("a")
                    .End()
                    .Begin("abcdefgh")
                    .End()
                    .Finish()},
      {"read-write", ReadWrite()},
  };
}

/// With KHOCORE_WRITE_SEEDS set to a directory, writes the seeds there instead.
TEST(FdtCorpus, HoldsTheSeeds) {
  const char* directory = getenv("KHOCORE_WRITE_SEEDS");
  for (const auto& [name, bytes] : Seeds()) {
    EXPECT_TRUE(Accepts(bytes)) << name;
    if (directory != nullptr) {
      std::ofstream(std::filesystem::path(directory) / name, std::ios::binary) << bytes;
      continue;
    }
    std::ifstream file(std::filesystem::path(kDirectory) / name, std::ios::binary);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), bytes) << name;
  }
}

TEST(FdtCorpus, EveryInputIsAnswered) {
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory)) {
    SCOPED_TRACE(entry.path().filename());
    std::ifstream file(entry.path(), std::ios::binary);
    (void)Accepts({std::istreambuf_iterator<char>(file), {}});
  }
}

/// Every byte with every value, and every length: what libfdt refuses is refused.
TEST(FdtCorpus, EveryDamageOfOneByteIsRefusedAsLibfdtDoes) {
  for (const auto& [name, seed] : Seeds()) {
    SCOPED_TRACE(name);
    uint64_t refused = 0;
    for (size_t at = 0; at < seed.size(); ++at) {
      std::string damaged = seed;
      for (int value = 0; value < 256; ++value) {
        damaged[at] = static_cast<char>(value);
        refused += !Accepts(damaged);
      }
      refused += !Accepts(seed.substr(0, at));
    }
    EXPECT_GT(refused, seed.size());
  }
}

/// Every word with values that numbers wrap at, and with every other word of the tree.
TEST(FdtCorpus, EveryDamageOfOneWordIsRefusedAsLibfdtDoes) {
  for (const auto& [name, seed] : Seeds()) {
    SCOPED_TRACE(name);
    const auto damage = [&](size_t at, const char* word) {
      std::string damaged = seed;
      damaged.replace(at, 4, word, 4);
      (void)Accepts(damaged);
    };
    for (size_t at = 0; at + 4 <= seed.size(); at += 4) {
      for (const char* word : {"\0\0\0\0", "\0\0\0\1", "\0\0\0\2", "\0\0\0\3", "\0\0\0\4",
                               "\0\0\0\t", "\x7f\xff\xff\xff", "\x80\0\0\0", "\xff\xff\xff\xf4",
                               "\xff\xff\xff\xf8", "\xff\xff\xff\xfc", "\xff\xff\xff\xff"}) {
        damage(at, word);
      }
      for (size_t other = 0; other + 4 <= seed.size(); other += 4) damage(at, &seed[other]);
    }
  }
}

}  // namespace
}  // namespace khocore
