// The sums of embedding.h.
#include "embedding/embedding.h"

#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
void sum_rows(const void* from_data, const int64_t* position, int64_t count, int64_t size,
              double factor, void* to_data) {
    const T* from = static_cast<const T*>(from_data);
    T* to = static_cast<T*>(to_data);
    const T scale = static_cast<T>(factor);
    for_vectors<T>(size, [&](int64_t i, int64_t k) {
        Vec<T> total{};
        for (int64_t p = 0; p < count; ++p)
            total += get(from + position[p] * size + i, k);
        put(to + i, total * scale, k);
    });
}

} // namespace

const EmbeddingTable embedding_table = {{sum_rows<float>, sum_rows<double>}};

} // namespace fastnn::FASTNN_ISA
