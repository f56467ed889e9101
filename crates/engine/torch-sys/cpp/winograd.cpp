// Convolution by 3×3 kernels of stride 1 and padding 1 with Winograd's F(2×2, 3×3) (Lavin and Gray 2016, arXiv:1509.09308), forward
// and both gradients, in f32 and NHWC. Four outputs cost 16 multiplications in place of 36; the transforms before and behind
// only add and halve, so little is lost to rounding (bench/NOTES.md). oneDNN's own convolutions already run at the speed of the
// multipliers: only fewer multiplications make it faster.
//
// A tile is 2×2 outputs and the 4×4 inputs that they see. Of a chunk of tiles, each of the 16 values goes to a plane of its own,
// [16, tiles, channels], and each plane is one matrix product. A chunk is small enough to stay in the cache.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "onednn.h"
#include "vector_math.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Channels that are computed at once.
constexpr int64_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));

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

// Gᵀ du G: the 16 planes at `from` to the gradient of a kernel [3, 3, channels].
FT_VECTORISED void transform_kernel_backward(const float* from, float* to, int64_t plane, int64_t channels) {
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
      *(Lanes*)(row) = half[y][0] + (half[y][1] + half[y][2]) * 0.5f;
      *(Lanes*)(row + channels) = (half[y][1] - half[y][2]) * 0.5f;
      *(Lanes*)(row + 2 * channels) = (half[y][1] + half[y][2]) * 0.5f + half[y][3];
    }
  }
}

// Some of an image's channels.
struct Channels {
  int64_t first, count;
};

// Kernels are taken by so many output channels at once: all 16 planes of 512 × 512 would be 17 MB.
constexpr int64_t kOutputs = 128;

template <typename Body>
void for_outputs(int64_t outputs, const Body& body) {
  for (int64_t first = 0; first < outputs; first += kOutputs) body(Channels{first, std::min(kOutputs, outputs - first)});
}

// A batch of images, NHWC, as tiles.
struct Tiling {
  int64_t height, width, rows, columns, count;

  explicit Tiling(const at::Tensor& x)
      : height(x.size(2)), width(x.size(3)), rows((height + 1) / 2), columns((width + 1) / 2), count(x.size(0) * rows * columns) {}

  // Where the pixel (y, x) relative to the tile's first output lies, in pixels, or -1 outside of the image.
  int64_t pixel(int64_t tile, int64_t y, int64_t x) const {
    y += tile / columns % rows * 2;
    x += tile % columns * 2;
    if (y < 0 || y >= height || x < 0 || x >= width) return -1;
    return (tile / columns / rows * height + y) * width + x;
  }
};

// Tiles of a chunk whose planes, of so many channels in all, take 4 MiB.
int64_t tiles_a_chunk(int64_t channels, int64_t count) {
  constexpr int64_t kBytes = 4 << 20;
  return std::min(count, std::max<int64_t>(kBytes / (16 * channels * static_cast<int64_t>(sizeof(float))), 64));
}

constexpr int64_t kTilesAThread = 16;

// The planes of the inputs (`size` 4, one pixel around) or of the outputs' gradients (`size` 2) of tiles from `first` on.
void fill_planes(const Tiling& tiling, const at::Tensor& images, Channels some, int64_t size, int64_t first, const at::Tensor& planes) {
  const int64_t channels = some.count, stride = images.size(1), plane = planes.size(1) * channels, edge = size == 4 ? -1 : 0;
  const std::vector<float> outside(channels, 0.0f);
  const auto* image = images.const_data_ptr<float>() + some.first;
  auto* to = planes.mutable_data_ptr<float>();
  at::parallel_for(0, planes.size(1), kTilesAThread, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile++) {
      const float* pixels[16];
      for (int64_t i = 0; i < size * size; i++) {
        const int64_t pixel = tiling.pixel(first + tile, i / size + edge, i % size + edge);
        pixels[i] = pixel < 0 ? outside.data() : image + pixel * stride;
      }
      if (size == 4) {
        transform_input(pixels, to + tile * channels, plane, channels);
      } else {
        transform_output_backward(pixels, to + tile * channels, plane, channels);
      }
    }
  });
}

// Memory for the 16 planes of a chunk of tiles.
at::Tensor planes_of(const at::Tensor& like, int64_t tiles, int64_t channels) {
  return at::empty({16, tiles, channels}, like.options().memory_format(at::MemoryFormat::Contiguous));
}

// Calls `body(first tile, from, to)` for chunks of tiles, with memory for their planes [16, tiles, channels].
template <typename Body>
void for_chunks(const Tiling& tiling, const at::Tensor& like, int64_t inputs, int64_t outputs, const Body& body) {
  const int64_t chunk = tiles_a_chunk(inputs + outputs, tiling.count);
  auto from = planes_of(like, chunk, inputs), to = planes_of(like, chunk, outputs);
  for (int64_t first = 0; first < tiling.count; first += chunk) {
    const int64_t count = std::min(chunk, tiling.count - first);
    if (count < chunk) {
      from = planes_of(like, count, inputs);
      to = planes_of(like, count, outputs);
    }
    body(first, from, to);
  }
}

// Kernels [O, I, 3, 3], NHWC, those of some outputs, as planes [16, some, I].
at::Tensor kernel_planes(const at::Tensor& weight, Channels some) {
  const int64_t inputs = weight.size(1);
  auto planes = planes_of(weight, some.count, inputs);
  const auto* from = weight.const_data_ptr<float>() + some.first * 9 * inputs;
  auto* to = planes.mutable_data_ptr<float>();
  at::parallel_for(0, some.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) transform_kernel(from + o * 9 * inputs, inputs, to + o * inputs, some.count * inputs, inputs, false);
  });
  return planes;
}

// The same, turned by 180°, and those of some inputs: planes [16, O, some].
at::Tensor turned_kernel_planes(const at::Tensor& weight, Channels some) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  auto planes = planes_of(weight, outputs, some.count);
  const auto* from = weight.const_data_ptr<float>() + some.first;
  auto* to = planes.mutable_data_ptr<float>();
  at::parallel_for(0, outputs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) {
      transform_kernel(from + o * 9 * inputs, inputs, to + o * some.count, outputs * some.count, some.count, true);
    }
  });
  return planes;
}

// The convolution of `x`; `kernels(some)` gives the planes [16, channels of x, some] of some of the `outputs`.
template <typename Kernels>
at::Tensor convolve(const at::Tensor& x, int64_t outputs, const Kernels& kernels) {
  const Tiling tiling(x);
  const int64_t inputs = x.size(1);
  auto y = at::empty({x.size(0), outputs, tiling.height, tiling.width}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  for_outputs(outputs, [&](Channels some) {
    const at::Tensor kernel = kernels(some);
    auto* image = y.mutable_data_ptr<float>() + some.first;
    for_chunks(tiling, x, inputs, some.count, [&](int64_t first, const at::Tensor& from, const at::Tensor& to) {
      fill_planes(tiling, x, {0, inputs}, 4, first, from);
      at::native::mkldnn_matmul(from, kernel, to, 0, 1);
      const auto* planes = to.const_data_ptr<float>();
      const int64_t plane = to.size(1) * some.count;
      at::parallel_for(0, to.size(1), kTilesAThread, [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; tile++) {
          float* pixels[4];
          for (int64_t i = 0; i < 4; i++) {
            const int64_t pixel = tiling.pixel(first + tile, i / 2, i % 2);
            pixels[i] = pixel < 0 ? nullptr : image + pixel * outputs;
          }
          transform_output(planes + tile * some.count, pixels, plane, some.count);
        }
      });
    });
  });
  return y;
}

// The gradient of the kernels [O, I, 3, 3], NHWC.
at::Tensor kernel_gradient(const at::Tensor& x, const at::Tensor& dy) {
  const Tiling tiling(x);
  const int64_t inputs = x.size(1), outputs = dy.size(1);
  auto gradient = at::empty({outputs, inputs, 3, 3}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  for_outputs(outputs, [&](Channels some) {
    auto sums = planes_of(x, some.count, inputs);
    for_chunks(tiling, x, inputs, some.count, [&](int64_t first, const at::Tensor& from, const at::Tensor& to) {
      fill_planes(tiling, x, {0, inputs}, 4, first, from);
      fill_planes(tiling, dy, some, 2, first, to);
      at::native::mkldnn_matmul(to.transpose(1, 2), from, sums, first > 0 ? 1 : 0, 1);
    });
    const auto* planes = sums.const_data_ptr<float>();
    auto* weights = gradient.mutable_data_ptr<float>() + some.first * 9 * inputs;
    at::parallel_for(0, some.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; o++) {
        transform_kernel_backward(planes + o * inputs, weights + o * 9 * inputs, some.count * inputs, inputs);
      }
    });
  });
  return gradient;
}

struct Convolution : torch::autograd::Function<Convolution> {
  // x [B, I, H, W], weight [O, I, 3, 3], both NHWC → [B, O, H, W], NHWC
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return convolve(x, weight.size(0), [&](Channels some) { return kernel_planes(weight, some).transpose(1, 2); });
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto dy = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    // The gradient of the input is the convolution with the kernels turned by 180°.
    at::Tensor dx, dw;
    if (context->needs_input_grad(0)) {
      dx = convolve(dy, saved[0].size(1), [&](Channels some) { return turned_kernel_planes(saved[1], some); });
    }
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
         x.size(2) > 1 && x.size(3) > 1 && !at::autocast::is_autocast_enabled(at::kCPU) && onednn_wins();
}

}  // namespace

int ft_conv3x3(ft_tensor input, ft_tensor weight, ft_tensor* output) {
  return guarded([&] {
    const auto &x = tensor(input), &w = tensor(weight);
    *output = new at::Tensor(fits(x, w) ? Convolution::apply(x, w) : at::conv2d(x, w, {}, 1, 1));
  });
}
