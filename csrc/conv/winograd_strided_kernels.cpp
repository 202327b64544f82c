// 3 x 3 convolutions of stride 2 by Winograd's F(2 x 2, 2 x 2), float32.
//
// Of a row, a result reads two pixels with even distances and one between them:
//     y[i] = w0 e[i] + w2 e[i + 1]  +  w1 o[i],    e[i] = x[2 i], o[i] = x[2 i + 1]
// The first part is a convolution of stride 1 with two taps, which Winograd's F(2, 2) computes for
// two results with three multiplications instead of four; the second has nothing to save. Together
//     y[0] = m0 + m1, y[1] = m1 + m2,    m0 = w0 (e0 - e1) + w1 o0
//                                        m1 = (w0 + w2) e1
//                                        m2 = w2 (e2 - e1) + w1 o1
// In both dimensions: 25 multiplications for 2 x 2 results instead of 36. The 5 x 5 transformed
// pixels of a tile are the terms of 3 x 3 sums, some of four terms, some of two or one, so that a
// sum is one matrix product whose inner dimension is its terms times the channels, and only 9
// elements are transformed back. The weights of the terms are 4 x 4 different ones.
//
// There are only additions in the transforms, of two numbers each way: the errors stay within those
// that the direct sum may make. A NaN or an infinity reaches all results of the tiles that it
// touches.
//
// A chunk is some rows of tiles, as in winograd_kernels.cpp: [tile][term][c] and
// [tile][element][o]. Transforms take few instructions, all in registers.
//
// Reached on one core of Zen 4 (AVX2), as the direct sum's GFLOP/s, in brackets with
// conv_kernels.cpp:
//                                      NCHW        NHWC
//     8 images, 128 to 128, 28 x 28    101 (75)    101 (84)
//     8 images, 32 to 64, 16 x 16       90 (78)     93 (80)
//     one image of those                80 (67)     77 (70)
// Of the first the products, at the peak, take five sixths, the copy to channels last a tenth. Of
// 16 channels (32 x 32) the transforms take what the products save. Tiles of 4 x 4, with 81
// multiplications of 144, would save more, but not of results of 14 x 14.
#include "conv/winograd.h"
#include "conv/winograd_tiles.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kSide = 2, kReach = 5;
constexpr int64_t kTerms = kReach * kReach, kElements = 9, kWeights = 16;
constexpr int64_t kChunkBytes = 450 << 10; // of the transforms of a chunk, about
constexpr int64_t kChunkWork = 1 << 18;    // multiplications that are worth a chunk
constexpr int64_t kChunks = 16;            // chunks wanted of so many
constexpr int64_t kMostTiles = 96, kFewTiles = 8;
constexpr int64_t kManyWeights = 1 << 15; // that are not worth reading for few tiles
constexpr int64_t kManyTiles = 24;

// Of one dimension: the element that a term belongs to, the weight that it is multiplied with, and
// the terms of an element.
constexpr int kElementOf[5] = {0, 0, 1, 2, 2};
constexpr int kWeightOf[5] = {0, 1, 2, 3, 1};
constexpr int kFirstTerm[4] = {0, 2, 3, 5};

constexpr int terms_of(int element) {
    return kFirstTerm[element + 1] - kFirstTerm[element];
}

// The place of term (i, j), those of an element side by side.
constexpr int64_t place(int i, int j) {
    const int a = kElementOf[i], b = kElementOf[j];
    return kFirstTerm[a] * 5 + terms_of(a) * kFirstTerm[b] + (i - kFirstTerm[a]) * terms_of(b) + j -
           kFirstTerm[b];
}

// One dimension of the pixels' transform: term i of e0, o0, e1, o1, e2.
FASTNN_INLINE V term(int i, const V (&d)[5]) {
    return i == 0 ? d[0] - d[2] : i == 1 ? d[1] : i == 2 ? d[2] : i == 3 ? d[4] - d[2] : d[3];
}

// To [tile][term][c].
void transform_source(Pixels& source, int64_t dy, int64_t dx, const Tiles& tiles, int64_t begin,
                      int64_t end, float* to) {
    const int64_t pitch = source.pitch();
    for_tiles<kReach>(
        source, dy, dx, tiles, begin, end, [&](const auto& read) __attribute__((always_inline)) {
            for (int64_t c = 0; c < pitch; c += kLane) {
                const auto write = [&](int i, const V(&row)[5]) __attribute__((always_inline)) {
#pragma GCC unroll 5
                    for (int j = 0; j < 5; ++j)
                        store(to + place(i, j) * pitch + c, term(j, row));
                };
                V middle[5], row[5];
#pragma GCC unroll 5
                for (int j = 0; j < 5; ++j)
                    middle[j] = read(2, j, c);
                write(2, middle);
#pragma GCC unroll 2
                for (int edge = 0; edge < 2; ++edge) {
#pragma GCC unroll 5
                    for (int j = 0; j < 5; ++j)
                        row[j] = read(4 * edge, j, c) - middle[j];
                    write(3 * edge, row);
#pragma GCC unroll 5
                    for (int j = 0; j < 5; ++j)
                        row[j] = read(1 + 2 * edge, j, c);
                    write(1 + 3 * edge, row);
                }
            }
            to += kTerms * pitch;
        });
}

// The 4 x 4 weights of one pair of vectors.
FASTNN_INLINE void transform_weight(const V (&w)[9], float* to, int64_t stride) {
    const auto row = [&](int i, const V& a, const V& b, const V& c) __attribute__((always_inline)) {
        store(to + (i * 4 + 0) * stride, a);
        store(to + (i * 4 + 1) * stride, b);
        store(to + (i * 4 + 2) * stride, a + c);
        store(to + (i * 4 + 3) * stride, c);
    };
    row(0, w[0], w[1], w[2]);
    row(1, w[3], w[4], w[5]);
    row(2, w[0] + w[6], w[1] + w[7], w[2] + w[8]);
    row(3, w[6], w[7], w[8]);
}

// The 2 x 2 results of 3 x 3 elements, `stride` apart.
FASTNN_INLINE void transform_back(const float* from, int64_t stride, V (&y)[2][2]) {
    V half[3][2];
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
        const float* row = from + 3 * i * stride;
        const V middle = load(row + stride);
        half[i][0] = load(row) + middle;
        half[i][1] = middle + load(row + 2 * stride);
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
        y[0][j] = half[0][j] + half[1][j];
        y[1][j] = half[1][j] + half[2][j];
    }
}

// Results of one row of tiles and the channels of [first, last), from [tile][element][o]: to pixels
// with the channels last, in whole vectors, or to planes, two tiles at a time.
template <bool planar>
void transform_results(const TapConv<float>& conv, const Tiles& tiles, const float* products,
                       int64_t first, int64_t last, const Target& to) {
    constexpr int together = planar ? 2 : 1;
    const int64_t out = conv.dest.c, pitch = whole_vectors(out);
    const V least = broadcast(conv.relu ? 0.0f : -__builtin_inff());
    for (int64_t next = 0; next < tiles.x; next += together) {
        const int64_t tile = min64(next, tiles.x - together); // overlaps the last
        for (int64_t o = first; o < last; o += kLane) {
            const int64_t count = min64(kLane, out - o);
            const V bias = conv.bias ? load_partial(conv.bias + o, count) : V{};
            V rows[2][2 * together];
#pragma GCC unroll 2
            for (int t = 0; t < together; ++t) {
                V y[2][2];
                transform_back(products + (tile + t) * kElements * pitch + o, pitch, y);
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i)
                    rows[i / 2][2 * t + i % 2] = max(least, y[i / 2][i % 2] + bias);
            }
            float* const pixel = to.data + tiles.column(tile) * to.w_stride + o * to.c_stride;
#pragma GCC unroll 2
            for (int i = 0; i < 2; ++i) {
                if (i >= to.rows)
                    break;
                if constexpr (planar)
                    store_planar(pixel + i * to.h_stride, to.c_stride, rows[i], count);
                else
#pragma GCC unroll 2
                    for (int j = 0; j < 2; ++j)
                        store(pixel + i * to.h_stride + j * to.w_stride, rows[i][j]);
            }
        }
    }
}

void convolve(const TapConv<float>& conv) {
    const Image<float>& d = conv.dest;
    const int64_t in = conv.source.c, in_pitch = whole_vectors(in);
    const int64_t out = d.c, out_pitch = whole_vectors(out);
    const int64_t panels = ceil_div(out, kTileColumns<float>);
    const int64_t all = d.n * ceil_div(d.h, kSide) * ceil_div(d.w, kSide);
    const int64_t worth = min64(kChunks, kTerms * all * in * out / kChunkWork);
    const int64_t wanted = worth >= 4 ? worth : max64(1, worth & 2); // two take two threads evenly
    const int64_t tile_bytes =
        (kTerms * in_pitch + kElements * out_pitch) * static_cast<int64_t>(sizeof(float));
    const int64_t least = in * out < kManyWeights ? kFewTiles : kManyTiles;
    const int64_t fitting = min64(kMostTiles, max64(least, kChunkBytes / tile_bytes));
    Tiles tiles(kSide, 2, d.n, d.h, d.w, true, min64(fitting, max64(least, all / wanted)));
    const int64_t row_chunks = ceil_div(tiles.rows, tiles.chunk_rows);
    tiles.chunk_rows = ceil_div(tiles.rows, row_chunks); // as even as can be
    const int64_t panel_blocks = min64(panels, max64(1, wanted / row_chunks));
    const int64_t weight_stride = element_stride(panels * in * kTileColumns<float>);
    const Scratch weights(static_cast<size_t>(kWeights * weight_stride) * sizeof(float));
    transform_weights(conv, weights.as<float>(),
                      [&](const V(&w)[9], float* to) __attribute__((always_inline)) {
                          transform_weight(w, to, weight_stride);
                      });
    // Where the terms of the elements, one element after the other, lie in a tile and in the
    // weights.
    int64_t source_offset[kTerms], weight_offset[kTerms];
    for (int i = 0; i < 5; ++i)
        for (int j = 0; j < 5; ++j) {
            source_offset[place(i, j)] = place(i, j) * in_pitch;
            weight_offset[place(i, j)] = (kWeightOf[i] * 4 + kWeightOf[j]) * weight_stride;
        }
    // Straight into the result where its channels or its pixels are contiguous; else by a copy.
    const bool direct = d.w >= kSide && d.c_stride == 1 && out == out_pitch;
    const bool planar = d.w >= 2 * kSide && d.w % kSide == 0 && d.w_stride == 1 && !direct;
    const int64_t copy_row = max64(d.w, kSide) * out_pitch;
    const int64_t copy_floats = direct || planar ? 0 : kSide * copy_row;
    parallel_for(row_chunks * panel_blocks, [&](int64_t chunk) {
        const int64_t begin = chunk / panel_blocks * tiles.chunk_rows;
        const int64_t end = min64(tiles.rows, begin + tiles.chunk_rows);
        const int64_t block = chunk % panel_blocks;
        const int64_t first_panel = block * panels / panel_blocks;
        const int64_t last_panel = (block + 1) * panels / panel_blocks;
        const int64_t first = first_panel * kTileColumns<float>;
        const int64_t last = min64(out_pitch, last_panel * kTileColumns<float>);
        const int64_t count = (end - begin) * tiles.x;
        Pixels source(conv.source, tiles, kReach);
        const size_t most = static_cast<size_t>(tiles.most()) * sizeof(float);
        const Scratch sources(most * static_cast<size_t>(kTerms * in_pitch));
        const Scratch products(most * static_cast<size_t>(kElements * out_pitch));
        transform_source(source, conv.dy[0], conv.dx[0], tiles, begin, end, sources.as<float>());
        const int64_t groups = ceil_div(count, kTileRows);
        TileIn<float> a{};
        a.k = in;
        a.a_row = kTerms * in_pitch;
        a.a_col = 1;
        for (int64_t panel = first_panel; panel < last_panel; ++panel) {
            const int64_t o = panel * kTileColumns<float>, width = panel_width(out, o);
            a.b = weights.as<float>() + panel * in * kTileColumns<float>;
            a.b_row = width;
            int64_t term = 0;
            for (int element = 0; element < kElements; ++element, term += a.segments) {
                a.segments = terms_of(element / 3) * terms_of(element % 3);
                a.a_offset = source_offset + term;
                a.b_offset = weight_offset + term;
                for (int64_t group = 0; group < groups; ++group) {
                    const int64_t tile = group * count / groups;
                    const int64_t rows = (group + 1) * count / groups - tile;
                    a.a = sources.as<float>() + tile * a.a_row;
                    const TileOut<float> to = {products.as<float>() +
                                                   (tile * kElements + element) * out_pitch + o,
                                               kElements * out_pitch,
                                               1,
                                               width,
                                               nullptr,
                                               nullptr,
                                               false,
                                               false};
                    micro_kernels<float>().of[rows - 1][width > kLane ? 1 : 0](a, to);
                }
            }
        }
        const Scratch copy(static_cast<size_t>(copy_floats) * sizeof(float));
        for (int64_t row = begin; row < end; ++row) {
            const float* from =
                products.as<float>() + (row - begin) * tiles.x * kElements * out_pitch;
            const int64_t n = row / tiles.y, y = row % tiles.y * kSide;
            const int64_t rows = min64(kSide, d.h - y);
            const Target target = {d.data + n * d.n_stride + y * d.h_stride, d.c_stride, d.h_stride,
                                   d.w_stride, rows};
            if (direct) {
                transform_results<false>(conv, tiles, from, first, last, target);
            } else if (planar) {
                transform_results<true>(conv, tiles, from, first, last, target);
            } else {
                transform_results<false>(conv, tiles, from, first, last,
                                         {copy.as<float>(), 1, copy_row, out_pitch, rows});
                Image<float> part = d;
                part.data += first * d.c_stride;
                part.c = min64(out, last) - first;
                for (int64_t i = 0; i < rows; ++i)
                    write_window(part, n, copy.as<float>() + i * copy_row + first,
                                 Window{y + i, 0, 1, d.w, out_pitch});
            }
        }
    });
}

} // namespace

const WinogradStridedKernels winograd_strided_kernels = {convolve};

} // namespace fastnn::FASTNN_ISA
