// SPDX-License-Identifier: BSD-3-Clause
//
// Boots the machine `host` (kernel/arch/host/machine.h): `kernel_host COMMAND_LINE` is a cold boot
// with fresh RAM and an archive of one image; `kernel_host 0xPARAMETERS` is what its kexec runs.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/arch/host/machine.h"
#include "kernel/base/boot_info.h"

namespace {

using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kInitrdOffset = host::kRamSize / 2;

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(EXIT_FAILURE);
}

void MapRamFile() {
  void* at = mmap(reinterpret_cast<void*>(host::kRamBase), host::kRamSize, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED_NOREPLACE, host::kRamDescriptor, 0);
  if (at == MAP_FAILED) Die("mmap");
}

void CreateRamFile() {
  const int file = memfd_create("khorig-ram", 0);
  if (file < 0 || ftruncate(file, host::kRamSize) != 0 || dup2(file, host::kRamDescriptor) < 0) {
    Die("memory file");
  }
}

/// One cpio entry (newc) at `at`; returns the byte after it.
char* PutEntry(char* at, const char* name, const void* bytes, size_t size) {
  const size_t name_size = strlen(name) + 1;
  at += sprintf(at, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1, 0100644, 0,
                0, 1, 0, size, 0, 0, 0, 0, name_size, 0);
  memcpy(at, name, name_size);
  at += khocore::AlignUp(110 + name_size, 4) - 110;
  if (size != 0) memcpy(at, bytes, size);
  return at + khocore::AlignUp(size, 4);
}

PhysRange WriteArchive() {
  auto* begin = reinterpret_cast<char*>(host::kRamBase + kInitrdOffset);
  const host::Image image{host::kImageMagic, uint64_t{64} << 10, 0};
  char* end = PutEntry(begin, "kernel", &image, sizeof(image));
  end = PutEntry(end, "TRAILER!!!", nullptr, 0);
  return {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(begin)), static_cast<uint64_t>(end - begin)};
}

base::BootInfo Describe() {
  base::BootInfo info = {};
  info.protocol = "host";
  info.regions[info.region_count++] = {{PhysAddr::FromRaw(host::kRamBase), host::kRamSize},
                                       base::MemoryType::kRam};
  return info;
}

base::BootInfo ColdBoot(const char* command_line) {
  CreateRamFile();
  MapRamFile();
  base::BootInfo info = Describe();
  info.initrd = WriteArchive();
  info.command_line_truncated = strlen(command_line) >= sizeof(info.command_line);
  snprintf(info.command_line, sizeof(info.command_line), "%s", command_line);
  return info;
}

base::BootInfo AfterKexec(uint64_t address) {
  MapRamFile();
  base::BootInfo info = Describe();
  const auto* parameters = reinterpret_cast<const host::Parameters*>(address);
  if (parameters->magic != host::kParametersMagic) Die("parameters");
  info.parameters = PhysAddr::FromRaw(address);
  info.keep[info.keep_count++] = {info.parameters, sizeof(*parameters) + parameters->scratch_size};
  info.has_handover = true;
  info.kho_root = {PhysAddr::FromRaw(parameters->kho_root), khocore::kPageSize};
  info.kho_scratch = {PhysAddr::FromRaw(parameters->scratch_address), parameters->scratch_size};
  memcpy(info.command_line, parameters->command_line, sizeof(info.command_line));
  return info;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: %s COMMAND_LINE\n", arguments[0]);
    return EXIT_FAILURE;
  }
  host::SetProgram("/proc/self/exe");
  static base::BootInfo info;
  const bool kexec = strncmp(arguments[1], "0x", 2) == 0;
  info = kexec ? AfterKexec(strtoull(arguments[1], nullptr, 16)) : ColdBoot(arguments[1]);
  KernelMain(info);
}
