// SPDX-License-Identifier: BSD-3-Clause
//
// The EFI loader. It finds beside itself
//
//     kernel         an image in Linux's boot format
//     archive.cpio   the kernel's initrd
//     cmdline.txt    its command line, unless the loader was started with load options
//     checksums.txt  of the first two (xxhsum -H1), optional
//
// and enters the kernel as any loader of Linux does. An error ends the machine with
// one `error` event on the serial port, which is written to directly: the firmware's
// console may be elsewhere.

#include <string.h>

#include "boot/efi/checksums.h"
#include "boot/efi/command_line.h"
#include "boot/efi/folder.h"
#include "boot/efi/machine.h"
#include "boot/efi/memory_map.h"
#include "boot/efi/services.h"
#include "boot/efi/tables.h"
#include "kernel/arch/cpu.h"
#include "kernel/base/hash.h"
#include "kernel/kexec/linux_boot.h"
#include "kernel/rig/event.h"
#include "kernel/rig/stop.h"

namespace efi {
namespace {

using khocore::PhysRange;
using khocore::Span;
using rig::EndWithError;
using rig::RequestError;

constexpr char kKernel[] = "kernel";
constexpr char kArchive[] = "archive.cpio";
constexpr char kCommandLine[] = "cmdline.txt";
constexpr char kChecksums[] = "checksums.txt";

constinit base::BootInfo info{};
char command_line[base::BootInfo::kMaxCommandLine];

Span<const uint8_t> Bytes(PhysRange range) {
  return {reinterpret_cast<const uint8_t*>(range.begin.raw()), range.size};
}

[[noreturn]] void EndOutOfMemory(const char* what) {
  EndWithError(RequestError::kNoMemory, "no-memory", "no room for %s", what);
}

/// Reads a file; without it the machine ends unless it is optional, and then the range is empty.
PhysRange ReadFile(const Folder& folder, const char* name, bool optional) {
  PhysRange file;
  const EFI_STATUS status = folder.Read(name, &file);
  if (!EFI_ERROR(status) || (optional && status == EFI_NOT_FOUND)) return file;
  if (status == EFI_OUT_OF_RESOURCES) EndOutOfMemory(name);
  EndWithError(RequestError::kUsage, "file", "%s: %s", name,
               status == EFI_NOT_FOUND ? "not found beside the loader" : StatusName(status));
}

void CheckFile(Span<const uint8_t> list, const char* name, Span<const uint8_t> file) {
  if (file.size == 0) EndWithError(RequestError::kUsage, "file", "%s: is empty", name);
  uint64_t wanted = 0;
  const ChecksumResult result = FindChecksum(list, name, &wanted);
  if (result == ChecksumResult::kMalformed) {
    EndWithError(RequestError::kUsage, "file", "%s: not in the format of xxhsum -H1", kChecksums);
  }
  const uint64_t found = base::Hash(file.data, file.size);
  if (result == ChecksumResult::kListed && found != wanted) {
    EndWithError(RequestError::kUsage, "damaged",
                 "%s: its %lu bytes have the XXH64 %016lx, %s says %016lx", name, file.size, found,
                 kChecksums, wanted);
  }
}

void ReadCommandLine(EFI_BOOT_SERVICES* services, EFI_HANDLE image, const Folder& folder) {
  EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
  EFI_LOADED_IMAGE* loaded = nullptr;
  const EFI_STATUS status =
      services->HandleProtocol(image, &guid, reinterpret_cast<void**>(&loaded));
  const char* source = "load options";
  LineResult text = LineResult::kEmpty;
  if (!EFI_ERROR(status)) {
    text = ReadLoadOptions(loaded->LoadOptions, loaded->LoadOptionsSize, command_line,
                           sizeof(command_line));
  }
  if (text == LineResult::kEmpty) {
    source = kCommandLine;
    text = ReadFirstLine(Bytes(ReadFile(folder, kCommandLine, true)), command_line,
                         sizeof(command_line));
  }
  if (text == LineResult::kGood || text == LineResult::kEmpty) return;
  EndWithError(RequestError::kUsage, "command-line", "%s: %s", source,
               text == LineResult::kTooLong ? "too long" : "characters that are not ASCII");
}

/// Puts the part of the image that is loaded where its header wants it.
PhysRange LoadKernel(EFI_BOOT_SERVICES* services, Span<const uint8_t> file,
                     const kexec::ImageHeader& header) {
  const PhysRange place = AllocatePages(services, EfiLoaderCode, header.memory_bytes,
                                        header.alignment, header.minimum_address);
  if (place.size == 0) {
    EndWithError(RequestError::kNoMemory, "no-memory", "no room for the kernel: %lu bytes at %lu",
                 header.memory_bytes, header.alignment);
  }
  auto* to = reinterpret_cast<uint8_t*>(place.begin.raw());
  memcpy(to, file.data + header.payload_offset, header.payload_bytes);
  memset(to + header.payload_bytes, 0, place.size - header.payload_bytes);
  return place;
}

PhysRange AllocateParameters(EFI_BOOT_SERVICES* services, const kexec::NextBoot& boot) {
  const PhysRange place = AllocatePages(services, EfiLoaderData, KernelParametersSize(boot));
  if (place.size == 0) EndOutOfMemory("the parameters");
  memset(reinterpret_cast<void*>(place.begin.raw()), 0, place.size);
  return place;
}

MemoryMap LeaveFirmware(EFI_BOOT_SERVICES* services, EFI_HANDLE image, unsigned* attempts) {
  MemoryMap map;
  EFI_STATUS status = AllocateMap(services, &map);
  if (status == EFI_OUT_OF_RESOURCES) EndOutOfMemory("the memory map");
  if (!EFI_ERROR(status)) status = ExitBootServices(services, image, &map, attempts);
  if (EFI_ERROR(status)) {
    EndWithError(RequestError::kUsage, "firmware", "the boot services do not end: %s",
                 StatusName(status));
  }
  return map;
}

void Report(PhysRange kernel, const kexec::NextBoot& boot, PhysRange parameters,
            unsigned attempts) {
  rig::Event("loader")
      .Begin("kernel", '[')
      .Item(kernel.begin.raw())
      .Item(kernel.end().raw())
      .End(']')
      .Begin("archive", '[')
      .Item(boot.initrd.begin.raw())
      .Item(boot.initrd.end().raw())
      .End(']')
      .Hex("parameters", parameters.begin.raw())
      .Number("regions", info.region_count)
      .Number("regions_dropped", info.regions_dropped)
      .Number("attempts", attempts);
}

[[noreturn]] void Load(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
  const uint64_t started = arch::Counter();
  rig::SetEventGeneration(0);
  rig::ReportPhase("firmware", started, 0, 0);

  EFI_BOOT_SERVICES* const services = system->BootServices;
  Folder folder;
  const EFI_STATUS status = folder.Open(services, image);
  if (EFI_ERROR(status)) {
    EndWithError(RequestError::kUsage, "file", "the loader's own folder cannot be opened: %s",
                 StatusName(status));
  }
  ReadCommandLine(services, image, folder);
  const Span<const uint8_t> file = Bytes(ReadFile(folder, kKernel, false));
  const PhysRange archive = ReadFile(folder, kArchive, false);
  const Span<const uint8_t> checksums = Bytes(ReadFile(folder, kChecksums, true));
  CheckFile(checksums, kKernel, file);
  CheckFile(checksums, kArchive, Bytes(archive));

  kexec::ImageHeader header;
  const char* why = "";
  if (!kexec::ReadImageHeader(file, &header, &why)) {
    EndWithError(RequestError::kUsage, "image", "%s: %s", kKernel, why);
  }
  if (const char* missing = FindMachine(*system, &info); missing != nullptr) {
    EndWithError(RequestError::kUsage, "firmware", "%s", missing);
  }
  info.firmware.secure_boot = SecureBootMode(*system);
  if (const EFI_STATUS installed = InstallReservations(*system); EFI_ERROR(installed)) {
    EndWithError(RequestError::kUsage, "firmware", "no table of reservations can be added: %s",
                 StatusName(installed));
  }
  const PhysRange kernel = LoadKernel(services, file, header);
  const kexec::NextBoot boot{.info = &info,
                             .image_file = file,
                             .command_line = command_line,
                             .initrd = archive,
                             .kho_root = {},
                             .scratch = {}};
  const PhysRange parameters = AllocateParameters(services, boot);
  unsigned attempts = 0;
  const MemoryMap map = LeaveFirmware(services, image, &attempts);
  DescribeMemory(map, &info);
  KeepTables(*system, &info);
  const khocore::Status built = BuildKernelParameters(boot, map, *system, parameters);
  if (!built.ok()) {
    EndWithError(RequestError::kUsage, "parameters", "%s: found 0x%lx, expected 0x%lx",
                 khocore::ErrorName(built.error().code), built.error().found,
                 built.error().expected);
  }
  Report(kernel, boot, parameters, attempts);
  rig::ReportPhase("loader", arch::Counter() - started, 0, 0);
  const PhysRange loaded[] = {kernel, archive, parameters};
  EnterKernel(kernel.begin + header.entry_offset, parameters.begin, {loaded, 3});
}

}  // namespace
}  // namespace efi

/// Called by GNU-EFI's crt0.o, with the C calling convention of the application.
extern "C" EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
  efi::Load(image, system);
}
