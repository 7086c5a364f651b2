// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <string>

#include "kernel/base/testing/guarded_bytes.h"
#include "kernel/kexec/linux_boot.h"

namespace boot {
namespace {

using base::GuardedBytes;
using kexec::ImageHeader;
using kexec::ReadImageHeader;

constexpr size_t kTextOffset = 0x08;
constexpr size_t kImageSize = 0x10;
constexpr size_t kFlags = 0x18;
constexpr size_t kMagic = 0x38;

void Put(std::string* file, size_t offset, uint64_t value) {
  for (size_t i = 0; i < 8; ++i) (*file)[offset + i] = static_cast<char>(value >> 8 * i);
}

/// A file of 256 bytes whose header asks for 4 KiB of memory.
std::string GoodImage() {
  std::string file(256, '\0');
  Put(&file, kImageSize, 0x1000);
  Put(&file, kFlags, 0xa);
  file.replace(kMagic, 4, "ARM\x64");
  return file;
}

bool Accepts(const std::string& file, ImageHeader* header, std::string* why) {
  GuardedBytes bytes(file.data(), file.size());
  const char* text = "";
  const bool good = ReadImageHeader({bytes.data(), bytes.size()}, header, &text);
  *why = text;
  return good;
}

/// Why `file` is refused, or "" when it is not.
std::string Refusal(const std::string& file) {
  ImageHeader header;
  std::string why;
  return Accepts(file, &header, &why) ? "" : why;
}

std::string With(size_t offset, uint64_t value) {
  std::string file = GoodImage();
  Put(&file, offset, value);
  return file;
}

TEST(ImageHeader, ReadsAGoodImage) {
  ImageHeader header;
  std::string why;
  ASSERT_TRUE(Accepts(GoodImage(), &header, &why)) << why;
  EXPECT_EQ(header.payload_offset, 0u);
  EXPECT_EQ(header.payload_bytes, 256u);
  EXPECT_EQ(header.memory_bytes, 0x1000u);
  EXPECT_EQ(header.alignment, uint64_t{2} << 20);
  EXPECT_EQ(header.minimum_address, 0u);
  EXPECT_EQ(header.entry_offset, 0u);
  EXPECT_EQ(header.initrd_window, uint64_t{32} << 30);
  EXPECT_EQ(header.initrd_window_alignment, uint64_t{1} << 30);
}

TEST(ImageHeader, RefusesEveryTruncation) {
  const std::string whole = GoodImage();
  for (size_t size = 0; size < 64; ++size) {
    EXPECT_NE(Refusal(whole.substr(0, size)).find("shorter"), std::string::npos) << size;
  }
  EXPECT_EQ(Refusal(whole.substr(0, 64)), "");
}

TEST(ImageHeader, RefusesAForeignMagic) {
  EXPECT_NE(Refusal(With(kMagic, 0x00000000644d5242)).find("0x38"), std::string::npos);
}

TEST(ImageHeader, RefusesAnImageSizeOfZero) {
  EXPECT_NE(Refusal(With(kImageSize, 0)).find("image_size is 0"), std::string::npos);
}

TEST(ImageHeader, RefusesAnImageSizeBelowTheFile) {
  EXPECT_NE(Refusal(With(kImageSize, 255)).find("smaller than the file"), std::string::npos);
  EXPECT_EQ(Refusal(With(kImageSize, 256)), "");
}

TEST(ImageHeader, RefusesBigEndian) {
  EXPECT_NE(Refusal(With(kFlags, 0xb)).find("big-endian"), std::string::npos);
}

TEST(ImageHeader, HasThePageSize) {
  constexpr unsigned kShifts[] = {0, 12, 14, 16};  // 0: unspecified
  for (uint64_t pages = 0; pages < 4; ++pages) {
    ImageHeader header;
    std::string why;
    ASSERT_TRUE(Accepts(With(kFlags, pages << 1), &header, &why)) << why;
    EXPECT_EQ(header.page_shift, kShifts[pages]);
  }
}

TEST(ImageHeader, RefusesATextOffset) {
  EXPECT_NE(Refusal(With(kTextOffset, 0x80000)).find("text_offset"), std::string::npos);
}

}  // namespace
}  // namespace boot
