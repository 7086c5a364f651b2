/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls UEFI's runtime services, as a Linux that the firmware started does: mounts efivarfs, which
   asks the firmware for the names of its variables, and counts them; then reads one. Ends with 2 where
   the kernel knows no UEFI, 3 without variables, 4 when one cannot be read. */

#include <sys/mount.h>
#include <sys/stat.h>

#define FOLDER "/sys/firmware/efi/efivars"

int main(void) {
  char buffer[4096], path[512];
  struct stat status;
  if (stat("/sys/firmware/efi", &status)) return 2;
  if (mount("none", FOLDER, "efivarfs", 0, NULL)) return 3;
  int folder = open(FOLDER, O_RDONLY | O_DIRECTORY);
  long size = folder < 0 ? -1 : syscall(__NR_getdents64, folder, buffer, sizeof(buffer));
  int count = 0, readable = 0;
  for (long at = 0; at < size; at += *(unsigned short *)(buffer + at + 16)) {
    const char *name = buffer + at + 19;
    if (name[0] == '.') continue;
    count++;
    snprintf(path, sizeof(path), "%s/%s", FOLDER, name);
    int file = open(path, O_RDONLY);
    char content[1024];
    if (file >= 0 && read(file, content, sizeof(content)) > 4) readable++;
    close(file);
  }
  printf("%d variables, %d readable\n", count, readable);
  umount2(FOLDER, 0);
  return !count ? 3 : !readable ? 4 : 0;
}
