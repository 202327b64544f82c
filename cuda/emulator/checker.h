// The way of every instrumented access into the checker and the counters.
#pragma once

#include <cstdarg>

#include "emulator/state.h"

namespace simt {

// Most accesses are to the fiber's own stack and end at the first line.
inline void hook(const void* p, unsigned bytes, Access kind, const void* pc,
                 uint8_t extra_flags = 0) {
    const Offset offset = offset_of(p);
    if (offset >= arena_bytes && reinterpret_cast<uintptr_t>(p) - hot.tls >= hot.tls_bytes)
        return;
    if (!hot.in_kernel)
        return;
    const uint32_t code = relative_pc(pc);
    check_access(p, bytes, kind, code, extra_flags);
    if (state.counting)
        count_access(p, bytes, kind, code);
}

} // namespace simt
