// SPDX-License-Identifier: BSD-3-Clause
#include <stdint.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_case.h"

namespace {

/// The folder with the seeds, which goes when the program does.
class SeedFolder {
 public:
  SeedFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "khorig-seeds.XXXXXX";
    CASE_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    for (const auto& [name, bytes] : fuzz::Seeds()) {
      std::ofstream(std::filesystem::path(path_) / name, std::ios::binary) << bytes;
    }
  }
  ~SeedFolder() { std::filesystem::remove_all(path_); }
  SeedFolder(const SeedFolder&) = delete;
  SeedFolder& operator=(const SeedFolder&) = delete;

  char* path() { return path_.data(); }

 private:
  std::string path_;
};

}  // namespace

/// Appends the folder with the seeds to libFuzzer's arguments: read, and written to when there is
/// no other one.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  for (int i = 1; i < *count; ++i) {
    if (std::filesystem::is_regular_file((*arguments)[i])) return 0;  // one that is run again
  }
  static SeedFolder folder;
  static std::vector<char*> extended(*arguments, *arguments + *count);
  extended.push_back(folder.path());
  *count = static_cast<int>(extended.size());
  extended.push_back(nullptr);
  *arguments = extended.data();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)fuzz::RunCase({data, size});
  return 0;
}
