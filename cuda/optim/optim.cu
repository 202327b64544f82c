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
#include "core/vector.cuh"
#include "optim/rules.cuh"

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

} // namespace

ArrayCount optimizer_arrays(Optimizer kind, const OptimizerOptions& options) {
    switch (kind) {
    case Optimizer::sgd:
        return {2, 3};
    case Optimizer::adam:
        return {4, 5};
    case Optimizer::rmsprop:
        return {size_t(3 + options.centered), size_t(4 + options.centered)};
    case Optimizer::adagrad:
    case Optimizer::asgd:
        return {3, 3};
    default:
        return {4, 4};
    }
}

cudaError_t optimizer_step(Optimizer kind, DType dtype, size_t arrays,
                           const OptimizerTensors& tensors, const OptimizerOptions& o,
                           cudaStream_t stream) {
    const ArrayCount count = optimizer_arrays(kind, o);
    if (arrays < count.least || arrays > count.most)
        return cudaErrorInvalidValue;
    const bool all = arrays == count.most;
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const auto step = [&](auto rule) { return run<T>(tensors, rule, stream); };
        switch (kind) {
        case Optimizer::sgd:
            return all ? step(SgdRule<A, true>(o)) : step(SgdRule<A, false>(o));
        case Optimizer::adam:
            return all ? step(AdamRule<A, true>(o)) : step(AdamRule<A, false>(o));
        case Optimizer::adagrad:
            return step(AdagradRule<A>(o));
        case Optimizer::adadelta:
            return step(AdadeltaRule<A>(o));
        case Optimizer::adamax:
            return step(AdamaxRule<A>(o));
        case Optimizer::nadam:
            return step(NadamRule<A>(o));
        case Optimizer::radam:
            return step(RadamRule<A>(o));
        case Optimizer::rmsprop:
            if (o.centered)
                return all ? step(RmsPropRule<A, true, true>(o))
                           : step(RmsPropRule<A, true, false>(o));
            return all ? step(RmsPropRule<A, false, true>(o))
                       : step(RmsPropRule<A, false, false>(o));
        case Optimizer::rprop:
            return step(RpropRule<A>(o));
        default:
            return step(AsgdRule<A>(o));
        }
    });
}

} // namespace fastnn::cuda
