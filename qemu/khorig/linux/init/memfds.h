/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The memfds that the rig hands over: what is in them, and how they are checked. What must arrive
   is what was written last, so some pages are written again after the file was preserved. */

#include <linux/memfd.h>

#include "command_line.h"
#include "content.h"
#include "say.h"

struct memfd {
  const char *name, *session;
  unsigned long long token, state /* of its content */, size /* bytes */;
  unsigned long seals;
  unsigned long every; /* every n-th page is written; the others are holes */
  int is_late;         /* whether it is written after it was preserved, too */
  int is_huge;         /* whether it is to be of huge pages, where the kernel has them */
};

/* The first is the file whose content the host knows, too (khorig/kho/content.py). */
#define FILES "khorig-files"
#define HALF_OF_IT (F_SEAL_SHRINK | F_SEAL_GROW)
static const struct memfd memfds[] = {
    {"whole", "khorig", 0x6b686f, 0x6d656d6664ULL, 300 * PAGE, 0, 1, 0, 0},
    {"odd", FILES, 1, 0x6f6464ULL, 37 * PAGE + 1237, 0, 1, 1, 0},
    {"sparse", FILES, 2, 0x737061727365ULL, 90 * PAGE + 5, 0, 7, 1, 0},
    {"sealed", FILES, 3, 0x7365616cULL, 11 * PAGE + 2049, F_SEAL_SEAL | HALF_OF_IT | F_SEAL_WRITE,
     1, 0, 0},
    {"future", FILES, 4, 0x667574757265ULL, 5 * PAGE + 77, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK, 1,
     1, 0},
    {"many", FILES, 5, 0x6d616e79ULL, 600 * PAGE + 9, 0, 1, 1, 0},
    {"huge", FILES, 6, 0x68756765ULL, 512 * PAGE + 3 * PAGE + 1, 0, 1, 1, 1},
    {"empty", FILES, 7, 0, 0, F_SEAL_GROW, 1, 0, 0},
};
#define MEMFDS (sizeof(memfds) / sizeof(memfds[0]))

/* When pages are written: before the file is preserved, after it, and when the next kernel is
   loaded. Of a file that is written late every fourth page keeps what it had. */
enum { BEFORE = 1, PRESERVED, LOADED };

static int writes(const struct memfd *file, unsigned long long page, int when) {
  if (when == BEFORE) return page % file->every == 0;
  if (!file->is_late) return 0;
  return when == PRESERVED ? page % 4 == 1 || page % 4 == 2 : page % 4 == 2 || page % 4 == 3;
}

/* What a page holds when everything up to `when` is written. */
static unsigned long long memfd_base(const struct memfd *file, unsigned long long page, int when) {
  while (when && !writes(file, page, when)) when--;
  return when ? content_base(file->state + (unsigned long long)(when - BEFORE) * INCREMENT, page)
              : NOTHING;
}

static unsigned long long pages_of(const struct memfd *file) {
  return (file->size + PAGE - 1) / PAGE;
}

static void write_memfd(const struct memfd *file, unsigned long long *words, int when) {
  for (unsigned long long page = 0; page < pages_of(file); page++) {
    if (!writes(file, page, when)) continue;
    fill_page(words + page * (PAGE / sizeof(*words)), memfd_base(file, page, when));
  }
}

/* Where the file is left for the next kernel to find it. */
static long long position_of(const struct memfd *file) { return (long long)(file->token % 64 + 3); }

/* Where the pages of a file lie in memory the kernel does not say; the host finds them by their
   offset. `how` says when: "preserved", "handed over", "received". */
static void fail_memfd(const struct memfd *file, const char *how, const char *what) {
  char text[1100];
  snprintf(text, sizeof(text), "memfd '%s' (session %s, token 0x%llx), %s: %s", file->name,
           file->session, file->token, how, what);
  FAIL("liveupdate", text);
}

static int check_number(const struct memfd *file, const char *how, const char *what,
                        long long found, long long expected) {
  char text[160];
  if (found == expected) return 1;
  snprintf(text, sizeof(text), "%s 0x%llx, expected 0x%llx", what, (unsigned long long)found,
           (unsigned long long)expected);
  fail_memfd(file, how, text);
  return 0;
}

static int check_pages(const struct memfd *file, const char *how, const unsigned long long *words,
                       int when) {
  char text[1000];
  struct wrong_pages wrong = {0};
  for (unsigned long long page = 0; page < pages_of(file); page++) {
    unsigned long long left = file->size - page * PAGE;
    check_page(words + page * (PAGE / sizeof(*words)), memfd_base(file, page, when),
               left < PAGE ? left : PAGE, page, &wrong);
  }
  if (!wrong.count) return 1;
  int at = snprintf(text, sizeof(text), "%llu of %llu pages lost their content:", wrong.count,
                    pages_of(file));
  for (unsigned i = 0; i < SHOWN && i < wrong.count; i++) {
    const struct wrong_page *page = &wrong.first[i];
    const int is_hole = page->expected == 0 && memfd_base(file, page->page, when) == NOTHING;
    at += snprintf(text + at, sizeof(text) - (size_t)at, "%s %s %llu", i ? ";" : "",
                   is_hole ? "hole at page" : "page", page->page);
    at += put_words(text + at, sizeof(text) - (size_t)at, page);
  }
  fail_memfd(file, how, text);
  return 0;
}

/* Checks all that is known of an open memfd. Returns whether it is right. */
static int check_memfd(const struct memfd *file, int memfd, const char *how, int when) {
  long long at = lseek(memfd, 0, SEEK_CUR), size = lseek(memfd, 0, SEEK_END);
  lseek(memfd, at, SEEK_SET);
  int is_right = check_number(file, how, "size", size, (long long)file->size);
  is_right &= check_number(file, how, "position", at, position_of(file));
  is_right &= check_number(file, how, "seals", syscall(__NR_fcntl, memfd, F_GET_SEALS, 0),
                           (long long)file->seals);
  is_right &= check_number(file, how, "access mode",
                           syscall(__NR_fcntl, memfd, F_GETFL, 0) & O_ACCMODE, O_RDWR);
  if (!file->size || size < (long long)file->size) return is_right;
  void *words = mmap(NULL, file->size, PROT_READ, MAP_SHARED, memfd, 0);
  if (words == MAP_FAILED) {
    fail_memfd(file, how, "cannot be mapped");
    return 0;
  }
  is_right &= check_pages(file, how, words, when);
  munmap(words, file->size);
  return is_right;
}

#ifndef HUGE_PAGES /* a test has none */
#define HUGE_PAGES "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#endif

/* New memfds have huge pages or not. Without the setting none has. */
static void use_huge_pages(int wanted) {
  int setting = open(HUGE_PAGES, O_WRONLY);
  if (setting < 0) return;
  const char *word = wanted ? "force" : "never";
  write(setting, word, strlen(word));
  close(setting);
}

/* A memfd as it is before it is preserved. Sets *words to its writable mapping if it is written
   later. Returns -1 with errno when there is none. */
static int create_memfd(const struct memfd *file, unsigned long long **words) {
  int memfd = (int)syscall(__NR_memfd_create, file->name, MFD_ALLOW_SEALING);
  if (memfd < 0 || ftruncate(memfd, (off_t)file->size) < 0) return -1;
  if (file->size) {
    if (file->is_huge) use_huge_pages(1);
    *words = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (*words == MAP_FAILED) return -1;
    write_memfd(file, *words, BEFORE);
    if (file->is_huge) use_huge_pages(0);
    if (!file->is_late) munmap(*words, file->size);
  }
  if (file->seals && syscall(__NR_fcntl, memfd, F_ADD_SEALS, file->seals) < 0) return -1;
  lseek(memfd, position_of(file), SEEK_SET);
  return memfd;
}

/* What is handed over, for the host to find it in what the kernel has sealed, or what arrived. */
static void say_memfd(const struct memfd *file, int is_received, int is_right) {
  say_begin("memfd");
  say_text("session", file->session);
  say_hex("token", file->token);
  say_text("name", file->name);
  say_number("size", file->size);
  say_hex("seals", file->seals);
  say_number("position", (unsigned long long)position_of(file));
  say_bool("received", is_received);
  say_bool("ok", is_right);
  say_end();
}
