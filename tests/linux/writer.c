/* SPDX-License-Identifier: BSD-3-Clause */
/* `writer NAME store|write` leaves a child behind that counts in the first page of a reserved
   memory, which is handed over, until this kernel is gone: by stores of its own, or by a system
   call, so that the kernel stores. */

#include "reserved.h"

enum { OFFSET = 0x40, PAUSE_MS = 5 };

static int count_in(off_t address, int by_kernel) {
  int memory = open("/dev/mem", O_RDWR | O_SYNC);
  volatile unsigned long long *words =
      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, address);
  if (memory < 0 || words == MAP_FAILED) return 1;
  for (unsigned long long count = 1;; count++) {
    if (by_kernel) {
      lseek(memory, address + OFFSET, SEEK_SET);
      if (write(memory, &count, sizeof(count)) != sizeof(count)) return 1;
    } else {
      words[OFFSET / sizeof(count)] = count;
    }
    poll(NULL, 0, PAUSE_MS);
  }
}

int main(int argc, char **argv) {
  static char fdt[PAGE + 1];
  struct area area = {0, 0};
  long size = read_file("/debug/kho/out/sub_fdts/memblock", fdt, sizeof(fdt));
  if (argc != 3 || size <= 0) return 2;
  if (!find_area((unsigned char *)fdt, (size_t)size, argv[1], &area)) return 3;
  pid_t child = fork();
  if (child == 0) _exit(count_in((off_t)area.start, !strcmp(argv[2], "write")));
  return child < 0;
}
