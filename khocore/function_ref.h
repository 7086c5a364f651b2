// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace khocore {

template <typename Signature>
class FunctionRef;

/// A callable that somebody else owns, passed down a call. Valid as long as the callable is.
template <typename R, typename... Arguments>
class FunctionRef<R(Arguments...)> {
 public:
  template <typename F>
    requires(!__is_same(__remove_cvref(F), FunctionRef))
  FunctionRef(F&& callable)  // NOLINT: meant to convert
      : object_(const_cast<void*>(static_cast<const void*>(&callable))),
        call_([](void* object, Arguments... arguments) -> R {
          return (*static_cast<__remove_reference_t(F)*>(object))(arguments...);
        }) {}

  R operator()(Arguments... arguments) const { return call_(object_, arguments...); }

 private:
  void* object_;
  R (*call_)(void*, Arguments...);
};

}  // namespace khocore
