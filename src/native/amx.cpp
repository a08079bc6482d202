// The weight gradient of a convolution on the tile unit (AMX) of Intel server CPUs, in bf16 with sums in f32.
//
// libtorch's implementation takes three times as long as its forward pass, which has the same number of
// multiplications. Here the gradient of each tap of the kernel is a product of two matrices, (output channels x
// positions) times (positions x input channels), summed over images. The matrices are prepared for a few images at a
// time, so that they stay in the core's cache, and are used for all taps:
//
//   a     the gradient of the output, transposed: for each output channel its positions, in rows as wide as the padded
//         input, so that each tap is a fixed offset between output and input positions; the rest of a row is zero.
//   even  the padded input with positions 2j and 2j+1 interleaved, as the tile unit requires for its second operand.
//   odd   the same for positions 2j+1 and 2j+2, for taps with an odd offset.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxbf16intrin.h>)
#define EPOCHTOP_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern "C" {

// Mirrored in native/amx.rs.
struct EpochtopConvolution {
  size_t height, width, inputs, outputs, kernel, padding;
};

int epochtop_amx_available();
size_t epochtop_amx_scratch(const EpochtopConvolution*);
void epochtop_amx_weight_gradient(const EpochtopConvolution*, size_t images, const uint16_t* input,
                                  const uint16_t* gradient, float* sums, uint16_t* scratch);
}

#ifdef EPOCHTOP_AMX

namespace {

constexpr size_t GROUP = 8;    // images prepared together
constexpr size_t TILE = 16;    // channels per tile
constexpr size_t DEPTH = 32;   // positions per tile

// Buffer sizes and strides for a convolution with stride 1.
struct Layout {
  size_t height, width, inputs, outputs, kernel, padding;
  size_t out_height, out_width, row, positions, pairs;

  explicit Layout(const EpochtopConvolution& c)
      : height(c.height), width(c.width), inputs(c.inputs), outputs(c.outputs), kernel(c.kernel), padding(c.padding),
        out_height(c.height + 2 * c.padding + 1 - c.kernel), out_width(c.width + 2 * c.padding + 1 - c.kernel),
        row(c.width + 2 * c.padding), positions((out_height * row + DEPTH - 1) / DEPTH * DEPTH),
        pairs((positions + (c.kernel - 1) * (row + 1)) / 2 + 1) {}

  size_t a() const { return outputs * positions; }
  size_t b() const { return pairs * inputs * 2; }
  size_t offset(size_t tap) const { return tap / kernel * row + tap % kernel; }
};

struct Buffers {
  uint16_t *a, *even, *odd, *zeros;

  Buffers(const Layout& l, uint16_t* scratch)
      : a(scratch), even(a + GROUP * l.a()), odd(even + GROUP * l.b()), zeros(odd + GROUP * l.b()) {}
};

// Prepares the matrices of one image.
__attribute__((target("avx512f,avx512bw,avx512vl"))) void lay_out(const Layout& l, const uint16_t* input,
                                                                  const uint16_t* gradient, const Buffers& to,
                                                                  size_t place) {
  uint16_t* a = to.a + place * l.a();
  std::memset(a, 0, l.a() * sizeof(uint16_t));
  for (size_t y = 0; y < l.out_height; ++y)
    for (size_t x = 0; x < l.out_width; ++x) {
      const uint16_t* from = gradient + (y * l.out_width + x) * l.outputs;
      uint16_t* column = a + y * l.row + x;
      for (size_t o = 0; o < l.outputs; ++o) column[o * l.positions] = from[o];
    }
  // Positions in the padding and beyond the end of the input are zero.
  const auto position = [&](size_t p) {
    // In the padding these wrap around to large values.
    const size_t y = p / l.row - l.padding, x = p % l.row - l.padding;
    return y < l.height && x < l.width ? input + (y * l.width + x) * l.inputs : to.zeros;
  };
  uint16_t *even = to.even + place * l.b(), *odd = to.odd + place * l.b();
  const uint16_t* first = position(0);
  for (size_t j = 0; j < l.pairs; ++j) {
    const uint16_t *second = position(2 * j + 1), *third = position(2 * j + 2);
    for (size_t c = 0; c < l.inputs; ++c) {
      even[2 * c] = first[c];
      even[2 * c + 1] = second[c];
      odd[2 * c] = second[c];
      odd[2 * c + 1] = third[c];
    }
    first = third;
    even += 2 * l.inputs;
    odd += 2 * l.inputs;
  }
}

// Computes M by N tiles of the sums of one tap: output channels from `o`, input channels from `c`.
template <int M, int N>
__attribute__((target("amx-tile,amx-bf16"))) void tiles(const Layout& l, const Buffers& from, size_t images, size_t tap,
                                                        size_t o, size_t c, float* sums) {
  const size_t offset = l.offset(tap);
  const size_t sum_row = l.inputs * sizeof(float), a_row = l.positions * sizeof(uint16_t), b_row = l.inputs * 4;
  float* sum = sums + (tap * l.outputs + o) * l.inputs + c;
  _tile_loadd(0, sum, sum_row);
  if constexpr (N == 2) _tile_loadd(1, sum + TILE, sum_row);
  if constexpr (M == 2) _tile_loadd(2, sum + TILE * l.inputs, sum_row);
  if constexpr (M == 2 && N == 2) _tile_loadd(3, sum + TILE * l.inputs + TILE, sum_row);
  for (size_t image = 0; image < images; ++image) {
    const uint16_t* a = from.a + image * l.a() + o * l.positions;
    const uint16_t* b = (offset % 2 == 0 ? from.even : from.odd) + image * l.b() + (offset / 2 * l.inputs + c) * 2;
    for (size_t k = 0; k < l.positions; k += DEPTH, b += DEPTH * l.inputs) {
      _tile_loadd(4, a + k, a_row);
      _tile_loadd(6, b, b_row);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (N == 2) {
        _tile_loadd(7, b + 2 * TILE, b_row);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (M == 2) {
        _tile_loadd(5, a + TILE * l.positions + k, a_row);
        _tile_dpbf16ps(2, 5, 6);
      }
      if constexpr (M == 2 && N == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sum, sum_row);
  if constexpr (N == 2) _tile_stored(1, sum + TILE, sum_row);
  if constexpr (M == 2) _tile_stored(2, sum + TILE * l.inputs, sum_row);
  if constexpr (M == 2 && N == 2) _tile_stored(3, sum + TILE * l.inputs + TILE, sum_row);
}

// A compiler barrier. Compilers do not know that tile instructions access memory, so earlier stores must be forced.
inline void memory_barrier() { __asm__ volatile("" ::: "memory"); }

struct alignas(64) Configuration {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

__attribute__((target("amx-tile"))) void configure() {
  Configuration configuration;
  for (int tile = 0; tile < 8; ++tile) {
    configuration.row_bytes[tile] = 64;
    configuration.rows[tile] = 16;
  }
  __asm__ volatile("" : : "r"(&configuration) : "memory");
  _tile_loadconfig(&configuration);
}

__attribute__((target("amx-tile"))) void release() { _tile_release(); }

void all_tiles(const Layout& l, const Buffers& from, size_t images, float* sums) {
  for (size_t tap = 0; tap < l.kernel * l.kernel; ++tap)
    for (size_t o = 0; o < l.outputs; o += 2 * TILE)
      for (size_t c = 0; c < l.inputs; c += 2 * TILE) {
        const bool tall = o + TILE < l.outputs, wide = c + TILE < l.inputs;
        const auto body = tall ? (wide ? tiles<2, 2> : tiles<2, 1>) : (wide ? tiles<1, 2> : tiles<1, 1>);
        body(l, from, images, tap, o, c, sums);
      }
}

}  // namespace

// Whether this CPU has AMX and the operating system grants this process the permission to use it, which must be
// requested.
int epochtop_amx_available() {
  constexpr long REQUEST = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 7, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  const bool bf16 = d >> 22 & 1, tile = d >> 24 & 1, words = b >> 30 & 1;  // AMX-BF16, AMX-TILE, AVX512BW
  return bf16 && tile && words && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

// Number of 16-bit elements that the function below needs as scratch; they must be zero before its first call.
size_t epochtop_amx_scratch(const EpochtopConvolution* convolution) {
  const Layout l(*convolution);
  return GROUP * (l.a() + 2 * l.b()) + l.inputs;
}

// Adds the weight gradient of these images to `sums` (kernel, kernel, outputs, inputs).
void epochtop_amx_weight_gradient(const EpochtopConvolution* convolution, size_t images, const uint16_t* input,
                                  const uint16_t* gradient, float* sums, uint16_t* scratch) {
  const Layout l(*convolution);
  const Buffers buffers(l, scratch);
  configure();
  for (size_t first = 0; first < images; first += GROUP) {
    const size_t count = std::min(GROUP, images - first);
    for (size_t i = 0; i < count; ++i)
      lay_out(l, input + (first + i) * l.height * l.width * l.inputs,
              gradient + (first + i) * l.out_height * l.out_width * l.outputs, buffers, i);
    memory_barrier();
    all_tiles(l, buffers, count, sums);
    memory_barrier();
  }
  release();
}

#else

int epochtop_amx_available() { return 0; }
size_t epochtop_amx_scratch(const EpochtopConvolution*) { return 0; }
void epochtop_amx_weight_gradient(const EpochtopConvolution*, size_t, const uint16_t*, const uint16_t*, float*,
                                  uint16_t*) {}

#endif
