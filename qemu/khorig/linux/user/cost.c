/* SPDX-License-Identifier: BSD-3-Clause */
/* Preserves N sessions, files or folios, or takes them back in the next kernel:
     cost preserve|restore sessions|files|folios N
   The host counts instructions between the marks. A limit of the kernel's is printed, with how many
   there were, and is no failure. */

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/liveupdate.h>

#define DEVICE "/dev/liveupdate"
#define SESSION "cost"
#define SPARE 64 /* more files than N */

/* Where the host looks at the count. */
#define MARK(name) \
  __attribute__((noinline, used)) void name(void) { __asm__ volatile("" : : : "memory"); }
MARK(mark_preserve)
MARK(mark_preserved)
MARK(mark_retrieve)
MARK(mark_retrieved)
MARK(mark_finished)

static int *fds;
static unsigned long page;

static int create(int luo, const char *name) {
  struct liveupdate_ioctl_create_session arg = {.size = sizeof(arg)};
  snprintf((char *)arg.name, sizeof(arg.name), "%s", name);
  return ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &arg) ? -1 : arg.fd;
}

static int retrieve(int luo, const char *name) {
  struct liveupdate_ioctl_retrieve_session arg = {.size = sizeof(arg)};
  snprintf((char *)arg.name, sizeof(arg.name), "%s", name);
  return ioctl(luo, LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &arg) ? -1 : arg.fd;
}

static int preserve_file(int session, int fd, unsigned long token) {
  struct liveupdate_session_preserve_fd arg = {.size = sizeof(arg), .fd = fd, .token = token};
  return ioctl(session, LIVEUPDATE_SESSION_PRESERVE_FD, &arg) ? -1 : 0;
}

static int retrieve_file(int session, unsigned long token) {
  struct liveupdate_session_retrieve_fd arg = {.size = sizeof(arg), .token = token};
  return ioctl(session, LIVEUPDATE_SESSION_RETRIEVE_FD, &arg) ? -1 : arg.fd;
}

static int finish(int session) {
  struct liveupdate_session_finish arg = {.size = sizeof(arg)};
  return ioctl(session, LIVEUPDATE_SESSION_FINISH, &arg) ? -1 : 0;
}

static const char *numbered(unsigned long number) {
  static char name[32];
  snprintf(name, sizeof(name), SESSION "-%lu", number);
  return name;
}

/* The first word of each page of a file: it is of this file, and this page. */
static unsigned long word(unsigned long file, unsigned long number) {
  return 0x636f737400000000UL + (file << 20) + number;
}

/* Fills the pages of a file, or counts those that are wrong; -1 when that is impossible. */
static long use_pages(int fd, unsigned long file, unsigned long pages, int fill) {
  long wrong = 0;
  char *map = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return -1;
  for (unsigned long i = 0; i < pages; i++) {
    unsigned long *at = (unsigned long *)(map + i * page);
    if (fill) *at = word(file, i);
    wrong += *at != word(file, i);
  }
  munmap(map, pages * page);
  return wrong;
}

static int make_file(unsigned long file, unsigned long pages) {
  int fd = (int)syscall(__NR_memfd_create, SESSION, 0);
  if (fd < 0 || ftruncate(fd, (off_t)(pages * page)) < 0) return -1;
  return use_pages(fd, file, pages, 1) ? -1 : fd;
}

static int fail(const char *what) {
  printf("cost: %s: errno %d\n", what, errno);
  return 1;
}

/* Holds everything until the jump, as closing a session drops it. */
static int hold(void) {
  pid_t child = fork();
  if (child < 0) return fail("fork");
  if (child > 0) return 0;
  for (;;) sleep(60);
}

static int preserve(const char *kind, unsigned long count) {
  int luo = open(DEVICE, O_RDWR), session = -1, error = 0;
  if (luo < 0) return fail(DEVICE);
  unsigned long done = 0;
  int is_folios = !strcmp(kind, "folios"), is_files = !strcmp(kind, "files");
  if (is_files || is_folios) {
    session = create(luo, SESSION);
    if (session < 0) return fail("session");
    for (unsigned long i = 0; i < (is_folios ? 1 : count); i++) {
      fds[i] = make_file(i, is_folios ? count : 1);
      if (fds[i] < 0) return fail("memfd");
    }
  }
  mark_preserve();
  if (is_folios) {
    done = preserve_file(session, fds[0], 0) ? 0 : count;
  } else if (is_files) {
    while (done < count && preserve_file(session, fds[done], done) == 0) done++;
  } else {
    while (done < count && create(luo, numbered(done)) >= 0) done++;
  }
  if (done < count) error = errno;
  mark_preserved();
  close(luo);
  printf("cost: preserved %lu of %lu, errno %d\n", done, count, error);
  return hold();
}

static int restore(const char *kind, unsigned long count) {
  unsigned long done = 0;
  long wrong = 0;
  int error = 0, session = -1;
  int is_folios = !strcmp(kind, "folios"), is_files = !strcmp(kind, "files");
  mark_retrieve();
  int luo = open(DEVICE, O_RDWR);
  if (luo < 0) return fail(DEVICE);
  if (is_files || is_folios) {
    session = retrieve(luo, SESSION);
    if (session < 0) return fail("session");
    unsigned long files = is_folios ? 1 : count;
    while (done < files && (fds[done] = retrieve_file(session, done)) >= 0) done++;
  } else {
    while (done < count && (fds[done] = retrieve(luo, numbered(done))) >= 0) done++;
  }
  error = errno;
  mark_retrieved();
  if (session >= 0) {
    if (finish(session)) return fail("finish");
  } else {
    for (unsigned long i = 0; i < done; i++) {
      if (finish(fds[i])) return fail("finish");
      close(fds[i]);
    }
  }
  mark_finished();
  for (unsigned long i = 0; session >= 0 && i < done; i++) {
    long found = use_pages(fds[i], i, is_folios ? count : 1, 0);
    wrong += found < 0 ? 1 : found;
  }
  if (is_folios && done) done = count;
  if (done == count) error = 0;
  printf("cost: restored %lu of %lu, errno %d\n", done, count, error);
  if (wrong) printf("cost: %ld pages have not what was preserved\n", wrong);
  return wrong != 0;
}

int main(int argc, char **argv) {
  unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
  if (count == 0 || count > 1UL << 20) return fail("usage");
  struct rlimit most = {.rlim_cur = count + SPARE, .rlim_max = count + SPARE};
  page = (unsigned long)getpagesize();
  fds = malloc(count * sizeof(*fds));
  if (!fds || setrlimit(RLIMIT_NOFILE, &most) < 0) return fail("limit of open files");
  return argv[1][0] == 'p' ? preserve(argv[2], count) : restore(argv[2], count);
}
