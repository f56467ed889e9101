// What every function of the shim does around its work.
#pragma once
#include "shim.h"

#include <ATen/ATen.h>

#include <exception>
#include <string>

// The reason of this thread's last failure.
std::string& ft_error();

// Runs `body`; an exception becomes 1 and a message, since none may cross into Rust.
template <typename Body>
int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    ft_error() = error.what_without_backtrace();
  } catch (const std::exception& error) {
    ft_error() = error.what();
  } catch (...) {
    ft_error() = "unknown C++ exception";
  }
  return 1;
}

inline at::Tensor& tensor(ft_tensor handle) { return *static_cast<at::Tensor*>(handle); }
