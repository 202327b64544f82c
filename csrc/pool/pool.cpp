#include "pool/pool.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 16384; // elements of one chunk

struct Sizes {
    explicit Sizes(const PoolShape& s, bool is_double)
        : item(is_double ? 8 : 4), image(s.c * s.h * s.w), output(s.c * s.oh * s.ow),
          plane(s.h * s.w), plane_output(s.oh * s.ow) {}
    int64_t item, image, output, plane, plane_output;
};

const char* at(const void* p, int64_t bytes) {
    return static_cast<const char*>(p) + bytes;
}
char* at(void* p, int64_t bytes) {
    return static_cast<char*>(p) + bytes;
}

// Calls body(first plane, planes, begin, end): several whole planes, or a range of the output rows
// of one plane. In NHWC a "plane" is an image.
template <class Body>
void for_rows(const PoolShape& s, Body body) {
    const int64_t planes = s.channels_last ? s.n : s.n * s.c;
    const int64_t size = s.h * s.w * (s.channels_last ? s.c : 1);
    if (size <= kGrain && !s.channels_last) {
        parallel_range(
            planes, std::max<int64_t>(kGrain / size, 1),
            [&](int64_t first, int64_t last) { body(first, last - first, int64_t{0}, s.oh); });
        return;
    }
    const int64_t rows = std::clamp<int64_t>(kGrain * s.oh / size, 1, s.oh);
    const int64_t pieces = (s.oh + rows - 1) / rows;
    parallel_for(planes * pieces, [&](int64_t chunk) {
        const int64_t begin = chunk % pieces * rows;
        body(chunk / pieces, int64_t{1}, begin, std::min(begin + rows, s.oh));
    });
}

// Calls body(first plane, planes, 0, 0) or, in NHWC, body(image, 1, first channel, last channel).
template <class Body>
void for_planes(const PoolShape& s, Body body) {
    if (!s.channels_last) {
        parallel_range(s.n * s.c, std::max<int64_t>(kGrain / (s.h * s.w), 1),
                       [&](int64_t first, int64_t last) {
                           body(first, last - first, int64_t{0}, int64_t{0});
                       });
        return;
    }
    constexpr int64_t group = 64; // channels: whole cache lines
    const int64_t groups = s.n >= 8 ? 1 : (s.c + group - 1) / group;
    parallel_for(s.n * groups, [&](int64_t chunk) {
        const int64_t begin = chunk % groups * group;
        body(chunk / groups, int64_t{1}, begin, groups == 1 ? s.c : std::min(begin + group, s.c));
    });
}

} // namespace

void max_pool(const PoolShape& s, bool is_double, const void* x, void* y, int32_t* indices) {
    const PoolTable& table = pool_table();
    const auto kernel = (indices ? table.max : table.max_values)[is_double][s.channels_last];
    const Sizes size(s, is_double);
    const int64_t in = s.channels_last ? size.image : size.plane;
    const int64_t out = s.channels_last ? size.output : size.plane_output;
    for_rows(s, [&](int64_t first, int64_t planes, int64_t begin, int64_t end) {
        kernel(s, at(x, first * in * size.item), planes, begin, end, at(y, first * out * size.item),
               indices ? indices + first * out : nullptr);
    });
}

void max_pool_backward(const PoolShape& s, bool is_double, const void* g, const int32_t* indices,
                       void* gx) {
    const auto kernel = pool_table().max_backward[is_double][s.channels_last];
    const Sizes size(s, is_double);
    const int64_t in = s.channels_last ? size.image : size.plane;
    const int64_t out = s.channels_last ? size.output : size.plane_output;
    std::atomic<bool> fine{true};
    for_planes(s, [&](int64_t first, int64_t planes, int64_t begin, int64_t end) {
        if (!kernel(s, at(g, first * out * size.item), indices + first * out, planes, begin, end,
                    at(gx, first * in * size.item)))
            fine = false;
    });
    if (!fine)
        throw std::out_of_range("max_pool2d_backward: an index lies outside the input's plane of " +
                                std::to_string(s.h) + " x " + std::to_string(s.w));
}

void average_pool(const PoolShape& s, const PoolWindows& windows, bool is_double, const void* x,
                  void* y) {
    const auto kernel = pool_table().average[is_double][s.channels_last];
    const Sizes size(s, is_double);
    const int64_t in = s.channels_last ? size.image : size.plane;
    const int64_t out = s.channels_last ? size.output : size.plane_output;
    for_rows(s, [&](int64_t first, int64_t planes, int64_t begin, int64_t end) {
        const Scratch row(static_cast<std::size_t>((s.w + kPoolScratchTail) * size.item));
        kernel(s, windows, at(x, first * in * size.item), planes, begin, end,
               at(y, first * out * size.item), row.as<void>());
    });
}

void average_pool_backward(const PoolShape& s, const PoolWindows& windows, bool is_double,
                           const void* g, void* gx) {
    const auto kernel = pool_table().average_backward[is_double][s.channels_last];
    const Sizes size(s, is_double);
    const int64_t in = s.channels_last ? size.image : size.plane;
    const int64_t out = s.channels_last ? size.output : size.plane_output;
    for_planes(s, [&](int64_t first, int64_t planes, int64_t begin, int64_t end) {
        const Scratch row(
            static_cast<std::size_t>((s.w + s.ow + 4 * kPoolScratchTail) * size.item));
        kernel(s, windows, at(g, first * out * size.item), planes, begin, end,
               at(gx, first * in * size.item), row.as<void>());
    });
}

} // namespace fastnn
