// Which instruction set level (ISA) the kernels run on, and how a family of kernels is looked up by
// it.
//
// Every *_kernels.cpp is compiled once per level into the namespace fastnn::<level>. The level is
// chosen when the module is imported: the best that the CPU and the operating system support, or
// what FASTNN_ISA lowers it to.
#pragma once

#include <string>
#include <vector>

namespace fastnn {

// From avx512_vnni on a level adds instructions for products of narrow types alone (gemm/narrow.h):
// int8 (VNNI), bfloat16 (AVX512-BF16), and both on tiles (AMX). The other kernels are avx512's.
enum class Isa { baseline, sse, avx2, avx512, avx512_vnni, avx512_bf16, amx };

Isa active_isa() noexcept;
// Levels that were compiled and that this machine can run, lowest first.
std::vector<Isa> available_isas();
// Throws std::invalid_argument for a name that is not available here.
void set_isa(const std::string& name);
const char* isa_name(Isa isa) noexcept;
// Reads FASTNN_ISA; throws if its value is not available or the CPU can run no level.
void init_isa();

} // namespace fastnn

// FASTNN_KERNEL_TABLE(Table, name): name() is the active level's table of kernels. Each level's
// *_kernels.cpp defines `const Table fastnn::FASTNN_ISA::name = {...}`.
// FASTNN_NARROW_KERNEL_TABLE is the same for files that are compiled for the levels above avx512
// too.
#define FASTNN_DECLARE_TABLE(level, Table, name)                                                   \
    namespace level {                                                                              \
    extern const Table name;                                                                       \
    }
#if defined(__x86_64__) || defined(_M_X64)
#define FASTNN_KERNEL_TABLE(Table, name)                                                           \
    FASTNN_DECLARE_TABLE(sse, Table, name)                                                         \
    FASTNN_DECLARE_TABLE(avx2, Table, name)                                                        \
    FASTNN_DECLARE_TABLE(avx512, Table, name)                                                      \
    inline const Table& name() noexcept {                                                          \
        const Isa isa = active_isa();                                                              \
        return isa >= Isa::avx512 ? avx512::name : isa == Isa::avx2 ? avx2::name : sse::name;      \
    }
#define FASTNN_NARROW_KERNEL_TABLE(Table, name)                                                    \
    FASTNN_DECLARE_TABLE(sse, Table, name)                                                         \
    FASTNN_DECLARE_TABLE(avx2, Table, name)                                                        \
    FASTNN_DECLARE_TABLE(avx512, Table, name)                                                      \
    FASTNN_DECLARE_TABLE(avx512_vnni, Table, name)                                                 \
    FASTNN_DECLARE_TABLE(avx512_bf16, Table, name)                                                 \
    FASTNN_DECLARE_TABLE(amx, Table, name)                                                         \
    inline const Table& name() noexcept {                                                          \
        const Table* const tables[] = {&sse::name,    &sse::name,         &avx2::name,             \
                                       &avx512::name, &avx512_vnni::name, &avx512_bf16::name,      \
                                       &amx::name};                                                \
        return *tables[static_cast<int>(active_isa())];                                            \
    }
#else
#define FASTNN_KERNEL_TABLE(Table, name)                                                           \
    FASTNN_DECLARE_TABLE(baseline, Table, name)                                                    \
    inline const Table& name() noexcept {                                                          \
        return baseline::name;                                                                     \
    }
#define FASTNN_NARROW_KERNEL_TABLE(Table, name) FASTNN_KERNEL_TABLE(Table, name)
#endif
