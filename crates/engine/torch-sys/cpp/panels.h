// The right operand of a product in pieces that stay in a core's first cache.
#pragma once

#include <algorithm>
#include <cstdint>

// Columns of a piece.
constexpr int64_t kPanel = 64;

// Calls `body(first column, number of columns)` for each.
template <typename Body>
void for_panels(int64_t columns, const Body& body) {
  for (int64_t first = 0; first < columns; first += kPanel) body(first, std::min(kPanel, columns - first));
}
