#include "core/isa.h"

#include <atomic>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace fastnn {
namespace {

#if defined(FASTNN_EMULATED_ISA)

Isa detect() {
    return Isa::amx;
}

#elif defined(__x86_64__) || defined(_M_X64)

// XCR0: the register files that the operating system saves on a context switch.
unsigned saved_register_files() {
    unsigned eax = 0, edx = 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

// Tiles are saved on a context switch only for processes that have asked for it.
bool tiles_granted() {
#if defined(__linux__)
    constexpr long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

Isa detect() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return Isa::baseline;
    // Leaf 1, ECX: SSE3 0, SSSE3 9, FMA 12, CX16 13, SSE4.1 19, SSE4.2 20, MOVBE 22, POPCNT 23,
    // OSXSAVE 27, AVX 28, F16C 29.
    const auto bits = [](std::initializer_list<int> positions) {
        unsigned mask = 0;
        for (int p : positions)
            mask |= 1u << p;
        return mask;
    };
    const auto has = [](unsigned value, unsigned mask) { return (value & mask) == mask; };
    if (!has(ecx, bits({0, 9, 13, 19, 20, 23})))
        return Isa::baseline;
    const bool avx = has(ecx, bits({12, 22, 27, 28, 29}));
    if (!avx || !has(saved_register_files(), bits({1, 2}))) // XMM and YMM
        return Isa::sse;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return Isa::sse;
    const unsigned leaf7 = ebx;
    unsigned lzcnt_leaf = 0;
    if (!__get_cpuid(0x80000001u, &eax, &ebx, &lzcnt_leaf, &edx))
        return Isa::sse;
    // Leaf 7, EBX: BMI1 3, AVX2 5, BMI2 8, AVX512 F 16, DQ 17, CD 28, BW 30, VL 31. 0x80000001,
    // ECX: LZCNT 5.
    if (!has(leaf7, bits({3, 5, 8})) || !has(lzcnt_leaf, bits({5})))
        return Isa::sse;
    // Opmasks, the upper halves of ZMM0-15, and ZMM16-31.
    if (!has(leaf7, bits({16, 17, 28, 30, 31})) || !has(saved_register_files(), bits({5, 6, 7})))
        return Isa::avx2;
    // Leaf 7, ECX: VNNI 11; EDX: AMX-BF16 22, TILE 24, INT8 25. Leaf 7, 1, EAX: AVX512-BF16 5.
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has(ecx, bits({11})))
        return Isa::avx512;
    const unsigned tile_bits = edx;
    if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || !has(eax, bits({5})))
        return Isa::avx512_vnni;
    // The configuration of tiles, and their data.
    if (!has(tile_bits, bits({22, 24, 25})) || !has(saved_register_files(), bits({17, 18})) ||
        !tiles_granted())
        return Isa::avx512_bf16;
    return Isa::amx;
}

#else

Isa detect() {
    return Isa::baseline;
}

#endif

#if defined(__x86_64__) || defined(_M_X64)
constexpr Isa kCompiled[] = {Isa::sse,         Isa::avx2,        Isa::avx512,
                             Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx};
#else
constexpr Isa kCompiled[] = {Isa::baseline};
#endif

std::atomic<Isa> g_active{Isa::baseline};

std::string available_names() {
    std::string names;
    for (Isa isa : available_isas())
        names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
    return names;
}

} // namespace

Isa active_isa() noexcept {
    return g_active.load(std::memory_order_relaxed);
}

std::vector<Isa> available_isas() {
    static const Isa best = detect();
    std::vector<Isa> isas;
    for (Isa isa : kCompiled)
        if (isa <= best)
            isas.push_back(isa);
    return isas;
}

const char* isa_name(Isa isa) noexcept {
    switch (isa) {
    case Isa::sse:
        return "sse";
    case Isa::avx2:
        return "avx2";
    case Isa::avx512:
        return "avx512";
    case Isa::avx512_vnni:
        return "avx512_vnni";
    case Isa::avx512_bf16:
        return "avx512_bf16";
    case Isa::amx:
        return "amx";
    case Isa::baseline:
        break;
    }
    return "baseline";
}

void set_isa(const std::string& name) {
    for (Isa isa : available_isas()) {
        if (name == isa_name(isa)) {
            g_active.store(isa, std::memory_order_relaxed);
            return;
        }
    }
    throw std::invalid_argument("ISA level wants one of " + available_names() + ", got '" + name +
                                "'");
}

void init_isa() {
    const std::vector<Isa> isas = available_isas();
    if (isas.empty())
        throw std::runtime_error("fastnn's kernels need an x86-64-v2 CPU (SSE4.2)");
    g_active.store(isas.back(), std::memory_order_relaxed);
    if (const char* wanted = std::getenv("FASTNN_ISA"); wanted && *wanted) {
        try {
            set_isa(wanted);
        } catch (const std::invalid_argument& error) {
            throw std::runtime_error("FASTNN_ISA: " + std::string(error.what()));
        }
    }
}

} // namespace fastnn
