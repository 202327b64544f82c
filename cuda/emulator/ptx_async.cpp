// cp.async: the destination is NaN until the copying thread waits for it.
#include <cstring>

#include "emulator/checker.h"

namespace simt {

void cp_async(void* dst, const void* src, unsigned bytes, unsigned src_bytes, Site site,
              const void* pc) {
    Thread& t = *state.current;
    if (!in_shared(offset_of(dst), bytes))
        fail("cp.async at %s: the destination is not in the block's shared memory",
             place(site).c_str());
    if (reinterpret_cast<uintptr_t>(dst) % bytes ||
        (src_bytes && reinterpret_cast<uintptr_t>(src) % bytes))
        fail("cp.async at %s: not aligned to %u bytes (to %p, from %p)", place(site).c_str(), bytes,
             dst, src);
    if (src_bytes && offset_of(src) < smem_bytes)
        fail("cp.async at %s: the source is shared memory", place(site).c_str());
    if (hooked)
        hook(dst, bytes, Access::write, pc, acc_pending);
    if (src_bytes)
        access(src, src_bytes, Access::read, pc);
    std::memset(dst, 0xff, bytes);
    t.copies.push_back({static_cast<unsigned char*>(dst), static_cast<const unsigned char*>(src),
                        bytes, src_bytes, t.copy_group});
}

void cp_async_commit() {
    state.current->copy_group++;
}

void cp_async_wait(unsigned groups_left) {
    Thread& t = *state.current;
    size_t landed = 0;
    for (; landed < t.copies.size() && t.copies[landed].group + groups_left < t.copy_group;
         landed++) {
        const CopyInFlight& c = t.copies[landed];
        std::memset(c.dst, 0, c.bytes);
        if (c.src_bytes)
            std::memcpy(c.dst, c.src, c.src_bytes);
        if (hooked)
            copy_landed(c.dst, c.bytes, state.warps[t.warp].clock[t.warp], t.epoch);
    }
    t.copies.erase(t.copies.begin(), t.copies.begin() + long(landed));
}

} // namespace simt
