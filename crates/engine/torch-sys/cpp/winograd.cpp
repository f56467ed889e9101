// Convolution by 3×3 kernels of stride 1 and padding 1 with Winograd's F(2×2, 3×3) (Lavin and Gray 2016, arXiv:1509.09308), forward
// and both gradients, in f32 and NHWC. Four outputs cost 16 multiplications in place of 36; the transforms before and behind
// only add and halve, so little is lost to rounding (bench/NOTES.md). oneDNN's own convolutions already run at the speed of the
// multipliers: only fewer multiplications make it faster.
//
// A tile is 2×2 outputs and the 4×4 inputs that they see. Of a chunk of tiles, each of the 16 values goes to a plane of its own,
// [16, tiles, channels], and each plane is one matrix product. A thread takes a chunk through all of it alone, in its own cache.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "onednn.h"
#include "panels.h"
#include "stand_in.h"
#include "thread_sums.h"
#include "transpose.h"

namespace {

using at::native::cpublas::brgemm;
using at::native::cpublas::brgemm_release;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Bᵀ d B: the inputs of a tile, `from`, to the 16 planes at `to`.
FT_VECTORISED void transform_input(const float* const* from, float* to, int64_t plane, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Lanes half[4][4];
    for (int x = 0; x < 4; x++) {
      const Lanes a = *(const Lanes*)(from[x] + c), b = *(const Lanes*)(from[4 + x] + c);
      const Lanes d = *(const Lanes*)(from[8 + x] + c), e = *(const Lanes*)(from[12 + x] + c);
      half[0][x] = a - d;
      half[1][x] = b + d;
      half[2][x] = d - b;
      half[3][x] = b - e;
    }
    for (int y = 0; y < 4; y++) {
      float* row = to + 4 * y * plane + c;
      *(Lanes*)(row) = half[y][0] - half[y][2];
      *(Lanes*)(row + plane) = half[y][1] + half[y][2];
      *(Lanes*)(row + 2 * plane) = half[y][2] - half[y][1];
      *(Lanes*)(row + 3 * plane) = half[y][1] - half[y][3];
    }
  }
}

// Aᵀ m A: the 16 planes at `from` to the 2×2 outputs of a tile; those outside of the image are null.
FT_VECTORISED void transform_output(const float* from, float* const* to, int64_t plane, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Lanes half[2][4];
    for (int x = 0; x < 4; x++) {
      const float* column = from + x * plane + c;
      const Lanes a = *(const Lanes*)(column), b = *(const Lanes*)(column + 4 * plane);
      const Lanes d = *(const Lanes*)(column + 8 * plane), e = *(const Lanes*)(column + 12 * plane);
      half[0][x] = a + b + d;
      half[1][x] = b - d - e;
    }
    for (int y = 0; y < 2; y++) {
      if (to[2 * y]) *(Lanes*)(to[2 * y] + c) = half[y][0] + half[y][1] + half[y][2];
      if (to[2 * y + 1]) *(Lanes*)(to[2 * y + 1] + c) = half[y][1] - half[y][2] - half[y][3];
    }
  }
}

// A dy Aᵀ: the gradients of a tile's 2×2 outputs to the 16 planes at `to`.
FT_VECTORISED void transform_output_backward(const float* const* from, float* to, int64_t plane, int64_t channels) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Lanes half[4][2];
    for (int x = 0; x < 2; x++) {
      const Lanes a = *(const Lanes*)(from[x] + c), b = *(const Lanes*)(from[2 + x] + c);
      half[0][x] = a;
      half[1][x] = a + b;
      half[2][x] = a - b;
      half[3][x] = -b;
    }
    for (int y = 0; y < 4; y++) {
      float* row = to + 4 * y * plane + c;
      *(Lanes*)(row) = half[y][0];
      *(Lanes*)(row + plane) = half[y][0] + half[y][1];
      *(Lanes*)(row + 2 * plane) = half[y][0] - half[y][1];
      *(Lanes*)(row + 3 * plane) = -half[y][1];
    }
  }
}

// G w Gᵀ: a kernel [3, 3, channels], its 9 places `stride` apart, to the 16 planes at `to`. Of the kernel turned by 180°, rows and columns 0 and 3 change places.
FT_VECTORISED void transform_kernel(const float* from, int64_t stride, float* to, int64_t plane, int64_t channels, bool turned) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Lanes half[4][3];
    for (int x = 0; x < 3; x++) {
      const float* column = from + x * stride + c;
      const Lanes a = *(const Lanes*)(column), b = *(const Lanes*)(column + 3 * stride), d = *(const Lanes*)(column + 6 * stride);
      half[0][x] = a;
      half[1][x] = (a + d + b) * 0.5f;
      half[2][x] = (a + d - b) * 0.5f;
      half[3][x] = d;
    }
    for (int y = 0; y < 4; y++) {
      const int from_row = turned && (y == 0 || y == 3) ? 3 - y : y;
      const Lanes a = half[from_row][0], b = half[from_row][1], d = half[from_row][2];
      float* row = to + 4 * y * plane + c;
      *(Lanes*)(row) = turned ? d : a;
      *(Lanes*)(row + plane) = (a + d + b) * 0.5f;
      *(Lanes*)(row + 2 * plane) = (a + d - b) * 0.5f;
      *(Lanes*)(row + 3 * plane) = turned ? a : d;
    }
  }
}

// Gᵀ du G: the 16 planes at `from` to the gradient of a kernel [3, 3, channels], or on top of it.
FT_VECTORISED void transform_kernel_backward(const float* from, float* to, int64_t plane, int64_t channels, bool add) {
  const auto put = [add](float* place, Lanes value) { *(Lanes*)place = add ? *(const Lanes*)place + value : value; };
  for (int64_t c = 0; c < channels; c += kLanes) {
    Lanes half[3][4];
    for (int x = 0; x < 4; x++) {
      const float* column = from + x * plane + c;
      const Lanes a = *(const Lanes*)(column), b = *(const Lanes*)(column + 4 * plane);
      const Lanes d = *(const Lanes*)(column + 8 * plane), e = *(const Lanes*)(column + 12 * plane);
      half[0][x] = a + (b + d) * 0.5f;
      half[1][x] = (b - d) * 0.5f;
      half[2][x] = (b + d) * 0.5f + e;
    }
    for (int y = 0; y < 3; y++) {
      float* row = to + 3 * y * channels + c;
      put(row, half[y][0] + (half[y][1] + half[y][2]) * 0.5f);
      put(row + channels, (half[y][1] - half[y][2]) * 0.5f);
      put(row + 2 * channels, (half[y][1] + half[y][2]) * 0.5f + half[y][3]);
    }
  }
}

// Memory for 16 planes of so many numbers, a cache line further apart than they need be: what lies a power of two apart shares few
// places of a cache.
class Planes {
 public:
  explicit Planes(int64_t size) : apart(size + kLanes), memory_(at::empty({16 * apart}, at::kFloat)) {}
  float* of(int64_t plane) const { return memory_.mutable_data_ptr<float>() + plane * apart; }
  void operator+=(const Planes& other) { memory_.add_(other.memory_); }
  const int64_t apart;

 private:
  at::Tensor memory_;
};

// Neighbouring tiles of a batch.
struct Chunk {
  int64_t first, tiles;
};

// A batch of images, NHWC, as tiles.
struct Tiling {
  int64_t height, width, rows, columns, count;

  explicit Tiling(const at::Tensor& x)
      : height(x.size(2)), width(x.size(3)), rows((height + 1) / 2), columns((width + 1) / 2), count(x.size(0) * rows * columns) {}

  // Where the `size`×`size` pixels of a tile lie, `edge` before its first output; null outside of the image.
  template <typename Number>
  void pixels(int64_t tile, int64_t size, int64_t edge, Number* image, int64_t channels, Number** to) const {
    const int64_t top = tile / columns % rows * 2 - edge, left = tile % columns * 2 - edge, first = tile / columns / rows * height;
    for (int64_t i = 0; i < size; i++) {
      const int64_t y = top + i;
      for (int64_t j = 0; j < size; j++) {
        const int64_t x = left + j;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        to[i * size + j] = inside ? image + ((first + y) * width + x) * channels : nullptr;
      }
    }
  }

  // Tiles that a thread takes at once, of so many at most: their planes stay in its second cache.
  int64_t chunk_size(int64_t most) const {
    const int64_t threads = at::get_num_threads();
    return std::min(most, (count + threads - 1) / threads);
  }

  int64_t chunks(int64_t size) const { return (count + size - 1) / size; }
  Chunk chunk(int64_t i, int64_t size) const { return {i * size, std::min(size, count - i * size)}; }
};

// What lies outside of an image.
const float* zeros(int64_t channels) {
  static thread_local std::vector<float> numbers;
  if (static_cast<int64_t>(numbers.size()) < channels) numbers.resize(channels, 0.0f);
  return numbers.data();
}

// The inputs of a chunk's tiles to planes [panels, tiles, channels of a panel].
void fill_inputs(const Tiling& tiling, const at::Tensor& x, const Chunk& chunk, int64_t panel, const Planes& planes) {
  const int64_t channels = x.size(1);
  const auto* image = x.const_data_ptr<float>();
  const auto* outside = zeros(channels);
  for (int64_t tile = 0; tile < chunk.tiles; tile++) {
    const float* pixels[16];
    tiling.pixels(chunk.first + tile, 4, 1, image, channels, pixels);
    for (auto& pixel : pixels) pixel = pixel ? pixel : outside;
    for (int64_t c = 0; c < channels; c += panel) {
      const int64_t width = std::min(panel, channels - c);
      const float* some[16];
      for (int i = 0; i < 16; i++) some[i] = pixels[i] + c;
      transform_input(some, planes.of(0) + c * chunk.tiles + tile * width, planes.apart, width);
    }
  }
}

// The outputs' gradients of a chunk's tiles to planes [channels, tiles]: turned, as products with the inputs need them.
void fill_gradients(const Tiling& tiling, const at::Tensor& dy, const Chunk& chunk, const Planes& planes) {
  const int64_t channels = dy.size(1);
  const auto* image = dy.const_data_ptr<float>();
  const auto* outside = zeros(channels);
  alignas(64) float straight[16][kLanes * kLanes];
  for (int64_t tile = 0; tile < chunk.tiles; tile += kLanes) {
    const int64_t some = std::min(kLanes, chunk.tiles - tile);
    const float* pixels[kLanes][4];
    for (int64_t t = 0; t < some; t++) {
      tiling.pixels(chunk.first + tile + t, 2, 0, image, channels, pixels[t]);
      for (auto& pixel : pixels[t]) pixel = pixel ? pixel : outside;
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
      for (int64_t t = 0; t < some; t++) {
        const float* corner[4] = {pixels[t][0] + c, pixels[t][1] + c, pixels[t][2] + c, pixels[t][3] + c};
        transform_output_backward(corner, straight[0] + t * kLanes, kLanes * kLanes, kLanes);
      }
      for (int64_t p = 0; p < 16; p++) {
        transpose(straight[p], kLanes, planes.of(p) + c * chunk.tiles + tile, chunk.tiles, some, kLanes);
      }
    }
  }
}

// Kernels as the right operands of a convolution to `outputs` channels from `first` on: for each panel of them planes [inputs, outputs of the
// panel].
struct Kernels {
  int64_t inputs, first, outputs;
  std::vector<Planes> panels;

  Kernels(int64_t inputs, int64_t first, int64_t outputs) : inputs(inputs), first(first), outputs(outputs) {
    for_panels(outputs, [&](int64_t, int64_t width) { panels.emplace_back(inputs * width); });
  }
};

// Those of weights [O, I, 3, 3], NHWC.
void fill_kernels(const at::Tensor& weight, const Kernels& kernels) {
  const int64_t inputs = kernels.inputs;
  const auto* from = weight.const_data_ptr<float>() + kernels.first * 9 * inputs;
  for_panels(kernels.outputs, [&](int64_t first, int64_t width) {
    const Planes& panel = kernels.panels[first / kPanel];
    at::parallel_for(0, inputs / kLanes, 1, [&](int64_t begin, int64_t end) {
      alignas(64) float turned[9][kLanes * kLanes];
      for (int64_t i = begin * kLanes; i < end * kLanes; i += kLanes) {
        for (int64_t o = 0; o < width; o += kLanes) {
          for (int64_t place = 0; place < 9; place++) {
            transpose_16(from + ((first + o) * 9 + place) * inputs + i, 9 * inputs, turned[place], kLanes);
          }
          for (int64_t row = 0; row < kLanes; row++) {
            transform_kernel(turned[0] + row * kLanes, kLanes * kLanes, panel.of(0) + (i + row) * width + o, panel.apart, kLanes, false);
          }
        }
      }
    });
  });
}

// The same, turned by 180°, with outputs for inputs: the gradient of a convolution's input is the convolution with these.
void fill_turned_kernels(const at::Tensor& weight, const Kernels& kernels) {
  const int64_t channels = weight.size(1);
  const auto* from = weight.const_data_ptr<float>() + kernels.first;
  for_panels(kernels.outputs, [&](int64_t first, int64_t width) {
    const Planes& panel = kernels.panels[first / kPanel];
    at::parallel_for(0, kernels.inputs, kLanes, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) {
        transform_kernel(from + row * 9 * channels + first, channels, panel.of(0) + row * width, panel.apart, width, true);
      }
    });
  });
}

// The convolution of `x` by those of a weight that `fill` makes, to so many channels.
at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, int64_t channels, void (*fill)(const at::Tensor&, const Kernels&)) {
  // Kernels of some outputs at once: of 512 × 512 all would be 17 MB.
  constexpr int64_t kNumbers = 2 << 20;
  const Tiling tiling(x);
  const int64_t inputs = x.size(1), most = tiling.chunk_size(128), block = std::max(kNumbers / (16 * inputs) / kPanel, int64_t{1}) * kPanel;
  auto y = at::empty({x.size(0), channels, tiling.height, tiling.width}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  auto* image = y.mutable_data_ptr<float>();
  for (int64_t start = 0; start < channels; start += block) {
    const Kernels kernels(inputs, start, std::min(block, channels - start));
    fill(weight, kernels);
    at::parallel_for(0, tiling.chunks(most), 1, [&](int64_t begin, int64_t end) {
      const Planes from(most * inputs), to(most * std::min(kPanel, kernels.outputs));
      for (int64_t i = begin; i < end; i++) {
        const Chunk chunk = tiling.chunk(i, most);
        const int64_t tiles = chunk.tiles;
        fill_inputs(tiling, x, chunk, inputs, from);
        for_panels(kernels.outputs, [&](int64_t first, int64_t width) {
          const Planes& panel = kernels.panels[first / kPanel];
          for (int64_t p = 0; p < 16; p++) brgemm(tiles, width, inputs, inputs, width, width, false, from.of(p), panel.of(p), to.of(p));
          for (int64_t tile = 0; tile < tiles; tile++) {
            float* pixels[4];
            tiling.pixels(chunk.first + tile, 2, 0, image + start + first, channels, pixels);
            transform_output(to.of(0) + tile * width, pixels, to.apart, width);
          }
        });
      }
      brgemm_release();
    });
  }
  return y;
}

// Tiles of a chunk whose products are summed.
constexpr int64_t kSummed = 64;

// With few channels, every thread has tiles and sums [outputs, inputs] of its own, which stay in its cache.
void gradient_of_few(const Tiling& tiling, const at::Tensor& x, const at::Tensor& dy, float* weights) {
  const int64_t inputs = x.size(1), outputs = dy.size(1), most = tiling.chunk_size(kSummed);
  const Planes sums = sum_of_threads(tiling.chunks(most), [&](int64_t begin, int64_t end) {
    const Planes from(most * inputs), to(most * outputs), sums(outputs * inputs);
    for (int64_t i = begin; i < end; i++) {
      const Chunk chunk = tiling.chunk(i, most);
      const int64_t tiles = chunk.tiles;
      fill_inputs(tiling, x, chunk, kPanel, from);
      fill_gradients(tiling, dy, chunk, to);
      for_panels(inputs, [&](int64_t input, int64_t width) {
        for (int64_t p = 0; p < 16; p++) {
          brgemm(outputs, width, tiles, tiles, width, inputs, i > begin, to.of(p), from.of(p) + input * tiles, sums.of(p) + input);
        }
      });
    }
    brgemm_release();
    return sums;
  });
  at::parallel_for(0, outputs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) {
      transform_kernel_backward(sums.of(0) + o * inputs, weights + o * 9 * inputs, sums.apart, inputs, false);
    }
  });
}

// With many channels, the threads share the planes of several chunks, and each takes the sums of some outputs.
void gradient_of_many(const Tiling& tiling, const at::Tensor& x, const at::Tensor& dy, float* weights) {
  constexpr int64_t kNumbers = 4 << 20, kRows = 64;
  const int64_t inputs = x.size(1), outputs = dy.size(1), size = tiling.chunk_size(kSummed), chunks = tiling.chunks(size);
  const int64_t group = std::clamp<int64_t>(kNumbers / (16 * size * (inputs + outputs)), 1, chunks);
  std::vector<Planes> from, to;
  for (int64_t i = 0; i < group; i++) {
    from.emplace_back(size * inputs);
    to.emplace_back(size * outputs);
  }
  for (int64_t first = 0; first < chunks; first += group) {
    const auto chunk = [&](int64_t i) { return tiling.chunk(first + i, size); };
    const int64_t some = std::min(group, chunks - first);
    at::parallel_for(0, some, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        fill_inputs(tiling, x, chunk(i), kPanel, from[i]);
        fill_gradients(tiling, dy, chunk(i), to[i]);
      }
    });
    at::parallel_for(0, (outputs + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end) {
      const Planes sums(kRows * inputs);
      for (int64_t output = begin * kRows; output < std::min(end * kRows, outputs); output += kRows) {
        const int64_t rows = std::min(kRows, outputs - output);
        for (int64_t p = 0; p < 16; p++) {
          for_panels(inputs, [&](int64_t input, int64_t width) {
            for (int64_t i = 0; i < some; i++) {
              const int64_t tiles = chunk(i).tiles;
              brgemm(rows, width, tiles, tiles, width, inputs, i > 0, to[i].of(p) + output * tiles, from[i].of(p) + input * tiles, sums.of(p) + input);
            }
          });
        }
        for (int64_t row = 0; row < rows; row++) {
          transform_kernel_backward(sums.of(0) + row * inputs, weights + (output + row) * 9 * inputs, sums.apart, inputs, first > 0);
        }
      }
      brgemm_release();
    });
  }
}

// The gradient of the kernels [O, I, 3, 3], NHWC.
at::Tensor kernel_gradient(const at::Tensor& x, const at::Tensor& dy) {
  constexpr int64_t kFew = 128 * 128;
  auto gradient = at::empty({dy.size(1), x.size(1), 3, 3}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const auto run = dy.size(1) * x.size(1) <= kFew ? gradient_of_few : gradient_of_many;
  run(Tiling(x), x, dy, gradient.mutable_data_ptr<float>());
  return gradient;
}

struct Convolution : torch::autograd::Function<Convolution> {
  // x [B, I, H, W], weight [O, I, 3, 3], both NHWC → [B, O, H, W], NHWC
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return convolve(x, weight, weight.size(0), fill_kernels);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto dy = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx, dw;
    if (context->needs_input_grad(0)) dx = convolve(dy, saved[1], saved[1].size(1), fill_turned_kernels);
    if (context->needs_input_grad(1)) dw = kernel_gradient(saved[0], dy);
    return {dx, dw};
  }
};

// Whether the convolution can and should go this way. Depends on nothing but types, sizes and layouts.
bool fits(const at::Tensor& x, const at::Tensor& weight) {
  const auto plain = [](const at::Tensor& one) {
    return one.device().is_cpu() && one.scalar_type() == at::kFloat && one.layout() == at::kStrided && one.dim() == 4 &&
           one.numel() > 0 && one.is_contiguous(at::MemoryFormat::ChannelsLast);
  };
  return plain(x) && plain(weight) && weight.size(2) == 3 && weight.size(3) == 3 && x.size(1) == weight.size(1) &&
         weight.size(0) % kLanes == 0 && weight.size(1) % kLanes == 0 && weight.size(0) >= 32 && weight.size(1) >= 32 &&
         x.size(2) > 1 && x.size(3) > 1 && may_stand_in() && onednn_has_avx512();
}

}  // namespace

int ft_conv3x3(ft_tensor input, ft_tensor weight, ft_tensor* output) {
  return guarded([&] {
    const auto &x = tensor(input), &w = tensor(weight);
    *output = new at::Tensor(fits(x, w) ? Convolution::apply(x, w) : at::conv2d(x, w, {}, 1, 1));
  });
}
