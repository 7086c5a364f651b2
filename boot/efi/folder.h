// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "boot/efi/services.h"
#include "khocore/types.h"

namespace efi {

/// The folder of the volume that an application was started from.
class Folder {
 public:
  static constexpr size_t kMaxPath = 256;  ///< characters of a path, the final zero included

  /// Opens the volume that `image` came from. Errors: EFI_UNSUPPORTED when it came from no volume
  /// or from too deep in it, and what the firmware answers.
  EFI_STATUS Open(EFI_BOOT_SERVICES* services, EFI_HANDLE image);

  /// Reads all of `name` into pages of the caller's. A file without contents gives an empty range.
  /// Errors: EFI_NOT_FOUND, EFI_OUT_OF_RESOURCES when it does not fit into memory,
  /// EFI_VOLUME_CORRUPTED when it is shorter than the volume says, and what the firmware answers.
  EFI_STATUS Read(const char* name, khocore::PhysRange* contents) const;

 private:
  EFI_STATUS ReadOpen(EFI_FILE* file, khocore::PhysRange* contents) const;

  EFI_BOOT_SERVICES* services_ = nullptr;
  EFI_FILE* root_ = nullptr;
  CHAR16 path_[kMaxPath] = {};  ///< of the folder, with a backslash at its end
  size_t path_length_ = 0;
};

/// Finds the folder in the path of a file: writes what comes before the file's own name to
/// `folder`, which has room for `Folder::kMaxPath` characters, and its length to `length`. False
/// when it does not fit, or the path is malformed. A path without folders, or none, gives the root.
bool FolderOf(const EFI_DEVICE_PATH* path, CHAR16* folder, size_t* length);

}  // namespace efi
