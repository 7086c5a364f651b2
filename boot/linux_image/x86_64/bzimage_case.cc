// SPDX-License-Identifier: BSD-3-Clause
//
// An input is the levels of paging, the bytes of the file from 0x1f1 on, and the size of the file,
// whose other bytes nobody looks at.

#include <string.h>

#include <string>
#include <vector>

#include "boot/linux_image/x86_64/boot_params.h"
#include "boot/linux_image/x86_64/bzimage.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using boot::SetupHeader;
using khocore::Span;

constexpr size_t kMostBytes = 160 << 10;  // more than the setup code may have

struct __attribute__((packed)) Case {
  uint8_t five_levels;
  uint32_t file_bytes;
  SetupHeader setup;
};

/// By Documentation/arch/x86/boot.rst and bzImage64_probe of Linux.
bool IsGood(const Case& c, uint64_t file_bytes) {
  const SetupHeader& s = c.setup;
  const uint64_t sectors = s.setup_sectors == 0 ? 4 : s.setup_sectors;
  const uint64_t payload = (sectors + 1) * 512;
  return file_bytes >= 1024 && s.magic == 0x53726448 && s.boot_flag == 0xaa55 &&
         s.version >= 0x20c && (s.load_flags & 1) != 0 && (s.extended_load_flags & 3) == 3 &&
         (c.five_levels % 2 == 0 || (s.extended_load_flags & 0x20) != 0) && s.relocatable != 0 &&
         __builtin_popcount(s.kernel_alignment) == 1 && s.kernel_alignment >= 4096 &&
         file_bytes > payload + 0x200 && s.init_size >= file_bytes - payload;
}

SetupHeader GoodHeader() {
  SetupHeader setup{};
  setup.setup_sectors = 1;
  setup.boot_flag = boot::kBootFlag;
  setup.magic = boot::kSetupMagic;
  setup.version = 0x20f;
  setup.load_flags = boot::kLoadFlagHigh;
  setup.kernel_alignment = 0x200000;
  setup.relocatable = 1;
  setup.extended_load_flags = 0x23;
  setup.preferred_address = 0x1000000;
  setup.init_size = 0x300000;
  return setup;
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  Case c = fuzz::Input(input).Take<Case>();
  c.file_bytes %= kMostBytes;
  static std::vector<uint8_t> file(kMostBytes);
  memcpy(file.data() + boot::kSetupHeaderOffset, &c.setup, sizeof(c.setup));
  kexec::ImageHeader header{};
  const char* why = nullptr;
  // At the end of the buffer, so that a sanitizer sees what is read beyond the file.
  const uint8_t* bytes = file.data();
  std::vector<uint8_t> small;
  if (c.file_bytes < 2048) {
    small.assign(file.begin(), file.begin() + c.file_bytes);
    bytes = small.data();
  }
  const bool good =
      boot::ParseBzImage({bytes, c.file_bytes}, c.five_levels % 2 != 0 ? 5 : 4, &header, &why);
  CASE_CHECK(good == IsGood(c, c.file_bytes));
  CASE_CHECK(good == (why == nullptr));
  if (!good) return false;
  CASE_CHECK(header.payload_offset + header.payload_bytes == c.file_bytes);
  CASE_CHECK(header.payload_offset >= 1024 && header.payload_offset <= size_t{256} * 512);
  CASE_CHECK(header.memory_bytes >= header.payload_bytes);
  CASE_CHECK(header.entry_offset == 0x200 && header.entry_offset < header.payload_bytes);
  CASE_CHECK(header.alignment == c.setup.kernel_alignment);
  CASE_CHECK(header.minimum_address >= 1 << 20);
  CASE_CHECK(header.minimum_address >= c.setup.preferred_address);
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() {
  Case four{0, 8192, GoodHeader()};
  Case five{1, 1024 + 0x201, GoodHeader()};
  Case default_sectors{0, 0x1000, GoodHeader()};
  default_sectors.setup.setup_sectors = 0;
  return {{"four-levels", BytesOf(four)},
          {"five-levels", BytesOf(five)},
          {"default-sectors", BytesOf(default_sectors)}};
}
