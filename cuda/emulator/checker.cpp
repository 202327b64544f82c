// Bounds, races, and reads of shared memory that nothing wrote.
//
// Every two bytes of shared and global memory have a shadow cell (every byte, in pages where single
// bytes are used): the last write and some of the last reads, each with thread and time. Time is a
// vector clock with one entry for each warp, and within a warp an epoch that advances when its
// lanes synchronise. Two accesses of different threads, one of them a write, that no barrier orders
// are a race, also where this run happened to order them well. What works beside the threads,
// copies by TMA and wgmma, has entries of the clock as well, which a thread knows once it has
// waited.
#include <cstring>

#include "emulator/checker.h"

namespace simt {
namespace {

const char* verb(Access kind) {
    return kind == Access::read ? "read" : kind == Access::write ? "write" : "atomic";
}

std::string name_of(const Accessor& a) {
    const unsigned agent = a.thread / 32u;
    return agent < warpgroup_agents ? "thread " + std::to_string(a.thread)
           : agent < mbarrier_agents
               ? "warpgroup " + std::to_string(agent - warpgroup_agents) + "'s wgmma"
               : "a bulk copy";
}

void report_race(const char* kind, const void* p, const Accessor& other, uint32_t pc, bool shared) {
    const auto address = reinterpret_cast<uintptr_t>(p);
    const Buffer* b = shared ? nullptr : nearest_buffer(address);
    const Offset offset = offset_of(p);
    const long byte = b != nullptr                     ? long(address - b->base)
                      : offset >= arena_bytes          ? long(address - hot.tls)
                      : offset >= state.dynamic_offset ? long(offset - state.dynamic_offset)
                                                       : long(offset);
    report("race (%s) on %s byte %ld: the access at %s conflicts with that of %s%s at %s%s", kind,
           shared ? "shared" : "global", byte, code_token(pc).c_str(), name_of(other).c_str(),
           other.clock <= state.block_clock ? " of another block" : "",
           code_token(other.pc).c_str(),
           !shared                                  ? ""
           : other.thread / 32u >= warpgroup_agents ? " (a missing wait)"
                                                    : " (a missing barrier)");
}

// Who accesses memory: what it knows, and which accesses are its own.
struct Observer {
    const uint32_t* clock;
    unsigned thread, warp, epoch;
};

// Has the observer no way to know that `o` is over?
bool unordered(const Accessor& o, const Observer& t, bool shared, bool atomic) {
    if (!(o.flags & acc_set) || o.clock <= (shared ? state.block_clock : state.launch_clock))
        return false;
    if (atomic && o.flags & acc_atomic)
        return false;
    if (o.clock <= state.block_clock) // another block of this launch
        return o.clock > state.acquired_clock;
    if (o.thread == t.thread)
        return false;
    const unsigned other_warp = o.thread / 32u;
    return other_warp == t.warp ? o.epoch >= t.epoch : o.clock > t.clock[other_warp];
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

// A cell for each byte of the page.
void divide(PageInfo& info) {
    auto* cells = static_cast<Cell*>(std::calloc(page, sizeof(Cell)));
    if (info.cells)
        for (size_t i = 0; i < page; i++)
            cells[i] = info.cells[i / granule];
    std::free(info.cells);
    info.cells = cells;
    info.by_bytes = true;
}

// f(cell) for the cells of these bytes.
template <class F>
void for_cells(Offset offset, unsigned bytes, F f) {
    const bool single = (offset | bytes) % granule != 0;
    for (Offset a = offset, end = offset + bytes; a < end;) {
        PageInfo& info = state.pages[a / page];
        if (single && !info.by_bytes)
            divide(info);
        if (!info.cells)
            info.cells = static_cast<Cell*>(std::calloc(page / granule, sizeof(Cell)));
        f(info.cells[a % page / (info.by_bytes ? 1 : granule)]);
        a += info.by_bytes ? 1 : granule;
    }
}

void touch(Offset offset, const void* p, unsigned bytes, Access kind, bool shared,
           const Accessor& me, const Observer& t) {
    const bool atomic = kind == Access::atomic, write = kind != Access::read;
    const uint32_t pc = me.pc;
    for_cells(offset, bytes, [&](Cell& c) {
        const bool live = c.write.flags & acc_set && c.write.clock > state.block_clock;
        if (live && c.write.flags & acc_pending &&
            !(write && me.flags & acc_pending && c.write.thread == me.thread))
            report("access at %s to the destination of an asynchronous copy (%s, %s) that "
                   "was not waited for",
                   code_token(pc).c_str(), name_of(c.write).c_str(),
                   code_token(c.write.pc).c_str());
        else if (unordered(c.write, t, shared, atomic))
            report_race(write ? "write after write" : "read after write", p, c.write, pc, shared);
        else if (write && unordered(c.read, t, shared, atomic))
            report_race("write after read", p, c.read, pc, shared);
        else if (write && unordered(c.read_warp, t, shared, atomic))
            report_race("write after read", p, c.read_warp, pc, shared);
        else if (write && unordered(c.read_lane, t, shared, atomic))
            report_race("write after read", p, c.read_lane, pc, shared);
        else if (kind != Access::write && shared && !live && state.check_uninitialised)
            report("read of shared memory that the block has not written (no initialisation, or a "
                   "missing barrier), at %s",
                   code_token(pc).c_str());
        else if (me.flags & acc_async && shared && live && !(c.write.flags & acc_async) &&
                 state.threads[c.write.thread].proxy_fences == c.write.proxy_fences)
            report("the asynchronous %s at %s of shared memory that thread %u wrote at %s, with "
                   "no fence_proxy_async() after the write",
                   verb(kind), code_token(pc).c_str(), unsigned(c.write.thread),
                   code_token(c.write.pc).c_str());
        if (write) {
            c.write = me;
            return;
        }
        if (c.read.flags & acc_set && c.read.thread != me.thread) {
            if (c.read.thread / 32u == me.thread / 32u)
                c.read_lane = c.read;
            else {
                c.read_warp = c.read;
                c.read_lane.flags = 0;
            }
        }
        c.read = me;
    });
}

void touch_by_thread(Offset offset, const void* p, unsigned bytes, Access kind, uint32_t pc,
                     bool shared, uint8_t extra_flags) {
    Thread& t = *state.current;
    const uint32_t* clock = state.warps[t.warp].clock;
    const bool atomic = kind == Access::atomic;
    touch(offset, p, bytes, kind, shared,
          {clock[t.warp], t.epoch, pc, uint16_t(t.id),
           uint8_t(acc_set | extra_flags | (atomic ? acc_atomic : 0)), t.proxy_fences},
          {clock, t.id, t.warp, t.epoch});
    if (atomic && !shared)
        publish(p);
    else if (kind == Access::write && !shared)
        t.fenced = false;
}

} // namespace

Hot hot;
bool hooked;

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

void check_access(const void* p, unsigned bytes, Access kind, uint32_t pc, uint8_t extra_flags) {
    const Offset offset = offset_of(p);
    if (offset >= arena_bytes) {
        const uintptr_t in_tls = reinterpret_cast<uintptr_t>(p) - hot.tls;
        if (in_tls < hot.tls_bytes)
            touch_by_thread(arena_bytes + in_tls, p, bytes, kind, pc, true, extra_flags);
        return;
    }
    check_bounds(offset, p, bytes, kind, pc);
    touch_by_thread(offset, p, bytes, kind, pc, offset < smem_bytes, extra_flags);
}

void check_agent_access(unsigned agent, uint32_t clock, const uint32_t* known, const Thread* thread,
                        const void* p, unsigned bytes, Access kind, uint32_t pc, uint8_t flags) {
    const Offset offset = offset_of(p);
    check_bounds(offset, p, bytes, kind, pc);
    const Observer observer = thread != nullptr
                                  ? Observer{known, thread->id, thread->warp, thread->epoch}
                                  : Observer{known, ~0u, ~0u, 0};
    touch(offset, p, bytes, kind, offset < smem_bytes,
          {clock, 0, pc, uint16_t(agent * 32), uint8_t(acc_set | acc_async | flags), 0}, observer);
}

void copy_landed(const void* dst, unsigned bytes, uint32_t clock, uint32_t epoch) {
    for_cells(offset_of(dst), bytes, [&](Cell& c) {
        c.write.flags &= uint8_t(~acc_pending);
        c.write.clock = clock;
        c.write.epoch = epoch;
    });
}

void agent_copy_landed(const void* dst, unsigned bytes) {
    for_cells(offset_of(dst), bytes, [](Cell& c) { c.write.flags &= uint8_t(~acc_pending); });
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
