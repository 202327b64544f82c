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
// transforms work on vectors of channels, on windows with the channels last; a planar result is
// turned in registers, 4 x 4 pixels and channels at a time. The transforms are bound by their loads
// and stores: loops over columns and over rows around one that stays in memory, few addresses, and
// elements an odd number of cache lines apart.
//
// The points of interpolation are 0, +-sqrt(1/2), +-sqrt(2) and infinity. The largest errors are
// then up to about twice those of the direct sum, 0.1 to 0.3 eps * terms * max |x| * max |w|; by 0,
// +-1, +-2 they were 5 times as large. A NaN or an infinity reaches all 16 results of a tile that
// it touches.
//
// Reached on one of 2 cores of Zen 4 with AVX2 at a peak of 80 to 88 GFLOP/s, batch 64, NCHW,
// counted as the direct sum's GFLOP/s; in brackets with the transforms unrolled, elements any
// distance apart and copies to turn the results:
//                                  forward     weight gradient
//     32 to 64 channels, 13 x 13   168 (148)   150 (102)
//     64 to 64, 8 x 8              220 (180)   195 (150)
//     64 to 64, 32 x 32            220 (205)   213 (185)
// Of the first, the products, at the peak, take 58 %, the results' transform 24 %, the copy to
// channels last 11 %, the source's transform 5 %; to write results to memory is 7 to 14 % of all.
// One image has few tiles: threads share them, and where they are too few to cut, the panels of
// output channels. The weights' transform is 16 of one thread's 42 us of 64 to 64, 8 x 8: what it
// writes, four times the weights, goes to the second-level cache and back (written to one place
// instead: 10 us). Made for a panel where it is read, or for some channels at a time, so that it
// stays in the first-level cache, it takes less, but the products take more: 45 to 65 us in all.
// Several threads make it once for each chunk of few: written by one core where another has just
// read, those of 16 to 16 channels took 13 us instead of 1. Two threads, before and since: 16 to
// 16, 32 x 32: 27 and 25 us; 32 to 32, 16 x 16: 33 and 22; 64 to 64, 8 x 8: 29 and 24.
// Where the weights' transforms outgrow the cache (256 to 256), chunks of 48 tiles rather than 12
// take a fifth less.
// Of many weights and few tiles, all in one chunk, each block of panels transforms its weights
// where it reads them, a few channels at a time and fetched ahead: their transforms, four times the
// weights, never go to memory. 512 to 512, 7 x 7, batch 4, one thread: 8.2 to 12 ms, 14 to 16 with
// all weights transformed before; 6.5 with weights turned by blocks of vectors. Its gradient sums
// blocks of channels that go back to 3 x 3 at once: 7.5 ms, 12.9 with all sums in memory.
// Weight gradients on two threads, time before over time after chunks as even as can be, in an even
// number of parts: 1.4 for 8 images of 32 to 32, 16 x 16, 1.2 for 32 of 16 to 16, 32 x 32; after
// small sums of few tiles were shared too: 1.46 for 8 of 64 to 64, 8 x 8, 1.9 for 64 of 128 to 128,
// 4 x 4.
#include "conv/winograd.h"

#include "conv/winograd_tiles.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kTile = 4, kReach = 6, kElements = kReach * kReach;
constexpr int64_t kConvolveBytes = 450 << 10; // of the transforms of a chunk, about
constexpr int64_t kGradientBytes = 900 << 10;
constexpr int64_t kMostTiles = 96;
constexpr int64_t kManyWeights = 1 << 15; // their transforms fill the second-level cache
constexpr int64_t kChunkWork = 1 << 18;   // multiplications that are worth a chunk
constexpr int64_t kChunks = 16;           // chunks wanted of so many
constexpr int64_t kChunkTiles = 12;       // fewer are not worth the weights' way from the cache
constexpr int64_t kSharedWork = 1 << 17;  // multiplications of an element that are worth a thread
constexpr int64_t kOnceChannels = 128;    // of weights that are transformed where they are read
constexpr int64_t kOnceBlocks = 8;        // of their panels
constexpr int64_t kFewParts = 4, kChunksOfPart = 4;
constexpr int64_t kSumBytes = 8 << 20; // for the sums of the parts of a weight gradient
constexpr int64_t kMostParts = 16;
constexpr int64_t kBlockChannels = 48;     // of a block of sums
constexpr int64_t kBlockWeights = 1 << 19; // sums that are worth blocks

// So many that their transforms take so many bytes; but where all that belongs to the weights does
// not fit in the second-level cache, enough to be worth its way there.
constexpr int64_t tiles_of_chunk(int64_t bytes, int64_t in, int64_t out) {
    const int64_t tile = kElements * (in + out) * static_cast<int64_t>(sizeof(float));
    return min64(kMostTiles, max64(in * out < kManyWeights ? 12 : 48, bytes / tile));
}

// -- one-dimensional transforms: by the points 0, +-kA, +-kB and infinity --

constexpr float kA = 0.70710678f, kB = 1.41421356f; // sqrt(1/2), sqrt(2)

// B^T d: 6 to 6.
FASTNN_INLINE void input_transform(const V (&d)[6], V (&t)[6]) {
    const V even = d[4] - 2 * d[2], odd = d[3] - 2 * d[1];
    const V even2 = d[4] - 0.5f * d[2], odd2 = d[3] - 0.5f * d[1];
    t[0] = d[0] + d[4] - 2.5f * d[2];
    t[1] = even + kA * odd;
    t[2] = even - kA * odd;
    t[3] = even2 + kB * odd2;
    t[4] = even2 - kB * odd2;
    t[5] = d[1] + d[5] - 2.5f * d[3];
}

// A^T m: 6 to 4.
FASTNN_INLINE void output_transform(const V (&m)[6], V (&y)[4]) {
    const V s1 = m[1] + m[2], d1 = kA * (m[1] - m[2]);
    const V s2 = m[3] + m[4], d2 = kB * (m[3] - m[4]);
    y[0] = m[0] + s1 + s2;
    y[1] = d1 + d2;
    y[2] = 0.5f * s1 + 2 * s2;
    y[3] = 0.5f * d1 + 2 * d2 + m[5];
}

// A g: 4 to 6, the transpose of output_transform.
FASTNN_INLINE void output_transposed(const V (&g)[4], V (&t)[6]) {
    const V even = g[0] + 0.5f * g[2], odd = g[1] + 0.5f * g[3];
    const V even2 = g[0] + 2 * g[2], odd2 = g[1] + 2 * g[3];
    t[0] = g[0];
    t[1] = even + kA * odd;
    t[2] = even - kA * odd;
    t[3] = even2 + kB * odd2;
    t[4] = even2 - kB * odd2;
    t[5] = g[3];
}

// G w: 3 to 6.
FASTNN_INLINE void weight_transform(const V (&w)[3], V (&t)[6]) {
    const V even = w[0] * (-2.0f / 3) - w[2] * (1.0f / 3), odd = w[1] * (kA * 2 / 3);
    const V even2 = w[0] * (1.0f / 6) + w[2] * (1.0f / 3), odd2 = w[1] * (kB / 6);
    t[0] = w[0];
    t[1] = even - odd;
    t[2] = even + odd;
    t[3] = even2 + odd2;
    t[4] = even2 - odd2;
    t[5] = w[2];
}

// G^T s: 6 to 3, its transpose.
FASTNN_INLINE void weight_transposed(const V (&s)[6], V (&w)[3]) {
    const V sum1 = s[1] + s[2], sum2 = s[3] + s[4];
    w[0] = s[0] - sum1 * (2.0f / 3) + sum2 * (1.0f / 6);
    w[1] = (s[2] - s[1]) * (kA * 2 / 3) + (s[3] - s[4]) * (kB / 6);
    w[2] = (sum2 - sum1) * (1.0f / 3) + s[5];
}

// Both dimensions: `apply` first down the columns, then along the rows, which write(i, row) takes.
// The loops stay loops: unrolled, their addresses and values would fill the stack, not registers.
template <int From, int To, class Apply, class Read, class Write>
FASTNN_INLINE void transform(const Apply& apply, const Read& read, const Write& write) {
    V half[To][From];
#pragma GCC unroll 1
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
#pragma GCC unroll 1
    for (int i = 0; i < To; ++i) {
        V row[From], t[To];
#pragma GCC unroll 6
        for (int j = 0; j < From; ++j)
            row[j] = half[i][j];
        apply(row, t);
        write(i, t);
    }
}

// Six elements, one after the other.
FASTNN_INLINE void store_elements(float* to, int64_t element, const V (&t)[6]) {
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j)
        store(to + j * element, t[j]);
}

// -- the parts of both algorithms --

// Transforms the Side x Side pixels of each tile of a chunk to [element][tile][channel], the
// channels filled up to whole vectors.
template <int Side, class Apply>
FASTNN_INLINE void transform_tiles(const Apply& apply, Pixels& source, int64_t dy, int64_t dx,
                                   const Tiles& tiles, int64_t begin, int64_t end, float* to,
                                   int64_t element) {
    const int64_t pitch = source.pitch();
    for_tiles<Side>(
        source, dy, dx, tiles, begin, end, [&](const auto& read) __attribute__((always_inline)) {
            for (int64_t c = 0; c < pitch; c += kLane)
                transform<Side, kReach>(
                    apply,
                    [&](int i, int j) __attribute__((always_inline)) { return read(i, j, c); },
                    [&](int i, const V(&row)[6]) __attribute__((always_inline)) {
                        store_elements(to + c + i * 6 * element, element, row);
                    });
            to += pitch;
        });
}

void transform_source(Pixels& source, int64_t dy, int64_t dx, const Tiles& tiles, int64_t begin,
                      int64_t end, float* to, int64_t element) {
    const auto apply = [](const V(&d)[6], V(&t)[6])
                           __attribute__((always_inline)) { input_transform(d, t); };
    transform_tiles<6>(apply, source, dy, dx, tiles, begin, end, to, element);
}

void transform_gradient(Pixels& g, const Tiles& tiles, int64_t begin, int64_t end, float* to,
                        int64_t element) {
    const auto apply = [](const V(&d)[4], V(&t)[6])
                           __attribute__((always_inline)) { output_transposed(d, t); };
    transform_tiles<4>(apply, g, 0, 0, tiles, begin, end, to, element);
}

// -- convolution --

// G w G^T of one pair of vectors, row by row: what two rows share is computed once, and all of it
// stays in registers.
FASTNN_INLINE void transform_weight(const V (&w)[9], float* to, int64_t element) {
    const auto row = [&](int64_t i, const V& a, const V& b, const V& c)
                         __attribute__((always_inline)) {
                             V t[6];
                             weight_transform({a, b, c}, t);
                             store_elements(to + i * 6 * element, element, t);
                         };
    V column[3][6];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j)
        weight_transform({w[j], w[3 + j], w[6 + j]}, column[j]);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i)
        row(i, column[0][i], column[1][i], column[2][i]);
}

// Results of one row of tiles and the channels of [first, last), from [element][tile][o]: to pixels
// with the channels last, in whole vectors, or to planes.
template <bool planar>
void transform_results(const TapConv<float>& conv, const Tiles& tiles, const float* products,
                       int64_t element, int64_t first, int64_t last, const Target& to) {
    const int64_t out = conv.dest.c, pitch = whole_vectors(out);
    const V least = broadcast(conv.relu ? 0.0f : -__builtin_inff());
    for (int64_t tile = 0; tile < tiles.x; ++tile)
        for (int64_t o = first; o < last; o += kLane) {
            const float* from = products + tile * pitch + o;
            float* pixel = to.data + tiles.column(tile) * to.w_stride + o * to.c_stride;
            const int64_t count = min64(kLane, out - o);
            const V bias = conv.bias ? load_partial(conv.bias + o, count) : V{};
            transform<6, 4>([](const V(&m)[6], V(&y)[4])
                                __attribute__((always_inline)) { output_transform(m, y); },
                            [&](int i, int j) __attribute__((always_inline)) {
                                return load(from + (i * 6 + j) * element);
                            },
                            [&](int i, V(&y)[4]) __attribute__((always_inline)) {
                                if (i >= to.rows)
                                    return;
#pragma GCC unroll 4
                                for (int j = 0; j < kTile; ++j)
                                    y[j] = max(least, y[j] + bias);
                                float* row = pixel + i * to.h_stride;
                                if constexpr (planar)
                                    store_planar(row, to.c_stride, y, count);
                                else
#pragma GCC unroll 4
                                    for (int j = 0; j < kTile; ++j)
                                        store(row + j * to.w_stride, y[j]);
                            });
        }
}

void convolve(const TapConv<float>& conv) {
    const Image<float>& d = conv.dest;
    const int64_t in = conv.source.c, in_pitch = whole_vectors(in);
    const int64_t out = d.c, out_pitch = whole_vectors(out);
    const int64_t panels = ceil_div(out, kTileColumns<float>);
    const int64_t all = d.n * ceil_div(d.h, kTile) * ceil_div(d.w, kTile);
    if (all < (in * out < kManyWeights ? 2 : 16))
        return conv_kernels.taps_f32(conv); // the weights' transform would not pay
    const int64_t wanted = max64(1, min64(kChunks, kElements * all * in * out / kChunkWork));
    const int64_t fitting = tiles_of_chunk(kConvolveBytes, in_pitch, out_pitch);
    // Many weights for tiles of one chunk: transformed where they are read, some at a time.
    const bool once = in * out >= kManyWeights && all <= fitting && panels >= kOnceBlocks;
    Tiles tiles(kTile, 1, d.n, d.h, d.w, true,
                once ? all : min64(fitting, max64(kChunkTiles, all / wanted)));
    const int64_t row_chunks = ceil_div(tiles.rows, tiles.chunk_rows);
    tiles.chunk_rows = ceil_div(tiles.rows, row_chunks); // as even as can be
    // Few tiles: panels are shared, and each block of them transforms the source for itself.
    const int64_t panel_blocks = once ? kOnceBlocks : min64(panels, max64(1, wanted / row_chunks));
    const bool own = once || own_weights(row_chunks);
    const int64_t step = once ? kOnceChannels : in;
    const int64_t weight_element = element_stride((own ? 1 : panels) * step * kTileColumns<float>);
    const size_t weight_bytes = static_cast<size_t>(kElements * weight_element) * sizeof(float);
    const Scratch weights(own ? 0 : weight_bytes);
    const auto transformed = [&](const V(&w)[9], float* to) __attribute__((always_inline)) {
        transform_weight(w, to, weight_element);
    };
    if (!own)
        transform_weights(conv, weights.as<float>(), transformed);
    const Taps taps(conv);
    const int64_t source_element = element_stride(tiles.most() * in_pitch);
    const int64_t product_element = element_stride(tiles.most() * out_pitch);
    const Results results(d, tiles, true);
    parallel_for(row_chunks * panel_blocks, [&](int64_t chunk) {
        const Share share(tiles, out, panel_blocks, chunk);
        const int64_t count = (share.end - share.begin) * tiles.x;
        Pixels source(conv.source, tiles, kReach);
        const Scratch sources(static_cast<size_t>(kElements * source_element) * sizeof(float));
        const Scratch products(static_cast<size_t>(kElements * product_element) * sizeof(float));
        transform_source(source, conv.dy[0], conv.dx[0], tiles, share.begin, share.end,
                         sources.as<float>(), source_element);
        const int64_t groups = ceil_div(count, kTileRows);
        TileIn<float> a{};
        a.a_row = in_pitch;
        a.a_col = 1;
        // The channels from c on of one element and panel, whose weights begin at `weight`.
        const auto multiply = [&](int64_t element, int64_t panel, int64_t c, const float* weight) {
            const int64_t o = panel * kTileColumns<float>, width = panel_width(out, o);
            a.k = min64(step, in - c);
            a.b = weight;
            a.b_row = width;
            for (int64_t group = 0; group < groups; ++group) {
                const int64_t tile = group * count / groups;
                const int64_t rows = (group + 1) * count / groups - tile;
                a.a = sources.as<float>() + element * source_element + tile * in_pitch + c;
                const TileOut<float> to = {products.as<float>() + element * product_element +
                                               tile * out_pitch + o,
                                           out_pitch,
                                           1,
                                           width,
                                           nullptr,
                                           nullptr,
                                           c > 0,
                                           false};
                micro_kernels<float>().of[rows - 1][width > kLane ? 1 : 0](a, to);
            }
        };
        const Scratch panel_weights(own ? weight_bytes : 0);
        if (own)
            for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel)
                for (int64_t c = 0; c < in; c += step) {
                    const int64_t o = panel * kTileColumns<float>;
                    transform_panel(conv, taps, o, panel_width(out, o), c, min64(in, c + step),
                                    panel_weights.as<float>(), transformed);
                    for (int64_t element = 0; element < kElements; ++element)
                        multiply(element, panel, c,
                                 panel_weights.as<float>() + element * weight_element);
                }
        else
            for (int64_t element = 0; element < kElements; ++element)
                for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel)
                    multiply(element, panel, 0,
                             weights.as<float>() + element * weight_element +
                                 panel * in * kTileColumns<float>);
        results.write(share, [&]<bool planar>(int64_t row, const Target& to) {
            transform_results<planar>(conv, tiles, products.as<float>() + row * tiles.x * out_pitch,
                                      product_element, share.first, share.last, to);
        });
    });
}

// -- weight gradient --

// The nine taps of a pair of channels from read(element).
template <class Read>
FASTNN_INLINE void transform_back(const Read& read, float* taps) {
    transform<6, 3>([](const V(&s)[6], V(&t)[3])
                        __attribute__((always_inline)) { weight_transposed(s, t); },
                    [&](int i, int j) __attribute__((always_inline)) { return read(i * 6 + j); },
                    [&](int i, const V(&t)[3]) __attribute__((always_inline)) {
                        for (int j = 0; j < 3; ++j)
                            store(taps + (i * 3 + j) * kLane, t[j]);
                    });
}

constexpr auto kBack = [](const auto& read, float* taps)
                           __attribute__((always_inline)) { transform_back(read, taps); };

// All tiles in one chunk, whose transforms lie in memory: the sums of a block of channels go back
// to 3 x 3 while they are in the cache.
void weights_of_chunk(const WeightGrad<float>& w, const float* sources, int64_t source_element,
                      const float* gradients, int64_t gradient_element, int64_t tiles) {
    const int64_t in = w.x.c, in_pitch = whole_vectors(in), out_pitch = whole_vectors(w.g.c);
    constexpr int64_t columns = kTileColumns<float>;
    constexpr int64_t sum_element = element_stride(kBlockChannels * columns);
    parallel_for(ceil_div(in, kBlockChannels), [&](int64_t block) {
        TileIn<float> a = over_tiles(tiles, in_pitch, out_pitch);
        const Scratch sum(static_cast<size_t>(kElements * sum_element) * sizeof(float));
        const int64_t c0 = block * kBlockChannels, count = min64(kBlockChannels, in - c0);
        for (int64_t o0 = 0; o0 < out_pitch; o0 += columns) {
            const int64_t width = min64(columns, out_pitch - o0);
            for (int64_t element = 0; element < kElements; ++element) {
                a.a = sources + element * source_element + c0;
                a.b = gradients + element * gradient_element + o0;
                add_products(a, count, width, false, sum.as<float>() + element * sum_element,
                             columns);
            }
            for (int64_t c = 0; c < count; c += kLane)
                for (int64_t o = 0; o < width; o += kLane)
                    transform_sums(w, {1, 0, sum_element, columns},
                                   sum.as<float>() + c * columns + o, c0 + c, o0 + o, kBack);
        }
    });
}

void weight_gradient(const WeightGrad<float>& w) {
    const int64_t in = w.x.c, in_pitch = whole_vectors(in);
    const int64_t out = w.g.c, out_pitch = whole_vectors(out);
    Tiles tiles(kTile, 1, w.g.n, w.g.h, w.g.w, false,
                tiles_of_chunk(kGradientBytes, in_pitch, out_pitch));
    const int64_t sum_element = element_stride(in * out_pitch);
    const int64_t size = kElements * sum_element;                 // of a sum: [element][c][o]
    const int64_t least = ceil_div(tiles.rows, tiles.chunk_rows); // chunks
    // Threads share parts of the chunks; or, where few sums fit in memory, the rows and elements of
    // each chunk.
    const int64_t fitting = kSumBytes / (size * static_cast<int64_t>(sizeof(float)));
    const int64_t wanted = min64(kMostParts, max64(kFewParts, least / kChunksOfPart));
    const int64_t parts = fitting < kFewParts ? 1 : tiles.parts(min64(fitting, wanted));
    const int64_t chunks = tiles.cut(parts);
    const int64_t source_element = element_stride(tiles.most() * in_pitch);
    const int64_t gradient_element = element_stride(tiles.most() * out_pitch);
    const bool shared = parts == 1 && tiles.most() * in * out >= kSharedWork;
    // Sums that would go to memory and back are made and used block by block, if tiles are few.
    const bool by_blocks = chunks == 1 && size > kBlockWeights;
    const Scratch sums(by_blocks ? 0 : static_cast<size_t>(parts * size) * sizeof(float));
    parallel_for(parts, [&](int64_t part) {
        const Scratch sources(static_cast<size_t>(kElements * source_element) * sizeof(float));
        const Scratch gradients(static_cast<size_t>(kElements * gradient_element) * sizeof(float));
        float* const sum = sums.as<float>() + part * size;
        const int64_t first = part * chunks / parts, last = (part + 1) * chunks / parts;
        for (int64_t chunk = first; chunk < last; ++chunk) {
            const int64_t chunk_begin = chunk * tiles.rows / chunks;
            const int64_t rows = (chunk + 1) * tiles.rows / chunks - chunk_begin;
            parallel_range(
                rows, shared ? ceil_div(rows, 8) : rows, [&](int64_t begin, int64_t end) {
                    Pixels source(w.x, tiles, kReach), gradient(w.g, tiles, kTile);
                    transform_source(source, -w.shape.padding_h, -w.shape.padding_w, tiles,
                                     chunk_begin + begin, chunk_begin + end,
                                     sources.as<float>() + begin * tiles.x * in_pitch,
                                     source_element);
                    transform_gradient(gradient, tiles, chunk_begin + begin, chunk_begin + end,
                                       gradients.as<float>() + begin * tiles.x * out_pitch,
                                       gradient_element);
                });
            if (by_blocks)
                return weights_of_chunk(w, sources.as<float>(), source_element,
                                        gradients.as<float>(), gradient_element, rows * tiles.x);
            parallel_range(kElements, shared ? 1 : kElements, [&](int64_t begin, int64_t end) {
                TileIn<float> a = over_tiles(rows * tiles.x, in_pitch, out_pitch);
                for (int64_t element = begin; element < end; ++element) {
                    a.a = sources.as<float>() + element * source_element;
                    a.b = gradients.as<float>() + element * gradient_element;
                    add_products(a, in, out_pitch, chunk > first, sum + element * sum_element,
                                 out_pitch);
                }
            });
        }
    });
    if (!by_blocks)
        transform_sums(w, {parts, size, sum_element, out_pitch}, sums.as<float>(), kBack);
}

} // namespace

const WinogradKernels winograd_kernels = {convolve, weight_gradient};

} // namespace fastnn::FASTNN_ISA
