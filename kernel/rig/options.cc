// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/options.h"

#include <string.h>

#include "kernel/base/hex.h"

namespace rig {
namespace {

struct Text {
  const char* at;
  size_t length;

  bool Is(const char* other) const {
    return strlen(other) == length && memcmp(at, other, length) == 0;
  }
  /// Cuts off and returns the part before `separator`, or all of it.
  Text Take(char separator) {
    Text head{at, 0};
    while (head.length < length && at[head.length] != separator) ++head.length;
    const size_t skipped = head.length < length ? head.length + 1 : length;
    at += skipped;
    length -= skipped;
    return head;
  }
};

bool CopyName(Text text, char* buffer, size_t size) {
  if (text.length == 0 || text.length >= size) return false;
  memcpy(buffer, text.at, text.length);
  buffer[text.length] = '\0';
  return true;
}

bool ParseCount(Text value, uint64_t limit, uint32_t* count) {
  uint64_t number = 0;
  if (!ParseSize(value.at, value.length, &number) || number == 0 || number > limit) return false;
  *count = static_cast<uint32_t>(number);
  return true;
}

bool ParseStops(Text value, Options* options) {
  while (value.length != 0) {
    const Text stop = value.Take(',');
    if (stop.Is("entry")) {
      options->stop_at_entry = true;
    } else if (stop.Is("refused")) {
      options->stop_at_refused = true;
    } else if (stop.Is("restored")) {
      options->stop_at_restored = true;
    } else if (stop.Is("settled")) {
      options->stop_at_settled = true;
    } else if (stop.Is("sealed")) {
      options->stop_at_sealed = true;
    } else {
      return false;
    }
  }
  return true;
}

bool ParseScratch(Text value, Options* options) {
  for (uint64_t& size : options->scratch_sizes) {
    const Text part = value.Take(',');
    if (!ParseSize(part.at, part.length, &size) || size == 0) return false;
  }
  return value.length == 0;
}

bool ParseReserved(Text value, Options* options) {
  if (options->reserved_count == Options::kMaxReserved) return false;
  Options::Reserved& reserved = options->reserved[options->reserved_count];
  const Text size = value.Take(':');
  const Text alignment = value.Take(':');
  if (!ParseSize(size.at, size.length, &reserved.size) || reserved.size == 0 ||
      !ParseSize(alignment.at, alignment.length, &reserved.alignment) ||
      (reserved.alignment & (reserved.alignment - 1)) != 0 ||
      !CopyName(value, reserved.name, sizeof(reserved.name))) {
    return false;
  }
  ++options->reserved_count;
  return true;
}

bool ParseLa57(Text value, Options* options) {
  if (value.length == 0 || value.at[value.length - 1] == ',') return false;
  options->la57_count = 0;
  while (value.length != 0) {
    if (options->la57_count == Options::kMaxLa57) return false;
    const Text word = value.Take(',');
    if (!word.Is("on") && !word.Is("off")) return false;
    options->la57[options->la57_count++] = word.Is("on");
  }
  return true;
}

bool ParseFault(Text value, Options* options) {
  options->fault = FindFault(value.at, value.length);
  return options->fault != nullptr;
}

bool ParseNumber(Text value, uint64_t* number) { return ParseSize(value.at, value.length, number); }

/// One row an option: its name and how its value is read.
constexpr struct {
  const char* name;
  bool (*parse)(Text value, Options* options);
} kOptions[] = {
    {"scenario", [](Text v, Options* o) { return CopyName(v, o->scenario, sizeof(o->scenario)); }},
    {"generation", [](Text v, Options* o) { return ParseCount(v, 1u << 20, &o->generation); }},
    {"generations", [](Text v, Options* o) { return ParseCount(v, 1u << 20, &o->generations); }},
    {"seed", [](Text v, Options* o) { return ParseNumber(v, &o->seed); }},
    {"stops", ParseStops},
    {"fault", ParseFault},
    {"kho_scratch", ParseScratch},
    {"reserve_mem", ParseReserved},
    {"la57", ParseLa57},
    {"holes", [](Text v, Options* o) { return ParseCount(v, 128, &o->holes); }},
    {"megabytes", [](Text v, Options* o) { return ParseNumber(v, &o->megabytes); }},
    {"fragments", [](Text v, Options* o) { return ParseNumber(v, &o->fragments); }},
    {"settle", [](Text v, Options* o) { return ParseCount(v, 1u << 20, &o->settle_ms); }},
    {"operations", [](Text v, Options* o) { return ParseNumber(v, &o->operations); }},
};

const char* ParseToken(Text token, Options* options) {
  Text value = token;
  const Text name = value.Take('=');
  for (const auto& option : kOptions) {
    if (!name.Is(option.name)) continue;
    return option.parse(value, options) ? nullptr : "the value cannot be used";
  }
  return "no such option";
}

}  // namespace

bool ParseSize(const char* text, size_t length, uint64_t* value) {
  const bool hexadecimal = length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  const uint64_t radix = hexadecimal ? 16 : 10;
  size_t at = hexadecimal ? 2 : 0;
  uint64_t number = 0;
  const size_t first = at;
  for (; at < length; ++at) {
    const uint64_t digit = base::HexDigit(static_cast<uint8_t>(text[at]));
    if (digit >= radix) break;
    if (__builtin_mul_overflow(number, radix, &number) ||
        __builtin_add_overflow(number, digit, &number)) {
      return false;
    }
  }
  if (at == first) return false;
  unsigned shift = 0;
  if (at < length) {
    const char c = text[at++];
    shift = c == 'K' || c == 'k' ? 10 : c == 'M' || c == 'm' ? 20 : c == 'G' || c == 'g' ? 30 : 0;
    if (shift == 0) return false;
  }
  if (at != length || number > (~uint64_t{0} >> shift)) return false;
  *value = number << shift;
  return true;
}

OptionError ParseOptions(const char* command_line, Options* options) {
  OptionError error;
  Text rest{command_line, strlen(command_line)};
  while (rest.length != 0) {
    const Text token = rest.Take(' ');
    if (token.length == 0) continue;
    error.text = ParseToken(token, options);
    if (error.text == nullptr) continue;
    const size_t kept = token.length < sizeof(error.token) ? token.length : sizeof(error.token) - 1;
    memcpy(error.token, token.at, kept);
    error.token[kept] = '\0';
    return error;
  }
  return error;
}

}  // namespace rig
