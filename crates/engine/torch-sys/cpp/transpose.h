// Matrices turned, for products that need an operand in the other order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector_math.h"

// Numbers that are computed at once.
constexpr int64_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));

// 16×16 numbers turned; rows lie so far apart.
FT_VECTORISED static void transpose_16(const float* from, int64_t from_row, float* to, int64_t to_row) {
  typedef int32_t Places __attribute__((vector_size(kLanes * sizeof(int32_t))));
  // Each pass shuffles rows that lie 8 apart into each other, number by number; after four, columns are rows.
  constexpr Places kLow = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  constexpr Places kHigh = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  Lanes row[kLanes], next[kLanes];
  for (int i = 0; i < kLanes; i++) row[i] = *(const Lanes*)(from + i * from_row);
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < 8; i++) {
      next[2 * i] = __builtin_shuffle(row[i], row[i + 8], kLow);
      next[2 * i + 1] = __builtin_shuffle(row[i], row[i + 8], kHigh);
    }
    for (int i = 0; i < 8; i++) {
      row[2 * i] = __builtin_shuffle(next[i], next[i + 8], kLow);
      row[2 * i + 1] = __builtin_shuffle(next[i], next[i + 8], kHigh);
    }
  }
  for (int i = 0; i < kLanes; i++) *(Lanes*)(to + i * to_row) = row[i];
}

// [rows, columns] → [columns, rows]; rows lie so far apart.
inline void transpose(const float* from, int64_t from_row, float* to, int64_t to_row, int64_t rows, int64_t columns) {
  const int64_t whole_rows = rows / kLanes * kLanes, whole_columns = columns / kLanes * kLanes;
  for (int64_t i = 0; i < whole_rows; i += kLanes) {
    for (int64_t j = 0; j < whole_columns; j += kLanes) transpose_16(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
  }
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++) to[j * to_row + i] = from[i * from_row + j];
  }
}
