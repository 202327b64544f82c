// wgmma: products of a warpgroup, whose operands lie in shared memory (A also in registers).
//
// Asynchronous: from its start, once all four warps have issued it, until a warp's wait_group a
// product's sums are NaN in the registers, and it counts as a reader of its operands. What it
// computes is taken from shared memory as it is when the first warp waits.
#include <algorithm>
#include <deque>
#include <memory>

#include "emulator/checker.h"

namespace simt {
namespace {

constexpr int rows = 64, max_n = 256, max_k = 16;

struct Sums {                  // of products, one after another, in the same registers
    std::vector<float> values; // [128][n / 2]
    unsigned end[4] = {};      // for each warp: the number behind the last of these products
};
struct Product {
    Wgmma call;
    std::shared_ptr<Sums> sums;
    std::vector<uint32_t> a; // [128][4], of registers
    float* d[128];
    unsigned issued = 0; // warps
    uint32_t known[max_clocks];
    uint32_t clock = 0;
    bool computed = false;
};
struct Warpgroup {
    std::deque<Product> products;
    unsigned first = 0;              // number of products[0]
    unsigned issued[4] = {};         // by each warp
    unsigned waited[4] = {};         // for, by each warp
    unsigned limit[4] = {};          // of the wait that goes on
    std::vector<unsigned> groups[4]; // ends of those committed and not waited for
    std::vector<Thread*> waiting;

    Product& at(unsigned number) { return products[number - first]; }
};
Warpgroup warpgroups[max_warpgroups];

Warpgroup& warpgroup_of(const Thread& t) {
    return warpgroups[t.warp / 4];
}

// The fields of a matrix descriptor. Lines of 128 bytes along the summed index (of A's rows, B's
// columns), or where transposed along the other one; eight lines, each with its 16-byte chunks
// permuted, are a pattern of 1024 bytes.
struct Descriptor {
    Offset start;
    unsigned leading, stride;
    bool transposed;

    Descriptor(uint64_t bits, bool t)
        : start((bits & 0x3fff) << 4), leading(unsigned(bits >> 16 & 0x3fff) << 4),
          stride(unsigned(bits >> 32 & 0x3fff) << 4), transposed(t) {}

    // Of 16 bytes: from byte `inner` on of line `line`.
    unsigned char* chunk(unsigned line, unsigned inner) const {
        Offset at =
            start + line / 8 * stride + line % 8 * 128 + inner / 128 * leading + inner % 128;
        at ^= (at >> 7 & 7) << 4;
        return reinterpret_cast<unsigned char*>(hot.arena) + at;
    }
    template <class F>
    void for_chunks(unsigned outer, unsigned k_bytes, F f) const {
        const unsigned lines = transposed ? k_bytes / 2 : outer;
        const unsigned inner = transposed ? outer * 2 : k_bytes;
        for (unsigned line = 0; line < lines; line++)
            for (unsigned i = 0; i < inner; i += 16)
                f(chunk(line, i));
    }
    // Element (outer, k) of `item` bytes, as 32 bits.
    uint32_t element(unsigned outer, unsigned k, unsigned item) const {
        const unsigned line = transposed ? k : outer, byte = (transposed ? outer : k) * item;
        uint32_t x = 0;
        std::memcpy(&x, chunk(line, byte / 16 * 16) + byte % 16, item);
        return x;
    }
};

void check_descriptor(uint64_t bits, const char* operand, const Wgmma& call) {
    if (bits >> 62 != 1)
        fail("wgmma at %s: descriptor of %s: the emulator knows the swizzle of 128 bytes only",
             place(call.site).c_str(), operand);
    if (bits >> 49 & 7)
        fail("wgmma at %s: descriptor of %s: patterns that do not start at a multiple of 1024 "
             "bytes",
             place(call.site).c_str(), operand);
}

template <class F>
void for_operands(const Wgmma& call, F f) {
    if (!call.a_in_registers)
        Descriptor(call.a, call.transposed_a).for_chunks(rows, 32, f);
    Descriptor(call.b, call.transposed_b).for_chunks(unsigned(call.n), 32, f);
}

// All four warps have issued it.
void start(Product& p, unsigned group) {
    const Wgmma& call = p.call;
    p.clock = ++state.clock;
    state.clock_end = std::max(state.clock_end, mbarrier_agents);
    for_operands(call, [&](const unsigned char* chunk) {
        if (hooked) {
            check_agent_access(warpgroup_agents + group, p.clock, p.known, nullptr, chunk, 16,
                               Access::read, relative_pc(call.pc), 0);
            return;
        }
        if (!in_shared(offset_of(chunk), 16))
            fail("wgmma at %s: an operand lies outside the block's shared memory",
                 place(call.site).c_str());
        if (const Site* copy = copy_in_flight(chunk, 16))
            fail("wgmma at %s reads what the bulk copy at %s brings, which was not waited for",
                 place(call.site).c_str(), place(*copy).c_str());
    });
}

float value_of(uint32_t bits, WgmmaType type) {
    return type == WgmmaType::f16    ? half_value(uint16_t(bits))
           : type == WgmmaType::bf16 ? __uint_as_float(bits << 16)
                                     : __uint_as_float(bits & 0xffffe000u);
}

// Row and column of a thread's i-th sum.
int row_of(unsigned thread, int i) {
    return int(thread) / 32 * 16 + int(thread) % 32 / 4 + i / 2 % 2 * 8;
}
int column_of(unsigned thread, int i) {
    return i / 4 * 8 + int(thread) % 4 * 2 + i % 2;
}

void compute(Product& p) {
    using Vector = float __attribute__((vector_size(32)));
    static float a[rows][max_k];
    static union {
        float at[max_k][max_n];
        Vector vectors[max_k][max_n / 8];
    } b;
    static union {
        float at[rows][max_n];
        Vector vectors[rows][max_n / 8];
    } d;
    const Wgmma& call = p.call;
    const int n = call.n, k = call.type == WgmmaType::tf32 ? 8 : 16;
    const auto item = unsigned(32 / k);
    if (call.a_in_registers) {
        for (unsigned t = 0; t < 128; t++)
            for (int r = 0; r < 4; r++)
                for (int e = 0; e < k / 8; e++)
                    a[row_of(t, r % 2 * 2)][(r / 2 * 4 + int(t) % 4) * (k / 8) + e] =
                        value_of(p.a[t * 4 + unsigned(r)] >> 16 * e, call.type);
    } else {
        const Descriptor descriptor(call.a, call.transposed_a);
        for (int m = 0; m < rows; m++)
            for (int i = 0; i < k; i++)
                a[m][i] = value_of(descriptor.element(unsigned(m), unsigned(i), item), call.type);
    }
    const Descriptor descriptor(call.b, call.transposed_b);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < k; i++)
            b.at[i][j] = value_of(descriptor.element(unsigned(j), unsigned(i), item), call.type);
    float* values = p.sums->values.data();
    for (unsigned t = 0; t < 128; t++)
        for (int i = 0; i < n / 2; i++)
            d.at[row_of(t, i)][column_of(t, i)] =
                call.accumulate ? values[int(t) * (n / 2) + i] : 0.f;
    for (int m = 0; m < rows; m++)
        for (int i = 0; i < k; i++)
            for (int j = 0; j < n / 8; j++)
                d.vectors[m][j] += a[m][i] * b.vectors[i][j];
    for (unsigned t = 0; t < 128; t++)
        for (int i = 0; i < n / 2; i++)
            values[int(t) * (n / 2) + i] = d.at[row_of(t, i)][column_of(t, i)];
    p.computed = true;
}

bool same(const Wgmma& x, const Wgmma& y) {
    return x.type == y.type && x.n == y.n && x.a_in_registers == y.a_in_registers &&
           x.transposed_a == y.transposed_a && x.transposed_b == y.transposed_b && x.a == y.a &&
           x.b == y.b && x.accumulate == y.accumulate;
}

struct Issue {
    const Wgmma* call;
    float* d;
    const uint32_t* a;
};

// The last lane of a warp has come to a product.
void issue(unsigned, void** slots) {
    const Thread& t = *state.current;
    const unsigned w = t.warp % 4;
    Warpgroup& g = warpgroup_of(t);
    const auto lane = [&](unsigned l) { return static_cast<const Issue*>(slots[l]); };
    const Wgmma& call = *lane(0)->call;
    const unsigned number = g.issued[w]++;
    if (number == g.first + g.products.size()) {
        Product& fresh = g.products.emplace_back();
        fresh.call = call;
        fresh.a.resize(call.a_in_registers ? 128 * 4 : 0);
        std::memset(fresh.known, 0xff, sizeof fresh.known);
    }
    Product& p = g.at(number);
    for (unsigned l = 0; l < 32; l++)
        if (!same(p.call, *lane(l)->call))
            fail("wgmma at %s: the warps of the warpgroup give different operands (another at %s)",
                 place(call.site).c_str(), place(p.call.site).c_str());
    const auto registers = size_t(call.n) / 2;
    bool in_flight = false; // sums of the same registers
    for (unsigned before = number; before > g.waited[w] && !in_flight; before--) {
        const Product& o = g.at(before - 1);
        if (o.d[w * 32] == lane(0)->d) {
            if (o.call.n != call.n)
                fail("wgmma at %s: its sums are in flight as those of another shape",
                     place(call.site).c_str());
            p.sums = o.sums;
            in_flight = true;
        }
    }
    if (!p.sums) {
        p.sums = std::make_shared<Sums>();
        p.sums->values.resize(128 * registers);
    }
    p.sums->end[w] = number + 1;
    for (unsigned l = 0; l < 32; l++) {
        const unsigned i = w * 32 + l;
        p.d[i] = lane(l)->d;
        if (!in_flight)
            std::memcpy(&p.sums->values[i * registers], p.d[i], registers * sizeof(float));
        std::memset(p.d[i], 0xff, registers * sizeof(float));
        if (call.a_in_registers)
            std::memcpy(&p.a[i * 4], lane(l)->a, 16);
    }
    const uint32_t* clock = state.warps[t.warp].clock;
    for (unsigned i = 0; i < max_clocks; i++)
        p.known[i] = std::min(p.known[i], clock[i]);
    p.issued |= 1u << w;
    if (p.issued != 15)
        return;
    start(p, t.warp / 4);
    for (Thread* x : g.waiting)
        wake(*x);
    g.waiting.clear();
}

// A warp has waited for all products up to its limit: their sums are in its registers.
void finish(unsigned, void**) {
    const Thread& t = *state.current;
    const unsigned w = t.warp % 4;
    Warpgroup& g = warpgroup_of(t);
    const unsigned limit = g.limit[w];
    for (unsigned number = g.first; number < limit; number++)
        if (!g.at(number).computed)
            compute(g.at(number));
    for (; g.waited[w] < limit; g.waited[w]++) {
        const Product& p = g.at(g.waited[w]);
        state.warps[t.warp].clock[warpgroup_agents + t.warp / 4] = p.clock;
        if (p.sums->end[w] != g.waited[w] + 1)
            continue; // later products add to them
        const auto registers = size_t(p.call.n) / 2;
        for (unsigned i = w * 32; i < w * 32 + 32; i++)
            std::memcpy(p.d[i], &p.sums->values[i * registers], registers * sizeof(float));
    }
    while (!g.products.empty() &&
           g.first < std::min({g.waited[0], g.waited[1], g.waited[2], g.waited[3]})) {
        g.products.pop_front();
        g.first++;
    }
}

} // namespace

void wgmma_fence() {
    state.current->wgmma_fenced = true;
}

void wgmma(const Wgmma& call, float* d, const uint32_t* a) {
    const Thread& t = *state.current;
    if (state.thread_count < t.warp / 4 * 128 + 128)
        fail("wgmma at %s: the warpgroup has not four whole warps", place(call.site).c_str());
    if (!t.wgmma_fenced)
        fail("wgmma at %s: no wgmma_fence() since the start or the last wait",
             place(call.site).c_str());
    if (!call.a_in_registers)
        check_descriptor(call.a, "A", call);
    check_descriptor(call.b, "B", call);
    Issue slot{&call, d, a};
    warp_collective("wgmma", ~0u, &slot, issue, true, false, call.site);
}

void wgmma_commit(Site site) {
    warp_collective(
        "wgmma.commit_group", ~0u, nullptr,
        [](unsigned, void**) {
            const Thread& t = *state.current;
            Warpgroup& g = warpgroup_of(t);
            g.groups[t.warp % 4].push_back(g.issued[t.warp % 4]);
        },
        true, false, site);
}

void wgmma_wait(unsigned groups_left, Site site) {
    Thread& t = *state.current;
    Warpgroup& g = warpgroup_of(t);
    const unsigned w = t.warp % 4;
    warp_collective(
        "wgmma.wait_group", ~0u, &groups_left,
        [](unsigned, void** slots) {
            const Thread& last = *state.current;
            Warpgroup& group = warpgroup_of(last);
            auto& ends = group.groups[last.warp % 4];
            const size_t left = *static_cast<unsigned*>(slots[0]);
            const size_t done = ends.size() > left ? ends.size() - left : 0;
            if (done > 0)
                group.limit[last.warp % 4] = ends[done - 1];
            ends.erase(ends.begin(), ends.begin() + long(done));
        },
        true, false, site);
    const unsigned limit = g.limit[w];
    begin_wait("wgmma.wait_group", site);
    while (limit > g.first && g.at(limit - 1).issued != 15) {
        g.waiting.push_back(&t);
        block_current(Status::in_mbarrier);
    }
    warp_collective("wgmma.wait_group", ~0u, nullptr, finish, true, false, site);
    t.wgmma_fenced = false;
}

void begin_block_products() {
    for (Warpgroup& g : warpgroups)
        g = Warpgroup{};
}

void check_finished_products(const Thread& t) {
    Warpgroup& g = warpgroup_of(t);
    const unsigned w = t.warp % 4;
    if (g.waited[w] != g.issued[w])
        fail("thread exited without waiting for its wgmma at %s",
             place(g.at(g.waited[w]).call.site).c_str());
}

} // namespace simt
