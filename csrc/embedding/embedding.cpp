#include "embedding/embedding.h"

#include <algorithm>
#include <cstring>

#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrainBytes = 65536; // of a task

} // namespace

void embedding(const void* table, const int64_t* index, int64_t count, int64_t row_bytes, void* y) {
    char* to = static_cast<char*>(y);
    const int64_t grain = std::max<int64_t>(kGrainBytes / std::max<int64_t>(row_bytes, 1), 1);
    const auto copy_rows = embedding_table().copy_rows;
    parallel_range(count, grain, [&](int64_t begin, int64_t end) {
        copy_rows(table, index + begin, end - begin, row_bytes, to + begin * row_bytes);
    });
}

void embedding_backward(const EmbeddingGradient& call) {
    // The positions of the terms, sorted by row.
    const auto rows = static_cast<std::size_t>(call.rows);
    const auto count = static_cast<std::size_t>(call.count);
    const Scratch of_rows(rows * sizeof(int64_t)), of_terms(count * sizeof(int64_t));
    int64_t* next = of_rows.as<int64_t>(); // counts, then where a row's next position goes
    int64_t* positions = of_terms.as<int64_t>();
    std::fill(next, next + call.rows, 0);
    for (int64_t i = 0; i < call.count; ++i)
        ++next[call.index[i]];
    int64_t total = 0;
    for (int64_t r = 0; r < call.rows; ++r) {
        const int64_t n = next[r];
        next[r] = total;
        total += n;
    }
    for (int64_t i = 0; i < call.count; ++i)
        positions[next[call.index[i]]++] = i;
    const int64_t* end_of = next; // row r begins where row r - 1 ends
    const int64_t item = call.is_double ? 8 : 4;
    const auto sum_rows = embedding_table().sum_rows[call.is_double];
    const int64_t row_bytes = call.size * item;
    const int64_t grain = std::max<int64_t>(kGrainBytes / std::max<int64_t>(row_bytes, 1), 1);
    parallel_range(call.rows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
            const int64_t first = r ? end_of[r - 1] : 0, n = end_of[r] - first;
            char* to = static_cast<char*>(call.table) + r * row_bytes;
            if (n == 0 || r == call.padding_row)
                std::memset(to, 0, static_cast<std::size_t>(row_bytes));
            else
                sum_rows(call.g, positions + first, n, call.size,
                         call.by_frequency ? 1.0 / static_cast<double>(n) : 1.0, to);
        }
    });
}

} // namespace fastnn
