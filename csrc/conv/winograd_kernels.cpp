// 3 x 3 convolutions of stride 1 by Winograd's F(4 x 4, 3 x 3), and their weight gradients,
// float32.
//
// A tile of 4 x 4 results needs 6 x 6 source pixels d and the 3 x 3 weights w:
//     y = A^T [ sum over channels of (G w G^T) * (B^T d B) ] A        (* element by element)
// which takes 36 multiplications a pair of channels instead of 144. The 36 elements are 36 matrix
// products, (tiles, C) by (C, O). The gradient of w is the transposed map:
//     gw = G^T [ sum over tiles of (A gy A^T) * (B^T d B) ] G
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
//
// A chunk is some rows of tiles, so few that their transforms stay in the second-level cache. All
// transforms work on vectors of channels, on windows with the channels last.
// The price: rounding errors a few times those of the direct sum (still far below eps * terms), and
// a NaN or an infinity reaches all 16 results of a tile that it touches.
#include "conv/winograd.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kTile = 4, kReach = 6, kElements = kReach * kReach;
constexpr int64_t kTilesOfChunk = 56;  // about: whole rows of tiles
constexpr int64_t kSumBytes = 8 << 20; // for the sums of the parts of a weight gradient
constexpr int64_t kMostParts = 16;

using V = Vec<float>;
constexpr int64_t kLane = kLanes<float>;

constexpr int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
constexpr int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}
constexpr int64_t whole_vectors(int64_t n) {
    return ceil_div(n, kLane) * kLane;
}

// -- one-dimensional transforms
// -------------------------------------------------------------------- B^T d: 6 to 6.
FASTNN_INLINE void input_transform(const V (&d)[6], V (&t)[6]) {
    const V even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    const V near = d[4] - d[2], far = 2 * (d[3] - d[1]);
    t[0] = 4 * d[0] - 5 * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = near + far;
    t[4] = near - far;
    t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// A^T m: 6 to 4.
FASTNN_INLINE void output_transform(const V (&m)[6], V (&y)[4]) {
    const V s1 = m[1] + m[2], d1 = m[1] - m[2];
    const V s2 = m[3] + m[4], d2 = m[3] - m[4];
    y[0] = m[0] + s1 + s2;
    y[1] = d1 + 2 * d2;
    y[2] = s1 + 4 * s2;
    y[3] = d1 + 8 * d2 + m[5];
}

// A g: 4 to 6, the transpose of output_transform.
FASTNN_INLINE void output_transposed(const V (&g)[4], V (&t)[6]) {
    const V even = g[0] + g[2], odd = g[1] + g[3];
    const V even2 = g[0] + 4 * g[2], odd2 = 2 * g[1] + 8 * g[3];
    t[0] = g[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even2 + odd2;
    t[4] = even2 - odd2;
    t[5] = g[3];
}

// G w: 3 to 6.
FASTNN_INLINE void weight_transform(const V (&w)[3], V (&t)[6]) {
    const V even = (w[0] + w[2]) * (-1.0f / 6), odd = w[1] * (1.0f / 6);
    const V even2 = w[0] * (1.0f / 24) + w[2] * (1.0f / 6), odd2 = w[1] * (1.0f / 12);
    t[0] = w[0] * 0.25f;
    t[1] = even - odd;
    t[2] = even + odd;
    t[3] = even2 + odd2;
    t[4] = even2 - odd2;
    t[5] = w[2];
}

// G^T s: 6 to 3, its transpose.
FASTNN_INLINE void weight_transposed(const V (&s)[6], V (&w)[3]) {
    const V sum1 = s[1] + s[2], sum2 = s[3] + s[4];
    w[0] = s[0] * 0.25f - sum1 * (1.0f / 6) + sum2 * (1.0f / 24);
    w[1] = (s[2] - s[1]) * (1.0f / 6) + (s[3] - s[4]) * (1.0f / 12);
    w[2] = (sum2 - sum1) * (1.0f / 6) + s[5];
}

// Both dimensions: `apply` first down the columns, then along the rows. read(i, j), write(i, j, v).
template <int From, int To, class Apply, class Read, class Write>
FASTNN_INLINE void transform(const Apply& apply, const Read& read, const Write& write) {
    V half[To][From];
#pragma GCC unroll 6
    for (int j = 0; j < From; ++j) {
        V column[From], t[To];
#pragma GCC unroll 6
        for (int i = 0; i < From; ++i)
            column[i] = read(i, j);
        apply(column, t);
#pragma GCC unroll 6
        for (int i = 0; i < To; ++i)
            half[i][j] = t[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < To; ++i) {
        V t[To];
        apply(half[i], t);
#pragma GCC unroll 6
        for (int j = 0; j < To; ++j)
            write(i, j, t[j]);
    }
}

// -- the parts of both algorithms
// ------------------------------------------------------------------- Rows of tiles, of all images
// one after the other.
struct Tiles {
    int64_t y, x;       // in an image
    int64_t rows;       // of tiles, in all
    int64_t chunk_rows; // in a chunk

    Tiles(int64_t n, int64_t h, int64_t w)
        : y(ceil_div(h, kTile)), x(ceil_div(w, kTile)), rows(n * y),
          chunk_rows(max64(1, kTilesOfChunk / x)) {}
    int64_t most() const { return chunk_rows * x; }
    int64_t source_width() const { return x * kTile + kReach - kTile; }
};

// The transforms of the source under a chunk: [element][tile][channel], channels to whole vectors.
void transform_source(const Image<const float>& source, int64_t dy, int64_t dx, const Tiles& tiles,
                      int64_t row_begin, int64_t row_end, float* window, float* to) {
    const int64_t pitch = whole_vectors(source.c);
    const int64_t element = tiles.most() * pitch;
    const int64_t width = tiles.source_width();
    for (int64_t row = row_begin; row < row_end; ++row) {
        copy_window(window, source, row / tiles.y, 0, source.c,
                    Window{row % tiles.y * kTile + dy, dx, kReach, width, pitch});
        for (int64_t tile = 0; tile < tiles.x; ++tile, to += pitch)
            for (int64_t c = 0; c < pitch; c += kLane) {
                const float* from = window + tile * kTile * pitch + c;
                transform<6, 6>([](const V(&d)[6], V(&t)[6])
                                    __attribute__((always_inline)) { input_transform(d, t); },
                                [&](int i, int j) __attribute__((always_inline)) {
                                    return load(from + (i * width + j) * pitch);
                                },
                                [&](int i, int j, V v) __attribute__((always_inline)) {
                                    store(to + (i * 6 + j) * element + c, v);
                                });
            }
    }
}

// -- convolution --------------------------------------------------------------------------------
// [element][panel][c][channels of the panel]
void transform_weights(const TapConv<float>& conv, int64_t panels, float* to) {
    const int64_t in = conv.source.c, out = conv.dest.c;
    const int64_t panel_size = in * kTileColumns<float>;
    parallel_range(panels * in, max64(1, 256), [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t panel = item / in, c = item % in;
            const int64_t o0 = panel * kTileColumns<float>;
            const int64_t width = min64(kTileColumns<float>, whole_vectors(out - o0));
            for (int64_t o = o0; o < o0 + width; o += kLane) {
                const int64_t count = min64(kLane, out - o);
                const float* weight = conv.weight + o * conv.weight_o + c * conv.weight_c;
                float* target = to + panel * panel_size + c * width + (o - o0);
                transform<3, 6>([](const V(&w)[3], V(&t)[6])
                                    __attribute__((always_inline)) { weight_transform(w, t); },
                                [&](int i, int j) __attribute__((always_inline)) {
                                    const float* tap = weight + conv.weight_y[i] + conv.weight_x[j];
                                    V v = {};
                                    for (int64_t lane = 0; lane < count; ++lane)
                                        v[lane] = tap[lane * conv.weight_o];
                                    return v;
                                },
                                [&](int i, int j, V v) __attribute__((always_inline)) {
                                    store(target + (i * 6 + j) * panels * panel_size, v);
                                });
            }
        }
    });
}

// Results of one row of tiles, from [element][tile][o] to [4][the columns that exist][o].
void transform_results(const TapConv<float>& conv, const float* products, int64_t element,
                       int64_t tiles_x, float* to) {
    const int64_t out = conv.dest.c, pitch = whole_vectors(out);
    const int64_t width = conv.dest.w;
    const V least = broadcast(conv.relu ? 0.0f : -__builtin_inff());
    for (int64_t tile = 0; tile < tiles_x; ++tile)
        for (int64_t o = 0; o < pitch; o += kLane) {
            const int64_t columns = width - tile * kTile;
            const float* from = products + tile * pitch + o;
            float* target = to + tile * kTile * pitch + o;
            const V bias = conv.bias ? load_partial(conv.bias + o, min64(kLane, out - o)) : V{};
            V half[4][6];
#pragma GCC unroll 6
            for (int j = 0; j < 6; ++j) {
                V column[6], t[4];
#pragma GCC unroll 6
                for (int i = 0; i < 6; ++i)
                    column[i] = load(from + (i * 6 + j) * element);
                output_transform(column, t);
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i)
                    half[i][j] = t[i];
            }
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
                V t[4];
                output_transform(half[i], t);
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j)
                    if (j < columns)
                        store(target + (i * width + j) * pitch, max(least, t[j] + bias));
            }
        }
}

void convolve(const TapConv<float>& conv) {
    const Image<float>& d = conv.dest;
    const int64_t in = conv.source.c, in_pitch = whole_vectors(in);
    const int64_t out = d.c, out_pitch = whole_vectors(out);
    const int64_t panels = ceil_div(out, kTileColumns<float>);
    const Tiles tiles(d.n, d.h, d.w);
    const Scratch weights(static_cast<size_t>(kElements * panels * in * kTileColumns<float>) *
                          sizeof(float));
    transform_weights(conv, panels, weights.as<float>());

    const int64_t most = tiles.most();
    parallel_range(tiles.rows, tiles.chunk_rows, [&](int64_t begin, int64_t end) {
        const int64_t count = (end - begin) * tiles.x;
        const Scratch window(static_cast<size_t>(kReach * tiles.source_width() * in_pitch) *
                             sizeof(float));
        const Scratch sources(static_cast<size_t>(kElements * most * in_pitch) * sizeof(float));
        const Scratch products(static_cast<size_t>(kElements * most * out_pitch) * sizeof(float));
        const Scratch results(static_cast<size_t>(kTile * d.w * out_pitch) * sizeof(float));
        transform_source(conv.source, conv.dy[0], conv.dx[0], tiles, begin, end, window.as<float>(),
                         sources.as<float>());
        const int64_t groups = ceil_div(count, kTileRows);
        TileIn<float> a{};
        a.k = in;
        a.a_row = in_pitch;
        a.a_col = 1;
        for (int64_t element = 0; element < kElements; ++element)
            for (int64_t panel = 0; panel < panels; ++panel) {
                const int64_t o = panel * kTileColumns<float>;
                const int64_t width = min64(kTileColumns<float>, out_pitch - o);
                a.b = weights.as<float>() + (element * panels + panel) * in * kTileColumns<float>;
                a.b_row = width;
                for (int64_t group = 0; group < groups; ++group) {
                    const int64_t tile = group * count / groups;
                    const int64_t rows = (group + 1) * count / groups - tile;
                    a.a = sources.as<float>() + (element * most + tile) * in_pitch;
                    const TileOut<float> to = {products.as<float>() +
                                                   (element * most + tile) * out_pitch + o,
                                               out_pitch,
                                               1,
                                               width,
                                               nullptr,
                                               nullptr,
                                               false,
                                               false};
                    micro_kernels<float>().of[rows - 1][width > kLane ? 1 : 0](a, to);
                }
            }
        for (int64_t row = begin; row < end; ++row) {
            transform_results(conv, products.as<float>() + (row - begin) * tiles.x * out_pitch,
                              most * out_pitch, tiles.x, results.as<float>());
            const int64_t y = row % tiles.y * kTile;
            write_window(d, row / tiles.y, results.as<float>(),
                         Window{y, 0, min64(kTile, d.h - y), d.w, out_pitch});
        }
    });
}

// -- weight gradient
// -------------------------------------------------------------------------------- The transforms
// of g over a chunk: [element][tile][o].
void transform_gradient(const Image<const float>& g, const Tiles& tiles, int64_t row_begin,
                        int64_t row_end, float* window, float* to) {
    const int64_t pitch = whole_vectors(g.c);
    const int64_t element = tiles.most() * pitch;
    const int64_t width = tiles.x * kTile;
    for (int64_t row = row_begin; row < row_end; ++row) {
        copy_window(window, g, row / tiles.y, 0, g.c,
                    Window{row % tiles.y * kTile, 0, kTile, width, pitch});
        for (int64_t tile = 0; tile < tiles.x; ++tile, to += pitch)
            for (int64_t o = 0; o < pitch; o += kLane) {
                const float* from = window + tile * kTile * pitch + o;
                transform<4, 6>([](const V(&d)[4], V(&t)[6])
                                    __attribute__((always_inline)) { output_transposed(d, t); },
                                [&](int i, int j) __attribute__((always_inline)) {
                                    return load(from + (i * width + j) * pitch);
                                },
                                [&](int i, int j, V v) __attribute__((always_inline)) {
                                    store(to + (i * 6 + j) * element + o, v);
                                });
            }
    }
}

void weight_gradient(const WeightGrad<float>& w) {
    const int64_t in = w.x.c, in_pitch = whole_vectors(in);
    const int64_t out = w.g.c, out_pitch = whole_vectors(out);
    const Tiles tiles(w.g.n, w.g.h, w.g.w);
    const int64_t most = tiles.most();
    const int64_t size = kElements * in * out_pitch; // of a sum: [element][c][o]
    const int64_t chunks = ceil_div(tiles.rows, tiles.chunk_rows);
    const int64_t parts = max64(1, min64(min64(chunks, kMostParts),
                                         kSumBytes / (size * static_cast<int64_t>(sizeof(float)))));
    const Scratch sums(static_cast<size_t>(parts * size) * sizeof(float));
    parallel_for(parts, [&](int64_t part) {
        const Scratch window(static_cast<size_t>(kReach * tiles.source_width() * in_pitch) *
                             sizeof(float));
        const Scratch g_window(static_cast<size_t>(kTile * tiles.x * kTile * out_pitch) *
                               sizeof(float));
        const Scratch sources(static_cast<size_t>(kElements * most * in_pitch) * sizeof(float));
        const Scratch gradients(static_cast<size_t>(kElements * most * out_pitch) * sizeof(float));
        float* const sum = sums.as<float>() + part * size;
        const int64_t first = part * chunks / parts, last = (part + 1) * chunks / parts;
        for (int64_t chunk = first; chunk < last; ++chunk) {
            const int64_t begin = chunk * tiles.chunk_rows;
            const int64_t end = min64(tiles.rows, begin + tiles.chunk_rows);
            transform_source(w.x, -w.shape.padding_h, -w.shape.padding_w, tiles, begin, end,
                             window.as<float>(), sources.as<float>());
            transform_gradient(w.g, tiles, begin, end, g_window.as<float>(), gradients.as<float>());
            TileIn<float> a{};
            a.k = (end - begin) * tiles.x;
            a.a_row = 1;
            a.a_col = in_pitch;
            a.b_row = out_pitch;
            const int64_t groups = ceil_div(in, kTileRows);
            for (int64_t element = 0; element < kElements; ++element)
                for (int64_t o = 0; o < out_pitch; o += kTileColumns<float>) {
                    const int64_t width = min64(kTileColumns<float>, out_pitch - o);
                    a.b = gradients.as<float>() + element * most * out_pitch + o;
                    for (int64_t group = 0; group < groups; ++group) {
                        const int64_t c = group * in / groups;
                        const int64_t rows = (group + 1) * in / groups - c;
                        a.a = sources.as<float>() + element * most * in_pitch + c;
                        const TileOut<float> to = {sum + (element * in + c) * out_pitch + o,
                                                   out_pitch,
                                                   1,
                                                   width,
                                                   nullptr,
                                                   nullptr,
                                                   chunk > first,
                                                   false};
                        micro_kernels<float>().of[rows - 1][width > kLane ? 1 : 0](a, to);
                    }
                }
        }
    });
    // The sums of the parts, in order, and back to 3 x 3.
    const int64_t vectors = out_pitch / kLane;
    parallel_range(in * vectors, max64(1, 512 / parts), [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t c = item / vectors, o = item % vectors * kLane;
            const float* from = sums.as<float>() + c * out_pitch + o;
            float taps[9 * kLane];
            transform<6, 3>([](const V(&s)[6], V(&t)[3])
                                __attribute__((always_inline)) { weight_transposed(s, t); },
                            [&](int i, int j) __attribute__((always_inline)) {
                                V v = load(from + (i * 6 + j) * in * out_pitch);
                                for (int64_t part = 1; part < parts; ++part)
                                    v += load(from + part * size + (i * 6 + j) * in * out_pitch);
                                return v;
                            },
                            [&](int i, int j, V v) __attribute__((always_inline)) {
                                store(taps + (i * 3 + j) * kLane, v);
                            });
            for (int64_t lane = 0; lane < min64(kLane, out - o); ++lane)
                for (int64_t tap = 0; tap < 9; ++tap)
                    w.gweight[((o + lane) * in + c) * 9 + tap] = taps[tap * kLane + lane];
        }
    });
}

} // namespace

const WinogradKernels winograd_kernels = {convolve, weight_gradient};

} // namespace fastnn::FASTNN_ISA
