// The kernels of embedding.h.
#include "embedding/embedding.h"

#include <cstddef>

#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kLongRow = 512; // bytes; from here on a call of memcpy is as fast

// In whole vectors, the last of which overlaps the one before it.
void copy_rows(const void* table_data, const int64_t* index, int64_t count, int64_t row_bytes,
               void* y) {
    const uint8_t* table = static_cast<const uint8_t*>(table_data);
    uint8_t* to = static_cast<uint8_t*>(y);
    constexpr int64_t step = kVectorBytes;
    const bool vectors = step <= row_bytes && row_bytes < kLongRow;
    for (int64_t i = 0; i < count; ++i, to += row_bytes) {
        const uint8_t* from = table + index[i] * row_bytes;
        if (!vectors) {
            __builtin_memcpy(to, from, static_cast<std::size_t>(row_bytes));
            continue;
        }
#pragma GCC unroll 4
        for (int64_t at = 0; at + step <= row_bytes; at += step)
            store(to + at, load(from + at));
        store(to + row_bytes - step, load(from + row_bytes - step));
    }
}

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

const EmbeddingTable embedding_table = {copy_rows, {sum_rows<float>, sum_rows<double>}};

} // namespace fastnn::FASTNN_ISA
