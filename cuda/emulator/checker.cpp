// Bounds, races, and reads of shared memory that nothing wrote.
//
// Every granule of shared and global memory has a shadow cell: its last write and some of its last
// reads, each with thread and time. Time is a vector clock with one entry for each warp, and within
// a warp an epoch that advances when its lanes synchronise. Two accesses of different threads, one
// of them a write, that no barrier orders are a race, also where this run happened to order them
// well.
#include <cstring>

#include "emulator/checker.h"

namespace simt {
namespace {

const char* verb(Access kind) {
    return kind == Access::read ? "read" : kind == Access::write ? "write" : "atomic";
}

void report(const char* format, ...) __attribute__((format(printf, 1, 2)));
void report(const char* format, ...) {
    if (state.reports++)
        return;
    char text[1500];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    set_error("%s", text);
}

void report_race(const char* kind, const void* p, const Accessor& other, uint32_t pc, bool shared) {
    const auto address = reinterpret_cast<uintptr_t>(p);
    const Buffer* b = shared ? nullptr : nearest_buffer(address);
    const Offset offset = offset_of(p);
    const long byte = b != nullptr                     ? long(address - b->base)
                      : offset >= arena_bytes          ? long(address - hot.tls)
                      : offset >= state.dynamic_offset ? long(offset - state.dynamic_offset)
                                                       : long(offset);
    report("race (%s) on %s byte %ld: the access at %s conflicts with that of thread %u%s at %s%s",
           kind, shared ? "shared" : "global", byte, code_token(pc).c_str(), unsigned(other.thread),
           other.clock <= state.block_clock ? " of another block" : "",
           code_token(other.pc).c_str(), shared ? " (a missing barrier)" : "");
}

// Has this thread no way to know that `o` is over?
bool unordered(const Accessor& o, const Thread& t, const Warp& w, bool shared, bool atomic) {
    if (!(o.flags & acc_set) || o.clock <= (shared ? state.block_clock : state.launch_clock))
        return false;
    if (atomic && o.flags & acc_atomic)
        return false;
    if (o.clock <= state.block_clock) // another block of this launch
        return o.clock > state.acquired_clock;
    if (o.thread == t.id)
        return false;
    const unsigned other_warp = o.thread / 32u;
    return other_warp == t.warp ? o.epoch >= t.epoch : o.clock > w.clock[other_warp];
}

// Atomics publish: after a __threadfence() what the thread knows to be written is for those to see
// who find the atomic's value in a later atomic on the same address and then pass a __threadfence()
// themselves.
void publish(const void* p) {
    Thread& t = *state.current;
    uint32_t& published = state.published[p];
    if (published > state.acquired_clock && published <= state.block_clock)
        state.acquired_clock = published;
    if (t.fenced)
        published = state.clock;
}

} // namespace

Hot hot;
bool hooked;

Cell* cell_at(Offset offset) {
    Cell*& cells = state.pages[offset / page].cells;
    if (!cells)
        cells = static_cast<Cell*>(std::calloc(page / granule, sizeof(Cell)));
    return cells + offset % page / granule;
}

void check_bounds(Offset offset, const void* p, unsigned bytes, Access kind, uint32_t pc) {
    if (offset < smem_bytes) {
        if (!in_shared(offset, bytes))
            fail("%s of %u bytes outside the block's shared memory (%zu static and %zu dynamic "
                 "bytes; byte %ld of the dynamic), at %s",
                 verb(kind), bytes, state.static_top, state.dynamic_bytes,
                 long(offset) - long(state.dynamic_offset), code_token(pc).c_str());
        return;
    }
    const Buffer* b = buffer_at(offset);
    const auto address = reinterpret_cast<uintptr_t>(p);
    if (b != nullptr && address >= b->base && address + bytes <= b->base + b->bytes)
        return;
    b = nearest_buffer(address);
    if (b == nullptr)
        fail("global %s of %u bytes at %p, where nothing is allocated, at %s", verb(kind), bytes, p,
             code_token(pc).c_str());
    fail("global %s of %u bytes is outside every buffer: byte %ld of one of %zu bytes, at %s",
         verb(kind), bytes, long(address - b->base), b->bytes, code_token(pc).c_str());
}

void touch(Offset offset, const void* p, unsigned bytes, Access kind, uint32_t pc, bool shared,
           uint8_t extra_flags) {
    Thread& t = *state.current;
    const Warp& w = state.warps[t.warp];
    const bool atomic = kind == Access::atomic, write = kind != Access::read;
    const Accessor me{w.clock[t.warp],
                      t.epoch,
                      pc,
                      uint16_t(t.id),
                      uint8_t(acc_set | extra_flags | (atomic ? acc_atomic : 0)),
                      t.proxy_fences};
    const Offset end = offset + bytes;
    for (Offset a = offset / granule * granule; a < end; a += granule) {
        Cell& c = *cell_at(a);
        const bool live = c.write.flags & acc_set && c.write.clock > state.block_clock;
        if (live && c.write.flags & acc_pending &&
            !(write && extra_flags & acc_pending && c.write.thread == t.id))
            report("access at %s to the destination of an asynchronous copy (thread %u, %s) that "
                   "was not waited for",
                   code_token(pc).c_str(), unsigned(c.write.thread),
                   code_token(c.write.pc).c_str());
        else if (unordered(c.write, t, w, shared, atomic))
            report_race(write ? "write after write" : "read after write", p, c.write, pc, shared);
        else if (write && unordered(c.read, t, w, shared, atomic))
            report_race("write after read", p, c.read, pc, shared);
        else if (write && unordered(c.read_warp, t, w, shared, atomic))
            report_race("write after read", p, c.read_warp, pc, shared);
        else if (write && unordered(c.read_lane, t, w, shared, atomic))
            report_race("write after read", p, c.read_lane, pc, shared);
        else if (kind != Access::write && shared && !live && state.check_uninitialised)
            report("read of shared memory that the block has not written (no initialisation, or a "
                   "missing barrier), at %s",
                   code_token(pc).c_str());
        else if (extra_flags & acc_async && !(write) && live && !(c.write.flags & acc_async) &&
                 state.threads[c.write.thread].proxy_fences == c.write.proxy_fences)
            report("the asynchronous read at %s of shared memory that thread %u wrote at %s, with "
                   "no fence_proxy_async() after the write",
                   code_token(pc).c_str(), unsigned(c.write.thread),
                   code_token(c.write.pc).c_str());
        if (write) {
            c.write = me;
            continue;
        }
        if (c.read.flags & acc_set && c.read.thread != t.id) {
            if (c.read.thread / 32u == t.warp)
                c.read_lane = c.read;
            else {
                c.read_warp = c.read;
                c.read_lane.flags = 0;
            }
        }
        c.read = me;
    }
    if (atomic && !shared)
        publish(p);
    else if (write && !shared)
        t.fenced = false;
}

void check_access(const void* p, unsigned bytes, Access kind, uint32_t pc, uint8_t extra_flags) {
    const Offset offset = offset_of(p);
    if (offset >= arena_bytes) {
        const uintptr_t in_tls = reinterpret_cast<uintptr_t>(p) - hot.tls;
        if (in_tls < hot.tls_bytes)
            touch(arena_bytes + in_tls, p, bytes, kind, pc, true, extra_flags);
        return;
    }
    check_bounds(offset, p, bytes, kind, pc);
    touch(offset, p, bytes, kind, pc, offset < smem_bytes, extra_flags);
}

// The data of an asynchronous copy is there, for threads that know of this time.
void copy_landed(const void* dst, unsigned bytes, uint32_t clock, uint32_t epoch) {
    for (unsigned b = 0; b < bytes; b += granule) {
        Accessor& w = cell_at(offset_of(dst) + b)->write;
        w.flags &= uint8_t(~acc_pending);
        w.clock = clock;
        w.epoch = epoch;
    }
}

void thread_fence() {
    if (!hot.in_kernel)
        return;
    state.current->fenced = true;
}

// Loads and stores that go through simt::load and the like: alignment in every build, the rest as
// for the others.
void access(const void* p, unsigned bytes, Access kind, const void* pc) {
    if (reinterpret_cast<uintptr_t>(p) % bytes)
        fail_at(pc, "misaligned %s of %u bytes at address %p", verb(kind), bytes, p);
    if (!hot.in_kernel)
        return;
    if (hooked) {
        hook(p, bytes, kind, pc);
        return;
    }
#if defined(SIMT_ASAN) && SIMT_ASAN
    if (__asan_region_is_poisoned(const_cast<void*>(p), bytes))
        fail_at(pc, "%s of %u bytes out of bounds at %p", verb(kind), bytes, p);
#endif
    if (offset_of(p) < arena_bytes)
        check_bounds(offset_of(p), p, bytes, kind, relative_pc(pc));
}

} // namespace simt
