// mbarriers: phases of arrivals and of bytes that asynchronous copies bring. A thread that waits is
// blocked until the phase is complete.
//
// A copy counts as soon as it starts, but its destination is NaN until a thread has waited for its
// phase; until a warp has, the vector clocks make any access of that warp a race.
#include <algorithm>

#include "emulator/checker.h"

namespace simt {
namespace {

struct BulkCopy {
    unsigned char* dst;
    std::vector<unsigned char> image;
    unsigned phase;
    Site site;
};
struct Waiting {
    Thread* thread;
    unsigned phase;
};
struct MBarrier {
    Offset offset;
    unsigned agent; // its entry of the vector clocks
    unsigned count, pending, phase;
    long bytes; // that the phase still waits for
    Site initialised;
    unsigned initialiser;
    uint8_t proxy_fences, barrier_fences; // of that thread, by then
    uint32_t arrivals[max_clocks];        // what the threads know who arrive
    uint32_t released[max_clocks];        // up to the last complete phase
    std::vector<BulkCopy> copies;         // that nobody waited for yet
    std::vector<Waiting> waiting;
};
std::vector<MBarrier> barriers;

MBarrier& barrier_at(const void* p, const char* operation, Site site, const void* pc) {
    for (MBarrier& b : barriers)
        if (b.offset == offset_of(p)) {
            if (hooked)
                check_access(p, 8, Access::atomic, relative_pc(pc));
            return b;
        }
    fail("%s at %s: no mbarrier was initialised there", operation, place(site).c_str());
}

void complete(MBarrier& b) {
    b.phase++;
    b.pending = b.count;
    join_clocks(b.released, b.arrivals);
    b.released[b.agent] = ++state.clock;
    std::erase_if(b.waiting, [&](const Waiting& w) {
        if (w.phase < b.phase)
            wake(*w.thread);
        return w.phase < b.phase;
    });
}
void complete_if_all_is_there(MBarrier& b) {
    if (b.pending == 0 && b.bytes == 0)
        complete(b);
}

// The current thread knows what came before the phases that are complete.
void observe(MBarrier& b) {
    for (const BulkCopy& c : b.copies) {
        if (c.phase >= b.phase)
            continue;
        std::copy(c.image.begin(), c.image.end(), c.dst);
        if (hooked)
            agent_copy_landed(c.dst, unsigned(c.image.size()));
    }
    std::erase_if(b.copies, [&](const BulkCopy& c) { return c.phase < b.phase; });
    join_clocks(state.warps[state.current->warp].clock, b.released);
}

} // namespace

void mbarrier_init(void* p, unsigned count, Site site, const void* pc) {
    Thread& t = *state.current;
    if (!in_shared(offset_of(p), 8) || offset_of(p) % 8)
        fail("mbarrier.init at %s: wants 8 aligned bytes of shared memory", place(site).c_str());
    if (count == 0 || count >= 1u << 20)
        fail("mbarrier.init at %s: bad count %u", place(site).c_str(), count);
    if (hooked)
        check_access(p, 8, Access::write, relative_pc(pc));
    for (const MBarrier& b : barriers)
        if (b.offset == offset_of(p))
            fail("mbarrier.init at %s: initialised before, at %s", place(site).c_str(),
                 place(b.initialised).c_str());
    if (barriers.size() == max_mbarriers)
        fail("mbarrier.init at %s: the emulator has %u for a block", place(site).c_str(),
             max_mbarriers);
    MBarrier& b = barriers.emplace_back();
    b.offset = offset_of(p);
    b.agent = mbarrier_agents + unsigned(barriers.size()) - 1;
    state.clock_end = std::max(state.clock_end, b.agent + 1);
    b.count = b.pending = count;
    b.initialised = site;
    b.initialiser = t.id;
    b.proxy_fences = t.proxy_fences;
    b.barrier_fences = t.barrier_fences;
}

void mbarrier_arrive(void* p, unsigned bytes, Site site, const void* pc) {
    MBarrier& b = barrier_at(p, "mbarrier.arrive", site, pc);
    if (b.pending == 0)
        fail("mbarrier.arrive at %s: more arrivals than the %u of mbarrier.init at %s",
             place(site).c_str(), b.count, place(b.initialised).c_str());
    const unsigned warp = state.current->warp;
    join_clocks(b.arrivals, state.warps[warp].clock);
    advance_clock(warp);
    b.bytes += bytes;
    b.pending--;
    complete_if_all_is_there(b);
}

void mbarrier_wait(void* p, unsigned parity, Site site, const void* pc) {
    MBarrier& b = barrier_at(p, "mbarrier.try_wait", site, pc);
    if (parity > 1)
        fail("mbarrier.try_wait at %s: parity %u", place(site).c_str(), parity);
    const unsigned phase = b.phase;
    if (phase % 2 == parity) {
        begin_wait("mbarrier.try_wait", site);
        b.waiting.push_back({state.current, phase});
        block_current(Status::in_mbarrier);
        if (b.phase > phase + 1)
            fail("mbarrier.try_wait at %s: the next phase is complete as well before this thread "
                 "saw the first",
                 place(site).c_str());
    }
    observe(b);
}

void fence_proxy_async() {
    state.current->proxy_fences++;
}
void fence_mbarrier_init() {
    state.current->barrier_fences++;
}

void start_bulk_copy(void* dst, std::vector<unsigned char> image, void* barrier, Site site,
                     const void* pc) {
    MBarrier& b = barrier_at(barrier, "bulk copy", site, pc);
    const Thread& t = *state.current;
    const Thread& initialiser = state.threads[b.initialiser];
    if (initialiser.proxy_fences == b.proxy_fences &&
        initialiser.barrier_fences == b.barrier_fences)
        fail("bulk copy at %s: no fence_mbarrier_init() after the mbarrier.init at %s",
             place(site).c_str(), place(b.initialised).c_str());
    const auto bytes = unsigned(image.size());
    if (!in_shared(offset_of(dst), bytes))
        fail("bulk copy at %s: the destination is not in the block's shared memory",
             place(site).c_str());
    if (hooked)
        check_agent_access(b.agent, ++state.clock, state.warps[t.warp].clock, &t, dst, bytes,
                           Access::write, relative_pc(pc), acc_pending);
    std::memset(dst, 0xff, bytes);
    b.copies.push_back({static_cast<unsigned char*>(dst), std::move(image), b.phase, site});
    b.bytes -= long(bytes);
    complete_if_all_is_there(b);
}

const Site* copy_in_flight(const void* p, unsigned bytes) {
    const auto* first = static_cast<const unsigned char*>(p);
    for (const MBarrier& b : barriers)
        for (const BulkCopy& c : b.copies)
            if (first < c.dst + c.image.size() && c.dst < first + bytes)
                return &c.site;
    return nullptr;
}

void begin_block_mbarriers() {
    barriers.clear();
    barriers.reserve(max_mbarriers); // threads that wait hold references
}

void end_block_mbarriers() {
    for (const MBarrier& b : barriers)
        if (!b.copies.empty())
            report("the bulk copy at %s was not waited for", place(b.copies[0].site).c_str());
        else if (b.pending != b.count)
            report("the block ended within phase %u of the mbarrier of %s: %u of %u arrivals "
                   "(its count is wrong, or threads are gone)",
                   b.phase, place(b.initialised).c_str(), b.count - b.pending, b.count);
}

std::string describe_mbarriers() {
    std::string text;
    for (const MBarrier& b : barriers)
        if (!b.waiting.empty())
            text += " [mbarrier of " + place(b.initialised) + " + " +
                    std::to_string(b.offset - state.dynamic_offset) + ": phase " +
                    std::to_string(b.phase) + " lacks " + std::to_string(b.pending) + " of " +
                    std::to_string(b.count) + " arrivals and " + std::to_string(b.bytes) +
                    " bytes]";
    return text;
}

} // namespace simt
