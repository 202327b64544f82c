// The matrix product that a convolution is: patches of the image by weights, where an element's
// address is that of its pixel's window and its tap's offset in it, added.
//
// Windows are worked out once a thread (or once a tile), by multiplications instead of divisions;
// taps come from a table in global memory (prepare.cu), one of 16 bytes for each element of the
// sum, or for each 16 bytes of channels. Reading it is one cached load, the same for a warp that
// walks along pixels.
#pragma once

#include "core/fast_divide.cuh"
#include "gemm/shared_tile.cuh"

namespace fastnn::cuda {

// A position so far outside that no tap leads back.
constexpr int outside = -(1 << 30);

struct alignas(16) Tap {
    int offset;  // in elements, with that of the channel
    int d, h, w; // relative to the window
};

// Pixels in the order (n, d, h, w).
struct PixelGrid {
    FastDivide d, h, w; // sizes
    struct Pixel {
        int n, d, h, w;
    };
    __device__ __forceinline__ Pixel at(int64_t i) const {
        uint32_t column = uint32_t(i), row = w.split(column), plane = h.split(row);
        const uint32_t n = d.split(plane);
        return {int(n), int(plane), int(row), int(column)};
    }
};

// A position in an image, and its offset in elements; an array has fewer than 2^31 of them, so that
// 32 bits do: registers are what tiles of gathered elements run out of.
struct Position {
    int offset, d, h, w;
};

// The windows of an image.
template <class T>
struct Windows {
    using Element = T;
    const T* data;
    int stride_n, group_stride, stride_d, stride_h, stride_w;
    int size_d, size_h, size_w;
    int step_d, step_h, step_w, start_d, start_h, start_w;
    PixelGrid grid;
    int pixels;
    const Tap* taps;

    __device__ __forceinline__ Position window(int i) const {
        if (i >= pixels)
            return {0, 0, 0, outside};
        const auto p = grid.at(i);
        const int d = p.d * step_d + start_d, h = p.h * step_h + start_h,
                  w = p.w * step_w + start_w;
        return {p.n * stride_n + d * stride_d + h * stride_h + w * stride_w, d, h, w};
    }
    __device__ __forceinline__ const T* at(const Position& a, const Position& b,
                                           bool& valid) const {
        valid = unsigned(a.d + b.d) < unsigned(size_d) && unsigned(a.h + b.h) < unsigned(size_h) &&
                unsigned(a.w + b.w) < unsigned(size_w);
        return data + (valid ? a.offset + b.offset : 0);
    }
};

// Patches whose sum is over taps: `width` elements along the channels to an entry of the table.
template <class T, int width>
struct Patches : Windows<T> {
    using Outer = Position;
    using Inner = Position;
    __device__ __forceinline__ Outer outer(int64_t i, int batch) const {
        Position x = this->window(int(i));
        x.offset += batch * this->group_stride;
        return x;
    }
    __device__ __forceinline__ Inner inner(int64_t k) const {
        const Tap tap = simt::load(this->taps + unsigned(k) / width);
        return {tap.offset, tap.d, tap.h, tap.w};
    }
};

// Patches whose sum is over pixels: a row for each tap.
template <class T, int width>
struct TapRows : Windows<T> {
    using Outer = Position;
    using Inner = Position;
    __device__ __forceinline__ Outer outer(int64_t i, int batch) const {
        const Tap tap = simt::load(this->taps + unsigned(i) / width);
        return {tap.offset + batch * this->group_stride, tap.d, tap.h, tap.w};
    }
    __device__ __forceinline__ Inner inner(int64_t k) const { return this->window(int(k)); }
};

// Weights of the workspace, zeros up to whole tiles: every element may be read.
template <class T>
struct PackedWeights {
    using Element = T;
    const T* data;
    int outer_stride, inner_stride, group_stride;

    using Outer = int;
    using Inner = int;
    __device__ __forceinline__ Outer outer(int64_t i, int batch) const {
        return int(i) * outer_stride + batch * group_stride;
    }
    __device__ __forceinline__ Inner inner(int64_t k) const { return int(k) * inner_stride; }
    __device__ __forceinline__ const T* at(Outer o, Inner i, bool& valid) const {
        valid = true;
        return data + (o + i);
    }
};

// The channels of an image whose pixels are evenly spaced; the sum is over pixels.
template <class T>
struct ChannelRows {
    using Element = T;
    const T* data;
    int stride_n, stride_pixel, stride_c, group_stride;
    FastDivide pixels_per_sample;
    int channels, pixels;

    using Outer = int; // offsets; -1 is none
    using Inner = int;
    __device__ __forceinline__ Outer outer(int64_t i, int batch) const {
        return i < channels ? batch * group_stride + int(i) * stride_c : -1;
    }
    __device__ __forceinline__ Inner inner(int64_t k) const {
        if (k >= pixels)
            return -1;
        uint32_t pixel = uint32_t(k);
        const uint32_t n = pixels_per_sample.split(pixel);
        return int(n) * stride_n + int(pixel) * stride_pixel;
    }
    __device__ __forceinline__ const T* at(Outer o, Inner i, bool& valid) const {
        valid = (o | i) >= 0;
        return data + (valid ? o + i : 0);
    }
};

// Where results lie: pixels in rows and channels in columns, or the reverse.
template <class T, bool pixels_in_rows>
struct ImageRows {
    static constexpr bool feature_along_columns = pixels_in_rows;
    T* data;
    int stride_n, stride_c, stride_d, stride_h, stride_w, group_stride;
    PixelGrid grid;

    __device__ __forceinline__ int pixel(int64_t i) const {
        const auto p = grid.at(i);
        return p.n * stride_n + p.d * stride_d + p.h * stride_h + p.w * stride_w;
    }
    __device__ __forceinline__ T* row(int64_t m, int batch) const {
        return data + (batch * group_stride + (pixels_in_rows ? pixel(m) : int(m) * stride_c));
    }
    __device__ __forceinline__ int column(int64_t n) const {
        return pixels_in_rows ? int(n) * stride_c : pixel(n);
    }
    __device__ __forceinline__ int64_t feature(int64_t m, int64_t n) const {
        return pixels_in_rows ? n : m;
    }
};

// A weight's gradient (o, c, taps), whose columns are worked out in the order of the table: taps,
// or (taps, c) where `channels` is not 1.
template <class T>
struct WeightRows {
    static constexpr bool feature_along_columns = true;
    T* data;
    int row_stride, group_stride;
    FastDivide channels;
    int taps;

    __device__ __forceinline__ T* row(int64_t m, int batch) const {
        return data + (batch * group_stride + int(m) * row_stride);
    }
    __device__ __forceinline__ int column(int64_t n) const {
        uint32_t c = uint32_t(n);
        const uint32_t tap = channels.split(c);
        return int(c) * taps + int(tap);
    }
    __device__ __forceinline__ int64_t feature(int64_t, int64_t n) const { return n; }
};

} // namespace fastnn::cuda
