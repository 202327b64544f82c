#include "core/buffer_pool.h"

#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FASTNN_POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define FASTNN_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define FASTNN_POISON(p, n) static_cast<void>(p)
#define FASTNN_UNPOISON(p, n) static_cast<void>(p)
#endif

namespace fastnn {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{1} << 21;
constexpr int kClasses = 4 * 48;
constexpr std::size_t kSearched = 16; // waiting buffers of a class

struct SizeClass {
    int index;
    std::size_t bytes;
};

// Four classes an octave (64, 80, 96, 112, 128, 160, ...): at most a quarter of a buffer is wasted.
SizeClass size_class(std::size_t bytes) {
    if (bytes <= kAlignment)
        return {0, kAlignment};
    const int shift = static_cast<int>(std::bit_width(bytes - 1)) -
                      3; // the class is 5..8 << shift, its leading three bits
    const std::size_t step = std::size_t{1} << shift;
    const std::size_t rounded = (bytes + step - 1) / step * step;
    const int index = 4 * (shift - 4) + static_cast<int>(rounded / step) - 4;
    if (shift > 44 || index >= kClasses)
        throw std::bad_alloc();
    return {index, (rounded + kAlignment - 1) / kAlignment * kAlignment};
}

void* system_allocate(std::size_t bytes) {
    const bool huge = bytes >= 2 * kHugePage;
    void* buffer =
        std::aligned_alloc(huge ? kHugePage : kAlignment,
                           huge ? (bytes + kHugePage - 1) / kHugePage * kHugePage : bytes);
    if (!buffer)
        throw std::bad_alloc();
#if defined(__linux__)
    if (huge)
        madvise(buffer, bytes, MADV_HUGEPAGE); // advice: fewer page faults where it is taken
#endif
    return buffer;
}

// Whose cache a buffer's lines are likely in.
using Owner = const char*;

Owner this_thread() {
    static thread_local const char own = 0;
    return &own;
}

struct Waiting {
    void* buffer;
    Owner owner; // the thread that gave it back
};

struct Pool {
    std::mutex mutex;
    std::vector<Waiting> waiting[kClasses];
    std::size_t class_bytes[kClasses] = {};
    std::size_t limit = std::size_t{1} << 30;
    PoolStats stats = {};
};

Pool& pool() {
    static Pool* const instance =
        new Pool; // never destroyed: arrays may be freed after static destructors
    return *instance;
}

void release_all(Pool& p) {
    for (int i = 0; i < kClasses; ++i) {
        for (const Waiting& entry : p.waiting[i]) {
            FASTNN_UNPOISON(entry.buffer, p.class_bytes[i]);
            std::free(entry.buffer);
        }
        p.waiting[i].clear();
    }
    p.stats.cached = 0;
}

// The latest of the buffers that this thread gave back, among the last few; else the latest of all.
// (Two threads that take scratch in turns else swap it, and write where the other has just read:
// 1 to 2 % of the forward passes of small convolutional networks.)
void* take(std::vector<Waiting>& waiting) {
    const Owner self = this_thread();
    const std::size_t size = waiting.size();
    std::size_t found = size - 1;
    for (std::size_t back = 1; back <= size && back <= kSearched; ++back)
        if (waiting[size - back].owner == self) {
            found = size - back;
            break;
        }
    void* const buffer = waiting[found].buffer;
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(found));
    return buffer;
}

#if !defined(_WIN32)
void before_fork() {
    pool().mutex.lock();
}
void after_fork() {
    pool().mutex.unlock();
}
#endif

} // namespace

void* pool_allocate(std::size_t bytes) {
    const SizeClass size = size_class(bytes);
    Pool& p = pool();
    void* buffer = nullptr;
    {
        const std::lock_guard<std::mutex> lock(p.mutex);
        std::vector<Waiting>& waiting = p.waiting[size.index];
        p.stats.in_use += static_cast<int64_t>(size.bytes);
        if (!waiting.empty()) {
            buffer = take(waiting);
            p.stats.cached -= static_cast<int64_t>(size.bytes);
            ++p.stats.reused;
        } else {
            ++p.stats.allocated;
        }
    }
    if (!buffer) {
        try {
            buffer = system_allocate(size.bytes);
        } catch (const std::bad_alloc&) {
            pool_trim(); // the memory may be waiting here in other sizes
            try {
                buffer = system_allocate(size.bytes);
            } catch (const std::bad_alloc&) {
                const std::lock_guard<std::mutex> lock(p.mutex);
                p.stats.in_use -= static_cast<int64_t>(size.bytes);
                throw;
            }
        }
    }
    FASTNN_UNPOISON(buffer, size.bytes);
    FASTNN_POISON(static_cast<char*>(buffer) + bytes, size.bytes - bytes);
    return buffer;
}

void pool_free(void* buffer, std::size_t bytes) noexcept {
    const SizeClass size = size_class(bytes);
    Pool& p = pool();
    {
        const std::lock_guard<std::mutex> lock(p.mutex);
        p.stats.in_use -= static_cast<int64_t>(size.bytes);
        if (static_cast<std::size_t>(p.stats.cached) + size.bytes <= p.limit) {
            try {
                p.waiting[size.index].push_back({buffer, this_thread()});
                p.class_bytes[size.index] = size.bytes;
                p.stats.cached += static_cast<int64_t>(size.bytes);
                FASTNN_POISON(buffer, size.bytes);
                return;
            } catch (const std::bad_alloc&) {
                // No memory for the list: free the buffer.
            }
        }
    }
    FASTNN_UNPOISON(buffer, size.bytes);
    std::free(buffer);
}

PoolStats pool_stats() {
    Pool& p = pool();
    const std::lock_guard<std::mutex> lock(p.mutex);
    return p.stats;
}

void pool_trim() {
    Pool& p = pool();
    const std::lock_guard<std::mutex> lock(p.mutex);
    release_all(p);
}

void pool_set_limit(std::size_t bytes) {
    Pool& p = pool();
    const std::lock_guard<std::mutex> lock(p.mutex);
    p.limit = bytes;
    if (static_cast<std::size_t>(p.stats.cached) > bytes)
        release_all(p);
}

void init_buffer_pool() {
#if !defined(_WIN32)
    static const int registered = pthread_atfork(before_fork, after_fork, after_fork);
    if (registered != 0)
        throw std::runtime_error("pthread_atfork failed");
#endif
}

Scratch::Scratch(std::size_t bytes)
    : buffer_(bytes ? pool_allocate(bytes) : nullptr), bytes_(bytes) {}
Scratch::~Scratch() {
    if (buffer_)
        pool_free(buffer_, bytes_);
}

} // namespace fastnn
