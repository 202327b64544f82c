// simt/emu_rt.h -- runtime of the emulator: fibers, barriers, cp.async, race detector, counters.
// Include in exactly one source file, compiled WITHOUT -fsanitize=thread.  The kernel files may be
// compiled with -fsanitize=thread: the __tsan_* hooks at the end then see every load and store
// (the program is NOT linked with libtsan).
//   SIMT_ORDER=0 first lane first, 1 last lane first, n>1 random with seed n
//   SIMT_COUNT=1 collect bank conflicts and global sectors (needs hooks), printed by simt::report()
//   SIMT_UNINIT=0 do not report reads of shared memory that the block never wrote
//   SIMT_STRICT_EXIT=0 let threads exit while others still use __syncthreads
// (environment variables, read at every launch)
#pragma once
#include "emulator/emulator.h"
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>
#include <algorithm>
#include <dlfcn.h>
#include <link.h>
#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>
#ifndef SIMT_ASAN  // this file itself stays uninstrumented: -DSIMT_ASAN=1 with kernels built -fsanitize=address
#define SIMT_ASAN 0
#endif
#if SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define ASAN_OPEN(p, n) __asan_unpoison_memory_region(p, n)
#define ASAN_CLOSE(p, n) __asan_poison_memory_region(p, n)
#else
#define ASAN_OPEN(p, n) (void)0
#define ASAN_CLOSE(p, n) (void)0
#endif
#ifndef SIMT_GRANULE
#define SIMT_GRANULE 2  // bytes per shadow cell: 4 for fp32-only kernels, 1 for int8
#endif

namespace simt {
Ctx* ctx;
unsigned char* dyn_base;
constexpr unsigned MAXT = 1024, MAXW = 32;
constexpr size_t STACK = (SIMT_ASAN ? 256 : 64) << 10, ARENA = size_t(16) << 30, SMEM_MAX = 228 << 10, PAGE = 4096;
struct Copy { unsigned char* dst; const unsigned char* src; unsigned n, src_n, group; };
enum St : unsigned char { READY, WARP, BAR, DONE };
struct Thread {
  Ctx c;
  void* sp;
  unsigned id, warp, lane, wep, cp_group;
  St st;
  int bar, pred;
  const char* op;
  Site site;
  std::vector<Copy> copies;
  char* stack;
};
struct Group { unsigned mask, arrived; const char* op; Site site; };
struct Warp {
  unsigned exist, alive, ready, epoch;
  std::vector<Group> groups;
  void* slot[32];
  uint32_t vc[MAXW];  // vector clock, one entry per warp
};
struct Bar { unsigned arrived, expect; int preds; Site site; unsigned wait[MAXW]; };
struct Acc { uint32_t clk, wep, pc; uint16_t tid; uint8_t set, pend; };
struct Cell { Acc w, r0, r1, r2; };  // last write; last read; last read of another warp, of another lane
struct Log { uint32_t pc, occ; unsigned lane, n; uintptr_t a; bool w; };
struct Count { long req = 0, cost = 0, ideal = 0; };

static bool hooked;  // set by __tsan_init, which may run before the constructor of g
static struct State {
  Thread th[MAXT];
  Warp w[MAXW];
  Bar bar[16];
  unsigned nt = 0, nw = 0, done = 0;
  Thread* cur = nullptr;
  void* host_sp = nullptr;
  void (*call)(void*) = nullptr;
  void* arg = nullptr;
  bool failed = false, in_kernel = false;
  std::string err;
  const void* fn = nullptr;
  // shared memory
  unsigned char* arena = nullptr;
  size_t arena_used = 0, dyn_off = 0, dyn_size = 0, smem_top = 0;  // dynamic: at the end; static: [0, smem_top)
  std::map<const void*, size_t> statics;
  std::map<uintptr_t, size_t> buffers;
  unsigned char *tls = nullptr, *tls_end = nullptr;
  // checking
  uint32_t clk = 1, block_clk = 0, launch_clk = 0;
  Cell** shadow = nullptr;
  int races = 0;
  long order = 0, count = 0, uninit = 1, strict_exit = 1;
  uint64_t rng = 0;
  std::map<uint32_t, unsigned> occ[MAXT];
  std::vector<Log> logs[MAXW];
  std::map<std::pair<std::string, std::string>, Count> counts;
  long switches = 0, collectives = 0, barriers = 0;
  uintptr_t module = 0;
  std::string module_name;
} g;
const char* last_error() { return g.err.c_str(); }

// ------------------------------------------------------------------------------ fibers
#if defined(__x86_64__)
extern "C" void simt_switch(void** save, void* to);
asm(R"(.text
.type simt_switch,@function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
#else
#error "write simt_switch for this machine (or use ucontext)"
#endif
#if SIMT_ASAN
static const void* host_bottom; static size_t host_size;
#endif
static void jump(void** save, Thread* to) {  // to==nullptr: the host
  g.switches++;
#if SIMT_ASAN
  void* fake;
  if (to) __sanitizer_start_switch_fiber(&fake, to->stack, STACK);
  else __sanitizer_start_switch_fiber(&fake, host_bottom, host_size);
#endif
  if (to) { g.cur = to; ctx = &to->c; }
  simt_switch(save, to ? to->sp : g.host_sp);
#if SIMT_ASAN
  const void* b; size_t n;
  __sanitizer_finish_switch_fiber(fake, &b, &n);
#endif
}
[[noreturn]] static void abandon() { void* dead; g.failed = true; jump(&dead, nullptr); __builtin_unreachable(); }
static uint64_t rnd() { g.rng ^= g.rng << 13; g.rng ^= g.rng >> 7; g.rng ^= g.rng << 17; return g.rng; }
static Thread* pick() {
  unsigned wi = g.cur ? g.cur->warp : 0, la = g.cur ? g.cur->lane : 31;
  if (g.order > 1 && g.nw > 1 && !(rnd() & 3)) wi = rnd() % g.nw;
  for (unsigned i = 0; i < g.nw; i++) {
    unsigned v = g.order == 1 ? (wi + g.nw - i) % g.nw : (wi + i) % g.nw, r = g.w[v].ready;
    if (!r) continue;
    unsigned l;
    if (g.order == 0) {
      unsigned hi = i || la == 31 ? 0 : r & ~((2u << la) - 1);
      l = __builtin_ctz(hi ? hi : r);
    } else if (g.order == 1) {
      unsigned lo = i ? 0 : r & ((1u << la) - 1);
      l = 31 - __builtin_clz(lo ? lo : r);
    } else {
      unsigned rot = rnd() & 31, q = rot ? r >> rot | r << (32 - rot) : r;
      l = (__builtin_ctz(q) + rot) & 31;
    }
    return &g.th[v * 32 + l];
  }
  return nullptr;
}
static std::string where(const Thread& t) {
  char s[96];
  snprintf(s, sizeof s, "block (%u,%u,%u) thread (%u,%u,%u)", t.c.bid.x, t.c.bid.y, t.c.bid.z, t.c.tid.x, t.c.tid.y, t.c.tid.z);
  return s;
}
static std::string fname() {
  Dl_info d; int st;
  if (!g.fn || !dladdr(g.fn, &d) || !d.dli_sname) return "kernel";
  char* n = abi::__cxa_demangle(d.dli_sname, nullptr, nullptr, &st);
  std::string s = n ? n : d.dli_sname;
  free(n);
  return s.substr(0, 120);
}
static void set_err(const std::string& s) { if (g.err.empty()) g.err = fname() + ": " + s; }
void fail(const char* fmt, ...) {
  char s[512];
  va_list ap; va_start(ap, fmt); vsnprintf(s, sizeof s, fmt, ap); va_end(ap);
  set_err(where(*g.cur) + ": " + s);
  abandon();
}
static std::string at(Site s) { const char* f = strrchr(s.file, '/'); return std::string(f ? f + 1 : s.file) + ":" + std::to_string(s.line); }
[[noreturn]] static void stuck() {
  std::map<std::string, std::vector<unsigned>> m;
  for (unsigned i = 0; i < g.nt; i++) {
    Thread& t = g.th[i];
    m[t.st == DONE ? "exited" : std::string(t.op) + " at " + at(t.site)].push_back(i);
  }
  std::string s = "deadlock:";
  for (auto& [k, v] : m) s += " [" + std::to_string(v.size()) + " threads, first " + std::to_string(v[0]) + ": " + k + "]";
  set_err(where(*g.cur) + ": " + s);
  abandon();
}
static void yield() {
  Thread *t = g.cur, *n = pick();
  if (!n) stuck();
  if (n != t) jump(&t->sp, n);
}

// ------------------------------------------------------------------------------ synchronisation
void warp_sync(const char* op, unsigned mask, void* slot, Done done, bool aligned, bool fence, Site s) {
  Thread* t = g.cur;
  Warp& w = g.w[t->warp];
  unsigned m = mask & w.exist, bit = 1u << t->lane;
  g.collectives++;
  t->op = op; t->site = s;
  if (!(m & bit)) fail("%s at %s: the mask %08x does not name the calling lane %u", op, at(s).c_str(), mask, t->lane);
  if (m & ~w.alive) fail("%s at %s: the mask %08x names lanes that have exited (%08x)", op, at(s).c_str(), mask, m & ~w.alive);
  Group* q = nullptr;
  for (auto& x : w.groups) if (x.mask == m) { q = &x; break; }
  if (!q) { w.groups.push_back({m, 0, op, s}); q = &w.groups.back(); }
  if (strcmp(q->op, op) || (aligned && (q->site.line != s.line || strcmp(q->site.file, s.file))))
    fail("divergent warp: lane %u at %s %s, others at %s %s", t->lane, op, at(s).c_str(), q->op, at(q->site).c_str());
  w.slot[t->lane] = slot;
  q->arrived |= bit;
  if (q->arrived != m) {
    w.ready &= ~bit;
    t->st = WARP;
    yield();
    return;
  }
  std::swap(*q, w.groups.back());
  w.groups.pop_back();
  done(m, w.slot);
  w.ready |= m;
  if (fence) w.epoch++;
  for (unsigned r = m; r; r &= r - 1) {
    Thread& x = g.th[t->warp * 32 + __builtin_ctz(r)];
    x.st = READY;
    if (fence) x.wep = w.epoch;
  }
}
static void flush_counts();
static void release(Bar& b) {
  g.barriers++;
  uint32_t join[MAXW] = {};
  for (unsigned v = 0; v < g.nw; v++)
    if (b.wait[v]) for (unsigned i = 0; i < g.nw; i++) join[i] = std::max(join[i], g.w[v].vc[i]);
  for (unsigned v = 0; v < g.nw; v++) {
    if (!b.wait[v]) continue;
    Warp& w = g.w[v];
    memcpy(w.vc, join, sizeof join);
    g.clk = std::max(g.clk, ++w.vc[v]);
    w.epoch++;
    w.ready |= b.wait[v];
    for (unsigned r = b.wait[v]; r; r &= r - 1) {
      Thread& x = g.th[v * 32 + __builtin_ctz(r)];
      x.st = READY; x.wep = w.epoch; x.pred = b.preds;
    }
  }
  b = Bar{};
  if (g.count) flush_counts();
}
int bar_sync(unsigned id, unsigned count, int pred, Site s) {
  Thread* t = g.cur;
  Warp& w = g.w[t->warp];
  Bar& b = g.bar[id & 15];
  t->op = id ? "bar.sync" : "__syncthreads"; t->site = s;
  if (!count && g.strict_exit && g.done) fail("__syncthreads at %s after %u threads of the block have exited", at(s).c_str(), g.done);
  unsigned expect = count ? count : g.nt - g.done;
  if (!b.arrived) { b.site = s; b.expect = expect; }
  if (!count && (b.site.line != s.line || strcmp(b.site.file, s.file)))
    fail("divergent __syncthreads: thread %u at %s, others at %s", t->id, at(s).c_str(), at(b.site).c_str());
  if (b.expect != expect) fail("bar.sync %u at %s: thread count %u, others gave %u", id, at(s).c_str(), expect, b.expect);
  b.arrived++; b.preds += pred;
  b.wait[t->warp] |= 1u << t->lane;
  w.ready &= ~(1u << t->lane);
  t->st = BAR;
  if (b.arrived == expect) release(b);
  else yield();
  return t->pred;
}
static void finish() {  // a thread returns from the kernel
  Thread* t = g.cur;
  Warp& w = g.w[t->warp];
  t->st = DONE;
  w.alive &= ~(1u << t->lane); w.ready &= ~(1u << t->lane);
  g.done++;
  Bar& b = g.bar[0];
  if (b.arrived) {
    if (g.strict_exit) fail("thread exited while %u threads wait in __syncthreads at %s", b.arrived, at(b.site).c_str());
    if (b.arrived == g.nt - g.done) release(b);
  }
  if (g.done == g.nt) { void* dead; jump(&dead, nullptr); }
  yield();
}
static void entry() {
#if SIMT_ASAN
  const void* b; size_t n;
  __sanitizer_finish_switch_fiber(nullptr, &b, &n);
  if (!host_bottom) { host_bottom = b; host_size = n; }
#endif
  g.call(g.arg);
  finish();
  __builtin_trap();
}

// ------------------------------------------------------------------------------ checking
static Cell* cells(uintptr_t off) {
  Cell*& p = g.shadow[off / PAGE];
  if (!p) p = static_cast<Cell*>(calloc(PAGE / SIMT_GRANULE, sizeof(Cell)));
  return p + off % PAGE / SIMT_GRANULE;
}
static std::string line_of(uint32_t pc) {
  static std::map<uint32_t, std::string> memo;
  auto& s = memo[pc];
  if (!s.empty()) return s;
  char cmd[600], buf[400];
  snprintf(cmd, sizeof cmd, "addr2line -s -i -e '%s' 0x%x 2>/dev/null", g.module_name.c_str(), pc - 1);
  if (FILE* f = popen(cmd, "r")) {
    while (fgets(buf, sizeof buf, f)) {  // first frame that is not the emulator
      s = buf;
      s.erase(s.find_last_not_of(" \n") + 1);
      if (s.rfind("emu", 0) && s.rfind("tuple", 0) && s.rfind("invoke", 0)) break;
    }
    pclose(f);
    if (auto d = s.find(" (disc"); d != s.npos) s.erase(d);
  }
  if (s.empty() || s[0] == '?') { snprintf(buf, sizeof buf, "pc+0x%x", pc); s = buf; }
  return s;
}
static void race(const char* kind, const void* p, const Acc& o, uint32_t pc, bool shared) {
  if (g.races++) return;
  char s[400];
  auto it = g.buffers.upper_bound(uintptr_t(p));
  const unsigned char* q = static_cast<const unsigned char*>(p);
  long off = !shared && it != g.buffers.begin() ? long(uintptr_t(p) - (--it)->first) : q - (q < dyn_base ? g.arena : q - dyn_base < long(ARENA) ? dyn_base : g.tls);
  bool other = o.clk <= g.block_clk;
  snprintf(s, sizeof s, "race (%s) on %s byte %ld: %s at %s conflicts with thread %u%s at %s", kind, shared ? "shared" : "global",
           off, where(*g.cur).c_str(), line_of(pc).c_str(), o.tid, other ? " of another block" : "", line_of(o.pc).c_str());
  set_err(s);
}
static void touch(const void* p, unsigned n, bool write, uint32_t pc, bool shared, uintptr_t off, bool async) {
  Thread& t = *g.cur;
  Warp& w = g.w[t.warp];
  const Acc me{w.vc[t.warp], t.wep, pc, uint16_t(t.id), 1, async};
  auto bad = [&](const Acc& o) {
    if (!o.set || o.clk <= (shared ? g.block_clk : g.launch_clk)) return false;
    if (o.clk <= g.block_clk) return true;  // another block of this launch
    if (o.tid == t.id) return false;
    unsigned ow = o.tid / 32;
    return ow == t.warp ? o.wep >= t.wep : o.clk > w.vc[ow];
  };
  uintptr_t a = off / SIMT_GRANULE * SIMT_GRANULE, e = off + n;
  for (; a < e; a += SIMT_GRANULE) {
    Cell& c = *cells(a);
    bool live = c.w.set && c.w.clk > g.block_clk;
    if (c.w.pend && live && !(async && c.w.tid == t.id && write)) {
      if (g.races++ == 0) set_err(where(t) + ": access at " + line_of(pc) + " to the destination of a cp.async (thread " +
                                  std::to_string(c.w.tid) + ", " + line_of(c.w.pc) + ") that was not waited for");
    } else if (bad(c.w)) race(write ? "write after write" : "read after write", p, c.w, pc, shared);
    else if (write && bad(c.r0)) race("write after read", p, c.r0, pc, shared);
    else if (write && bad(c.r1)) race("write after read", p, c.r1, pc, shared);
    else if (write && bad(c.r2)) race("write after read", p, c.r2, pc, shared);
    else if (!write && shared && !live && g.uninit && g.races++ == 0)
      set_err(where(t) + ": read of shared memory that the block has not written (no initialisation, or a missing barrier), at " + line_of(pc));
    if (write) { c.w = me; continue; }
    if (c.r0.set && c.r0.tid != t.id) {
      if (c.r0.tid / 32 == t.warp) c.r2 = c.r0;
      else { c.r1 = c.r0; c.r2.set = 0; }
    }
    c.r0 = me;
  }
}
static bool in_smem(uintptr_t off, unsigned n) { return off + n <= g.smem_top || (off >= g.dyn_off && off + n <= g.dyn_off + g.dyn_size); }
// one more look at every instrumented access; most are on the fiber's stack
static inline void hook(const void* p, unsigned n, bool write, const void* pc, bool async = false) {
  uintptr_t off = uintptr_t(p) - uintptr_t(g.arena);
  bool shared = off < SMEM_MAX;
  if (off >= ARENA) {
    if (uintptr_t(p) - uintptr_t(g.tls) >= uintptr_t(g.tls_end - g.tls)) return;
    off = ARENA + uintptr_t(p) - uintptr_t(g.tls);
    shared = true;
  }
  if (!g.in_kernel) return;
  uint32_t rpc = uint32_t(uintptr_t(pc) - g.module);
  if (off < SMEM_MAX) {
    if (!in_smem(off, n)) fail("%s of %u bytes outside the block's shared memory (%zu static + %zu dynamic bytes), at %s", write ? "write" : "read", n, g.smem_top, g.dyn_size, line_of(rpc).c_str());
  } else if (off < ARENA) {
    auto it = g.buffers.upper_bound(uintptr_t(p));
    if (it == g.buffers.begin() || uintptr_t(p) + n > (--it)->first + it->second)
      fail("global %s of %u bytes at %p is outside every buffer (nearest %p + %zu) (%s)", write ? "write" : "read", n, p, (void*)it->first, it->second, line_of(rpc).c_str());
  }
  touch(p, n, write, rpc, shared, off, async);
  if (g.count) {
    Thread& t = *g.cur;
    g.logs[t.warp].push_back({rpc, g.occ[t.id][rpc]++, t.lane, n, uintptr_t(p), write});
  }
}
void access(const void* p, unsigned n, bool write, const void* pc) { if (hooked) hook(p, n, write, pc); }
static void count_group(const Log* b, const Log* e) {
  bool shared = b->a - uintptr_t(g.arena) < SMEM_MAX || b->a - uintptr_t(g.arena) >= ARENA;
  Count& c = g.counts[{line_of(b->pc), std::string(shared ? "shared " : "global ") + (b->w ? "st" : "ld") + std::to_string(8 * b->n)}];
  c.req++;
  if (!shared) {  // 32-byte sectors of the whole request
    std::vector<uintptr_t> s; long bytes = 0;
    for (auto* x = b; x < e; x++) { bytes += x->n; for (uintptr_t a = x->a / 32; a <= (x->a + x->n - 1) / 32; a++) s.push_back(a); }
    std::sort(s.begin(), s.end());
    c.cost += std::unique(s.begin(), s.end()) - s.begin();
    c.ideal += (bytes + 31) / 32;
    return;
  }
  unsigned per = b->n <= 4 ? 32 : 128 / b->n;  // lanes served together: 32, 16, 8
  for (unsigned l0 = 0; l0 < 32; l0 += per) {
    std::vector<uintptr_t> bank[32]; bool any = false;
    for (auto* x = b; x < e; x++)
      if (x->lane >= l0 && x->lane < l0 + per) { any = true; for (uintptr_t a = x->a / 4; a <= (x->a + x->n - 1) / 4; a++) bank[a % 32].push_back(a); }
    size_t deg = 0;
    for (auto& v : bank) { std::sort(v.begin(), v.end()); deg = std::max<size_t>(deg, std::unique(v.begin(), v.end()) - v.begin()); }
    c.cost += deg; c.ideal += any;
  }
}
static void flush_counts() {
  for (unsigned v = 0; v < g.nw; v++) {
    auto& L = g.logs[v];
    std::stable_sort(L.begin(), L.end(), [](const Log& x, const Log& y) { return x.pc != y.pc ? x.pc < y.pc : x.occ < y.occ; });
    for (size_t i = 0, j; i < L.size(); i = j) {
      for (j = i; j < L.size() && L[j].pc == L[i].pc && L[j].occ == L[i].occ;) j++;
      count_group(&L[i], &L[i] + (j - i));
    }
    L.clear();
  }
  for (unsigned i = 0; i < g.nt; i++) g.occ[i].clear();
}
void report(FILE* f) {
  fprintf(f, "%-24s %-16s %10s %12s %10s\n", "line", "access", "requests", "cost", "ideal");
  for (auto& [k, c] : g.counts) fprintf(f, "%-24s %-16s %10ld %12ld %10ld%s\n", k.first.c_str(), k.second.c_str(), c.req, c.cost, c.ideal, c.cost > c.ideal ? "  <--" : "");
}

// ------------------------------------------------------------------------------ cp.async
void cp_async(void* dst, const void* src, unsigned n, unsigned src_n, Site s) {
  Thread& t = *g.cur;
  t.op = "cp.async"; t.site = s;
  uintptr_t off = uintptr_t(dst) - uintptr_t(g.arena);
  if (!in_smem(off, n)) fail("cp.async at %s: destination is not in the block's shared memory", at(s).c_str());
  if (uintptr_t(dst) % n || (src_n && uintptr_t(src) % n)) fail("cp.async at %s: not aligned to %u bytes (dst %p src %p)", at(s).c_str(), n, dst, src);
  if (hooked) {
    hook(dst, n, true, __builtin_return_address(0), true);
    if (src_n) hook(src, src_n, false, __builtin_return_address(0));
  }
#if SIMT_ASAN
  if (void* b = src_n ? __asan_region_is_poisoned(const_cast<void*>(src), src_n) : nullptr) fail("cp.async at %s reads poisoned byte %p (source out of bounds)", at(s).c_str(), b);
#else
  if (src_n) { volatile char c = static_cast<const char*>(src)[src_n - 1]; (void)c; }  // guard page
#endif
  memset(dst, 0xff, n);  // NaN in every float format until waited for
  t.copies.push_back({static_cast<unsigned char*>(dst), static_cast<const unsigned char*>(src), n, src_n, t.cp_group});
}
void cp_commit() { g.cur->cp_group++; }
void cp_wait(unsigned left) {
  Thread& t = *g.cur;
  size_t i = 0;
  for (; i < t.copies.size() && t.copies[i].group + left < t.cp_group; i++) {
    Copy& c = t.copies[i];
    memset(c.dst, 0, c.n);
    if (c.src_n) memcpy(c.dst, c.src, c.src_n);
    if (hooked) for (unsigned b = 0; b < c.n; b += SIMT_GRANULE) {  // the data lands now
      Cell* q = cells(uintptr_t(c.dst) + b - uintptr_t(g.arena));
      q->w.pend = 0; q->w.wep = t.wep; q->w.clk = g.w[t.warp].vc[t.warp];
    }
  }
  t.copies.erase(t.copies.begin(), t.copies.begin() + i);
}

// ------------------------------------------------------------------------------ memory and launch
static int find_module(dl_phdr_info* i, size_t, void*) {  // the module that holds this file: its base and TLS block
  for (int k = 0; k < i->dlpi_phnum; k++) {
    auto& h = i->dlpi_phdr[k];
    uintptr_t b = i->dlpi_addr + h.p_vaddr, me = reinterpret_cast<uintptr_t>(&find_module);
    if (h.p_type == PT_LOAD && me >= b && me < b + h.p_memsz) {
      g.module = i->dlpi_addr;
      char exe[400] = "";
      g.module_name = i->dlpi_name[0] ? i->dlpi_name : std::string(exe, size_t(std::max<ssize_t>(0, readlink("/proc/self/exe", exe, sizeof exe))));
      for (int q = 0; q < i->dlpi_phnum; q++)
        if (i->dlpi_phdr[q].p_type == PT_TLS && i->dlpi_tls_data) {
          g.tls = static_cast<unsigned char*>(i->dlpi_tls_data);
          g.tls_end = g.tls + i->dlpi_phdr[q].p_memsz;
        }
    }
  }
  return 0;
}
static void on_segv(int, siginfo_t* si, void*) {
  if (!g.in_kernel) { signal(SIGSEGV, SIG_DFL); return; }
  uintptr_t a = uintptr_t(si->si_addr);
  auto it = g.buffers.upper_bound(a);
  if (it != g.buffers.begin()) --it;
  if (it != g.buffers.end() && a - uintptr_t(g.arena) < ARENA)
    set_err(where(*g.cur) + ": global access " + std::to_string(long(a - it->first)) + " bytes into a buffer of " + std::to_string(it->second) + " (guard page)");
  else set_err(where(*g.cur) + ": segmentation fault (wild address or fiber stack overflow)");
  abandon();
}
static void init() {
  if (g.arena) return;
  constexpr int fl = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  g.arena = static_cast<unsigned char*>(mmap(nullptr, ARENA, PROT_NONE, fl, -1, 0));
  mprotect(g.arena, SMEM_MAX, PROT_READ | PROT_WRITE);
  g.arena_used = SMEM_MAX + PAGE;
  g.shadow = static_cast<Cell**>(mmap(nullptr, (ARENA / PAGE + 65536) * sizeof(Cell*), PROT_READ | PROT_WRITE, fl, -1, 0));
  char* st = static_cast<char*>(mmap(nullptr, STACK * MAXT, PROT_READ | PROT_WRITE, fl, -1, 0));
  for (unsigned i = 0; i < MAXT; i++) { g.th[i].stack = st + STACK * i; mprotect(st + STACK * i, PAGE, PROT_NONE); }
  static char alt[65536];
  stack_t ss{}; ss.ss_sp = alt; ss.ss_size = sizeof alt;
  sigaltstack(&ss, nullptr);
  struct sigaction sa{};
  sa.sa_sigaction = on_segv; sa.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  if (!SIMT_ASAN) { sigaction(SIGSEGV, &sa, nullptr); sigaction(SIGBUS, &sa, nullptr); }
}
void* static_smem(const void* key, size_t size, size_t align) {
  auto it = g.statics.find(key);
  if (it == g.statics.end()) {
    g.smem_top = (g.smem_top + align - 1) / align * align;
    it = g.statics.emplace(key, g.smem_top).first;
    g.smem_top += size;
    if (g.smem_top > g.dyn_off) fail("static + dynamic shared memory exceeds %zu bytes", SMEM_MAX);
    ASAN_OPEN(g.arena + it->second, size);
    g.smem_top += SIMT_ASAN * 32;
    memset(g.arena + it->second, 0xff, size);
  }
  return g.arena + it->second;
}
int run(dim3 grid, dim3 block, size_t smem, const void* fn, void (*call)(void*), void* arg) {
  static std::mutex one;
  std::lock_guard<std::mutex> lock(one);
  init();
  static thread_local volatile char anchor;
  anchor = anchor + 1;  // makes the TLS block of this module exist: raw __shared__ variables live there
  dl_iterate_phdr(find_module, nullptr);
  auto env = [](const char* n, long d) { const char* s = getenv(n); return s ? atol(s) : d; };
  g.order = env("SIMT_ORDER", 0); g.count = env("SIMT_COUNT", 0); g.uninit = env("SIMT_UNINIT", 1); g.strict_exit = env("SIMT_STRICT_EXIT", 1);
#if SIMT_ASAN
  host_bottom = nullptr;
#endif
  g.err.clear(); g.failed = false; g.races = 0; g.fn = fn;
  size_t nt = size_t(block.x) * block.y * block.z;
  auto bad = [&](const char* s) { set_err(s); return 1; };
  if (!nt || nt > MAXT || block.z > 64) return bad("launch: bad block size");
  if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535) return bad("launch: bad grid size");
  if (smem > SMEM_MAX - 1024) return bad("launch: too much dynamic shared memory");
  g.call = call; g.arg = arg; g.nt = unsigned(nt); g.nw = unsigned(nt + 31) / 32;
  g.launch_clk = g.clk; g.rng = 0x9e3779b97f4a7c15ull * uint64_t(g.order + 1);
  g.dyn_size = smem;
  g.dyn_off = SMEM_MAX - (smem + 127) / 128 * 128;  // an overrun meets the guard page
  dyn_base = g.arena + g.dyn_off;
  for (unsigned z = 0; z < grid.z; z++) for (unsigned y = 0; y < grid.y; y++) for (unsigned x = 0; x < grid.x; x++) {
    g.block_clk = g.clk;
    g.done = 0; g.cur = nullptr; g.statics.clear();
    g.smem_top = 0;
    ASAN_CLOSE(g.arena, SMEM_MAX);
    ASAN_OPEN(dyn_base, smem);
    memset(dyn_base, 0xff, smem);
    for (auto& b : g.bar) b = Bar{};
    for (unsigned v = 0; v < g.nw; v++) {
      Warp& w = g.w[v];
      unsigned n = std::min<unsigned>(32, g.nt - 32 * v);
      w.exist = w.alive = w.ready = n == 32 ? ~0u : (1u << n) - 1;
      w.epoch = 0; w.groups.clear();
      for (unsigned i = 0; i < g.nw; i++) w.vc[i] = g.clk;
      w.vc[v]++;
    }
    g.clk++;
    for (unsigned i = 0; i < g.nt; i++) {
      Thread& t = g.th[i];
      t.c = {{i % block.x, i / block.x % block.y, i / (block.x * block.y)}, {x, y, z}, block, grid, i % 32};
      t.id = i; t.warp = i / 32; t.lane = i % 32; t.wep = 0; t.cp_group = 0; t.st = READY; t.copies.clear(); t.op = "start"; t.site = {"", 0};
      void** s = reinterpret_cast<void**>(t.stack + STACK - 256 - (i * 17 % 64) * 64);  // spread over cache sets
      *--s = nullptr;
      *--s = reinterpret_cast<void*>(entry);
      t.sp = s - 6;
    }
    g.in_kernel = true;
    jump(&g.host_sp, pick());
    g.in_kernel = false;
    if (g.count) flush_counts();
    if (g.failed || g.races) {
      for (unsigned i = 0; i < g.nt; i++) ASAN_OPEN(g.th[i].stack + PAGE, STACK - PAGE);
      if (g.races > 1) g.err += " (+" + std::to_string(g.races - 1) + " more in this block)";
      return 719;
    }
  }
  return 0;
}
}  // namespace simt

cudaError_t cudaMalloc(void** p, size_t n) {
  using namespace simt;
  init();
  size_t room = (n + PAGE - 1) / PAGE * PAGE, pad = (n + 15) / 16 * 16;
  if (g.arena_used + room + PAGE > ARENA) return cudaErrorMemoryAllocation;
  unsigned char* q = g.arena + g.arena_used;
  mprotect(q, room, PROT_READ | PROT_WRITE);
  g.arena_used += room + PAGE;  // one guard page
  *p = q + room - pad;          // ends at the guard page, 16-byte aligned
  memset(q, 0xff, room);
  g.buffers[uintptr_t(*p)] = n;
  ASAN_CLOSE(q, room + PAGE);
  ASAN_OPEN(*p, n);
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  using namespace simt;
  auto it = g.buffers.find(uintptr_t(p));
  if (!p || it == g.buffers.end()) return p ? cudaErrorInvalidValue : cudaSuccess;
  size_t room = (it->second + PAGE - 1) / PAGE * PAGE;
  unsigned char* q = reinterpret_cast<unsigned char*>(it->first & ~(PAGE - 1));
  madvise(q, room, MADV_DONTNEED);
  mprotect(q, room, PROT_NONE);  // use after free faults
  for (size_t i = 0; i < room / PAGE; i++) { Cell*& c = g.shadow[(q - g.arena) / PAGE + i]; free(c); c = nullptr; }
  g.buffers.erase(it);
  return cudaSuccess;
}

// ------------------------------------------------------------------------------ hooks of -fsanitize=thread
#if !SIMT_ASAN
#define SIMT_PC __builtin_return_address(0)
#define SIMT_RW(N)                                                                       \
  void __tsan_read##N(void* p) { simt::hook(p, N, false, SIMT_PC); }                     \
  void __tsan_write##N(void* p) { simt::hook(p, N, true, SIMT_PC); }                     \
  void __tsan_unaligned_read##N(void* p) { simt::hook(p, N, false, SIMT_PC); }           \
  void __tsan_unaligned_write##N(void* p) { simt::hook(p, N, true, SIMT_PC); }           \
  void __tsan_volatile_read##N(void* p) { simt::hook(p, N, false, SIMT_PC); }            \
  void __tsan_volatile_write##N(void* p) { simt::hook(p, N, true, SIMT_PC); }
extern "C" {
void __tsan_init() { simt::hooked = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, unsigned long n) { simt::hook(p, unsigned(n), false, SIMT_PC); }
void __tsan_write_range(void* p, unsigned long n) { simt::hook(p, unsigned(n), true, SIMT_PC); }
SIMT_RW(1) SIMT_RW(2) SIMT_RW(4) SIMT_RW(8) SIMT_RW(16)
}
#endif
