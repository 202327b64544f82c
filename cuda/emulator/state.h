// The runtime's state: the block that runs, its warps, threads and barriers. One launch runs at a
// time.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "emulator/emulator.h"

#if defined(SIMT_ASAN) && SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SIMT_OPEN(p, n) __asan_unpoison_memory_region(p, n)
#define SIMT_CLOSE(p, n) __asan_poison_memory_region(p, n)
#else
#define SIMT_OPEN(p, n) (void)0
#define SIMT_CLOSE(p, n) (void)0
#endif

namespace simt {

#if defined(SIMT_ASAN) && SIMT_ASAN
constexpr bool with_asan = true;
#else
constexpr bool with_asan = false;
#endif
constexpr unsigned max_threads = 1024, max_warps = 32, max_barriers = 16;
constexpr size_t page = 4096;
constexpr size_t stack_bytes = size_t(with_asan ? 256 : 64) << 10;
constexpr size_t arena_bytes = size_t(16) << 30; // address space of global memory
constexpr size_t smem_bytes = 228 << 10;         // shared memory: the arena's first bytes
constexpr size_t granule = 2;                    // bytes that one shadow cell watches

// A byte of the arena (or of the module's thread-local block, where raw __shared__ variables live)
// as an offset.
using Offset = uintptr_t;

struct CopyInFlight { // cp.async
    unsigned char* dst;
    const unsigned char* src;
    unsigned bytes, src_bytes, group;
};
struct BulkStore { // of tensor memory, from shared to global
    const void* map;
    const unsigned char* src;
    int coordinates[5];
    unsigned group;
    const void* pc;
};

enum class Status : unsigned char { ready, in_collective, in_barrier, in_mbarrier, done };

struct Thread {
    Context context;
    unsigned id, warp, lane;
    Status status;
    unsigned epoch;      // of the warp, when this thread last synchronised
    unsigned copy_group; // cp.async groups committed so far
    unsigned bulk_group;
    uint8_t proxy_fences;
    bool fenced; // __threadfence() since the last plain global write
    int barrier_result;
    const char* operation; // where the thread waits
    Site site;
    std::vector<CopyInFlight> copies;
    std::vector<BulkStore> bulk_stores;
    void* stack_pointer;
    char* stack;
};

struct Collective {
    unsigned mask, arrived;
    const char* operation;
    Site site;
};
struct Warp {
    unsigned existing, alive, ready; // lanes
    unsigned epoch;
    std::vector<Collective> collectives;
    void* slots[32];
    uint32_t clock[max_warps]; // vector clock
};
struct Barrier {
    unsigned arrived, expected;
    int predicates;
    Site site;
    unsigned waiting[max_warps];  // lanes
    uint32_t arrivals[max_warps]; // clocks of those that only arrive
};

struct Buffer {
    uintptr_t base;
    size_t bytes;
};
struct Cell;
struct PageInfo {
    const Buffer* buffer;
    Cell* cells;
};

// What the instrumentation looks at on every access, kept together.
struct Hot {
    uintptr_t arena, tls;
    size_t tls_bytes;
    bool in_kernel;
};
extern Hot hot;
extern bool hooked; // the kernels are instrumented

struct State {
    Thread threads[max_threads];
    Warp warps[max_warps];
    Barrier barriers[max_barriers];
    unsigned thread_count = 0, warp_count = 0, done = 0;
    Thread* current = nullptr;
    void* host_stack_pointer = nullptr;
    void (*call)(void*) = nullptr;
    void* argument = nullptr;
    const void* kernel = nullptr;
    dim3 grid, block;

    char error[4096] = "";
    bool failed = false; // the block was abandoned
    int reports = 0;     // races and the like, after which the block still runs on

    // Shared memory: static variables from 0 up, dynamic memory at the end.
    size_t static_top = 0, dynamic_offset = smem_bytes, dynamic_bytes = 0;
    std::map<const void*, size_t> statics;

    // Checking. Accesses before launch_clock (block_clock) belong to earlier launches (blocks).
    uint32_t clock = 1, block_clock = 0, launch_clock = 0;
    uint32_t acquired_clock = 0; // other blocks' writes up to here were published to this block
    std::unordered_map<const void*, uint32_t> published;
    PageInfo* pages = nullptr;
    uintptr_t module_base = 0;
    std::string module_path;

    // Options, from the environment at each launch.
    long order = 0;
    bool counting = false, check_uninitialised = true, strict_exit = true;
    uint64_t random = 0;
    long launches = 0, barriers_completed = 0;
};
extern State state;

inline bool in_shared(Offset offset, size_t bytes) {
    return offset + bytes <= state.static_top ||
           (offset >= state.dynamic_offset &&
            offset + bytes <= state.dynamic_offset + state.dynamic_bytes);
}
inline Offset offset_of(const void* p) {
    return reinterpret_cast<uintptr_t>(p) - hot.arena;
}

// ---- faults.cpp
void set_error(const char* format, ...)
    __attribute__((format(printf, 1, 2))); // the first one is kept
[[noreturn]] void fail_at(const void* pc, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
std::string place(const Thread& thread); // block and thread
std::string place(Site site);            // file and line
std::string code_token(uint32_t pc);     // stands for file and line until expand_error()
std::string line_of(uint32_t pc);
std::string kernel_name(const void* kernel);
void expand_error();
uint32_t relative_pc(const void* pc);
class FaultGuard { // turns segmentation faults into errors while it lives
  public:
    FaultGuard();
    ~FaultGuard();
    FaultGuard(const FaultGuard&) = delete;
    FaultGuard& operator=(const FaultGuard&) = delete;
};

// ---- fibers.cpp
void allocate_stacks();
void prepare_fiber(Thread& thread, void (*entry)());
void enter_fibers(Thread* first); // returns when leave_fibers() is called
void switch_to(Thread* from, Thread* to);
[[noreturn]] void leave_fibers();

// ---- scheduler.cpp
void begin_block();
void fiber_entry();
Thread* pick();
void yield();
void block_current(Status status);
void wake(Thread& thread);

// ---- checker.cpp
enum : uint8_t { acc_set = 1, acc_pending = 2, acc_atomic = 4, acc_async = 8 };
struct Accessor {
    uint32_t clock, epoch, pc;
    uint16_t thread;
    uint8_t flags, proxy_fences;
};
struct Cell { // the last write; the last reads: any, of another warp, of another lane
    Accessor write, read, read_warp, read_lane;
};
Cell* cell_at(Offset offset);
// An access of the current thread, at an address that may be private to it.
void check_access(const void* p, unsigned bytes, Access kind, uint32_t pc, uint8_t extra_flags = 0);
void check_bounds(Offset offset, const void* p, unsigned bytes, Access kind, uint32_t pc);
void copy_landed(const void* dst, unsigned bytes, uint32_t clock, uint32_t epoch);

// ---- counters.cpp
void count_access(const void* p, unsigned bytes, Access kind, uint32_t pc);
void count_bulk(const char* kind, uint32_t pc, size_t bytes);
void count_launch();
void count_barrier(bool everyone);
void flush_counts();

// ---- memory.cpp
void open_arena();
const Buffer* buffer_at(Offset offset);
const Buffer* nearest_buffer(uintptr_t address);
void begin_block_memory();

// ---- ptx_async.cpp, mbarrier.cpp, wgmma.cpp
void check_finished_copies(Thread& thread); // when a thread exits
void begin_block_async();
void end_block_async();
std::string describe_waits(); // of mbarriers, for the report of a deadlock

} // namespace simt
