// Puts the operators of operators.h in place.

#include "operators.h"

#include "guard.h"
#include "kernels.h"

namespace {

// The dispatcher tells on standard error that a kernel is replaced, which is what we want.
struct Silent : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

}  // namespace

int ft_replace_operators() {
  return guarded([] {
    // Never freed: freeing a library takes its kernels away.
    static torch::Library* library = [] {
      Silent silent;
      c10::WarningUtils::WarningHandlerGuard guard(&silent);
      auto* library = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
      ft_add_matmul(*library);
      ft_add_gelu(*library);
      ft_add_attention(*library);
      return library;
    }();
    (void)library;
  });
}
