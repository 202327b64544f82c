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
// Entries of a vector clock: the warps, then what works beside them: the products of each
// warpgroup, and the copies that report to each mbarrier.
constexpr unsigned warpgroup_agents = max_warps, max_warpgroups = max_warps / 4;
constexpr unsigned mbarrier_agents = warpgroup_agents + max_warpgroups, max_mbarriers = 64;
constexpr unsigned max_clocks = mbarrier_agents + max_mbarriers;
constexpr size_t page = 4096;
constexpr size_t stack_bytes = size_t(with_asan ? 256 : 64) << 10;
constexpr size_t arena_bytes = size_t(16) << 30; // address space of global memory
constexpr size_t smem_bytes = 228 << 10;         // shared memory: the arena's first bytes
constexpr size_t granule = 2; // bytes that one shadow cell watches, where no single bytes are used

// A byte of the arena (or of the module's thread-local block, where raw __shared__ variables live)
// as an offset.
using Offset = uintptr_t;

struct CopyInFlight { // cp.async
    unsigned char* dst;
    const unsigned char* src;
    unsigned bytes, src_bytes, group;
};

enum class Status : unsigned char { ready, in_collective, in_barrier, in_mbarrier, done };

struct Thread {
    Context context;
    unsigned id, warp, lane;
    Status status;
    unsigned epoch;      // of the warp, when this thread last synchronised
    unsigned copy_group; // cp.async groups committed so far
    uint8_t proxy_fences, barrier_fences;
    bool wgmma_fenced; // since registers of products may have been touched
    bool fenced;       // __threadfence() since the last plain global write
    int barrier_result;
    const char* operation; // where the thread waits
    Site site;
    std::vector<CopyInFlight> copies;
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
    uint32_t clock[max_clocks]; // vector clock
};
struct Barrier {
    unsigned arrived, expected;
    int predicates;
    Site site;
    unsigned waiting[max_warps];   // lanes
    uint32_t arrivals[max_clocks]; // clocks of those that only arrive
};

struct Buffer {
    uintptr_t base;
    size_t bytes;
};
struct Cell;
struct PageInfo {
    const Buffer* buffer;
    Cell* cells;
    bool by_bytes; // a cell for each byte
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
    unsigned clock_end = warpgroup_agents; // entries beyond the warps that are in use
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

// What both clocks know.
inline void join_clocks(uint32_t* into, const uint32_t* from) {
    const auto join = [&](unsigned i) { into[i] = into[i] < from[i] ? from[i] : into[i]; };
    for (unsigned i = 0; i < state.warp_count; i++)
        join(i);
    for (unsigned i = warpgroup_agents; i < state.clock_end; i++)
        join(i);
}
// The accesses of a warp from here on are not known to those who learn of the earlier ones.
inline void advance_clock(unsigned warp) {
    const uint32_t now = ++state.warps[warp].clock[warp];
    state.clock = state.clock < now ? now : state.clock;
}
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
void begin_wait(const char* operation, Site site); // what the report of a deadlock says
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
// An access of the current thread, at an address that may be private to it.
void check_access(const void* p, unsigned bytes, Access kind, uint32_t pc, uint8_t extra_flags = 0);
// An access of an agent, an entry of the vector clocks, on behalf of `known`: the current thread,
// or (thread null) threads who all know this clock.
void check_agent_access(unsigned agent, uint32_t clock, const uint32_t* known, const Thread* thread,
                        const void* p, unsigned bytes, Access kind, uint32_t pc, uint8_t flags);
void check_bounds(Offset offset, const void* p, unsigned bytes, Access kind, uint32_t pc);
// The data of an asynchronous copy is there. Of cp.async: for threads that know of this time.
void copy_landed(const void* dst, unsigned bytes, uint32_t clock, uint32_t epoch);
void agent_copy_landed(const void* dst, unsigned bytes);
void report(const char* format, ...) __attribute__((format(printf, 1, 2))); // the block runs on

// ---- counters.cpp
void count_access(const void* p, unsigned bytes, Access kind, uint32_t pc);
void count_bulk(const char* kind, uint32_t pc, size_t bytes, size_t sectors);
void count_launch();
void count_barrier(bool everyone);
void flush_counts();

// ---- memory.cpp
void open_arena();
const Buffer* buffer_at(Offset offset);
const Buffer* nearest_buffer(uintptr_t address);
void begin_block_memory();

// ---- mbarrier.cpp
void begin_block_mbarriers();
void end_block_mbarriers();
std::string describe_mbarriers(); // for the report of a deadlock
// Starts an asynchronous copy of `image` whose end the barrier counts.
void start_bulk_copy(void* dst, std::vector<unsigned char> image, void* barrier, Site site,
                     const void* pc);
// The place that started a copy to these bytes which nobody has waited for, or null.
const Site* copy_in_flight(const void* p, unsigned bytes);

// ---- wgmma.cpp
void begin_block_products();
void check_finished_products(const Thread& thread); // when a thread exits

} // namespace simt
