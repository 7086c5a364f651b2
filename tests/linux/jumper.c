/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads the next kernel of the chain without an initrd, and jumps. */

#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/syscall.h>

#include "command_line.h"
#include "say.h"

int main(void) {
  static char hop[4096];
  char path[64];
  if (read_file("/hops/2", hop, sizeof(hop)) <= 0) return 2;
  char *options = strchr(hop, '\n');
  if (!options) return 3;
  *options++ = '\0';
  size_t size = strlen(options);
  if (size && options[size - 1] == '\n') options[--size] = '\0';
  snprintf(path, sizeof(path), "/%s", hop);
  int kernel = open(path, O_RDONLY);
  if (syscall(__NR_kexec_file_load, kernel, -1, size + 1, options, KEXEC_FILE_NO_INITRAMFS) < 0) {
    return 4;
  }
  say_begin("jump");
  say_hex("to", 0);
  say_end_and_drain();
  reboot(LINUX_REBOOT_CMD_KEXEC);
  return 5;
}
