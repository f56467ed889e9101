// Sums of which every thread makes a part.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>

// The sum of what `make(begin, end)` gives in each thread, in the order of their shares of 0 … count: it does not depend on who is ready
// first.
template <typename Make>
auto sum_of_threads(int64_t count, const Make& make) {
  std::mutex lock;
  std::map<int64_t, decltype(make(count, count))> parts;
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const auto part = make(begin, end);
    const std::lock_guard<std::mutex> guard(lock);
    parts.emplace(begin, part);
  });
  auto total = parts.begin()->second;
  for (auto part = std::next(parts.begin()); part != parts.end(); part++) total += part->second;
  return total;
}
