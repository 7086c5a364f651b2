// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/cpio.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace base {
namespace {

using khocore::Span;

std::string Entry(const std::string& name, const std::string& data) {
  char header[111];
  snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
           1, 0100644, 0, 0, 1, 0, data.size(), 0, 0, 0, 0, name.size() + 1, 0);
  std::string entry = std::string(header) + name + '\0';
  entry.resize((entry.size() + 3) & ~size_t{3});
  entry += data;
  entry.resize((entry.size() + 3) & ~size_t{3});
  return entry;
}

std::string Archive() {
  return Entry("cmdline", "one two") + Entry("kernel", std::string(1001, 'k')) +
         Entry("TRAILER!!!", "");
}

CpioResult Find(const std::string& archive, const char* name, std::string* file) {
  // A copy of exactly the archive's size, so that a read behind it is seen.
  const std::vector<uint8_t> bytes(archive.begin(), archive.end());
  Span<const uint8_t> found;
  const CpioResult result = FindInCpio({bytes.data(), bytes.size()}, name, &found);
  if (result == CpioResult::kFound) file->assign(found.begin(), found.end());
  return result;
}

TEST(Cpio, FindsFiles) {
  std::string file;
  EXPECT_EQ(Find(Archive(), "kernel", &file), CpioResult::kFound);
  EXPECT_EQ(file, std::string(1001, 'k'));
  EXPECT_EQ(Find(Archive(), "cmdline", &file), CpioResult::kFound);
  EXPECT_EQ(file, "one two");
  EXPECT_EQ(Find(Archive(), "initrd", &file), CpioResult::kNoSuchFile);
}

TEST(Cpio, EveryCutIsNamed) {
  const std::string archive = Archive();
  const size_t kernel_end = archive.find(std::string(1001, 'k')) + 1001;
  std::string file;
  for (size_t size = 0; size < kernel_end; ++size) {
    EXPECT_EQ(Find(archive.substr(0, size), "kernel", &file), CpioResult::kTruncated) << size;
  }
  for (size_t size = kernel_end; size + 4 < archive.size(); ++size) {
    EXPECT_EQ(Find(archive.substr(0, size), "initrd", &file), CpioResult::kTruncated) << size;
  }
}

TEST(Cpio, OtherBytesAreNoArchive) {
  std::string file;
  EXPECT_EQ(Find(std::string(4096, '\0'), "kernel", &file), CpioResult::kBadMagic);
  std::string old_format = Archive();
  old_format[5] = '7';
  EXPECT_EQ(Find(old_format, "kernel", &file), CpioResult::kBadMagic);
  std::string no_digit = Archive();
  no_digit[6 + 6 * 8] = 'x';
  EXPECT_EQ(Find(no_digit, "kernel", &file), CpioResult::kBadMagic);
}

TEST(Cpio, HugeSizesDoNotWrap) {
  std::string archive = Archive();
  std::string file;
  archive.replace(6 + 6 * 8, 8, "ffffffff");
  EXPECT_EQ(Find(archive, "kernel", &file), CpioResult::kTruncated);
  archive = Archive();
  archive.replace(6 + 11 * 8, 8, "ffffffff");
  EXPECT_EQ(Find(archive, "kernel", &file), CpioResult::kTruncated);
  archive.replace(6 + 11 * 8, 8, "00000000");
  EXPECT_EQ(Find(archive, "kernel", &file), CpioResult::kTruncated);
}

TEST(Cpio, NamesEndInsideTheirField) {
  std::string archive = Archive();
  std::string file;
  archive[110 + 7] = 'x';  // the NUL of "cmdline"
  EXPECT_EQ(Find(archive, "kernel", &file), CpioResult::kTruncated);
  // A name that goes on behind its NUL is that up to the NUL.
  archive = Archive();
  archive[110 + 3] = '\0';
  EXPECT_EQ(Find(archive, "cmd", &file), CpioResult::kFound);
  EXPECT_EQ(file, "one two");
}

TEST(Cpio, SizesInEitherCaseAreRead) {
  std::string archive = Archive();
  std::string file;
  for (const char* size : {"000003E9", "000003e9"}) {  // 1001
    archive.replace(archive.find("kernel") - 110 + 6 + 6 * 8, 8, size);
    EXPECT_EQ(Find(archive, "kernel", &file), CpioResult::kFound);
    EXPECT_EQ(file.size(), 1001u);
  }
}

TEST(Cpio, EmptyFilesAreFound) {
  std::string file = "unchanged";
  EXPECT_EQ(Find(Entry("empty", "") + Archive(), "empty", &file), CpioResult::kFound);
  EXPECT_EQ(file, "");
}

TEST(Cpio, DamagedArchivesEnd) {
  std::mt19937 random(7);
  std::string file;
  for (int round = 0; round < 20000; ++round) {
    std::string archive = Archive();
    for (unsigned hits = 1 + random() % 4; hits > 0; --hits) {
      archive[random() % archive.size()] = static_cast<char>(random());
    }
    archive.resize(random() % (archive.size() + 1));
    (void)Find(archive, "kernel", &file);
  }
}

}  // namespace
}  // namespace base
