// The buffer pool: 64-byte-aligned memory that is reused, for results and for the scratch space of
// kernels.
//
// Fresh pages cost more than most arithmetic done on them. A buffer given back waits in a list of
// its size class for the next request, up to a limit of bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastnn {

// Throws std::bad_alloc. Any size, zero too, gives a buffer of its own, to be freed with the same
// size.
void* pool_allocate(std::size_t bytes);
void pool_free(void* buffer, std::size_t bytes) noexcept;

struct PoolStats {
    int64_t in_use;    // bytes of the buffers handed out
    int64_t cached;    // bytes that wait for reuse
    int64_t allocated; // times that memory was asked of the system
    int64_t reused;    // times that a waiting buffer served
};
PoolStats pool_stats();
// Gives all waiting buffers back to the system.
void pool_trim();
// The most bytes that may wait for reuse; buffers beyond it go back to the system at once.
void pool_set_limit(std::size_t bytes);
void init_buffer_pool();

// Scratch memory of a scope; null for no bytes. (Not inlined: kernel files must not define shared
// inline functions.)
class Scratch {
  public:
    explicit Scratch(std::size_t bytes);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    template <class T>
    __attribute__((always_inline)) T* as() const {
        return static_cast<T*>(buffer_);
    }

  private:
    void* buffer_;
    std::size_t bytes_;
};

} // namespace fastnn
