/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The console protocol of docs/abi.md, as far as a Linux peer speaks it. */

#include "machine.h" /* arch/ */

static unsigned long generation = 1;
static int failed;

/* One event is one write, so that the kernel's own lines do not cut it. */
static char line[2048];
static size_t length;

static void put(const char *text) {
  while (*text && length < sizeof(line) - 3) line[length++] = *text++;
}

static void put_number(unsigned long long value) {
  char text[24];
  snprintf(text, sizeof(text), "%llu", value);
  put(text);
}

static void say_begin(const char *event) {
  length = 0;
  put("@khorig {\"ev\":\"");
  put(event);
  put("\",\"gen\":");
  put_number(generation);
  put(",\"t\":");
  put_number(counter());
}

static void say_key(const char *key) {
  put(",\"");
  put(key);
  put("\":");
}

static void put_quoted(const char *value) {
  static const char digits[] = "0123456789abcdef";
  put("\"");
  for (; *value && length < sizeof(line) - 16; value++) {
    unsigned char c = (unsigned char)*value;
    if (c == '"' || c == '\\') {
      put(c == '"' ? "\\\"" : "\\\\");
    } else if (c < 0x20 || c > 0x7e) {
      char escaped[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15], 0};
      put(escaped);
    } else {
      char plain[] = {(char)c, 0};
      put(plain);
    }
  }
  put("\"");
}

static void say_text(const char *key, const char *value) {
  say_key(key);
  put_quoted(value);
}

static void say_number(const char *key, unsigned long long value) {
  say_key(key);
  put_number(value);
}

static void say_hex(const char *key, unsigned long long value) {
  char text[24];
  snprintf(text, sizeof(text), "\"0x%llx\"", value);
  say_key(key);
  put(text);
}

static void say_bool(const char *key, int value) {
  say_key(key);
  put(value ? "true" : "false");
}

static void say_end(void) {
  put("}\n");
  write(1, line, length);
}

/* The same for last words. The UART takes a few bytes at a time and asks for more by an interrupt,
   which another CPU may serve long after the write returned. */
static void say_end_and_drain(void) {
  say_end();
  ioctl(1, 0x5409, 1); /* TCSBRK, which tcdrain() is made of */
}

/* Something is wrong; the run goes on and ends as failed. */
static void say_fail(const char *file, int at, const char *what, const char *text) {
  failed = 1;
  say_begin("fail");
  say_text("what", what);
  say_text("file", file);
  say_number("line", (unsigned long long)at);
  say_text("text", text);
  say_end();
}
#define FAIL(what, text) say_fail("init/" __FILE_NAME__, __LINE__, what, text)

static void fail_errno(const char *file, int at, const char *what, const char *name) {
  char text[160];
  snprintf(text, sizeof(text), "%s: errno %d", name, errno);
  say_fail(file, at, what, text);
}
#define FAIL_ERRNO(what, name) fail_errno("init/" __FILE_NAME__, __LINE__, what, name)
