// Counters (SIMT_COUNT=1, in the instrumented build): what each line of a kernel asks of memory.
//
// Accesses of a warp's lanes to one line, each lane's n-th together, are one request. Global memory
// serves it in sectors of 32 bytes, shared memory in turns of which each bank of 4 bytes can take
// part once.
#include <algorithm>

#include "emulator/counters.h"
#include "emulator/state.h"

namespace simt {
namespace {

struct Entry {
    uint32_t line; // dense number of the code address
    unsigned occurrence, lane, bytes;
    Offset offset;
    Access kind;
};

struct Key {
    const void* kernel;
    uint32_t pc;
    std::string access;
    bool operator<(const Key& o) const {
        return std::tie(kernel, pc, access) < std::tie(o.kernel, o.pc, o.access);
    }
};

std::unordered_map<uint32_t, uint32_t> line_numbers; // of code addresses
std::vector<uint32_t> line_pcs;
std::vector<unsigned> occurrences[max_threads];
std::vector<Entry> logs[max_warps];
std::map<Key, Count> counts;
std::map<const void*, KernelCount> kernels;

uint32_t line_number(uint32_t pc) {
    static uint32_t last_pc, last_number;
    if (pc == last_pc && !line_pcs.empty())
        return last_number;
    const auto [it, fresh] = line_numbers.emplace(pc, uint32_t(line_pcs.size()));
    if (fresh)
        line_pcs.push_back(pc);
    last_pc = pc;
    return last_number = it->second;
}

void count_global(const Entry* begin, const Entry* end, Count& c) {
    Offset sectors[32 * 2 * 4];
    size_t n = 0;
    long bytes = 0;
    for (const Entry* x = begin; x < end; x++) {
        bytes += x->bytes;
        for (Offset s = x->offset / 32; s <= (x->offset + x->bytes - 1) / 32; s++)
            if (n < std::size(sectors))
                sectors[n++] = s;
    }
    std::sort(sectors, sectors + n);
    c.cost += std::unique(sectors, sectors + n) - sectors;
    c.ideal += (bytes + 31) / 32;
    c.bytes += bytes;
}

void count_shared(const Entry* begin, const Entry* end, Count& c) {
    const unsigned bytes = begin->bytes;
    const unsigned together = bytes <= 4 ? 32 : std::max(1u, 128 / bytes); // lanes of one turn
    for (unsigned first = 0; first < 32; first += together) {
        Offset words[32 * 4];
        size_t n = 0;
        for (const Entry* x = begin; x < end; x++)
            if (x->lane >= first && x->lane < first + together) {
                c.bytes += x->bytes;
                for (Offset w = x->offset / 4; w <= (x->offset + x->bytes - 1) / 4; w++)
                    if (n < std::size(words))
                        words[n++] = w;
            }
        std::sort(words, words + n);
        n = size_t(std::unique(words, words + n) - words); // the same word is given to all who ask
        long turns[32] = {};
        long most = 0;
        for (size_t i = 0; i < n; i++)
            most = std::max(most, ++turns[words[i] % 32]);
        c.cost += most;
        c.ideal += n != 0;
    }
}

void count_request(const Entry* begin, const Entry* end) {
    const bool shared = begin->offset < smem_bytes || begin->offset >= arena_bytes;
    const char* kind = begin->kind == Access::read    ? " load "
                       : begin->kind == Access::write ? " store "
                                                      : " atomic ";
    Count& c =
        counts[{state.kernel, line_pcs[begin->line],
                (shared ? "shared" : "global") + std::string(kind) + std::to_string(begin->bytes)}];
    c.requests++;
    if (shared) {
        count_shared(begin, end, c);
        return;
    }
    count_global(begin, end, c);
}

} // namespace

void count_access(const void* p, unsigned bytes, Access kind, uint32_t pc) {
    const Thread& t = *state.current;
    const uint32_t line = line_number(pc);
    auto& mine = occurrences[t.id];
    if (mine.size() <= line)
        mine.resize(line + 1);
    Offset offset = offset_of(p);
    if (offset >= arena_bytes)
        offset = arena_bytes + (reinterpret_cast<uintptr_t>(p) - hot.tls);
    logs[t.warp].push_back({line, mine[line]++, t.lane, bytes, offset, kind});
    if (offset >= smem_bytes && offset < arena_bytes)
        kernels[state.kernel].global_bytes += bytes;
}

void count_bulk(const char* kind, uint32_t pc, size_t bytes, size_t sectors) {
    if (!state.counting)
        return;
    Count& c = counts[{state.kernel, pc, kind}];
    c.requests++;
    c.cost += long(sectors);
    c.ideal += long((bytes + 31) / 32);
    c.bytes += long(bytes);
    kernels[state.kernel].global_bytes += long(bytes);
}

void count_launch() {
    if (!state.counting)
        return;
    KernelCount& count = kernels[state.kernel];
    count.launches++;
    count.blocks += long(state.grid.x) * state.grid.y * state.grid.z;
    count.threads = std::max(count.threads, long(state.thread_count));
    count.shared_bytes = std::max(count.shared_bytes, long(state.dynamic_bytes));
}

void count_barrier(bool everyone) {
    if (!state.counting)
        return;
    kernels[state.kernel].barriers++;
    if (everyone)
        flush_counts();
}

void flush_counts() {
    if (!state.counting)
        return;
    for (unsigned v = 0; v < state.warp_count; v++) {
        auto& log = logs[v];
        std::stable_sort(log.begin(), log.end(), [](const Entry& a, const Entry& b) {
            return std::tie(a.line, a.occurrence) < std::tie(b.line, b.occurrence);
        });
        for (size_t i = 0, j; i < log.size(); i = j) {
            for (j = i; j < log.size() && log[j].line == log[i].line &&
                        log[j].occurrence == log[i].occurrence;)
                j++;
            count_request(&log[i], &log[i] + (j - i));
        }
        log.clear();
    }
    for (unsigned i = 0; i < state.thread_count; i++)
        std::fill(occurrences[i].begin(), occurrences[i].end(), 0);
}

std::vector<LineCount> line_counts() {
    std::vector<LineCount> rows;
    for (const auto& [key, count] : counts)
        rows.push_back({kernel_name(key.kernel), line_of(key.pc), key.access, count});
    return rows;
}

std::map<std::string, KernelCount> kernel_counts() {
    std::map<std::string, KernelCount> named;
    for (const auto& [kernel, count] : kernels) {
        KernelCount& sum = named[kernel_name(kernel)];
        sum.launches += count.launches;
        sum.blocks += count.blocks;
        sum.barriers += count.barriers;
        sum.threads = std::max(sum.threads, count.threads);
        sum.shared_bytes = std::max(sum.shared_bytes, count.shared_bytes);
        sum.global_bytes += count.global_bytes;
    }
    return named;
}

void reset_counts() {
    counts.clear();
    kernels.clear();
}

long launch_count() {
    return state.launches;
}

} // namespace simt
