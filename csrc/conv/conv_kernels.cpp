// Convolution as a sum over taps (conv.h), for one ISA level: an implicit GEMM.
//
// A tile of the result is some pixels, of one row or several, by one or two vectors of output
// channels. Pixels of the source lie with their channels last, so that the taps of one kernel row
// and their channels are one contiguous run: the micro-kernel reads it where it lies, by a pointer
// for each pixel of the tile, and no patch is ever copied. An image of another layout, or one that
// needs padding, is first copied, a window at a time, into such an order: T times less than
// patches, for T taps. The weights are packed once, [panel of output channels][tap row][tap
// column][input channel][channels of the panel].
//
// A result of another layout is turned from scratch memory when a panel is done.
//
// Work is shared by image, group, block of rows and, where these are few, blocks of output
// channels. Floor: 2 N PY PX O C T FLOPs at the FMA peak; source and result through memory once.
// Reached on one core of Zen 4 (AVX2, float32), as a part of the FMA peak: 32 to 64 channels, 5 x 5
// on 13 x 13, 74 % with tiles within a row, 91 % with tiles over rows (NCHW: 87 %); 64 to 128, 3 x
// 3 with stride 2, 69 and 80 % in NCHW. 6 to 16, 5 x 5 on 14 x 14 in NCHW: 62 % with masked stores
// at the ends of pixels and planes, 89 % without them. Weights turned by squares in registers, not
// one by one: one image, 32 to 64 with stride 2 on 16 x 16, in two threads: 39 and 24 us. Cutting
// the loop over taps and channels, so that the weights stay in the first-level cache (16 KB of 51
// to 800), changed nothing: 3 % at most.
#include "conv/conv.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kChunks = 16;             // chunks wanted of a large convolution
constexpr double kChunkWork = 1 << 18;      // multiplications that are worth a chunk
constexpr int64_t kWindowBytes = 256 << 10; // a window stays in the second-level cache

// What follows from the shapes alone.
template <class T>
struct Plan {
    const TapConv<T>& conv;
    int64_t in, out;                        // channels of a group
    int64_t k;                              // taps times input channels
    int64_t panels;                         // of output channels, in a group
    int64_t panel_size;                     // of packed weights and biases
    int64_t min_dy, min_dx, span_y, span_x; // rows and columns that the taps reach over
    bool direct;                            // the source is read where it is
    bool joined;                            // taps of a row and their channels are one run
    int64_t pitch;                          // from pixel to pixel of what is read
    int64_t h_stride;                       // from row to row of it
    int64_t segments, segment_k;            // runs of a pixel, and their length
    bool flat;                              // the result takes its tiles as they are
    int64_t row_blocks, panel_blocks;

    explicit Plan(const TapConv<T>& c) : conv(c) {
        in = c.source.c / c.groups;
        out = c.dest.c / c.groups;
        k = c.taps_y * c.taps_x * in;
        panels = ceil_div(out, kTileColumns<T>);
        panel_size = kTileColumns<T> * (k + 1);
        min_dy = min_dx = 0;
        int64_t max_dy = 0, max_dx = 0;
        for (int64_t i = 0; i < c.taps_y; ++i) {
            min_dy = i == 0 || c.dy[i] < min_dy ? c.dy[i] : min_dy;
            max_dy = i == 0 || c.dy[i] > max_dy ? c.dy[i] : max_dy;
        }
        bool consecutive = true;
        for (int64_t j = 0; j < c.taps_x; ++j) {
            min_dx = c.dx[0];
            max_dx = c.dx[c.taps_x - 1];
            consecutive = consecutive && c.dx[j] == c.dx[0] + j;
        }
        span_y = max_dy - min_dy + 1;
        span_x = max_dx - min_dx + 1;

        const Image<const T>& s = c.source;
        const bool inside = min_dy >= 0 && min_dx >= 0 &&
                            (c.dest.h - 1) * c.step_y + max_dy < s.h &&
                            (c.dest.w - 1) * c.step_x + max_dx < s.w;
        // Pixels a multiple of 2 KB apart would evict each other from the first-level cache.
        const auto crowded = [&](int64_t stride) {
            return stride * c.step_x * static_cast<int64_t>(sizeof(T)) % 2048 == 0;
        };
        direct = inside && s.c_stride == 1 && !crowded(s.w_stride);
        pitch = direct ? s.w_stride : crowded(in) ? in + kLanes<T> : in;
        joined = consecutive && pitch == in;
        h_stride = direct ? s.h_stride : window_width() * pitch;
        segments = joined ? c.taps_y * min64(1, c.taps_x) : c.taps_y * c.taps_x;
        segment_k = joined ? c.taps_x * in : in;
        const Image<T>& d = c.dest;
        flat = d.c_stride == 1 && (d.h_stride == d.w * d.w_stride || d.h == 1);

        const int64_t row_bytes =
            c.step_y * window_width() * pitch * static_cast<int64_t>(sizeof(T));
        row_blocks = min64(c.dest.h, ceil_div(c.dest.h * row_bytes, kWindowBytes));
        const double work = static_cast<double>(c.dest.h * c.dest.w * out) * static_cast<double>(k);
        const auto most = [&](int64_t blocks) { // not so many that a chunk is too small
            return max64(1, min64(blocks, static_cast<int64_t>(work / kChunkWork)));
        };
        const int64_t items = s.n * c.groups;
        row_blocks = max64(row_blocks, most(min64(c.dest.h, ceil_div(kChunks, items))));
        panel_blocks =
            min64(panels, max64(1, most(ceil_div(kChunks, items * row_blocks)) / row_blocks));
    }

    int64_t window_width() const { return (conv.dest.w - 1) * conv.step_x + span_x; }
    int64_t most_rows() const { return ceil_div(conv.dest.h, row_blocks); }
    int64_t window_height(int64_t rows) const { return (rows - 1) * conv.step_y + span_y; }
};

template <class T>
int panel_vectors(int64_t out, int64_t panel) {
    return out - panel * kTileColumns<T> > kLanes<T> ? 2 : 1;
}

// The weights of `count` output channels, each of which has all its own in one run: squares of them
// are turned in registers.
template <class T>
void turn_weights(T* to, const Plan<T>& plan, const T* from, int64_t count, int64_t width) {
    constexpr int64_t lanes = kLanes<T>;
    const TapConv<T>& c = plan.conv;
    const Scratch rows(static_cast<size_t>(plan.k) * sizeof(int64_t)); // where a weight's row is
    int64_t* const row = rows.as<int64_t>();
    for (int64_t i = 0; i < c.taps_y; ++i)
        for (int64_t j = 0; j < c.taps_x; ++j)
            for (int64_t channel = 0; channel < plan.in; ++channel)
                row[channel * c.weight_c + c.weight_y[i] + c.weight_x[j]] =
                    ((i * c.taps_x + j) * plan.in + channel) * width;
    for (int64_t o = 0; o < width; o += lanes)
        for (int64_t next = 0; next < plan.k; next += lanes) {
            const int64_t k = min64(next, plan.k - lanes); // the last overlaps
            Vec<T> square[lanes];
#pragma GCC unroll 16
            for (int64_t i = 0; i < lanes; ++i)
                square[i] = o + i < count ? load(from + (o + i) * c.weight_o + k) : Vec<T>{};
            transpose(square);
#pragma GCC unroll 16
            for (int64_t i = 0; i < lanes; ++i)
                store(to + row[k + i] + o, square[i]);
        }
}

// Whether the weights of an output channel are one run, in any order.
template <class T>
bool in_one_run(const Plan<T>& plan) {
    const TapConv<T>& c = plan.conv;
    bool run = plan.k >= kLanes<T>;
    for (int64_t i = 0; i < c.taps_y; ++i)
        for (int64_t j = 0; j < c.taps_x; ++j)
            run = run && c.weight_y[i] + c.weight_x[j] + (plan.in - 1) * c.weight_c < plan.k;
    return run;
}

// One panel of one group, its biases at the end.
template <class T>
void pack_weights(T* to, const Plan<T>& plan, int64_t group, int64_t panel) {
    const TapConv<T>& c = plan.conv;
    const int64_t o0 = panel * kTileColumns<T>;
    const int64_t width = panel_vectors<T>(plan.out, panel) * kLanes<T>;
    const int64_t count = min64(width, plan.out - o0);
    const T* from = c.weight + group * c.weight_group + o0 * c.weight_o;
    T* const biases = to + plan.k * width;
    for (int64_t o = 0; o < width; ++o)
        biases[o] = c.bias && o < count ? c.bias[group * plan.out + o0 + o] : T{};
    if (in_one_run(plan))
        return turn_weights(to, plan, from, count, width);
    for (int64_t i = 0; i < c.taps_y; ++i)
        for (int64_t j = 0; j < c.taps_x; ++j)
            for (int64_t channel = 0; channel < plan.in; ++channel, to += width) {
                const T* source = from + channel * c.weight_c + c.weight_y[i] + c.weight_x[j];
                for (int64_t o = 0; o < count; ++o)
                    to[o] = source[o * c.weight_o];
                for (int64_t o = count; o < width; ++o)
                    to[o] = T{};
            }
}

struct Chunk {
    int64_t n, group;
    int64_t row_begin, row_end;
    int64_t panel_begin, panel_end;
};

// Where the pixels of a chunk, and the runs of a pixel, begin in what is read.
template <class T>
void set_offsets(const Plan<T>& plan, int64_t* pixel, int64_t* run) {
    const TapConv<T>& c = plan.conv;
    for (int64_t y = 0; y < plan.most_rows(); ++y)
        for (int64_t x = 0; x < c.dest.w; ++x)
            *pixel++ = y * c.step_y * plan.h_stride + x * c.step_x * plan.pitch;
    for (int64_t i = 0; i < c.taps_y; ++i)
        for (int64_t j = 0; j < (plan.joined ? min64(1, c.taps_x) : c.taps_x); ++j)
            *run++ = (c.dy[i] - plan.min_dy) * plan.h_stride + (c.dx[j] - plan.min_dx) * plan.pitch;
}

// Scratch memory of a thread and what all threads read.
template <class T>
struct Buffers {
    const T* packed;
    const int64_t *pixel_offset, *run_offset;
    T* window;
    T* result; // [pixel][channel of the panel]
};

// One panel of a chunk.
template <class T>
void compute_panel(const Plan<T>& plan, const Buffers<T>& buffers, const T* pixels, int64_t count,
                   const T* packed, int vectors, TileOut<T> out) {
    TileIn<T> in{};
    in.k = plan.segment_k;
    in.segments = plan.segments;
    in.a = pixels;
    in.a_offset = buffers.run_offset;
    in.b = packed;
    in.b_row = vectors * kLanes<T>;
    out.column_bias = plan.conv.bias ? packed + plan.k * in.b_row : nullptr;
    out.relu = plan.conv.relu;
    T* const to = out.c;
    const int64_t tiles = ceil_div(count, kTileRows);
    for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = tile * count / tiles;
        const int64_t rows = (tile + 1) * count / tiles - first;
        in.a_rows = buffers.pixel_offset + first;
        out.c = to + first * out.row;
        micro_kernels<T>().gather[rows - 1][vectors - 1](in, out);
    }
}

template <class T>
void compute_chunk(const Plan<T>& plan, const Buffers<T>& buffers, const Chunk& chunk) {
    const TapConv<T>& c = plan.conv;
    const Image<const T>& s = c.source;
    const int64_t rows = chunk.row_end - chunk.row_begin;
    const int64_t top = chunk.row_begin * c.step_y + plan.min_dy;
    const T* pixels = buffers.window;
    if (plan.direct)
        pixels = s.data + chunk.n * s.n_stride + chunk.group * plan.in + top * s.h_stride +
                 plan.min_dx * s.w_stride;
    else
        copy_window(
            buffers.window, s, chunk.n, chunk.group * plan.in, plan.in,
            Window{top, plan.min_dx, plan.window_height(rows), plan.window_width(), plan.pitch});
    Image<T> d = c.dest;
    for (int64_t panel = chunk.panel_begin; panel < chunk.panel_end; ++panel) {
        const int64_t o0 = panel * kTileColumns<T>;
        const int vectors = panel_vectors<T>(plan.out, panel);
        d.data = c.dest.data + (chunk.group * plan.out + o0) * d.c_stride;
        d.c = min64(kTileColumns<T>, plan.out - o0);
        TileOut<T> to{};
        to.col = 1;
        if (plan.flat) {
            to.c = d.data + chunk.n * d.n_stride + chunk.row_begin * d.h_stride;
            to.row = d.w_stride;
            to.columns = d.c;
        } else {
            to.c = buffers.result;
            to.row = to.columns = vectors * kLanes<T>;
        }
        compute_panel(plan, buffers, pixels, rows * d.w,
                      buffers.packed + (chunk.group * plan.panels + panel) * plan.panel_size,
                      vectors, to);
        if (!plan.flat)
            write_window(d, chunk.n, buffers.result, Window{chunk.row_begin, 0, rows, d.w, to.row});
    }
}

template <class T>
void compute(const TapConv<T>& c) {
    if (c.dest.n == 0 || c.dest.c == 0 || c.dest.h <= 0 || c.dest.w <= 0)
        return;
    const Plan<T> plan(c);
    const Scratch packed(static_cast<size_t>(c.groups * plan.panels * plan.panel_size) * sizeof(T));
    const int64_t pack_grain = max64(1, 8192 / plan.panel_size);
    parallel_range(c.groups * plan.panels, pack_grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            pack_weights(packed.as<T>() + i * plan.panel_size, plan, i / plan.panels,
                         i % plan.panels);
    });

    const int64_t blocks = plan.row_blocks * plan.panel_blocks;
    const double work = static_cast<double>(c.dest.h * c.dest.w * plan.out) *
                        static_cast<double>(plan.k) / static_cast<double>(blocks);
    const int64_t grain = max64(1, static_cast<int64_t>(kChunkWork / (work + 1)));
    const int64_t rows = plan.most_rows();
    const int64_t window =
        plan.direct ? 0 : plan.window_height(rows) * plan.window_width() * plan.pitch;
    const int64_t result = plan.flat ? 0 : rows * c.dest.w * kTileColumns<T>;
    const Scratch offsets(static_cast<size_t>(rows * c.dest.w + plan.segments) * sizeof(int64_t));
    int64_t* const run_offset = offsets.as<int64_t>() + rows * c.dest.w;
    set_offsets(plan, offsets.as<int64_t>(), run_offset);
    parallel_range(c.source.n * c.groups * blocks, grain, [&](int64_t begin, int64_t end) {
        const Scratch scratch(static_cast<size_t>(window + result) * sizeof(T));
        const Buffers<T> buffers = {packed.as<T>(), offsets.as<int64_t>(), run_offset,
                                    scratch.as<T>(), scratch.as<T>() + window};
        for (int64_t i = begin; i < end; ++i) {
            const int64_t panel_block = i % plan.panel_blocks;
            const int64_t row_block = i / plan.panel_blocks % plan.row_blocks;
            const int64_t image = i / blocks;
            const Chunk chunk = {image / c.groups,
                                 image % c.groups,
                                 row_block * c.dest.h / plan.row_blocks,
                                 (row_block + 1) * c.dest.h / plan.row_blocks,
                                 panel_block * plan.panels / plan.panel_blocks,
                                 (panel_block + 1) * plan.panels / plan.panel_blocks};
            compute_chunk(plan, buffers, chunk);
        }
    });
}

template <class T>
void turn(const T* from, const Image<T>& to) {
    const int64_t size = to.c * to.h * to.w;
    parallel_range(to.n, max64(1, 65536 / max64(1, size)), [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n)
            write_window(to, n, from + n * size, Window{0, 0, to.h, to.w, to.c});
    });
}

void taps_f32(const TapConv<float>& conv) {
    compute(conv);
}
void taps_f64(const TapConv<double>& conv) {
    compute(conv);
}
void turn_f32(const float* from, const Image<float>& to) {
    turn(from, to);
}
void turn_f64(const double* from, const Image<double>& to) {
    turn(from, to);
}

} // namespace

const ConvKernels conv_kernels = {taps_f32, taps_f64, turn_f32, turn_f64};

} // namespace fastnn::FASTNN_ISA
