// parallel_for: one call, a fixed number of chunks, run by the thread pool.
//
// A result has the same bits for any number of threads: what is added up is cut by the shape of the
// problem alone, and added in order. Which thread runs which chunk is decided at run time.
#pragma once

#include <cstdint>

#define FASTNN_INLINE inline __attribute__((always_inline))

namespace fastnn {

// Runs body(context, chunk) for chunk = 0 .. chunks-1 and returns when all are done. The first
// exception that a chunk throws is rethrown here. A call from inside a chunk, or while another
// thread's call runs, is serial.
void parallel_for_erased(int64_t chunks, void (*body)(void*, int64_t), void* context);

// parallel_for(chunks, [&](int64_t chunk) { ... })
template <class Body>
FASTNN_INLINE void parallel_for(int64_t chunks, const Body& body) {
    if (chunks == 1) {
        body(int64_t{0});
        return;
    }
    parallel_for_erased(
        chunks, [](void* context, int64_t chunk) { (*static_cast<const Body*>(context))(chunk); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

// Cuts [0, n) into pieces of `grain` and runs body(begin, end) on each.
template <class Body>
FASTNN_INLINE void parallel_range(int64_t n, int64_t grain, const Body& body) {
    if (n <= 0)
        return;
    const int64_t chunks = (n + grain - 1) / grain;
    parallel_for(chunks, [&](int64_t chunk) {
        const int64_t begin = chunk * grain;
        body(begin, n - begin < grain ? n : begin + grain);
    });
}

int num_threads(); // 1 inside a chunk
// Throws std::invalid_argument for n < 1.
void set_num_threads(int n);
// Reads FASTNN_NUM_THREADS (default: the CPUs that this process may use) and registers the fork
// handlers.
void init_threads();

} // namespace fastnn
