// Planes of an image, copied with their padding, and what a convolution on planes costs.
#pragma once

#include "conv/patch.h"
#include "core/integers.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {

// The source under some rows of the result: [h][c][pitch], of which the first w elements of a row
// count, beginning at pixel (y, x) of the image; the others are zeros.
struct Planes {
    int64_t y, x, h, w, pitch;
};

// Of an image in any layout.
template <class T>
void copy_planes(T* to, const Image<const T>& image, int64_t n, int64_t channel, int64_t c,
                 const Planes& planes) {
    const int64_t left = min64(planes.w, max64(0, -planes.x));
    const int64_t end = max64(left, min64(planes.w, image.w - planes.x));
    const T* from = image.data + n * image.n_stride + channel * image.c_stride +
                    (planes.x + left) * image.w_stride;
    for (int64_t row = 0; row < planes.h; ++row, to += c * planes.pitch) {
        const int64_t y = planes.y + row;
        if (y < 0 || y >= image.h || end == left) {
            zero(to, c * planes.pitch);
            continue;
        }
        for (int64_t i = 0; i < c; ++i) {
            zero(to + i * planes.pitch, left);
            zero(to + i * planes.pitch + end, planes.pitch - end);
        }
        const T* const pixels = from + y * image.h_stride;
        if (image.c_stride == 1) {
            write_pixels(to + left, pixels, end - left, c, 1, planes.pitch, image.w_stride);
            continue;
        }
        for (int64_t i = 0; i < c; ++i) {
            T* const plane = to + i * planes.pitch + left;
            if (image.w_stride == 1)
                __builtin_memcpy(plane, pixels + i * image.c_stride,
                                 static_cast<size_t>(end - left) * sizeof(T));
            else
                for (int64_t x = 0; x < end - left; ++x)
                    plane[x] = pixels[i * image.c_stride + x * image.w_stride];
        }
    }
}

// From row to row of a plane: rows a multiple of 256 bytes apart would share few sets of the
// first-level cache.
template <class T>
int64_t plane_pitch(int64_t width) {
    return width * static_cast<int64_t>(sizeof(T)) % 256 == 0 ? width + kLanes<T> : width;
}

// Whether the rows that the taps of a column read follow each other.
template <class T>
bool rows_joined(const TapConv<T>& c) {
    bool joined = true;
    for (int64_t i = 1; i < c.taps_y; ++i)
        joined = joined && c.dy[i] == c.dy[i - 1] + 1;
    return joined;
}

// Whether neighbouring results read neighbouring pixels, and taps of a row too.
template <class T>
bool columns_joined(const TapConv<T>& c) {
    bool joined = c.step_x == 1 && c.taps_y > 0 && c.taps_x > 0;
    for (int64_t j = 1; joined && j < c.taps_x; ++j)
        joined = c.dx[j] == c.dx[j - 1] + 1;
    return joined;
}

// -- estimated cycles for one image and group ---------------------------------------------------
inline constexpr double kTileCycles = 40;    // a call and the stores
inline constexpr double kTurnedCycles = 0.7; // an element turned between planes and channels last
inline constexpr double kCopiedCycles = 0.2; // an element of a plane

template <class T>
double source_elements(const TapConv<T>& c) {
    return static_cast<double>(c.source.c / c.groups * ((c.dest.h - 1) * c.step_y + c.taps_y) *
                               (c.dest.w + c.taps_x));
}

// One step in k of a tile: two FMAs, or two loads, of four cycles' latency.
FASTNN_INLINE double step_cycles(int64_t rows, int64_t vectors) {
    return static_cast<double>(max64(8, max64(rows * vectors, rows + vectors))) / 2;
}

// Of conv_kernels.cpp.
template <class T>
double taps_cycles(const TapConv<T>& c) {
    const int64_t in = c.source.c / c.groups, out = c.dest.c / c.groups;
    const double steps = static_cast<double>(in * c.taps_y * c.taps_x);
    const int64_t panels = out / kTileColumns<T>, last = out % kTileColumns<T>;
    double cycles = static_cast<double>(panels) * (steps * step_cycles(kTileRows, 2) + kTileCycles);
    if (last > 0)
        cycles += steps * step_cycles(kTileRows, last > kLanes<T> ? 2 : 1) + kTileCycles;
    cycles *= static_cast<double>(ceil_div(c.dest.h * c.dest.w, kTileRows));
    const double turned =
        (c.source.c_stride == 1 ? 0 : source_elements(c)) +
        (c.dest.c_stride == 1 ? 0 : static_cast<double>(out * c.dest.h * c.dest.w));
    return cycles + kTurnedCycles * turned;
}

} // namespace fastnn::FASTNN_ISA
