#include "attention/attention.h"

#include <algorithm>
#include <cmath>

#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr double kChunkWork = 1 << 18; // multiplications that are worth a chunk
constexpr int64_t kTasks = 16;         // tasks wanted of a backward pass
constexpr int64_t kPartKeys = 128;     // keys of a task, at least, where heads are cut
constexpr int64_t kGrain = 16384;      // elements of a chunk that adds parts

template <class T, class Table>
auto kernel_of(const Table& table) {
    if constexpr (sizeof(T) == 4)
        return table.f32;
    else
        return table.f64;
}

// How many tasks of `work` multiplications share a chunk.
int64_t tasks_per_chunk(double work) {
    return std::max<int64_t>(1, static_cast<int64_t>(kChunkWork / (work + 1)));
}

template <class T>
double row_work(const Attention<T>& a) {
    return static_cast<double>(a.keys) * static_cast<double>(a.size + a.value_size) *
           (a.causal ? 0.5 : 1.0);
}

} // namespace

template <class T>
void set_dropout(Attention<T>& a, double p, uint64_t seed, uint64_t offset) {
    a.dropout = true;
    a.seed = seed;
    a.offset = offset;
    // word * 2^-24 >= float(p), both exact
    a.threshold =
        static_cast<uint32_t>(std::ceil(static_cast<double>(static_cast<float>(p)) * 0x1p24));
    a.keep_scale = static_cast<T>(p < 1 ? 1 / (1 - p) : 0.0);
}

template <class T>
void attention(const Attention<T>& a, const AttentionResults<T>& out) {
    const auto kernel = kernel_of<T>(attention_forward());
    const int64_t blocks = ceil_div(a.queries, kAttentionQueries);
    const double work = static_cast<double>(std::min(a.queries, kAttentionQueries)) * row_work(a);
    parallel_range(a.heads * blocks, tasks_per_chunk(work), [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task) {
            const int64_t begin = task % blocks * kAttentionQueries;
            kernel(a, out, task / blocks, begin, std::min(begin + kAttentionQueries, a.queries));
        }
    });
}

template <class T>
void attention_gradients(const Attention<T>& a, const AttentionGradients<T>& out) {
    const auto kernel = kernel_of<T>(attention_backward());
    const int64_t key_heads = a.heads / a.group;
    if (key_heads == 0)
        return;
    const int64_t parts = std::clamp<int64_t>(ceil_div(kTasks, key_heads), 1,
                                              std::max<int64_t>(1, a.keys / kPartKeys));
    const int64_t elements = a.heads * a.queries * a.size;
    const Scratch partial(parts > 1 ? static_cast<size_t>(parts * elements) * sizeof(T) : 0);
    AttentionGradients<T> gradients = out;
    gradients.query_parts = parts > 1 ? partial.as<T>() : nullptr;
    const double work = 2.5 * static_cast<double>(a.group) * static_cast<double>(a.queries) *
                        row_work(a) / static_cast<double>(parts);
    parallel_range(key_heads * parts, tasks_per_chunk(work), [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task) {
            const int64_t part = task % parts;
            kernel(a, gradients, task / parts, part * a.keys / parts, (part + 1) * a.keys / parts,
                   part);
        }
    });
    if (parts == 1)
        return;
    const int64_t grain = std::max<int64_t>(1, kGrain / (parts * std::max<int64_t>(a.size, 1)));
    parallel_range(a.heads * a.queries, grain, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            T* const to = out.query.at(i / a.queries, i % a.queries);
            const T* const from = partial.as<T>() + i * a.size;
            for (int64_t d = 0; d < a.size; ++d) {
                T sum = from[d];
                for (int64_t part = 1; part < parts; ++part)
                    sum += from[part * elements + d];
                to[d] = sum;
            }
        }
    });
}

template void set_dropout(Attention<float>&, double, uint64_t, uint64_t);
template void set_dropout(Attention<double>&, double, uint64_t, uint64_t);
template void attention(const Attention<float>&, const AttentionResults<float>&);
template void attention(const Attention<double>&, const AttentionResults<double>&);
template void attention_gradients(const Attention<float>&, const AttentionGradients<float>&);
template void attention_gradients(const Attention<double>&, const AttentionGradients<double>&);

} // namespace fastnn
