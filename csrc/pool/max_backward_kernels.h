// Gradients of max pooling: see pool.h.
//
// The general way is to zero a plane and add each output's gradient at its index. Where the sizes
// are those of 2 x 2 windows with stride 2 (by far the most usual), the windows do not overlap and
// every input is written once, in vectors: g where the index is the input's position, else 0. An
// output whose index lies elsewhere shows that the windows were others, and the plane is done in
// the general way.
#pragma once

#include "pool/windows_2x2.h"
#include "simd/strided.h"

namespace fastnn::FASTNN_ISA {

FASTNN_INLINE bool may_be_2x2(const PoolShape& s) {
    return s.oh == s.h / 2 && s.ow == s.w / 2;
}

template <class T>
FASTNN_INLINE IntVec<T> load_indices(const int32_t* p, int64_t n, const int32_t* limit) {
    if constexpr (sizeof(T) == 4) {
        return load_before(p, n, limit);
    } else {
        IntVec<T> v = {};
        for (int64_t i = 0; i < n; ++i)
            v[i] = p[i];
        return v;
    }
}

// The memory of the planes that a call works on ends here.
template <class T>
struct PlanesEnd {
    const T* g;
    const int32_t* indices;
    const T* gx;
};

template <class V>
FASTNN_INLINE bool any_set(V mask) {
    return fold(mask, [](auto a, auto b) { return a | b; }) != 0;
}

// False: an index is none of its window's.
template <class T>
FASTNN_INLINE bool plane_2x2(const PoolShape& s, const T* g, const int32_t* indices, T* plane,
                             const PlanesEnd<T>& end) {
    using I = typename MathConstants<T>::Int;
    constexpr int lanes = kLanes<T>;
    IntVec<T> lane;
    for (int i = 0; i < lanes; ++i)
        lane[i] = i;
    const IntVec<T> even = lane * I(2);
    const I w = static_cast<I>(s.w);
    IntVec<T> missed = {};
    for (int64_t oy = 0; oy < s.oh; ++oy) {
        T* row = plane + 2 * oy * s.w;
        // A store may run over into the row below if that is written later.
        const T* row_end = s.ow <= lanes ? end.gx : row + s.w;
        for (int64_t ox = 0; ox < s.ow; ox += lanes) {
            const int64_t n = s.ow - ox < lanes ? s.ow - ox : lanes;
            const int64_t out = oy * s.ow + ox;
            const Vec<T> v = load_before(g + out, n, end.g);
            const IntVec<T> at = load_indices<T>(indices + out, n, end.indices) - even -
                                 static_cast<I>(2 * oy * s.w + 2 * ox);
            const auto a = at == I(0), b = at == I(1), c = at == w, d = at == w + 1;
            missed |= ~(a | b | c | d) & (lane < static_cast<I>(n));
            store_interleaved<T>(row + 2 * ox, a ? v : Vec<T>{}, b ? v : Vec<T>{}, n, row_end);
            store_interleaved<T>(row + s.w + 2 * ox, c ? v : Vec<T>{}, d ? v : Vec<T>{}, n, end.gx);
        }
        if (s.w & 1)
            row[s.w - 1] = row[2 * s.w - 1] = T(0);
    }
    if (s.h & 1)
        __builtin_memset(plane + (s.h - 1) * s.w, 0, static_cast<std::size_t>(s.w) * sizeof(T));
    return !any_set(missed);
}

// The same of a plane before the careful ones, at most a vector of windows wide.
template <class T>
FASTNN_INLINE bool narrow_plane_2x2(const PoolShape& s, const T* g, const int32_t* indices,
                                    T* plane) {
    using I = typename MathConstants<T>::Int;
    constexpr int lanes = kLanes<T>;
    IntVec<T> columns; // of the windows' left inputs
    for (int i = 0; i < lanes; ++i)
        columns[i] = 2 * i;
    const I w = static_cast<I>(s.w);
    const IntVec<T> used = first_lanes<I>(s.ow);
    const bool wide = s.w > lanes;
    IntVec<T> missed = {};
    for (int64_t oy = 0; oy < s.oh; ++oy, g += s.ow, indices += s.ow, columns += 2 * w) {
        const Vec<T> v = (Vec<T>)((IntVec<T>)load(g) & used);
        const IntVec<T> at = load_indices<T>(indices, lanes, indices + lanes) - columns;
        IntVec<T> hit = {};
        for (int row = 0; row < 2; ++row, plane += s.w) {
            const auto left = at == row * w, right = at == row * w + 1;
            hit |= left | right;
            const Vec<T> even = left ? v : Vec<T>{}, odd = right ? v : Vec<T>{};
            if (wide)
                store_interleaved<T>(plane, even, odd, lanes, plane + 2 * lanes);
            else
                store_interleaved<T>(plane, even, odd, lanes / 2, plane + lanes);
        }
        missed |= ~hit & used;
    }
    if (s.h & 1)
        for (int64_t j = 0; j < s.w; j += lanes)
            store(plane + j, Vec<T>{});
    return !any_set(missed);
}

template <class T>
bool max_backward_nchw(const PoolShape& s, const void* g, const int32_t* indices, int64_t planes,
                       int64_t, int64_t, void* gx) {
    const int64_t size = s.h * s.w, outputs = s.oh * s.ow;
    bool fine = true, try_2x2 = may_be_2x2(s);
    const PlanesEnd<T> end = {static_cast<const T*>(g) + planes * outputs,
                              indices + planes * outputs, static_cast<T*>(gx) + planes * size};
    const int64_t narrow = try_2x2 && s.ow <= kLanes<T> && s.w <= 2 * kLanes<T>
                               ? planes - careful_planes<T>(s, planes)
                               : 0;
    for (int64_t p = 0; p < planes; ++p) {
        T* plane = static_cast<T*>(gx) + p * size;
        const T* from = static_cast<const T*>(g) + p * outputs;
        const int32_t* at = indices + p * outputs;
        if (try_2x2 && (try_2x2 = p < narrow ? narrow_plane_2x2(s, from, at, plane)
                                             : plane_2x2(s, from, at, plane, end)))
            continue;
        __builtin_memset(plane, 0, static_cast<std::size_t>(size) * sizeof(T));
        for (int64_t i = 0; i < outputs; ++i) {
            if (static_cast<uint64_t>(int64_t{at[i]}) < static_cast<uint64_t>(size))
                plane[at[i]] += from[i];
            else
                fine &= at[i] == -1;
        }
    }
    return fine;
}

// The channels [begin, end) of one image. False: an index is none of its window's.
template <class T>
FASTNN_INLINE bool image_2x2(const PoolShape& s, const T* g, const int32_t* indices, int64_t begin,
                             int64_t end, T* image) {
    using I = typename MathConstants<T>::Int;
    constexpr int lanes = kLanes<T>;
    IntVec<T> lane;
    for (int i = 0; i < lanes; ++i)
        lane[i] = i;
    IntVec<T> missed = {};
    for (int64_t oy = 0; oy < s.oh; ++oy)
        for (int64_t ox = 0; ox < s.ow; ++ox) {
            const int64_t out = (oy * s.ow + ox) * s.c, corner = 2 * oy * s.w + 2 * ox;
            const int64_t pixel[4] = {corner, corner + 1, corner + s.w, corner + s.w + 1};
            for (int64_t c = begin; c < end; c += lanes) {
                const int64_t n = end - c < lanes ? end - c : lanes;
                const bool whole = n == lanes;
                const Vec<T> v = whole ? load(g + out + c) : load_partial(g + out + c, n);
                const IntVec<T> at = load_indices<T>(indices + out + c, n, indices);
                IntVec<T> hit = {};
#pragma GCC unroll 4
                for (int k = 0; k < 4; ++k) {
                    const auto here = at == broadcast(static_cast<I>(pixel[k]));
                    hit |= here;
                    T* p = image + pixel[k] * s.c + c;
                    if (whole)
                        store(p, here ? v : Vec<T>{});
                    else
                        store_partial(p, here ? v : Vec<T>{}, n);
                }
                missed |= ~hit & (lane < static_cast<I>(n));
            }
        }
    zero_outside_2x2(s, begin, end, image);
    return !any_set(missed);
}

template <class T>
bool max_backward_nhwc(const PoolShape& s, const void* g, const int32_t* indices, int64_t,
                       int64_t begin, int64_t end, void* gx) {
    const int64_t size = s.h * s.w, outputs = s.oh * s.ow;
    T* image = static_cast<T*>(gx);
    const T* from = static_cast<const T*>(g);
    if (may_be_2x2(s) && image_2x2(s, from, indices, begin, end, image))
        return true;
    for (int64_t i = 0; i < size; ++i)
        __builtin_memset(image + i * s.c + begin, 0,
                         static_cast<std::size_t>(end - begin) * sizeof(T));
    bool fine = true;
    for (int64_t i = 0; i < outputs; ++i)
        for (int64_t c = begin; c < end; ++c) {
            const int64_t at = indices[i * s.c + c];
            if (static_cast<uint64_t>(at) < static_cast<uint64_t>(size))
                image[at * s.c + c] += from[i * s.c + c];
            else
                fine &= at == -1;
        }
    return fine;
}

} // namespace fastnn::FASTNN_ISA
