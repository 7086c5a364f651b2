// SPDX-License-Identifier: BSD-3-Clause
//
// An input is a file.

#include <string.h>

#include <string>

#include "kernel/kexec/linux_boot.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using khocore::Span;

/// Documentation/arch/arm64/booting.rst.
struct Header {
  uint32_t code[2];
  uint64_t text_offset;
  uint64_t image_size;
  uint64_t flags;
  uint64_t reserved[3];
  char magic[4];
  uint32_t pe;
};
static_assert(sizeof(Header) == 64);

bool IsGood(const Header& header, size_t file_bytes) {
  return file_bytes >= sizeof(header) && memcmp(header.magic, "ARM\x64", 4) == 0 &&
         header.image_size != 0 && header.image_size >= file_bytes && header.flags % 2 == 0 &&
         header.text_offset == 0;
}

std::string File(uint64_t image_size, uint64_t flags, size_t bytes) {
  Header header{};
  header.image_size = image_size;
  header.flags = flags;
  memcpy(header.magic, "ARM\x64", 4);
  std::string file = fuzz::BytesOf(header);
  file.resize(bytes);
  return file;
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  const Header from = fuzz::Input(input).Take<Header>();
  kexec::ImageHeader header{};
  const char* why = nullptr;
  const bool good = kexec::ReadImageHeader(input, &header, &why);
  CASE_CHECK(good == IsGood(from, input.size));
  CASE_CHECK(good == (why == nullptr));
  if (!good) return false;
  CASE_CHECK(header.payload_offset == 0 && header.payload_bytes == input.size);
  CASE_CHECK(header.memory_bytes == from.image_size && header.entry_offset == 0);
  CASE_CHECK(header.alignment == 2 << 20 && header.minimum_address == 0);
  const uint64_t pages = from.flags / 2 % 4;
  CASE_CHECK(header.page_shift == (pages == 0 ? 0 : 10 + 2 * pages));
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() {
  return {{"linux", File(0x2000000, 0xa, 80)},
          {"exact", File(64, 0x2, 64)},
          {"64k", File(0x1000, 0x6, 64)},
          {"any-pages", File(0x1000, 0, 65)}};
}
