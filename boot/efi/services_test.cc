// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/services.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "boot/efi/checksums.h"
#include "boot/efi/command_line.h"
#include "boot/efi/folder.h"

namespace efi {
namespace {

using khocore::Span;

Span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

ChecksumResult Find(const std::string& list, const char* name, uint64_t* checksum) {
  return FindChecksum(Bytes(list), name, checksum);
}

TEST(ChecksumsTest, FindsTheFileOfThatName) {
  const std::string list =
      "00000000000000ff  kernel2\nfedcba9876543210  kernel\n0000000000000001 *other\n";
  uint64_t checksum = 0;
  EXPECT_EQ(Find(list, "kernel", &checksum), ChecksumResult::kListed);
  EXPECT_EQ(checksum, 0xfedcba9876543210u);
  EXPECT_EQ(Find(list, "other", &checksum), ChecksumResult::kListed);
  EXPECT_EQ(checksum, 1u);
  EXPECT_EQ(Find(list, "kern", &checksum), ChecksumResult::kNotListed);
  EXPECT_EQ(Find("", "kernel", &checksum), ChecksumResult::kNotListed);
}

TEST(ChecksumsTest, AnythingElseIsMalformed) {
  uint64_t checksum = 0;
  for (const char* list :
       {"\n", "kernel\n", "fedcba987654321g  kernel\n", "FEDCBA9876543210  x\n",
        "fedcba9876543210\n", "fedcba9876543210  ", "fedcba98765432100 kernel"}) {
    EXPECT_EQ(Find(list, "kernel", &checksum), ChecksumResult::kMalformed) << list;
  }
}

LineResult FirstLine(const std::string& file, std::string* line, size_t room = 32) {
  std::vector<char> buffer(room);
  const LineResult result = ReadFirstLine(Bytes(file), buffer.data(), room);
  *line = buffer.data();
  return result;
}

TEST(CommandLineTest, TakesTheFirstLineOfAFile) {
  std::string line;
  EXPECT_EQ(FirstLine("a=1\tb=2 \r\nnot this\n", &line), LineResult::kGood);
  EXPECT_EQ(line, "a=1 b=2");
  EXPECT_EQ(FirstLine("", &line), LineResult::kEmpty);
  EXPECT_EQ(FirstLine(" \n", &line), LineResult::kEmpty);
  EXPECT_EQ(FirstLine("b\xc3\xbc", &line), LineResult::kNotAscii);
  EXPECT_EQ(FirstLine(std::string(31, 'x'), &line), LineResult::kGood);
  EXPECT_EQ(FirstLine(std::string(32, 'x'), &line), LineResult::kTooLong);
}

LineResult Options(const std::u16string& options, std::string* line) {
  char buffer[64];
  const LineResult result =
      ReadLoadOptions(options.data(), options.size() * 2, buffer, sizeof(buffer));
  *line = buffer;
  return result;
}

TEST(CommandLineTest, TakesLoadOptionsWithoutTheNameOfTheApplication) {
  std::string line;
  EXPECT_EQ(Options(u"a=1 b=2", &line), LineResult::kGood);
  EXPECT_EQ(line, "a=1 b=2");
  EXPECT_EQ(Options(std::u16string(u"FS0:\\loader.EFI  a=1\0junk", 24), &line), LineResult::kGood);
  EXPECT_EQ(line, "a=1");
  EXPECT_EQ(Options(u"loader.efi", &line), LineResult::kEmpty);
  EXPECT_EQ(Options(u"a=\u00fc", &line), LineResult::kNotAscii);
  EXPECT_EQ(Options(std::u16string(64, u'x'), &line), LineResult::kTooLong);
  EXPECT_EQ(ReadLoadOptions(nullptr, 8, line.data(), 1), LineResult::kEmpty);
}

/// A device path of file path nodes behind one of another kind.
std::vector<uint8_t> PathOf(const std::vector<std::u16string>& names) {
  std::vector<uint8_t> path = {HARDWARE_DEVICE_PATH, HW_PCI_DP, 6, 0, 0, 1};
  for (const std::u16string& name : names) {
    const size_t length = 4 + (name.size() + 1) * 2;
    path.insert(path.end(), {MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, static_cast<uint8_t>(length),
                             static_cast<uint8_t>(length >> 8)});
    const auto* text = reinterpret_cast<const uint8_t*>(name.c_str());
    path.insert(path.end(), text, text + (name.size() + 1) * 2);
  }
  path.insert(path.end(), {END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, 4, 0});
  return path;
}

bool FolderIs(const std::vector<uint8_t>& path, std::u16string* folder) {
  CHAR16 buffer[Folder::kMaxPath];
  size_t length = 0;
  const auto* begin = path.empty() ? nullptr : path.data();
  if (!FolderOf(reinterpret_cast<const EFI_DEVICE_PATH*>(begin), buffer, &length)) return false;
  folder->assign(reinterpret_cast<const char16_t*>(buffer), length);
  return true;
}

TEST(FolderTest, IsWhatComesBeforeTheName) {
  std::u16string folder;
  ASSERT_TRUE(FolderIs(PathOf({u"\\EFI\\BOOT\\BOOTX64.EFI"}), &folder));
  EXPECT_EQ(folder, u"\\EFI\\BOOT\\");
  ASSERT_TRUE(FolderIs(PathOf({u"\\EFI", u"\\a.efi"}), &folder));
  EXPECT_EQ(folder, u"\\EFI\\");
  ASSERT_TRUE(FolderIs(PathOf({u"a.efi"}), &folder));
  EXPECT_EQ(folder, u"\\");
  ASSERT_TRUE(FolderIs(PathOf({}), &folder));
  EXPECT_EQ(folder, u"\\");
  ASSERT_TRUE(FolderIs({}, &folder));
  EXPECT_EQ(folder, u"\\");
}

TEST(FolderTest, RefusesWhatIsMalformedOrTooDeep) {
  std::u16string folder;
  EXPECT_FALSE(FolderIs({MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, 3, 0}, &folder));
  // Followed, its 3 bytes would lead to a good node, and that to the end.
  EXPECT_FALSE(FolderIs({1, 1, 3, 0, 1, 5, 0, 0, 0x7f, 0xff, 4, 0}, &folder));
  EXPECT_FALSE(FolderIs(PathOf({std::u16string(Folder::kMaxPath, u'x')}), &folder));
  EXPECT_FALSE(FolderIs(PathOf(std::vector<std::u16string>(80, u"x")), &folder));
}

/// The firmware's pages: an area of its own numbers.
uint64_t next_page = 0;
std::vector<std::pair<uint64_t, uint64_t>> freed;

EFI_STATUS EFIAPI FakeAllocate(EFI_ALLOCATE_TYPE, EFI_MEMORY_TYPE, UINTN pages,
                               EFI_PHYSICAL_ADDRESS* begin) {
  if (pages > 0x1000) return EFI_OUT_OF_RESOURCES;
  *begin = next_page;
  return EFI_SUCCESS;
}
EFI_STATUS EFIAPI FakeFree(EFI_PHYSICAL_ADDRESS begin, UINTN pages) {
  freed.push_back({begin, pages});
  return EFI_SUCCESS;
}

TEST(AllocatePagesTest, GivesBackWhatAlignmentDoesNotNeed) {
  EFI_BOOT_SERVICES services{};
  services.AllocatePages = FakeAllocate;
  services.FreePages = FakeFree;
  next_page = 0x3ff000;
  freed.clear();
  const auto range = AllocatePages(&services, EfiLoaderData, 0x1801, 0x200000);
  EXPECT_EQ(range.begin.raw(), 0x400000u);
  EXPECT_EQ(range.size, 0x1801u);
  // 0x201000 bytes were taken.
  EXPECT_EQ(freed, (std::vector<std::pair<uint64_t, uint64_t>>{{0x3ff000, 1}, {0x402000, 0x1fe}}));
  freed.clear();
  EXPECT_EQ(AllocatePages(&services, EfiLoaderData, 0x1000, 0x1000, 0x400000).size, 0u);
  EXPECT_EQ(freed.size(), 1u);
  EXPECT_EQ(AllocatePages(&services, EfiLoaderData, 0).size, 0u);
  EXPECT_EQ(AllocatePages(&services, EfiLoaderData, ~uint64_t{0}).size, 0u);
  EXPECT_EQ(AllocatePages(&services, EfiLoaderData, 0x2000000).size, 0u);
}

/// The variable of firmware that a test is.
struct Variable {
  EFI_STATUS status = EFI_SUCCESS;
  UINT8 value = 0;
} variable;

EFI_STATUS EFIAPI GetVariable(CHAR16* name, EFI_GUID*, UINT32*, UINTN* size, void* data) {
  std::string text;
  for (; *name != 0; ++name) text += static_cast<char>(*name);
  EXPECT_EQ(text, "SecureBoot");
  EXPECT_EQ(*size, 1u);
  memcpy(data, &variable.value, 1);
  return variable.status;
}

TEST(SecureBootModeTest, IsWhatTheVariableSays) {
  EFI_RUNTIME_SERVICES services{};
  services.GetVariable = GetVariable;
  EFI_SYSTEM_TABLE system{};
  system.RuntimeServices = &services;
  variable = {EFI_SUCCESS, 1};
  EXPECT_EQ(SecureBootMode(system), 3);
  variable = {EFI_SUCCESS, 0};
  EXPECT_EQ(SecureBootMode(system), 2);
  variable = {EFI_NOT_FOUND, 1};
  EXPECT_EQ(SecureBootMode(system), 2);
  variable = {EFI_DEVICE_ERROR, 1};
  EXPECT_EQ(SecureBootMode(system), 1);
}

}  // namespace
}  // namespace efi
