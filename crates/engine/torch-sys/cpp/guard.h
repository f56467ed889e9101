// What every part of the shim needs: exceptions become return codes, handles become tensors.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <exception>

#include "shim.h"

// Keeps the reason of this thread's latest failure for ft_last_error().
void ft_set_last_error(const char* message);

// Runs `body`; an exception becomes 1 and a message, since none may cross into Rust.
template <typename Body>
int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    ft_set_last_error(error.what_without_backtrace());
  } catch (const std::exception& error) {
    ft_set_last_error(error.what());
  } catch (...) {
    ft_set_last_error("unknown C++ exception");
  }
  return 1;
}

inline at::Tensor& tensor(ft_tensor handle) { return *static_cast<at::Tensor*>(handle); }
