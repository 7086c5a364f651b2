/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A session of the Live Update Orchestrator with one memfd, from one kernel to a later one. */

#include <linux/liveupdate.h>

#include "command_line.h"
#include "content.h"
#include "say.h"

#define SESSION "khorig"
#define TOKEN 0x6b686f
#define MEMFD_PAGES 300UL
#define MEMFD_STATE 0x6d656d6664ULL

static int session_fd = -1; /* stays open: closing it would drop the session */
static int memfd_kept = -1;

/* Fills or compares the memfd. Returns the pages that are not as they should be. */
static struct wrong_pages use_memfd(int memfd, int fill) {
  struct wrong_pages wrong = {0};
  unsigned long long *words =
      mmap(NULL, MEMFD_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (words == MAP_FAILED) {
    wrong.count = MEMFD_PAGES;
    return wrong;
  }
  for (unsigned long i = 0; i < MEMFD_PAGES; i++) {
    unsigned long long *page = words + i * (PAGE / sizeof(*words));
    if (fill) fill_page(page, content_base(MEMFD_STATE, i));
    if (!has_content(page, content_base(MEMFD_STATE, i))) add_wrong(&wrong, i);
  }
  munmap(words, MEMFD_PAGES * PAGE);
  return wrong;
}

static void create_session(int luo) {
  struct liveupdate_ioctl_create_session create = {.size = sizeof(create), .name = SESSION};
  if (ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &create) < 0) {
    FAIL_ERRNO("liveupdate", "create session");
    return;
  }
  session_fd = create.fd;
  int memfd = (int)syscall(__NR_memfd_create, SESSION, 0);
  if (memfd < 0 || ftruncate(memfd, MEMFD_PAGES * PAGE) < 0 || use_memfd(memfd, 1).count != 0) {
    FAIL_ERRNO("liveupdate", "memfd");
    return;
  }
  memfd_kept = memfd;
  struct liveupdate_session_preserve_fd preserve = {
      .size = sizeof(preserve), .fd = memfd, .token = TOKEN};
  if (ioctl(session_fd, LIVEUPDATE_SESSION_PRESERVE_FD, &preserve) < 0) {
    FAIL_ERRNO("liveupdate", "preserve memfd");
  }
}

/* Where a page of a file lies in memory the kernel does not say; the host finds it by its offset.
 */
static void fail_memfd(const struct wrong_pages *wrong) {
  char text[200];
  int at = snprintf(text, sizeof(text), "%llu of %lu pages of the memfd lost their content: page",
                    wrong->count, MEMFD_PAGES);
  for (unsigned i = 0; i < SHOWN && i < wrong->count; i++) {
    at += snprintf(text + at, sizeof(text) - (size_t)at, "%s %llu", i ? "," : "", wrong->first[i]);
  }
  FAIL("liveupdate", text);
}

static void retrieve_session(int luo) {
  struct liveupdate_ioctl_retrieve_session retrieve = {.size = sizeof(retrieve), .name = SESSION};
  if (ioctl(luo, LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &retrieve) < 0) {
    FAIL_ERRNO("liveupdate", "retrieve session");
    return;
  }
  struct liveupdate_session_retrieve_fd file = {.size = sizeof(file), .token = TOKEN};
  if (ioctl(retrieve.fd, LIVEUPDATE_SESSION_RETRIEVE_FD, &file) < 0) {
    FAIL_ERRNO("liveupdate", "retrieve memfd");
    return;
  }
  memfd_kept = file.fd;
  struct wrong_pages wrong = use_memfd(file.fd, 0);
  struct liveupdate_session_finish finish = {.size = sizeof(finish)};
  if (ioctl(retrieve.fd, LIVEUPDATE_SESSION_FINISH, &finish) < 0) {
    FAIL_ERRNO("liveupdate", "finish session");
  }
  if (wrong.count != 0) fail_memfd(&wrong);
  say_begin("liveupdate");
  say_text("session", SESSION);
  say_number("bytes", MEMFD_PAGES * PAGE);
  say_bool("ok", wrong.count == 0);
  say_end();
}

/* What was created or retrieved is still what it was. */
static void check_memfd_again(void) {
  if (memfd_kept < 0) return;
  struct wrong_pages wrong = use_memfd(memfd_kept, 0);
  if (wrong.count != 0) fail_memfd(&wrong);
}

/* khorig.luo=create or khorig.luo=retrieve. */
static void use_liveupdate(void) {
  int create = option_has("khorig.luo=", "create");
  if (!create && !option_has("khorig.luo=", "retrieve")) return;
  int luo = open("/dev/liveupdate", O_RDWR);
  if (luo < 0) {
    FAIL_ERRNO("liveupdate", "/dev/liveupdate");
    return;
  }
  if (create) {
    create_session(luo);
  } else {
    retrieve_session(luo);
  }
  close(luo); /* one program at a time may have it open */
}
