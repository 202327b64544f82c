// Reductions along one axis: sum, maximum, minimum and their positions.
//
// Floor: one read of the array; limited by memory (2.0 TB/s on an A100, 3.35 TB/s on an H100) with
// one to six instructions an element. Two shapes of work:
//   rows     the reduced axis is the contiguous one: 1 to 32 lanes, or a block, go along a row, 16
//            bytes at a time where the rows are aligned, and merge by shuffles
//   columns  another axis is contiguous: neighbouring threads read neighbouring columns, and the
//            threads of a block that share a column merge in shared memory
// Few results of many elements are made in two passes: each block leaves the result of a part, and
// the same kernel reduces these. All merge in a fixed order and without atomics, so that a result
// has the same bits in every run. Never run on hardware: executed under the emulator only.
#include "reduction/reduction.h"

#include <algorithm>
#include <climits>

#include "core/dispatch.cuh"
#include "core/reduce.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t wanted_blocks = 1024; // some 8 on each multiprocessor

// An extreme and where it is; of equal ones, or of NaNs, the first.
template <class A>
struct alignas(16) Extreme {
    A value;
    int64_t position;
};
template <class A>
__device__ __forceinline__ Extreme<A> shuffle_xor(const Extreme<A>& e, int lanes) {
    return {cuda::shuffle_xor(e.value, lanes), cuda::shuffle_xor(e.position, lanes)};
}
struct First {
    template <class State>
    static __device__ __forceinline__ State identity() {
        return {-INFINITY, LLONG_MAX};
    }
    template <class A>
    static __device__ __forceinline__ Extreme<A> merge(const Extreme<A>& a, const Extreme<A>& b) {
        const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
        const bool tie = nan_a ? nan_b : a.value == b.value;
        const bool take_a = tie ? a.position < b.position : nan_a || (!nan_b && a.value > b.value);
        return take_a ? a : b;
    }
};

// What the threads keep of the elements that they have seen.
template <class A, Reduce op>
struct Traits {
    static constexpr bool positions = op == Reduce::argmax;
    using State = std::conditional_t<positions, Extreme<A>, A>;
    using Op =
        std::conditional_t<op == Reduce::sum, Sum, std::conditional_t<positions, First, Max>>;
};

// The state that an element makes. Minima are maxima of x with its sign changed: kernels know sum,
// max and argmax.
template <Reduce op, class A>
__device__ __forceinline__ typename Traits<A, op>::State state_of(A value, int64_t position,
                                                                  bool negated) {
    value = negated ? -value : value;
    if constexpr (op == Reduce::argmax)
        return {value, position};
    else
        return value;
}

template <class A>
__device__ __forceinline__ void store_as(DType dtype, void* y, int64_t i, A value) {
    switch (dtype) {
    case DType::float64:
        static_cast<double*>(y)[i] = double(value);
        return;
    case DType::float32:
        static_cast<float*>(y)[i] = float(value);
        return;
    case DType::float16:
        static_cast<float16*>(y)[i] = float16(float(value));
        return;
    default:
        static_cast<bfloat16*>(y)[i] = bfloat16(float(value));
    }
}

// Element (outer, index of the part, column) of the result.
template <Reduce op, class State>
__device__ __forceinline__ void write(const Reduction& call, int64_t outer, int64_t part,
                                      int64_t column, const State& state, bool negated) {
    const int64_t i = (outer * call.parts + part) * call.inner + column;
    if constexpr (op == Reduce::argmax) {
        call.y_positions[i] =
            call.positions == nullptr
                ? state.position
                : call.positions[(outer * call.reduced + state.position) * call.inner + column];
        if (call.y != nullptr)
            store_as(call.y_dtype, call.y, i, negated ? -state.value : state.value);
    } else {
        store_as(call.y_dtype, call.y, i, (negated ? -state : state) / State(call.divisor));
    }
}

struct Part {
    int64_t first, last; // last is one behind
};

// Parts begin at whole vectors of any dtype.
__device__ __forceinline__ Part part_of(const Reduction& call, int64_t index) {
    const int64_t length = ((call.reduced + call.parts - 1) / call.parts + 15) / 16 * 16;
    const int64_t first = min(index * length, call.reduced);
    return {first, min(first + length, call.reduced)};
}

struct Layout {
    bool vectors; // rows: read 16 bytes at a time
    int lanes;    // rows: threads of a row, 1 to 32, or the block
    int columns;  // columns: of a block, a power of two
};

// A group of `lanes` threads for each part of a row.
template <Reduce op, class T>
__global__ void __launch_bounds__(threads)
    reduce_rows(const __grid_constant__ Reduction call, Layout layout, bool negated) {
    using A = Accumulator<T>;
    using State = typename Traits<A, op>::State;
    using Op = typename Traits<A, op>::Op;
    const int lane = int(threadIdx.x) & (layout.lanes - 1);
    const int64_t index = (int64_t(blockIdx.x) * threads + threadIdx.x) / layout.lanes;
    const int64_t row = index / call.parts;
    const bool inside = row < call.outer; // all threads take part in the shuffles
    Part part = part_of(call, index % call.parts);
    if (!inside)
        part = {0, 0};
    const T* data = static_cast<const T*>(call.x) + (inside ? row * call.outer_stride : 0);
    State state = Op::template identity<State>();
    if (layout.vectors) {
        constexpr int width = Vector<T>::width;
#pragma unroll 4
        for (int64_t i = part.first + lane * width; i < part.last; i += layout.lanes * width) {
            const auto v = Vector<T>::load(data + i, part.last - i);
#pragma unroll
            for (int j = 0; j < width; j++)
                if (i + j < part.last)
                    state = Op::merge(state, state_of<op>(to_accumulator(v.at[j]), i + j, negated));
        }
    } else {
#pragma unroll 4
        for (int64_t i = part.first + lane; i < part.last; i += layout.lanes)
            state = Op::merge(
                state, state_of<op>(to_accumulator(data[i * call.reduced_stride]), i, negated));
    }
    state = warp_reduce<Op>(state, min(layout.lanes, 32));
    if (layout.lanes == threads)
        state = merge_warps<threads, Op>(state);
    if (inside && lane == 0)
        write<op>(call, row, index % call.parts, 0, state, negated);
}

// A block for `columns` columns of one outer index, and a part of the rows (blockIdx.y).
template <Reduce op, class T>
__global__ void __launch_bounds__(threads)
    reduce_columns(const __grid_constant__ Reduction call, Layout layout, bool negated) {
    using A = Accumulator<T>;
    using State = typename Traits<A, op>::State;
    using Op = typename Traits<A, op>::Op;
    const int columns = layout.columns;
    const int height = threads / columns;
    const int64_t tiles = (call.inner + columns - 1) / columns;
    const int64_t outer = blockIdx.x / tiles;
    const int64_t column = blockIdx.x % tiles * columns + (int(threadIdx.x) & (columns - 1));
    const int line = int(threadIdx.x) / columns;
    const bool inside = column < call.inner;
    const Part part = part_of(call, blockIdx.y);
    const T* data = static_cast<const T*>(call.x) + outer * call.outer_stride +
                    (inside ? column * call.inner_stride : 0);
    State state = Op::template identity<State>();
    if (inside)
#pragma unroll 4
        for (int64_t i = part.first + line; i < part.last; i += height)
            state = Op::merge(
                state, state_of<op>(to_accumulator(data[i * call.reduced_stride]), i, negated));
    State(&of_thread)[threads] = simt::smem_static<State[threads]>();
    for (int half = height / 2; half > 0; half /= 2) {
        if (line >= half && line < 2 * half)
            simt::store(&of_thread[threadIdx.x], state);
        __syncthreads();
        if (line < half)
            state = Op::merge(state, simt::load(&of_thread[threadIdx.x + half * columns]));
    }
    if (inside && line == 0)
        write<op>(call, outer, blockIdx.y, column, state, negated);
}

int64_t power_of_two_up_to(int64_t n) {
    int64_t power = 1;
    while (power * 2 <= n)
        power *= 2;
    return power;
}

// Columns of a block: at least a warp's if there are so many, more where the axis is short.
int columns_of(int64_t rows, int64_t inner) {
    int64_t narrow = power_of_two_up_to(std::min<int64_t>(inner, 32));
    if (narrow < inner && narrow < 32)
        narrow *= 2;
    const int64_t height = std::clamp<int64_t>(power_of_two_up_to(rows / 4), 1, threads / narrow);
    return int(threads / height);
}

template <Reduce op, class T>
cudaError_t launch(const Reduction& call, bool negated, cudaStream_t stream) {
    constexpr int64_t width = Vector<T>::width;
    if (call.inner > 1) {
        const Layout layout{false, 0, columns_of(call.reduced / call.parts, call.inner)};
        const int64_t tiles = (call.inner + layout.columns - 1) / layout.columns;
        if (call.outer * tiles > INT_MAX || call.parts > 65535)
            return cudaErrorInvalidValue;
        return simt::launch(reduce_columns<op, T>,
                            dim3(unsigned(call.outer * tiles), unsigned(call.parts)), dim3(threads),
                            0, stream, call, layout, negated);
    }
    Layout layout{};
    layout.vectors = call.reduced_stride == 1 && reinterpret_cast<uintptr_t>(call.x) % 16 == 0 &&
                     (call.outer == 1 || call.outer_stride % width == 0);
    const int64_t accesses = call.reduced / call.parts / (layout.vectors ? width : 1);
    layout.lanes =
        accesses > 512 ? threads : int(power_of_two_up_to(std::min<int64_t>(accesses, 32)));
    const int64_t blocks = (call.outer * call.parts * layout.lanes + threads - 1) / threads;
    if (blocks > INT_MAX)
        return cudaErrorInvalidValue;
    return simt::launch(reduce_rows<op, T>, dim3(unsigned(blocks)), dim3(threads), 0, stream, call,
                        layout, negated);
}

} // namespace

int64_t reduction_parts(int64_t outer, int64_t reduced, int64_t inner) {
    int64_t blocks = outer, shortest = 16384; // elements that are worth a block
    if (inner > 1) {
        const int columns = columns_of(reduced, inner);
        blocks = outer * ((inner + columns - 1) / columns);
        shortest = threads / columns * 32;
    }
    return std::clamp<int64_t>(wanted_blocks / std::max<int64_t>(blocks, 1), 1,
                               std::max<int64_t>(reduced / shortest, 1));
}

cudaError_t reduce(const Reduction& call, cudaStream_t stream) {
    if (call.outer * call.parts * call.inner == 0)
        return cudaSuccess;
    return dispatch_float(call.x_dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        switch (call.op) {
        case Reduce::sum:
            return launch<Reduce::sum, T>(call, false, stream);
        case Reduce::max:
        case Reduce::min:
            return launch<Reduce::max, T>(call, call.op == Reduce::min, stream);
        default:
            return launch<Reduce::argmax, T>(call, call.op == Reduce::argmin, stream);
        }
    });
}

} // namespace fastnn::cuda
