// Which thread runs next, and what threads wait for: collectives of a warp, barriers of the block.
#include <algorithm>
#include <cstring>

#include "emulator/state.h"

namespace simt {
namespace {

uint64_t next_random() {
    state.random ^= state.random << 13;
    state.random ^= state.random >> 7;
    state.random ^= state.random << 17;
    return state.random;
}

bool same(Site a, Site b) {
    return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}
bool same(const char* a, const char* b) {
    return a == b || std::strcmp(a, b) == 0;
}

[[noreturn]] void deadlock() {
    std::map<std::string, std::vector<unsigned>> waits;
    for (unsigned i = 0; i < state.thread_count; i++) {
        const Thread& t = state.threads[i];
        waits[t.status == Status::done ? "exited"
                                       : std::string(t.operation) + " at " + place(t.site)]
            .push_back(i);
    }
    std::string text = "deadlock:";
    for (const auto& [where, who] : waits)
        text += " [" + std::to_string(who.size()) + " threads, first " + std::to_string(who[0]) +
                ": " + where + "]";
    fail("%s%s", text.c_str(), describe_mbarriers().c_str());
}

// The threads of a complete barrier know what all of them did before it.
void release(Barrier& b) {
    state.barriers_completed++;
    uint32_t joint[max_clocks];
    std::memcpy(joint, b.arrivals, sizeof joint);
    for (unsigned v = 0; v < state.warp_count; v++)
        if (b.waiting[v])
            join_clocks(joint, state.warps[v].clock);
    for (unsigned v = 0; v < state.warp_count; v++) {
        if (!b.waiting[v])
            continue;
        Warp& w = state.warps[v];
        std::memcpy(w.clock, joint, sizeof joint);
        advance_clock(v);
        w.epoch++;
        w.ready |= b.waiting[v];
        for (unsigned rest = b.waiting[v]; rest; rest &= rest - 1) {
            Thread& t = state.threads[v * 32 + unsigned(__builtin_ctz(rest))];
            t.status = Status::ready;
            t.epoch = w.epoch;
            t.barrier_result = b.predicates;
        }
    }
    const bool everyone = b.expected == state.thread_count;
    b = Barrier{};
    count_barrier(everyone);
}

// Counts the current thread in; true when the barrier is complete.
bool join(unsigned id, unsigned count, int predicate, Site site) {
    const Thread& t = *state.current;
    if (id >= max_barriers)
        fail("barrier %u at %s: there are %u", id, place(site).c_str(), max_barriers);
    if (count % 32)
        fail("barrier %u at %s: thread count %u is not a multiple of 32", id, place(site).c_str(),
             count);
    Barrier& b = state.barriers[id];
    if (!count && state.strict_exit && state.done)
        fail("__syncthreads at %s after %u threads of the block have exited", place(site).c_str(),
             state.done);
    const unsigned expected = count ? count : state.thread_count - state.done;
    if (!b.arrived) {
        b.site = site;
        b.expected = expected;
    }
    if (!count && !same(b.site, site))
        fail("divergent __syncthreads: thread %u at %s, others at %s", t.id, place(site).c_str(),
             place(b.site).c_str());
    if (b.expected != expected)
        fail("barrier %u at %s: thread count %u, others gave %u", id, place(site).c_str(), expected,
             b.expected);
    b.arrived++;
    b.predicates += predicate;
    return b.arrived == expected;
}

} // namespace

Context* context;

// First lane first, last lane first, or at random: three of the orders a GPU may choose.
Thread* pick() {
    unsigned warp = state.current ? state.current->warp : 0;
    const unsigned lane = state.current ? state.current->lane : 31;
    if (state.order > 1 && state.warp_count > 1 && !(next_random() & 3))
        warp = unsigned(next_random() % state.warp_count);
    for (unsigned i = 0; i < state.warp_count; i++) {
        const unsigned v =
            (state.order == 1 ? warp + state.warp_count - i : warp + i) % state.warp_count;
        const unsigned ready = state.warps[v].ready;
        if (!ready)
            continue;
        unsigned chosen;
        if (state.order == 0) {
            const unsigned later = i || lane == 31 ? 0 : ready & ~((2u << lane) - 1);
            chosen = unsigned(__builtin_ctz(later ? later : ready));
        } else if (state.order == 1) {
            const unsigned earlier = i ? 0 : ready & ((1u << lane) - 1);
            chosen = 31 - unsigned(__builtin_clz(earlier ? earlier : ready));
        } else {
            const unsigned turn = unsigned(next_random() & 31);
            const unsigned turned = turn ? ready >> turn | ready << (32 - turn) : ready;
            chosen = (unsigned(__builtin_ctz(turned)) + turn) & 31;
        }
        return &state.threads[v * 32 + chosen];
    }
    return nullptr;
}

void begin_wait(const char* operation, Site site) {
    state.current->operation = operation;
    state.current->site = site;
}

void yield() {
    Thread *from = state.current, *to = pick();
    if (!to)
        deadlock();
    if (to != from)
        switch_to(from, to);
}

void block_current(Status status) {
    Thread& t = *state.current;
    t.status = status;
    state.warps[t.warp].ready &= ~(1u << t.lane);
    yield();
}

void wake(Thread& t) {
    t.status = Status::ready;
    state.warps[t.warp].ready |= 1u << t.lane;
}

void sleep() {
    begin_wait("__nanosleep", {"", 0});
    yield();
}

void warp_collective(const char* operation, unsigned mask, void* slot, Done done, bool aligned,
                     bool fence, Site site) {
    if (!hot.in_kernel)
        fail("%s outside a kernel", operation);
    Thread& t = *state.current;
    Warp& w = state.warps[t.warp];
    const unsigned lanes = mask & w.existing, mine = 1u << t.lane;
    begin_wait(operation, site);
    if (!(lanes & mine))
        fail("%s at %s: the mask %08x does not name the calling lane %u", operation,
             place(site).c_str(), mask, t.lane);
    if (lanes & ~w.alive)
        fail("%s at %s: the mask %08x names lanes that have exited (%08x)", operation,
             place(site).c_str(), mask, lanes & ~w.alive);
    Collective* group = nullptr;
    for (Collective& c : w.collectives)
        if (c.mask == lanes) {
            group = &c;
            break;
        }
    if (!group) {
        w.collectives.push_back({lanes, 0, operation, site});
        group = &w.collectives.back();
    }
    if (!same(group->operation, operation) || (aligned && !same(group->site, site)))
        fail("divergent warp: lane %u at %s %s, others at %s %s", t.lane, operation,
             place(site).c_str(), group->operation, place(group->site).c_str());
    w.slots[t.lane] = slot;
    group->arrived |= mine;
    if (group->arrived != lanes) {
        block_current(Status::in_collective);
        return;
    }
    std::swap(*group, w.collectives.back());
    w.collectives.pop_back();
    done(lanes, w.slots);
    w.ready |= lanes;
    if (fence)
        w.epoch++;
    for (unsigned rest = lanes; rest; rest &= rest - 1) {
        Thread& x = state.threads[t.warp * 32 + unsigned(__builtin_ctz(rest))];
        x.status = Status::ready;
        if (fence)
            x.epoch = w.epoch;
    }
}

int barrier_sync(unsigned id, unsigned count, int predicate, Site site) {
    if (!hot.in_kernel)
        fail("__syncthreads outside a kernel");
    Thread& t = *state.current;
    begin_wait(id || count ? "bar.sync" : "__syncthreads", site);
    const bool complete = join(id, count, predicate, site);
    Barrier& b = state.barriers[id];
    b.waiting[t.warp] |= 1u << t.lane;
    state.warps[t.warp].ready &= ~(1u << t.lane);
    t.status = Status::in_barrier;
    if (complete)
        release(b);
    else
        yield();
    return t.barrier_result;
}

void barrier_arrive(unsigned id, unsigned count, Site site) {
    if (!hot.in_kernel)
        fail("bar.arrive outside a kernel");
    begin_wait("bar.arrive", site);
    const bool complete = join(id, count, 0, site);
    // What this warp did so far is covered, what it does next is not.
    Barrier& b = state.barriers[id];
    const unsigned v = state.current->warp;
    join_clocks(b.arrivals, state.warps[v].clock);
    advance_clock(v);
    if (complete)
        release(b);
}

void fiber_entry() {
    state.call(state.argument);
    Thread& t = *state.current;
    Warp& w = state.warps[t.warp];
    check_finished_products(t);
    t.status = Status::done;
    w.alive &= ~(1u << t.lane);
    w.ready &= ~(1u << t.lane);
    state.done++;
    Barrier& b = state.barriers[0];
    if (b.arrived) {
        if (state.strict_exit)
            fail("thread exited while %u threads wait in __syncthreads at %s", b.arrived,
                 place(b.site).c_str());
        if (b.arrived == state.thread_count - state.done)
            release(b);
    }
    if (state.done == state.thread_count)
        leave_fibers();
    yield();
}

void begin_block() {
    state.block_clock = state.clock;
    state.clock_end = warpgroup_agents;
    state.acquired_clock = 0;
    state.done = 0;
    state.current = nullptr;
    for (Barrier& b : state.barriers)
        b = Barrier{};
    for (unsigned v = 0; v < state.warp_count; v++) {
        Warp& w = state.warps[v];
        const unsigned lanes = std::min(32u, state.thread_count - 32 * v);
        w.existing = w.alive = w.ready = lanes == 32 ? ~0u : (1u << lanes) - 1;
        w.epoch = 0;
        w.collectives.clear();
        std::fill(w.clock, w.clock + max_clocks, state.clock);
        w.clock[v]++;
    }
    state.clock++;
}

} // namespace simt
