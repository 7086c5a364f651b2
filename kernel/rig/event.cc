// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/event.h"

#include <stdarg.h>

#include "kernel/arch/console.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/exit.h"
#include "kernel/base/format.h"
#include "kernel/console/print.h"

namespace rig {
namespace {

using base::Format;
using console::PrintConsole;

uint32_t event_generation = 1;
bool failed = false;

void PutEscaped(void*, char byte) {
  if (byte == '"' || byte == '\\') {
    PrintConsole("\\%c", byte);
  } else if (static_cast<unsigned char>(byte) < 0x20 || static_cast<unsigned char>(byte) >= 0x7f) {
    PrintConsole("\\u%04x", static_cast<unsigned char>(byte));
  } else {
    arch::ConsolePut(byte);
  }
}

void PutQuoted(const char* text) {
  arch::ConsolePut('"');
  for (; *text != '\0'; ++text) PutEscaped(nullptr, *text);
  arch::ConsolePut('"');
}

void PutTextMember(const char* format, va_list arguments) {
  PrintConsole(",\"text\":\"");
  Format(PutEscaped, nullptr, format, arguments);
  arch::ConsolePut('"');
}

}  // namespace

void SetEventGeneration(uint32_t generation) { event_generation = generation; }

Event::Event(const char* name) {
  const uint64_t now = arch::Counter();
  PrintConsole("@khorig {\"ev\":\"%s\",\"gen\":%u,\"t\":%lu", name, event_generation, now);
}

Event::~Event() { PrintConsole("}\n"); }

void Event::Comma() {
  if (!first_) arch::ConsolePut(',');
  first_ = false;
}

void Event::Key(const char* key) {
  Comma();
  PrintConsole("\"%s\":", key);
}

Event& Event::Number(const char* key, uint64_t value) {
  Key(key);
  PrintConsole("%lu", value);
  return *this;
}

Event& Event::Hex(const char* key, uint64_t value) {
  Key(key);
  PrintConsole("\"0x%lx\"", value);
  return *this;
}

Event& Event::Bool(const char* key, bool value) {
  Key(key);
  PrintConsole(value ? "true" : "false");
  return *this;
}

Event& Event::Text(const char* key, const char* value) {
  Key(key);
  PutQuoted(value);
  return *this;
}

Event& Event::Begin(const char* key, char bracket) {
  Key(key);
  arch::ConsolePut(bracket);
  first_ = true;
  return *this;
}

Event& Event::End(char bracket) {
  arch::ConsolePut(bracket);
  first_ = false;
  return *this;
}

Event& Event::Item(uint64_t value) {
  Comma();
  PrintConsole("\"0x%lx\"", value);
  return *this;
}

Event& Event::ItemText(const char* value) {
  Comma();
  PutQuoted(value);
  return *this;
}

Event& Event::ItemBegin(char bracket) {
  Comma();
  arch::ConsolePut(bracket);
  first_ = true;
  return *this;
}

void Fail(const char* file, int line, const char* what, const char* format, ...) {
  __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
  Event event("fail");
  event.Text("what", what).Text("file", file).Number("line", static_cast<uint64_t>(line));
  va_list arguments;
  va_start(arguments, format);
  PutTextMember(format, arguments);
  va_end(arguments);
}

bool HasFailed() { return __atomic_load_n(&failed, __ATOMIC_RELAXED); }

void EndWithError(RequestError error, const char* cause, const char* format, ...) {
  {
    Event event("error");
    event.Text("cause", cause);
    va_list arguments;
    va_start(arguments, format);
    PutTextMember(format, arguments);
    va_end(arguments);
  }
  arch::Exit(error == RequestError::kNoMemory ? arch::ExitStatus::kNoMemory
                                              : arch::ExitStatus::kUsage);
}

}  // namespace rig
