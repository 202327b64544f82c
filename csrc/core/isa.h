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

enum class Isa { baseline, sse, avx2, avx512 };

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
#if defined(__x86_64__) || defined(_M_X64)
#define FASTNN_KERNEL_TABLE(Table, name)                                                           \
    namespace sse {                                                                                \
    extern const Table name;                                                                       \
    }                                                                                              \
    namespace avx2 {                                                                               \
    extern const Table name;                                                                       \
    }                                                                                              \
    namespace avx512 {                                                                             \
    extern const Table name;                                                                       \
    }                                                                                              \
    inline const Table& name() noexcept {                                                          \
        const Isa isa = active_isa();                                                              \
        return isa == Isa::avx512 ? avx512::name : isa == Isa::avx2 ? avx2::name : sse::name;      \
    }
#else
#define FASTNN_KERNEL_TABLE(Table, name)                                                           \
    namespace baseline {                                                                           \
    extern const Table name;                                                                       \
    }                                                                                              \
    inline const Table& name() noexcept {                                                          \
        return baseline::name;                                                                     \
    }
#endif
