// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/folder.h"

#include <string.h>

namespace efi {

using khocore::PhysRange;

namespace {

EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;

constexpr size_t kMaxNodes = 64;
constexpr CHAR16 kSeparator = '\\';

size_t LengthOf(const EFI_DEVICE_PATH& node) { return node.Length[0] | node.Length[1] << 8; }

/// Appends the characters of a file path node, with one separator before them.
bool Append(const EFI_DEVICE_PATH& node, CHAR16* path, size_t* length) {
  const auto* text = reinterpret_cast<const char*>(&node) + sizeof(node);
  const size_t count = (LengthOf(node) - sizeof(node)) / sizeof(CHAR16);
  if (*length == 0 || path[*length - 1] != kSeparator) path[(*length)++] = kSeparator;
  for (size_t i = 0; i < count; ++i) {
    CHAR16 c;  // the node may be unaligned
    memcpy(&c, text + i * sizeof(c), sizeof(c));
    if (c == 0) break;
    if (c == kSeparator && path[*length - 1] == kSeparator) continue;
    if (*length + 2 >= Folder::kMaxPath) return false;
    path[(*length)++] = c;
  }
  return true;
}

}  // namespace

bool FolderOf(const EFI_DEVICE_PATH* path, CHAR16* folder, size_t* length) {
  *length = 0;
  for (size_t i = 0; path != nullptr && path->Type != END_DEVICE_PATH_TYPE; ++i) {
    if (i == kMaxNodes || LengthOf(*path) < sizeof(*path)) return false;
    if (path->Type == MEDIA_DEVICE_PATH && path->SubType == MEDIA_FILEPATH_DP &&
        !Append(*path, folder, length)) {
      return false;
    }
    path = reinterpret_cast<const EFI_DEVICE_PATH*>(reinterpret_cast<const char*>(path) +
                                                    LengthOf(*path));
  }
  while (*length != 0 && folder[*length - 1] != kSeparator) --*length;
  if (*length == 0) folder[(*length)++] = kSeparator;
  return true;
}

EFI_STATUS Folder::Open(EFI_BOOT_SERVICES* services, EFI_HANDLE image) {
  services_ = services;
  EFI_LOADED_IMAGE* loaded = nullptr;
  EFI_STATUS status =
      services->HandleProtocol(image, &loaded_image_guid, reinterpret_cast<void**>(&loaded));
  if (EFI_ERROR(status)) return status;
  EFI_FILE_IO_INTERFACE* volume = nullptr;
  status = services->HandleProtocol(loaded->DeviceHandle, &file_system_guid,
                                    reinterpret_cast<void**>(&volume));
  if (EFI_ERROR(status)) return status;
  if (!FolderOf(loaded->FilePath, path_, &path_length_)) return EFI_UNSUPPORTED;
  return volume->OpenVolume(volume, &root_);
}

EFI_STATUS Folder::Read(const char* name, PhysRange* contents) const {
  CHAR16 path[kMaxPath];
  const size_t name_length = strlen(name);
  if (path_length_ + name_length >= kMaxPath) return EFI_UNSUPPORTED;
  memcpy(path, path_, path_length_ * sizeof(CHAR16));
  for (size_t i = 0; i <= name_length; ++i) {
    path[path_length_ + i] = static_cast<unsigned char>(name[i]);
  }
  EFI_FILE* file = nullptr;
  EFI_STATUS status = root_->Open(root_, &file, path, EFI_FILE_MODE_READ, 0);
  if (EFI_ERROR(status)) return status;
  status = ReadOpen(file, contents);
  file->Close(file);
  return status;
}

EFI_STATUS Folder::ReadOpen(EFI_FILE* file, PhysRange* contents) const {
  constexpr UINT64 kEnd = ~UINT64{0};
  UINT64 size = 0;
  EFI_STATUS status = file->SetPosition(file, kEnd);
  if (!EFI_ERROR(status)) status = file->GetPosition(file, &size);
  if (!EFI_ERROR(status)) status = file->SetPosition(file, 0);
  if (EFI_ERROR(status)) return status;
  *contents = {};
  if (size == 0) return EFI_SUCCESS;
  *contents = AllocatePages(services_, EfiLoaderData, size);
  if (contents->size == 0) return EFI_OUT_OF_RESOURCES;
  auto* to = reinterpret_cast<uint8_t*>(contents->begin.raw());
  for (UINT64 at = 0; at < size;) {
    UINTN count = size - at;
    status = file->Read(file, &count, to + at);
    if (EFI_ERROR(status)) return status;
    if (count == 0) return EFI_VOLUME_CORRUPTED;
    at += count;
  }
  return EFI_SUCCESS;
}

}  // namespace efi
