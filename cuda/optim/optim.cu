// Optimizer steps over many tensors at once.
//
// Floor: each array read once, and all but the gradient written once: 28 bytes a float32 element
// for Adam, at 2.0 TB/s on an A100 and 3.35 TB/s on an H100; its 15 or so FLOPs stay below that. A
// model has hundreds of tensors, most of them small, so a launch takes up to 64 of them: the table
// of their addresses is a kernel argument (at most 4 KB), and a block finds its chunk of 4096
// elements in it by binary search. Accesses are 16 bytes wide. Never run on hardware: executed
// under the emulator only.
#include "optim/optim.h"

#include "core/dispatch.cuh"
#include "core/reduce.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t chunk = 4096; // elements of a block
constexpr int table_size = 64;

template <int arrays>
struct Table {
    void* at[arrays][table_size];
    int64_t size[table_size];
    unsigned first_block[table_size];
    int tensors;
};
static_assert(sizeof(Table<max_arrays>) <= 3840, "kernel arguments have 4 KB");

// rule(v) maps the elements v = (p, g, state...) of one place to their new values.
template <class T, class Rule>
__global__ void __launch_bounds__(threads)
    optimizer_kernel(const __grid_constant__ Table<Rule::arrays> table,
                     const __grid_constant__ Rule rule) {
    using A = Accumulator<T>;
    constexpr int width = Vector<T>::width;
    int tensor = 0, end = table.tensors; // the last tensor whose first block is not after this one
    while (end - tensor > 1) {
        const int middle = (tensor + end) / 2;
        if (table.first_block[middle] <= blockIdx.x)
            tensor = middle;
        else
            end = middle;
    }
    const int64_t first = int64_t(blockIdx.x - table.first_block[tensor]) * chunk;
    const int64_t size = table.size[tensor];
    const int64_t last = first + chunk < size ? first + chunk : size;
    for (int64_t i = first + threadIdx.x * width; i < last; i += threads * width) {
        Vector<T> of[Rule::arrays];
#pragma unroll
        for (int a = 0; a < Rule::arrays; a++)
            of[a] = Vector<T>::load(static_cast<const T*>(table.at[a][tensor]) + i, last - i);
#pragma unroll
        for (int j = 0; j < width; j++) {
            A v[Rule::arrays];
#pragma unroll
            for (int a = 0; a < Rule::arrays; a++)
                v[a] = to_accumulator(of[a].at[j]);
            rule(v);
#pragma unroll
            for (int a = 0; a < Rule::arrays; a++)
                of[a].at[j] = from_accumulator<T>(v[a]);
        }
#pragma unroll
        for (int a = 0; a < Rule::arrays; a++)
            if (a != 1) // the gradient stays
                of[a].store(static_cast<T*>(table.at[a][tensor]) + i, last - i);
    }
}

template <class T, class Rule>
cudaError_t run(const OptimizerTensors& tensors, const Rule& rule, cudaStream_t stream) {
    Table<Rule::arrays> table{};
    unsigned blocks = 0;
    const auto flush = [&] {
        const cudaError_t error = blocks ? simt::launch(optimizer_kernel<T, Rule>, dim3(blocks),
                                                        dim3(threads), 0, stream, table, rule)
                                         : cudaSuccess;
        table.tensors = 0;
        blocks = 0;
        return error;
    };
    for (const OptimizerTensor& tensor : tensors) {
        if (tensor.size == 0)
            continue;
        const int t = table.tensors++;
        for (int a = 0; a < Rule::arrays; a++)
            table.at[a][t] = tensor.at[size_t(a)];
        table.size[t] = tensor.size;
        table.first_block[t] = blocks;
        blocks += unsigned((tensor.size + chunk - 1) / chunk);
        if (table.tensors == table_size)
            if (const cudaError_t error = flush(); error != cudaSuccess)
                return error;
    }
    return flush();
}

// The gradient to descend along.
template <class A>
struct Descent {
    A weight_decay;
    bool maximize;
    __device__ __forceinline__ A operator()(A p, A g) const {
        if (maximize)
            g = -g;
        return weight_decay != A(0) ? g + weight_decay * p : g; // 0 * infinity must not enter
    }
};

template <class A, bool buffered>
struct SgdRule {
    static constexpr int arrays = buffered ? 3 : 2;
    Descent<A> descent;
    A lr, momentum, share; // of the gradient in the buffer: 1 - dampening
    bool nesterov, first;
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        A g = descent(v[0], v[1]);
        if constexpr (buffered) {
            const A b = first ? g : momentum * v[2] + share * g;
            v[2] = b;
            g = nesterov ? g + momentum * b : b;
        }
        v[0] -= lr * g;
    }
};

template <class A, bool amsgrad>
struct AdamRule {
    static constexpr int arrays = amsgrad ? 5 : 4;
    Descent<A> descent;
    A shrink, step_size, inverse_correction, rest1, beta2, rest2, eps; // rest = 1 - beta
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        const A m = v[2] + rest1 * (g - v[2]);
        const A square = beta2 * v[3] + rest2 * (g * g);
        A top = square;
        if constexpr (amsgrad)
            v[4] = top = Max::merge(v[4], square);
        v[2] = m;
        v[3] = square;
        v[0] = v[0] * shrink - step_size * m / (sqrt(top) * inverse_correction + eps);
    }
};

template <class A>
struct AdagradRule {
    static constexpr int arrays = 3;
    Descent<A> descent;
    A rate, eps;
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] += g * g;
        v[0] -= rate * g / (sqrt(v[2]) + eps);
    }
};

template <class A, bool centered, bool buffered>
struct RmsPropRule {
    static constexpr int arrays = 3 + centered + buffered;
    Descent<A> descent;
    A lr, alpha, rest, eps, momentum; // rest = 1 - alpha
    __device__ __forceinline__ void operator()(A (&v)[arrays]) const {
        const A g = descent(v[0], v[1]);
        v[2] = alpha * v[2] + rest * (g * g);
        A variance = v[2];
        if constexpr (centered) {
            v[3] += rest * (g - v[3]);
            variance -= v[3] * v[3];
        }
        A step = g / (sqrt(variance) + eps);
        if constexpr (buffered)
            v[arrays - 1] = step = momentum * v[arrays - 1] + step;
        v[0] -= lr * step;
    }
};

} // namespace

cudaError_t sgd_step(DType dtype, const OptimizerTensors& tensors, const Sgd& o,
                     cudaStream_t stream) {
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const auto step = [&](auto rule) {
            rule.descent = {A(o.weight_decay), o.maximize};
            rule.lr = A(o.lr);
            rule.momentum = A(o.momentum);
            rule.share = A(1 - o.dampening);
            rule.nesterov = o.nesterov;
            rule.first = o.first;
            return run<T>(tensors, rule, stream);
        };
        return o.momentum != 0 ? step(SgdRule<A, true>{}) : step(SgdRule<A, false>{});
    });
}

cudaError_t adam_step(DType dtype, const OptimizerTensors& tensors, const Adam& o,
                      cudaStream_t stream) {
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const auto step = [&](auto rule) {
            rule.descent = {A(o.decoupled ? 0 : o.weight_decay), o.maximize};
            rule.shrink = A(o.decoupled ? 1 - o.lr * o.weight_decay : 1);
            rule.step_size = A(o.step_size);
            rule.inverse_correction = A(1 / o.correction);
            rule.rest1 = A(1 - o.beta1);
            rule.beta2 = A(o.beta2);
            rule.rest2 = A(1 - o.beta2);
            rule.eps = A(o.eps);
            return run<T>(tensors, rule, stream);
        };
        return o.amsgrad ? step(AdamRule<A, true>{}) : step(AdamRule<A, false>{});
    });
}

cudaError_t adagrad_step(DType dtype, const OptimizerTensors& tensors, const Adagrad& o,
                         cudaStream_t stream) {
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const AdagradRule<A> rule{{A(o.weight_decay), o.maximize}, A(o.rate), A(o.eps)};
        return run<T>(tensors, rule, stream);
    });
}

cudaError_t rmsprop_step(DType dtype, const OptimizerTensors& tensors, const RmsProp& o,
                         cudaStream_t stream) {
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const auto step = [&](auto rule) {
            rule.descent = {A(o.weight_decay), o.maximize};
            rule.lr = A(o.lr);
            rule.alpha = A(o.alpha);
            rule.rest = A(1 - o.alpha);
            rule.eps = A(o.eps);
            rule.momentum = A(o.momentum);
            return run<T>(tensors, rule, stream);
        };
        if (o.centered)
            return o.buffered ? step(RmsPropRule<A, true, true>{})
                              : step(RmsPropRule<A, true, false>{});
        return o.buffered ? step(RmsPropRule<A, false, true>{})
                          : step(RmsPropRule<A, false, false>{});
    });
}

} // namespace fastnn::cuda
