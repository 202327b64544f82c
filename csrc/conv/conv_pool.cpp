#include "conv/conv_pool.h"

#include <algorithm>

#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kCacheBytes = 1 << 20; // maps of this size stay in the second-level cache
constexpr int64_t kBlockBytes = 1 << 18; // of the maps of a block
constexpr int64_t kBlocks = 16;          // blocks wanted, for threads to share

// How many images pass at once: a part of the batch, or all of it, which leaves the sharing among
// threads to the two operations.
template <class T>
int64_t block_images(const ConvPool& shape, int64_t weights) {
    const PoolShape& p = shape.pool;
    const int64_t map = p.c * p.h * p.w;
    const int64_t bytes = map * static_cast<int64_t>(sizeof(T));
    const int64_t images =
        std::max<int64_t>(1, std::min(kBlockBytes / std::max<int64_t>(1, bytes), p.n / kBlocks));
    // Each block prepares the weights, and sums its own gradient of them: they have to be few.
    const bool apart = p.n >= kBlocks && bytes * p.n > kCacheBytes && bytes <= kCacheBytes / 2 &&
                       4 * weights <= images * map;
    return apart ? images : std::max<int64_t>(1, p.n);
}

template <class T>
Image<T> images_of(Image<T> image, int64_t first, int64_t count) {
    image.data += first * image.n_stride;
    image.n = count;
    return image;
}

// A map of the first images, contiguous in the layout of the pooling.
template <class T>
Image<T> map_at(T* data, const PoolShape& p) {
    if (p.channels_last)
        return {data, p.n, p.c, p.h, p.w, p.c * p.h * p.w, 1, p.w * p.c, p.c};
    return {data, p.n, p.c, p.h, p.w, p.c * p.h * p.w, p.h * p.w, p.w, 1};
}

} // namespace

template <class T>
void conv2d_max_pool2d(const Image<const T>& x, const T* weight, const T* bias, bool relu,
                       const ConvPool& shape, T* y, int32_t* indices) {
    const PoolShape& p = shape.pool;
    const int64_t weights =
        p.c * (x.c / shape.conv.groups) * shape.conv.kernel_h * shape.conv.kernel_w;
    const int64_t map_size = p.c * p.h * p.w, pooled_size = p.c * p.oh * p.ow;
    parallel_range(p.n, block_images<T>(shape, weights), [&](int64_t begin, int64_t end) {
        PoolShape block = p;
        block.n = end - begin;
        const Scratch map(static_cast<size_t>(block.n * map_size) * sizeof(T));
        conv2d<T>(images_of(x, begin, block.n), weight, bias, relu, shape.conv,
                  map_at(map.as<T>(), block));
        max_pool(block, sizeof(T) == 8, map.as<void>(), y + begin * pooled_size,
                 indices ? indices + begin * pooled_size : nullptr);
    });
}

template <class T>
void conv2d_max_pool2d_backward(const T* g, const int32_t* indices, const Image<const T>& x,
                                const T* weight, const ConvPool& shape, const Image<T>* gx,
                                T* gweight) {
    const PoolShape& p = shape.pool;
    const int64_t weights =
        p.c * (x.c / shape.conv.groups) * shape.conv.kernel_h * shape.conv.kernel_w;
    const int64_t map_size = p.c * p.h * p.w, pooled_size = p.c * p.oh * p.ow;
    const int64_t images = block_images<T>(shape, weights);
    const int64_t blocks = std::max<int64_t>(1, (p.n + images - 1) / images);
    const bool parts = gweight && blocks > 1;
    const Scratch sums(parts ? static_cast<size_t>(blocks * weights) * sizeof(T) : 0);
    parallel_for(blocks, [&](int64_t number) {
        const int64_t begin = number * images;
        PoolShape block = p;
        block.n = std::min(images, p.n - begin);
        const Scratch map(static_cast<size_t>(block.n * map_size) * sizeof(T));
        max_pool_backward(block, sizeof(T) == 8, g + begin * pooled_size,
                          indices + begin * pooled_size, map.as<void>());
        const Image<T> at = map_at(map.as<T>(), block);
        const Image<const T> g_map = {at.data,     at.n,        at.c,        at.h,       at.w,
                                      at.n_stride, at.c_stride, at.h_stride, at.w_stride};
        if (gweight)
            conv2d_weight_grad<T>(g_map, images_of(x, begin, block.n), shape.conv,
                                  parts ? sums.as<T>() + number * weights : gweight);
        if (gx)
            conv2d_input_grad<T>(g_map, weight, shape.conv, images_of(*gx, begin, block.n));
    });
    if (!parts)
        return;
    for (int64_t i = 0; i < weights; ++i) { // in order, for the same bits on any threads
        T sum = sums.as<T>()[i];
        for (int64_t number = 1; number < blocks; ++number)
            sum += sums.as<T>()[number * weights + i];
        gweight[i] = sum;
    }
}

template void conv2d_max_pool2d(const Image<const float>&, const float*, const float*, bool,
                                const ConvPool&, float*, int32_t*);
template void conv2d_max_pool2d(const Image<const double>&, const double*, const double*, bool,
                                const ConvPool&, double*, int32_t*);
template void conv2d_max_pool2d_backward(const float*, const int32_t*, const Image<const float>&,
                                         const float*, const ConvPool&, const Image<float>*,
                                         float*);
template void conv2d_max_pool2d_backward(const double*, const int32_t*, const Image<const double>&,
                                         const double*, const ConvPool&, const Image<double>*,
                                         double*);

} // namespace fastnn
