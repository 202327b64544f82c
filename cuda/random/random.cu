// Random numbers of the Philox stream, and dropout.
//
// Floor: the bytes written (and, for dropout, read): dropout of float32 moves 9 bytes an element,
// at 2.0 TB/s on an A100 and 3.35 TB/s on an H100. A Philox block of ten rounds is about 40 integer
// multiplications and as many other operations for four elements; on an A100 (64 integer lanes
// an SM) 20 operations an element take about as long as its bytes, so that a thread takes whole
// blocks of the stream and wastes no word. Never run on hardware: executed under the emulator only.
#include "random/random.h"

#include <algorithm>

#include "core/dispatch.cuh"
#include "core/philox.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;

// Four elements, the yield of one Philox block, in accesses as wide as their alignment allows.
template <class T>
struct alignas(sizeof(T) * 4 < 16 ? sizeof(T) * 4 : 16) Four {
    T at[4];

    static __device__ __forceinline__ Four load(const T* p, int64_t left) {
        if (left >= 4 && reinterpret_cast<uintptr_t>(p) % alignof(Four) == 0)
            return simt::load(reinterpret_cast<const Four*>(p));
        Four v;
#pragma unroll
        for (int i = 0; i < 4; i++)
            v.at[i] = i < left ? p[i] : T(0.f);
        return v;
    }

    __device__ __forceinline__ void store(T* p, int64_t left) const {
        if (left >= 4 && reinterpret_cast<uintptr_t>(p) % alignof(Four) == 0) {
            simt::store(reinterpret_cast<Four*>(p), *this);
            return;
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (i < left)
                p[i] = at[i];
    }
};

__global__ void __launch_bounds__(threads)
    philox_kernel(uint64_t seed, uint64_t offset, int64_t n, uint32_t* __restrict__ words) {
    const int64_t step = int64_t(gridDim.x) * threads;
    for (int64_t block = int64_t(blockIdx.x) * threads + threadIdx.x; 4 * block < n;
         block += step) {
        const PhiloxBlock random = philox_block(seed, offset + uint64_t(block));
        Four<uint32_t> out;
#pragma unroll
        for (int i = 0; i < 4; i++)
            out.at[i] = random.word[i];
        out.store(words + 4 * block, n - 4 * block);
    }
}

__global__ void __launch_bounds__(threads)
    uniform_float_kernel(uint64_t seed, uint64_t offset, int64_t n, float* __restrict__ u) {
    const int64_t step = int64_t(gridDim.x) * threads;
    for (int64_t block = int64_t(blockIdx.x) * threads + threadIdx.x; 4 * block < n;
         block += step) {
        const PhiloxBlock random = philox_block(seed, offset + uint64_t(block));
        Four<float> out;
#pragma unroll
        for (int i = 0; i < 4; i++)
            out.at[i] = float(random.word[i] >> 8) * 0x1p-24f;
        out.store(u + 4 * block, n - 4 * block);
    }
}

// Two words a number: a block of the stream is two numbers, 16 bytes.
__global__ void __launch_bounds__(threads)
    uniform_double_kernel(uint64_t seed, uint64_t offset, int64_t n, double* __restrict__ u) {
    const int64_t step = int64_t(gridDim.x) * threads;
    for (int64_t block = int64_t(blockIdx.x) * threads + threadIdx.x; 2 * block < n;
         block += step) {
        const PhiloxBlock random = philox_block(seed, offset + uint64_t(block));
        Vector<double> out;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint64_t high = random.word[2 * i] >> 5, low = random.word[2 * i + 1] >> 6;
            out.at[i] = double(high << 26 | low) * 0x1p-53;
        }
        out.store(u + 2 * block, n - 2 * block);
    }
}

// `scale` comes rounded to T, as in the specification.
template <class T>
__global__ void __launch_bounds__(threads)
    dropout_kernel(const T* __restrict__ x, int64_t n, uint32_t threshold, Accumulator<T> scale,
                   uint64_t seed, uint64_t offset, T* __restrict__ y,
                   unsigned char* __restrict__ mask) {
    const int64_t step = int64_t(gridDim.x) * threads;
    for (int64_t block = int64_t(blockIdx.x) * threads + threadIdx.x; 4 * block < n;
         block += step) {
        const int64_t left = n - 4 * block;
        const PhiloxBlock random = philox_block(seed, offset + uint64_t(block));
        Four<T> v = Four<T>::load(x + 4 * block, left);
        Four<unsigned char> kept;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            kept.at[i] = (random.word[i] >> 8) >= threshold;
            // a product, not a selection: NaN and infinity times 0 are NaN in the specification
            v.at[i] = from_accumulator<T>(to_accumulator(v.at[i]) *
                                          (kept.at[i] ? scale : Accumulator<T>(0)));
        }
        v.store(y + 4 * block, left);
        kept.store(mask + 4 * block, left);
    }
}

template <class T>
__global__ void __launch_bounds__(threads)
    dropout_backward_kernel(const T* __restrict__ g, const unsigned char* __restrict__ mask,
                            int64_t n, Accumulator<T> scale, T* __restrict__ gx) {
    const int64_t step = int64_t(gridDim.x) * threads * 4;
    for (int64_t i = (int64_t(blockIdx.x) * threads + threadIdx.x) * 4; i < n; i += step) {
        Four<T> v = Four<T>::load(g + i, n - i);
        const auto kept = Four<unsigned char>::load(mask + i, n - i);
#pragma unroll
        for (int j = 0; j < 4; j++)
            v.at[j] = from_accumulator<T>(to_accumulator(v.at[j]) *
                                          (kept.at[j] ? scale : Accumulator<T>(0)));
        v.store(gx + i, n - i);
    }
}

dim3 blocks_of(int64_t n, int a_thread = 4) {
    const int64_t per_block = int64_t(threads) * a_thread;
    return dim3(unsigned(std::min<int64_t>((n + per_block - 1) / per_block, 4096)));
}

} // namespace

cudaError_t philox(uint64_t seed, uint64_t offset, int64_t n, void* words, cudaStream_t stream) {
    if (n == 0)
        return cudaSuccess;
    return simt::launch(philox_kernel, blocks_of(n), dim3(threads), 0, stream, seed, offset, n,
                        static_cast<uint32_t*>(words));
}

cudaError_t uniform(DType dtype, uint64_t seed, uint64_t offset, int64_t n, void* u,
                    cudaStream_t stream) {
    if (n == 0)
        return cudaSuccess;
    if (dtype == DType::float32)
        return simt::launch(uniform_float_kernel, blocks_of(n), dim3(threads), 0, stream, seed,
                            offset, n, static_cast<float*>(u));
    if (dtype == DType::float64)
        return simt::launch(uniform_double_kernel, blocks_of(n, 2), dim3(threads), 0, stream, seed,
                            offset, n, static_cast<double*>(u));
    return cudaErrorInvalidValue;
}

cudaError_t dropout(DType dtype, const void* x, int64_t n, double p, double scale, uint64_t seed,
                    uint64_t offset, void* y, void* mask, cudaStream_t stream) {
    if (n == 0)
        return cudaSuccess;
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return simt::launch(dropout_kernel<T>, blocks_of(n), dim3(threads), 0, stream,
                            static_cast<const T*>(x), n, dropout_threshold(p),
                            Accumulator<T>(scale), seed, offset, static_cast<T*>(y),
                            static_cast<unsigned char*>(mask));
    });
}

cudaError_t dropout_backward(DType dtype, const void* g, const void* mask, int64_t n, double scale,
                             void* gx, cudaStream_t stream) {
    if (n == 0)
        return cudaSuccess;
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return simt::launch(dropout_backward_kernel<T>, blocks_of(n), dim3(threads), 0, stream,
                            static_cast<const T*>(g), static_cast<const unsigned char*>(mask), n,
                            Accumulator<T>(scale), static_cast<T*>(gx));
    });
}

} // namespace fastnn::cuda
