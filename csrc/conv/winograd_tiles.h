// What Winograd's algorithms share: the tiles of a result, the pixels under them, and 3 x 3 weights
// in vectors of output channels.
#pragma once

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {

using V = Vec<float>;
inline constexpr int64_t kLane = kLanes<float>;

constexpr int64_t whole_vectors(int64_t n) {
    return ceil_div(n, kLane) * kLane;
}
// From element to element: an odd number of cache lines, so that the lines that a transform reads
// or writes at once lie in as many sets of the first-level cache.
constexpr int64_t element_stride(int64_t floats) {
    return (ceil_div(floats, 16) | 1) * 16;
}
// Of the panel of output channels that begins with o0.
constexpr int64_t panel_width(int64_t out, int64_t o0) {
    return min64(kTileColumns<float>, whole_vectors(out - o0));
}

// Rows of tiles, of all images one after the other.
struct Tiles {
    int64_t side;        // of a tile, in pixels of the result
    int64_t step;        // from tile to tile, in pixels of the source
    int64_t y, x;        // in an image
    int64_t rows;        // of tiles, in all
    int64_t chunk_rows;  // in a chunk
    int64_t last_column; // where the last tile of a row begins

    // With `inside`, the last tile of a row overlaps the one before rather than the image's edge.
    Tiles(int64_t tile_side, int64_t stride, int64_t n, int64_t h, int64_t w, bool inside,
          int64_t tiles_of_chunk)
        : side(tile_side), step(tile_side * stride), y(ceil_div(h, side)), x(ceil_div(w, side)),
          rows(n * y), chunk_rows(max64(1, tiles_of_chunk / x)),
          last_column(inside ? max64(0, w - side) : (x - 1) * side) {}
    int64_t most() const { return chunk_rows * x; }
    // How many parts, up to `most`, share the rows: an even number where it is not one.
    int64_t parts(int64_t most) const {
        const int64_t chunks = ceil_div(rows, chunk_rows), count = min64(chunks, most);
        if (count < 3 || count % 2 == 0)
            return count;
        return count < min64(most, rows) ? count + 1 : count - 1;
    }
    // Cuts the rows, of which there are some, anew, into chunks as even as can be, as many for one
    // part as for the next but where parts are many; returns how many. Chunk i of them begins at
    // row i * rows / chunks.
    int64_t cut(int64_t parts) {
        const int64_t times = min64(parts, 4), least = ceil_div(rows, chunk_rows);
        const int64_t chunks = min64(rows, ceil_div(least, times) * times);
        chunk_rows = ceil_div(rows, chunks);
        return chunks;
    }
    int64_t column(int64_t tile) const { return min64(tile * side, last_column); }
    int64_t source_column(int64_t tile) const { return column(tile) * (step / side); }
};

// The pixels under a chunk's tiles, channels last: the image itself where it lies so, else a copy,
// made of all that a chunk needs of one image at once.
class Pixels {
  public:
    Pixels(const Image<const float>& image, const Tiles& tiles, int64_t reach)
        : image_(image), tiles_(tiles), reach_(reach), pitch_(whole_vectors(image.c)),
          direct_(image.c_stride == 1 && image.c % kLane == 0),
          copy_(static_cast<size_t>(direct_ ? 0 : most_rows() * image.w * pitch_) * sizeof(float)),
          outside_(static_cast<size_t>(pitch_) * sizeof(float)) {
        zero(outside_.as<float>(), pitch_);
    }

    int64_t pitch() const { return pitch_; }

    // Prepares tile rows [row, end) as far as they are in one image, and returns where they end.
    int64_t prepare(int64_t row, int64_t end, int64_t dy) {
        const int64_t n = row / tiles_.y, first = row % tiles_.y;
        const int64_t count = min64(end - row, tiles_.y - first);
        top_ = max64(0, first * tiles_.step + dy);
        const int64_t bottom = min64(image_.h, (first + count - 1) * tiles_.step + dy + reach_);
        if (direct_) {
            base_ = image_.data + n * image_.n_stride + top_ * image_.h_stride;
            h_stride_ = image_.h_stride;
            w_stride_ = image_.w_stride;
        } else {
            if (bottom > top_)
                copy_window(copy_.as<float>(), image_, n, 0, image_.c,
                            Window{top_, 0, bottom - top_, image_.w, pitch_});
            base_ = copy_.as<float>();
            h_stride_ = image_.w * pitch_;
            w_stride_ = pitch_;
        }
        return row + count;
    }

    // Whether the square at (y, x) lies in the image.
    bool inside(int64_t side, int64_t y, int64_t x) const {
        return y >= 0 && y + side <= image_.h && x >= 0 && x + side <= image_.w;
    }
    // The pixel (y, x) of the prepared image.
    const float* pixel(int64_t y, int64_t x) const {
        return base_ + (y - top_) * h_stride_ + x * w_stride_;
    }
    int64_t h_stride() const { return h_stride_; }
    int64_t w_stride() const { return w_stride_; }

    // The pixels of the square at (y, x), zeros outside of the image.
    template <int Side>
    void square(int64_t y, int64_t x, const float* (&pixels)[Side * Side]) const {
        for (int i = 0; i < Side; ++i)
            for (int j = 0; j < Side; ++j)
                pixels[i * Side + j] =
                    inside(1, y + i, x + j) ? pixel(y + i, x + j) : outside_.as<float>();
    }

  private:
    int64_t most_rows() const {
        return min64(image_.h, (min64(tiles_.chunk_rows, tiles_.y) - 1) * tiles_.step + reach_);
    }

    const Image<const float>& image_;
    const Tiles& tiles_;
    const int64_t reach_, pitch_;
    const bool direct_;
    const Scratch copy_, outside_;
    const float* base_ = nullptr;
    int64_t top_ = 0, h_stride_ = 0, w_stride_ = 0;
};

// Calls body(read) for each tile of the rows [begin, end), where read(i, j, c) loads the channels
// from c on of pixel (i, j) of the Side x Side under the tile; (dy, dx) is where those of the first
// tile begin.
template <int Side, class Body>
FASTNN_INLINE void for_tiles(Pixels& source, int64_t dy, int64_t dx, const Tiles& tiles,
                             int64_t begin, int64_t end, const Body& body) {
    for (int64_t row = begin; row < end;) {
        const int64_t stop = source.prepare(row, end, dy);
        const int64_t h = source.h_stride(), w = source.w_stride();
        for (int64_t y = row % tiles.y * tiles.step + dy; row < stop; ++row, y += tiles.step)
            for (int64_t tile = 0; tile < tiles.x; ++tile) {
                const int64_t x = tiles.source_column(tile) + dx;
                if (source.inside(Side, y, x)) {
                    const float* corner = source.pixel(y, x);
                    body([&](int i, int j, int64_t c) __attribute__((always_inline)) {
                        return load(corner + i * h + j * w + c);
                    });
                } else {
                    const float* pixels[Side * Side];
                    source.square<Side>(y, x, pixels);
                    body([&](int i, int j, int64_t c) __attribute__((always_inline)) {
                        return load(pixels[i * Side + j] + c);
                    });
                }
            }
    }
}

// The weights of kLane input by kLane output channels, as vectors of output channels:
// [input channel][tap].
inline constexpr int64_t kBlock = 9 * kLane;

// to[j][i] = from[i][j], of kLane rows some `stride` apart; what lies `ahead` of them is fetched.
FASTNN_INLINE void turn(const float* from, int64_t stride, float* to, int64_t to_stride,
                        int64_t ahead) {
    V square[kLane];
#pragma GCC unroll 16
    for (int i = 0; i < kLane; ++i) {
        square[i] = load(from + i * stride);
        if (ahead > 0)
            __builtin_prefetch(from + i * stride + ahead);
    }
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < kLane; ++i)
        store(to + i * to_stride, square[i]);
}

// The taps of a pair of channels, in memory and in a block.
struct Taps {
    int64_t at[9];   // from the weight of the first tap in memory, of tap (i, j) at i * 3 + j
    int64_t slot[9]; // where it goes
    bool compact;    // they are 9 neighbours, in any order

    explicit Taps(const TapConv<float>& conv) : compact(true) {
        for (int64_t tap = 0; tap < 9; ++tap) {
            at[tap] = conv.weight_y[tap / 3] + conv.weight_x[tap % 3];
            compact = compact && at[tap] < 9;
        }
        for (int64_t tap = 0; tap < 9; ++tap)
            slot[tap] = compact ? at[tap] : tap;
    }

    // A block of `in` x `out` channels from `weight` on.
    FASTNN_INLINE void read(const TapConv<float>& conv, const float* weight, int64_t in,
                            int64_t out, float (&to)[kBlock * kLane]) const {
        const int64_t o_stride = conv.weight_o;
        if (compact && conv.weight_c == 9 && in == kLane && out == kLane) {
            // All of an output channel is one run.
#pragma GCC unroll 1
            for (int64_t first = 0; first < kBlock; first += kLane)
                turn(weight + first, o_stride, to + first * kLane, kLane, kBlock);
            return;
        }
        if (conv.weight_c == 1 && in == kLane && out == kLane) { // input channels side by side
#pragma GCC unroll 1
            for (int tap = 0; tap < 9; ++tap)
                turn(weight + at[tap], o_stride, to + slot[tap] * kLane, kBlock, kLane);
            return;
        }
        for (int64_t c = 0; c < in; ++c, weight += conv.weight_c) {
            float* const pair = to + c * kBlock;
            if (o_stride == 1 && out == kLane) { // output channels side by side
#pragma GCC unroll 1
                for (int tap = 0; tap < 9; ++tap)
                    store(pair + slot[tap] * kLane, load(weight + at[tap]));
                continue;
            }
            if constexpr (kLane < 9)
                if (compact && out == kLane) {
                    for (int64_t first = 0; first < 9 - kLane; first += kLane)
                        turn(weight + first, o_stride, pair + first * kLane, kLane, kBlock);
                    turn(weight + 9 - kLane, o_stride, pair + (9 - kLane) * kLane, kLane, kBlock);
                    continue;
                }
            for (int64_t tap = 0; tap < 9; ++tap)
                for (int64_t lane = 0; lane < kLane; ++lane)
                    pair[slot[tap] * kLane + lane] =
                        lane < out ? weight[at[tap] + lane * o_stride] : 0;
        }
    }
};

// The channels [begin, end) of a panel of `width` output channels from o0 on, to
// [element][c][width]; write(w, to) transforms the 9 taps of a pair of vectors.
template <class Write>
FASTNN_INLINE void transform_panel(const TapConv<float>& conv, const Taps& taps, int64_t o0,
                                   int64_t width, int64_t begin, int64_t end, float* to,
                                   const Write& write) {
    for (int64_t c = begin; c < end; c += kLane, to += kLane * width)
        for (int64_t o = 0; o < width; o += kLane) {
            const int64_t in = min64(kLane, end - c), out = min64(kLane, conv.dest.c - o0 - o);
            const float* const weight = conv.weight + (o0 + o) * conv.weight_o + c * conv.weight_c;
            float block[kBlock * kLane];
            taps.read(conv, weight, in, out, block);
            for (int64_t i = 0; i < in; ++i) {
                V w[9];
#pragma GCC unroll 9
                for (int tap = 0; tap < 9; ++tap)
                    w[tap] = load(block + i * kBlock + taps.slot[tap] * kLane);
                write(w, to + i * width + o);
            }
        }
}

// Whether each chunk transforms the weights of its panels for itself, so many rows of chunks the
// same ones: that takes less time than to write where another core has just read.
FASTNN_INLINE bool own_weights(int64_t row_chunks) {
    const int64_t threads = num_threads();
    return threads > 1 && row_chunks <= 2 * threads;
}

inline constexpr int64_t kWeightGrain =
    64; // channels of a panel, whose weights a thread transforms

// All weights, to [element][panel][c][channels of the panel].
template <class Write>
FASTNN_INLINE void transform_weights(const TapConv<float>& conv, float* to, const Write& write) {
    const int64_t in = conv.source.c, panels = ceil_div(conv.dest.c, kTileColumns<float>);
    const Taps taps(conv);
    parallel_range(panels * in, kWeightGrain, [&](int64_t begin, int64_t end) {
        while (begin < end) {
            const int64_t panel = begin / in, c = begin % in;
            const int64_t last = min64(in, c + end - begin);
            const int64_t o0 = panel * kTileColumns<float>, width = panel_width(conv.dest.c, o0);
            transform_panel(conv, taps, o0, width, c, last,
                            to + panel * in * kTileColumns<float> + c * width, write);
            begin += last - c;
        }
    });
}

// 4 pixels of kLane channels, of which `count` exist, to an image whose rows are contiguous.
FASTNN_INLINE void store_planar(float* to, int64_t c_stride, V (&pixels)[4], int64_t count) {
    typedef float Four __attribute__((vector_size(16)));
    constexpr auto lanes = std::make_integer_sequence<int, kLane>();
    // Squares of 4 x 4: then vector i holds, four lanes each, the channels i, i + 4, ...
    swap_blocks<2>(pixels[0], pixels[2], lanes);
    swap_blocks<2>(pixels[1], pixels[3], lanes);
    swap_blocks<1>(pixels[0], pixels[1], lanes);
    swap_blocks<1>(pixels[2], pixels[3], lanes);
#pragma GCC unroll 4
    for (int64_t c = 0; c < kLane; c += 4)
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i)
            if (count == kLane || c + i < count) {
                Four four;
                __builtin_memcpy(&four, reinterpret_cast<const float*>(&pixels[i]) + c,
                                 sizeof four);
                __builtin_memcpy(to + (c + i) * c_stride, &four, sizeof four);
            }
}

// Where the results of a row of tiles go.
struct Target {
    float* data;
    int64_t c_stride, h_stride, w_stride;
    int64_t rows; // that exist
};

// The rows of tiles, and the panels of output channels, that a chunk computes.
struct Share {
    int64_t begin, end;
    int64_t first_panel, last_panel;
    int64_t first, last; // output channels, up to whole vectors

    Share(const Tiles& tiles, int64_t out, int64_t panel_blocks, int64_t chunk)
        : begin(chunk / panel_blocks * tiles.chunk_rows),
          end(min64(tiles.rows, begin + tiles.chunk_rows)) {
        const int64_t block = chunk % panel_blocks, panels = ceil_div(out, kTileColumns<float>);
        first_panel = block * panels / panel_blocks;
        last_panel = (block + 1) * panels / panel_blocks;
        first = first_panel * kTileColumns<float>;
        last = min64(whole_vectors(out), last_panel * kTileColumns<float>);
    }
};

// Brings results where they belong: straight where channels or pixels are contiguous, else by a
// copy of a row of tiles.
class Results {
  public:
    // Runs: whether 4 pixels of a row can be given side by side.
    Results(const Image<float>& image, const Tiles& tiles, bool runs)
        : image_(image), tiles_(tiles), pitch_(whole_vectors(image.c)),
          direct_(image.w >= tiles.side && image.c_stride == 1 && image.c == pitch_),
          planar_(!direct_ && runs && image.w >= 4 && image.w_stride == 1),
          copy_row_(max64(image.w, tiles.side) * pitch_) {}

    // give.operator()<planar>(row, target) writes row `row` of the share's tiles.
    template <class Give>
    void write(const Share& share, const Give& give) const {
        const int64_t side = tiles_.side, floats = direct_ || planar_ ? 0 : side * copy_row_;
        const Scratch copy(static_cast<size_t>(floats) * sizeof(float));
        for (int64_t row = share.begin; row < share.end; ++row) {
            const int64_t n = row / tiles_.y, y = row % tiles_.y * side;
            const int64_t rows = min64(side, image_.h - y), at = row - share.begin;
            const Target target = {image_.data + n * image_.n_stride + y * image_.h_stride,
                                   image_.c_stride, image_.h_stride, image_.w_stride, rows};
            if (direct_) {
                give.template operator()<false>(at, target);
            } else if (planar_) {
                give.template operator()<true>(at, target);
            } else {
                give.template operator()<false>(
                    at, Target{copy.as<float>(), 1, copy_row_, pitch_, rows});
                Image<float> part = image_;
                part.data += share.first * image_.c_stride;
                part.c = min64(image_.c, share.last) - share.first;
                for (int64_t i = 0; i < rows; ++i)
                    write_window(part, n, copy.as<float>() + i * copy_row_ + share.first,
                                 Window{y + i, 0, 1, image_.w, pitch_});
            }
        }
    }

  private:
    const Image<float>& image_;
    const Tiles& tiles_;
    const int64_t pitch_;
    const bool direct_, planar_;
    const int64_t copy_row_;
};

// -- weight gradients: sums over tiles --

// Of tiles whose channels lie so far from tile to tile.
FASTNN_INLINE TileIn<float> over_tiles(int64_t tiles, int64_t in_stride, int64_t out_stride) {
    TileIn<float> a{};
    a.k = tiles;
    a.a_row = 1;
    a.a_col = in_stride;
    a.b_row = out_stride;
    return a;
}

// sum[c][o] = or += the products of `in` x `out` channels, summed over the tiles.
FASTNN_INLINE void add_products(TileIn<float> a, int64_t in, int64_t out, bool accumulate,
                                float* sum, int64_t pitch) {
    const float* const sources = a.a;
    const float* const gradients = a.b;
    const int64_t groups = ceil_div(in, kTileRows);
    for (int64_t o = 0; o < out; o += kTileColumns<float>) {
        const int64_t width = min64(kTileColumns<float>, out - o);
        a.b = gradients + o;
        for (int64_t group = 0; group < groups; ++group) {
            const int64_t c = group * in / groups;
            const int64_t rows = (group + 1) * in / groups - c;
            a.a = sources + c;
            const TileOut<float> to = {sum + c * pitch + o, pitch, 1, width, nullptr, nullptr,
                                       accumulate,          false};
            micro_kernels<float>().of[rows - 1][width > kLane ? 1 : 0](a, to);
        }
    }
}

// The sums of some parts, [part][element][c][o].
struct Sums {
    int64_t parts, part_size, element, pitch;
};

// The sums of the parts, in order, and back to 3 x 3: of up to kLane x kLane channels from (c, o)
// on, where `from` points to in the first part. back(read, taps) does it for a pair of vectors,
// whose sums read(element) gives.
template <class Back>
FASTNN_INLINE void transform_sums(const WeightGrad<float>& w, const Sums& sums, const float* from,
                                  int64_t c, int64_t o, const Back& back) {
    const int64_t in = min64(kLane, w.x.c - c), out = min64(kLane, w.g.c - o);
    float block[kBlock * kLane]; // [c][tap][o]
    for (int64_t i = 0; i < in; ++i, from += sums.pitch)
        back(
            [&](int64_t element) __attribute__((always_inline)) {
                const float* first = from + element * sums.element;
                V v = load(first);
                for (int64_t part = 1; part < sums.parts; ++part)
                    v += load(first + part * sums.part_size);
                return v;
            },
            block + i * kBlock);
    float* const to = w.gweight + (o * w.x.c + c) * 9;
    if (in == kLane && out == kLane) {
#pragma GCC unroll 1
        for (int64_t first = 0; first < kBlock; first += kLane)
            turn(block + first * kLane, kLane, to + first, w.x.c * 9, 0);
        return;
    }
    for (int64_t lane = 0; lane < out; ++lane)
        for (int64_t tap = 0; tap < in * 9; ++tap)
            to[lane * w.x.c * 9 + tap] = block[tap * kLane + lane];
}

// Of all channels.
template <class Back>
FASTNN_INLINE void transform_sums(const WeightGrad<float>& w, const Sums& sums, const float* from,
                                  const Back& back) {
    const int64_t vectors = ceil_div(w.g.c, kLane);
    parallel_range(ceil_div(w.x.c, kLane) * vectors, max64(1, 512 / (sums.parts * kLane)),
                   [&](int64_t begin, int64_t end) {
                       for (int64_t item = begin; item < end; ++item) {
                           const int64_t c = item / vectors * kLane, o = item % vectors * kLane;
                           transform_sums(w, sums, from + c * sums.pitch + o, c, o, back);
                       }
                   });
}

} // namespace fastnn::FASTNN_ISA
