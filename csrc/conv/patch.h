// A window of an image, copied with its channels last and zeros where it lies outside of the image.
#pragma once

#include "conv/conv.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// [h][w][pitch], of which the first c elements of a pixel are its channels.
struct Window {
    int64_t y, x; // of its first pixel, in the image; may lie outside
    int64_t h, w;
    int64_t pitch;
};

template <class T>
FASTNN_INLINE void zero(T* to, int64_t count) {
    __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(T));
}

// Pixels [0, w) of one row. The channels of a pixel need not be contiguous in the image.
template <class T>
FASTNN_INLINE void copy_pixels(T* to, const T* from, int64_t w, int64_t c, int64_t w_stride,
                               int64_t c_stride, int64_t pitch) {
    constexpr int lanes = kLanes<T>;
    if (c == 1 && pitch == 1 && w_stride == 1) {
        __builtin_memcpy(to, from, static_cast<size_t>(w) * sizeof(T));
        return;
    }
    if (c_stride == 1) {
        for (int64_t x = 0; x < w; ++x) {
            const T* pixel = from + x * w_stride;
            int64_t i = 0;
            for (; i + lanes <= c; i += lanes)
                store(to + x * pitch + i, load(pixel + i));
            if (i < c)
                store_partial(to + x * pitch + i, load_partial(pixel + i, c - i), c - i);
        }
        return;
    }
    if (w_stride != 1) {
        for (int64_t x = 0; x < w; ++x)
            for (int64_t i = 0; i < c; ++i)
                to[x * pitch + i] = from[x * w_stride + i * c_stride];
        return;
    }
    for (int64_t i = 0; i < c; i += lanes) // transpose squares of lanes channels x lanes pixels
        for (int64_t next = 0; next < w; next += lanes) {
            const int64_t x =
                next + lanes > w && w >= lanes ? w - lanes : next; // overlaps the last
            const int64_t channels = c - i < lanes ? c - i : lanes;
            const int64_t pixels = w - x < lanes ? w - x : lanes;
            const T* source = from + i * c_stride + x;
            T* target = to + x * pitch + i;
            Vec<T> square[lanes];
            if (channels == lanes && pixels == lanes) {
#pragma GCC unroll 16
                for (int j = 0; j < lanes; ++j)
                    square[j] = load(source + j * c_stride);
                transpose(square);
#pragma GCC unroll 16
                for (int j = 0; j < lanes; ++j)
                    store(target + j * pitch, square[j]);
                continue;
            }
#pragma GCC unroll 16
            for (int j = 0; j < lanes; ++j)
                square[j] = j < channels ? load_partial(source + j * c_stride, pixels) : Vec<T>{};
            transpose(square);
            // One block of channels alone: what a whole vector writes beyond a pixel, the next ones
            // overwrite, as long as these are of the square.
            if (c < lanes && pixels == lanes) {
#pragma GCC unroll 16
                for (int j = 0; j < lanes; ++j)
                    if (j * pitch + lanes <= lanes * pitch)
                        store(target + j * pitch, square[j]);
                    else
                        store_partial(target + j * pitch, square[j], c);
                continue;
            }
            T turned[lanes * lanes];
#pragma GCC unroll 16
            for (int j = 0; j < lanes; ++j)
                store(turned + j * lanes, square[j]);
            for (int64_t j = 0; j < pixels; ++j)
                store_partial(target + j * pitch, load(turned + j * lanes), channels);
        }
}

// The channels [channel, channel + c) of image n.
template <class T>
__attribute__((noinline)) void copy_window(T* to, const Image<const T>& image, int64_t n,
                                           int64_t channel, int64_t c, const Window& window) {
    const int64_t row = window.w * window.pitch;
    const bool inside =
        window.x == 0 && window.w == image.w && window.y >= 0 && window.y + window.h <= image.h;
    if (inside && image.h_stride == image.w * image.w_stride) // one long row
        return copy_pixels(to,
                           image.data + n * image.n_stride + channel * image.c_stride +
                               window.y * image.h_stride,
                           window.h * window.w, c, image.w_stride, image.c_stride, window.pitch);
    const int64_t left = window.x < 0 ? (-window.x < window.w ? -window.x : window.w) : 0;
    const int64_t end = window.x + window.w < image.w ? window.w : image.w - window.x;
    for (int64_t y = 0; y < window.h; ++y, to += row) {
        const int64_t from_y = window.y + y;
        if (from_y < 0 || from_y >= image.h || end <= left) {
            zero(to, row);
            continue;
        }
        zero(to, left * window.pitch);
        copy_pixels(to + left * window.pitch,
                    image.data + n * image.n_stride + channel * image.c_stride +
                        from_y * image.h_stride + (window.x + left) * image.w_stride,
                    end - left, c, image.w_stride, image.c_stride, window.pitch);
        zero(to + end * window.pitch, row - end * window.pitch);
    }
}

// The pixels [0, w) of one row, the other way.
template <class T>
FASTNN_INLINE void write_pixels(T* to, const T* from, int64_t w, int64_t c, int64_t w_stride,
                                int64_t c_stride, int64_t pitch) {
    constexpr int lanes = kLanes<T>;
    if (c_stride == 1)
        return copy_pixels(to, from, w, c, pitch, 1, w_stride);
    if (w_stride != 1) {
        for (int64_t x = 0; x < w; ++x)
            for (int64_t i = 0; i < c; ++i)
                to[x * w_stride + i * c_stride] = from[x * pitch + i];
        return;
    }
    for (int64_t i = 0; i < c; i += lanes)
        for (int64_t next = 0; next < w; next += lanes) {
            const int64_t x =
                next + lanes > w && w >= lanes ? w - lanes : next; // overlaps the last
            const int64_t channels = c - i < lanes ? c - i : lanes;
            const int64_t pixels = w - x < lanes ? w - x : lanes;
            const T* source = from + x * pitch + i;
            T* target = to + i * c_stride + x;
            Vec<T> square[lanes];
            if (channels == lanes && pixels == lanes) {
#pragma GCC unroll 16
                for (int j = 0; j < lanes; ++j)
                    square[j] = load(source + j * pitch);
                transpose(square);
#pragma GCC unroll 16
                for (int j = 0; j < lanes; ++j)
                    store(target + j * c_stride, square[j]);
                continue;
            }
#pragma GCC unroll 16
            for (int j = 0; j < lanes; ++j)
                square[j] = j < pixels ? load_partial(source + j * pitch, channels) : Vec<T>{};
            transpose(square);
            T turned[lanes * lanes];
#pragma GCC unroll 16
            for (int j = 0; j < lanes; ++j)
                store(turned + j * lanes, square[j]);
            for (int64_t j = 0; j < channels; ++j)
                store_partial(target + j * c_stride, load(turned + j * lanes), pixels);
        }
}

// A window with the channels last, which lies inside of the image, into image n.
template <class T>
__attribute__((noinline)) void write_window(const Image<T>& image, int64_t n, const T* from,
                                            const Window& window) {
    T* to = image.data + n * image.n_stride + window.y * image.h_stride + window.x * image.w_stride;
    if (window.w == image.w && image.h_stride == image.w * image.w_stride) // one long row
        return write_pixels(to, from, window.h * window.w, image.c, image.w_stride, image.c_stride,
                            window.pitch);
    for (int64_t y = 0; y < window.h; ++y)
        write_pixels(to + y * image.h_stride, from + y * window.w * window.pitch, window.w, image.c,
                     image.w_stride, image.c_stride, window.pitch);
}

} // namespace fastnn::FASTNN_ISA
