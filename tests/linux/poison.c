/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports a page as bad, as memory that fails does. `poison memfd before|after` takes one of a memfd
   that it hands over in a session of its own, before or after it preserves it, and leaves a child behind
   that holds the session; `poison scratch` takes the last page of the first area of scratch. */

#include "liveupdate.h"

enum { PAGES = 16, BAD = 5 };

/* An error of the kernel's is none here: a page in use is marked nevertheless. */
static int report(unsigned long long frame) {
  char line[32];
  int length = snprintf(line, sizeof(line), "0x%llx", frame);
  int file = open("/debug/hwpoison/corrupt-pfn", O_WRONLY);
  if (file < 0) return 1;
  write(file, line, (size_t)length);
  close(file);
  return 0;
}

static int report_page_at(const char *address) {
  unsigned long long entry = 0;
  int file = open("/proc/self/pagemap", O_RDONLY);
  lseek(file, (off_t)((unsigned long)address / PAGE * sizeof(entry)), SEEK_SET);
  if (file < 0 || read(file, &entry, sizeof(entry)) != sizeof(entry) || !(entry >> 63)) return 1;
  close(file);
  return report(entry & ((1ULL << 55) - 1));
}

static int hold(void) {
  pid_t child = fork();
  if (child) return child < 0;
  for (;;) poll(NULL, 0, 1000);
}

static int poison_memfd(int before) {
  struct liveupdate_ioctl_create_session create = {.size = sizeof(create), .name = "poison"};
  int luo = open("/dev/liveupdate", O_RDWR);
  if (luo < 0 || ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &create) < 0) return 2;
  int memfd = (int)syscall(__NR_memfd_create, "poison", 0);
  if (memfd < 0 || ftruncate(memfd, PAGES * PAGE) < 0) return 3;
  char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) return 4;
  memset(memory, 0xa5, PAGES * PAGE);
  struct liveupdate_session_preserve_fd preserve = {
      .size = sizeof(preserve), .fd = memfd, .token = 1};
  if (before && report_page_at(memory + BAD * PAGE)) return 5;
  if (ioctl(create.fd, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve) < 0) return 6;
  if (!before && report_page_at(memory + BAD * PAGE)) return 7;
  close(luo);
  return hold();
}

static int poison_scratch(void) {
  char text[64];
  if (read_file("/debug/kho/out/scratch_phys", text, sizeof(text)) <= 0) return 2;
  unsigned long long begin = strtoull(text, NULL, 0);
  if (read_file("/debug/kho/out/scratch_len", text, sizeof(text)) <= 0) return 3;
  unsigned long long size = strtoull(text, NULL, 0);
  return report((begin + size) / PAGE - 1);
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "memfd")) return poison_memfd(!strcmp(argv[2], "before"));
  if (argc == 2 && !strcmp(argv[1], "scratch")) return poison_scratch();
  return 1;
}
