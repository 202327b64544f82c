// 3 x 3 convolutions of stride 2 by Winograd's F(2 x 2, 2 x 2), and their weight gradients,
// float32.
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
// There are only additions in the transforms, of two numbers each way: the errors are up to about
// four times those of the direct sum, most where terms are few, and within what it may err. A NaN
// or an infinity reaches all results of the tiles that it touches.
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
// The weight gradient is the transposed map: 16 sums over tiles and terms, which then become 9. As
// above, in brackets by weight_grad_kernels.cpp:
//     8 images, 128 to 128, 28 x 28     78 (66)     78 (67)
//     8 images, 32 to 64, 16 x 16       85 (62)     88 (61)
// In two parts, where all tiles would fit in one: 4 images, 64 to 128, 16 x 16, on two threads: 463
// us before, 217 since.
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
constexpr int64_t kSharedWork = 1 << 17;  // multiplications of a weight that are worth a thread
constexpr int64_t kManyTiles = 24;
constexpr int64_t kGradientBytes = 900 << 10;
constexpr int64_t kSumBytes = 8 << 20, kMostParts = 16; // of a weight gradient

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

// To [tile][term][c], the tiles `stride` apart.
void transform_source(Pixels& source, int64_t dy, int64_t dx, const Tiles& tiles, int64_t begin,
                      int64_t end, float* to, int64_t stride) {
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
            to += stride;
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
    const bool own = own_weights(row_chunks);
    const int64_t weight_stride = element_stride((own ? 1 : panels) * in * kTileColumns<float>);
    const size_t weight_bytes = static_cast<size_t>(kWeights * weight_stride) * sizeof(float);
    const Scratch weights(own ? 0 : weight_bytes);
    const auto transformed = [&](const V(&w)[9], float* to) __attribute__((always_inline)) {
        transform_weight(w, to, weight_stride);
    };
    if (!own)
        transform_weights(conv, weights.as<float>(), transformed);
    const Taps taps(conv);
    // Where the terms of the elements, one element after the other, lie in a tile and in the
    // weights.
    int64_t source_offset[kTerms], weight_offset[kTerms];
    for (int i = 0; i < 5; ++i)
        for (int j = 0; j < 5; ++j) {
            source_offset[place(i, j)] = place(i, j) * in_pitch;
            weight_offset[place(i, j)] = (kWeightOf[i] * 4 + kWeightOf[j]) * weight_stride;
        }
    const Results results(d, tiles, d.w % kSide == 0);
    parallel_for(row_chunks * panel_blocks, [&](int64_t chunk) {
        const Share share(tiles, out, panel_blocks, chunk);
        const int64_t count = (share.end - share.begin) * tiles.x;
        Pixels source(conv.source, tiles, kReach);
        const size_t most = static_cast<size_t>(tiles.most()) * sizeof(float);
        const Scratch sources(most * static_cast<size_t>(kTerms * in_pitch));
        const Scratch products(most * static_cast<size_t>(kElements * out_pitch));
        transform_source(source, conv.dy[0], conv.dx[0], tiles, share.begin, share.end,
                         sources.as<float>(), kTerms * in_pitch);
        const int64_t groups = ceil_div(count, kTileRows);
        TileIn<float> a{};
        a.k = in;
        a.a_row = kTerms * in_pitch;
        a.a_col = 1;
        const Scratch panel_weights(own ? weight_bytes : 0);
        for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
            const int64_t o = panel * kTileColumns<float>, width = panel_width(out, o);
            if (own)
                transform_panel(conv, taps, o, width, 0, in, panel_weights.as<float>(),
                                transformed);
            a.b = own ? panel_weights.as<float>()
                      : weights.as<float>() + panel * in * kTileColumns<float>;
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
        results.write(share, [&]<bool planar>(int64_t row, const Target& to) {
            transform_results<planar>(conv, tiles,
                                      products.as<float>() + row * tiles.x * kElements * out_pitch,
                                      share.first, share.last, to);
        });
    });
}

// -- weight gradient: the transposed map, 16 sums over tiles and terms --

// The 3 x 3 elements of 2 x 2 pixels of a gradient, to [tile][element][o].
void transform_gradient(Pixels& g, const Tiles& tiles, int64_t begin, int64_t end, float* to,
                        int64_t stride) {
    const int64_t pitch = g.pitch();
    for_tiles<kSide>(
        g, 0, 0, tiles, begin, end, [&](const auto& read) __attribute__((always_inline)) {
            for (int64_t o = 0; o < pitch; o += kLane) {
                const auto write = [&](int64_t i, const V& a, const V& b)
                                       __attribute__((always_inline)) {
                                           store(to + (3 * i) * pitch + o, a);
                                           store(to + (3 * i + 1) * pitch + o, a + b);
                                           store(to + (3 * i + 2) * pitch + o, b);
                                       };
                const V a = read(0, 0, o), b = read(0, 1, o), c = read(1, 0, o), d = read(1, 1, o);
                write(0, a, b);
                write(1, a + c, b + d);
                write(2, c, d);
            }
            to += stride;
        });
}

// The taps of a pair of vectors from their 4 x 4 sums.
template <class Read>
FASTNN_INLINE void transform_taps(const Read& read, float* taps) {
    const auto row = [&](int64_t i, const V(&s)[4]) __attribute__((always_inline)) {
        store(taps + (3 * i) * kLane, s[0] + s[2]);
        store(taps + (3 * i + 1) * kLane, s[1]);
        store(taps + (3 * i + 2) * kLane, s[3] + s[2]);
    };
    V upper[4], lower[4], middle[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const V both = read(8 + j);
        upper[j] = read(j) + both;
        middle[j] = read(4 + j);
        lower[j] = read(12 + j) + both;
    }
    row(0, upper);
    row(1, middle);
    row(2, lower);
}

void weight_gradient(const WeightGrad<float>& w) {
    const int64_t in = w.x.c, in_pitch = whole_vectors(in);
    const int64_t out = w.g.c, out_pitch = whole_vectors(out);
    const int64_t source_tile = element_stride(kTerms * in_pitch);
    const int64_t gradient_tile = element_stride(kElements * out_pitch);
    // (Of many weights the sums are not worth their way for few tiles.)
    const int64_t times = in * out < kManyWeights ? 1 : 2;
    const int64_t fitting = times * kGradientBytes /
                            ((source_tile + gradient_tile) * static_cast<int64_t>(sizeof(float)));
    const int64_t many = min64(times * kMostTiles, max64(kManyTiles, fitting));
    Tiles tiles(kSide, 2, w.g.n, w.g.h, w.g.w, false, many);
    Tiles gradient_tiles(kSide, 1, w.g.n, w.g.h, w.g.w, false, many);
    const int64_t sum_element = element_stride(in * out_pitch), size = kWeights * sum_element;
    const int64_t sum_bytes = size * static_cast<int64_t>(sizeof(float));
    if (tiles.rows * tiles.x * in * out >= kSharedWork) { // two parts at least
        tiles.chunk_rows = min64(tiles.chunk_rows, ceil_div(tiles.rows, 2));
        gradient_tiles.chunk_rows = tiles.chunk_rows;
    }
    const int64_t parts = tiles.parts(max64(1, min64(kMostParts, kSumBytes / sum_bytes)));
    const int64_t chunks = tiles.cut(parts);
    gradient_tiles.cut(parts);
    const Scratch sums(static_cast<size_t>(parts * sum_bytes));
    parallel_for(parts, [&](int64_t part) {
        const size_t most = static_cast<size_t>(tiles.most()) * sizeof(float);
        const Scratch sources(most * static_cast<size_t>(source_tile));
        const Scratch gradients(most * static_cast<size_t>(gradient_tile));
        Pixels source(w.x, tiles, kReach), gradient(w.g, gradient_tiles, kSide);
        float* const sum = sums.as<float>() + part * size;
        const int64_t first = part * chunks / parts, last = (part + 1) * chunks / parts;
        for (int64_t chunk = first; chunk < last; ++chunk) {
            const int64_t begin = chunk * tiles.rows / chunks;
            const int64_t end = (chunk + 1) * tiles.rows / chunks;
            transform_source(source, -w.shape.padding_h, -w.shape.padding_w, tiles, begin, end,
                             sources.as<float>(), source_tile);
            transform_gradient(gradient, gradient_tiles, begin, end, gradients.as<float>(),
                               gradient_tile);
            TileIn<float> a = over_tiles((end - begin) * tiles.x, source_tile, gradient_tile);
            for (int weight = 0; weight < kWeights; ++weight) {
                // The terms that are multiplied with this weight, one segment each.
                int64_t source_offset[4], gradient_offset[4];
                a.segments = 0;
                for (int i = 0; i < 5; ++i)
                    for (int j = 0; j < 5; ++j)
                        if (kWeightOf[i] * 4 + kWeightOf[j] == weight) {
                            source_offset[a.segments] = place(i, j) * in_pitch;
                            gradient_offset[a.segments++] =
                                (kElementOf[i] * 3 + kElementOf[j]) * out_pitch;
                        }
                a.a = sources.as<float>();
                a.b = gradients.as<float>();
                a.a_offset = source_offset;
                a.b_offset = gradient_offset;
                add_products(a, in, out_pitch, chunk > first, sum + weight * sum_element,
                             out_pitch);
            }
        }
    });
    transform_sums(w, {parts, size, sum_element, out_pitch}, sums.as<float>(),
                   [](const auto& read, float* taps)
                       __attribute__((always_inline)) { transform_taps(read, taps); });
}

} // namespace

const WinogradKernels winograd_strided_kernels = {convolve, weight_gradient};

} // namespace fastnn::FASTNN_ISA
