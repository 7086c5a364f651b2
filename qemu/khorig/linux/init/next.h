/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The next kernel: hops/N of the archive names its file and its command line (docs/abi.md). */

#include <linux/kexec.h>
#include <linux/reboot.h>

#include "command_line.h"
#include "crash.h"
#include "idle.h"
#include "kexec_flags.h"
#include "say.h"

/* KEXEC_FILE_DEBUG: the kernel logs where it puts what, so that the host can name the piece of the
   next kernel that runs between two kernels' words. */
#define LOGS_SEGMENTS 0x8UL

/* The archive this kernel came with, whole. Without it the next kernel gets no initrd. */
static int open_archive(void) {
  static char buffer[1 << 16];
  int from = open("/sys/firmware/initrd", O_RDONLY);
  int to = open("/archive", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (from < 0 || to < 0) return -1;
  ssize_t got;
  while ((got = read(from, buffer, sizeof(buffer))) > 0) {
    if (write(to, buffer, (size_t)got) != got) return -1;
  }
  close(from);
  close(to);
  if (is_to_crash()) append_dead_pages();
  return got < 0 ? -1 : open("/archive", O_RDONLY);
}

/* Loads the next kernel. Returns 0 when it is ready for the jump. */
static int load_next(void) {
  static char hop[4096];
  char path[64];
  snprintf(path, sizeof(path), "/hops/%lu", generation + 1);
  if (read_file(path, hop, sizeof(hop)) <= 0) {
    FAIL_ERRNO("archive", path);
    return -1;
  }
  char *next_line = strchr(hop, '\n');
  if (!next_line) {
    FAIL("archive", "no file name in the first line of the hop");
    return -1;
  }
  *next_line++ = '\0';
  size_t size = strlen(next_line);
  if (size && next_line[size - 1] == '\n') next_line[--size] = '\0';
  snprintf(path, sizeof(path), "/%s", hop);
  int kernel = open(path, O_RDONLY);
  unsigned long flags = kexec_flags();
  if (is_to_crash()) {
    flags |= ON_CRASH;
    report_crash_memory();
  }
  int archive = flags & NO_INITRAMFS ? -1 : open_archive();
  if (kernel < 0 || (archive < 0 && !(flags & NO_INITRAMFS))) {
    FAIL_ERRNO("archive", kernel < 0 ? path : "/sys/firmware/initrd");
    return -1;
  }
  flags |= LOGS_SEGMENTS;
  if (syscall(__NR_kexec_file_load, kernel, archive, size + 1, next_line, flags) < 0) {
    FAIL_ERRNO("kexec_file_load", path);
    return -1;
  }
  return 0;
}

/* Does not return when all goes well. */
static void jump(void) {
  say_begin("jump");
  say_hex("to", 0);
  say_idle();
  say_end_and_drain();
  reboot(LINUX_REBOOT_CMD_KEXEC);
  FAIL_ERRNO("reboot", "LINUX_REBOOT_CMD_KEXEC");
}
