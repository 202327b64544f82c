// Warp collectives: shuffles, votes, reductions, matches.
#pragma once

#include "emulator/interface.h"

SIMT_INL void __syncwarp(unsigned mask = ~0u, SIMT_HERE) {
    simt::warp_collective(
        "__syncwarp", mask, nullptr, [](unsigned, void**) {}, false, true, SIMT_SITE);
}
// Lanes are never converged here, which CUDA allows: the calling lane is all that is active.
SIMT_INL unsigned __activemask() {
    return 1u << simt::context->lane;
}

namespace simt {

template <class T>
struct Shuffle {
    T in, out;
    int source; // absolute lane
};
template <class T>
SIMT_NOINST T shuffle(unsigned mask, T v, int source, Site site) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value,
                  "shuffles move registers");
    Shuffle<T> slot{v, v, source};
    warp_collective(
        "__shfl_sync", mask, &slot,
        [](unsigned m, void** slots) {
            for (unsigned rest = m; rest; rest &= rest - 1) {
                auto* q = static_cast<Shuffle<T>*>(slots[__builtin_ctz(rest)]);
                if (m >> q->source & 1)
                    q->out = static_cast<Shuffle<T>*>(slots[q->source])->in;
                else // undefined on the device
                    memset(static_cast<void*>(&q->out), 0xff, sizeof(T));
            }
        },
        false, false, site);
    return slot.out;
}
SIMT_INL int segment_lane(int lane, int in_segment, int width, bool inside) {
    return inside ? (lane & ~(width - 1)) | in_segment : lane;
}

struct Vote {
    unsigned in, out;
};
SIMT_NOINST inline unsigned vote(const char* operation, unsigned mask, unsigned in, Done done,
                                 Site site) {
    Vote slot{in, 0};
    warp_collective(operation, mask, &slot, done, false, false, site);
    return slot.out;
}
template <class F>
SIMT_INL void fold_votes(unsigned m, void** slots, unsigned result, F f) {
    for (unsigned l = 0; l < 32; l++)
        if (m >> l & 1)
            result = f(result, static_cast<Vote*>(slots[l])->in, l);
    for (unsigned l = 0; l < 32; l++)
        if (m >> l & 1)
            static_cast<Vote*>(slots[l])->out = result;
}

struct Match {
    uint64_t in;
    unsigned out;
};
template <class T>
SIMT_NOINST unsigned match_any(unsigned mask, T v, Site site) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "__match_any_sync takes 32 or 64 bits");
    Match slot{0, 0};
    memcpy(&slot.in, &v, sizeof v);
    warp_collective(
        "__match_any_sync", mask, &slot,
        [](unsigned m, void** slots) {
            for (unsigned i = 0; i < 32; i++)
                for (unsigned j = 0; j < 32; j++)
                    if (m >> i & 1 && m >> j & 1) {
                        auto* a = static_cast<Match*>(slots[i]);
                        a->out |= unsigned(a->in == static_cast<Match*>(slots[j])->in) << j;
                    }
        },
        false, false, site);
    return slot.out;
}

} // namespace simt

template <class T>
SIMT_INL T __shfl_sync(unsigned mask, T v, int source, int width = 32, SIMT_HERE) {
    const int lane = int(simt::context->lane);
    return simt::shuffle(mask, v, simt::segment_lane(lane, source & (width - 1), width, true),
                         SIMT_SITE);
}
template <class T>
SIMT_INL T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, SIMT_HERE) {
    const int lane = int(simt::context->lane), source = lane ^ bits;
    const bool reachable = (source & ~(width - 1)) <= (lane & ~(width - 1));
    return simt::shuffle(mask, v, reachable ? source : lane, SIMT_SITE);
}
template <class T>
SIMT_INL T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_HERE) {
    const int lane = int(simt::context->lane), source = (lane & (width - 1)) - int(delta);
    return simt::shuffle(mask, v, simt::segment_lane(lane, source, width, source >= 0), SIMT_SITE);
}
template <class T>
SIMT_INL T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_HERE) {
    const int lane = int(simt::context->lane), source = (lane & (width - 1)) + int(delta);
    return simt::shuffle(mask, v, simt::segment_lane(lane, source, width, source < width),
                         SIMT_SITE);
}

// NAME(mask, p): every lane gets the fold over lanes l of their values v into r.
#define SIMT_VOTE(NAME, RESULT, ARGUMENT, VALUE, INITIAL, BODY)                                    \
    SIMT_INL RESULT NAME(unsigned mask, ARGUMENT p, SIMT_HERE) {                                   \
        return RESULT(simt::vote(                                                                  \
            #NAME, mask, unsigned(VALUE),                                                          \
            [](unsigned m, void** slots) {                                                         \
                simt::fold_votes(m, slots, INITIAL,                                                \
                                 [](unsigned r, unsigned v,                                        \
                                    [[maybe_unused]] unsigned l) -> unsigned { return BODY; });    \
            },                                                                                     \
            SIMT_SITE));                                                                           \
    }
SIMT_VOTE(__ballot_sync, unsigned, int, p != 0, 0, r | v << l)
SIMT_VOTE(__any_sync, int, int, p != 0, 0, r | v)
SIMT_VOTE(__all_sync, int, int, p != 0, 1, r& v)
SIMT_VOTE(__reduce_add_sync, unsigned, unsigned, p, 0, r + v)
SIMT_VOTE(__reduce_add_sync, int, int, p, 0, r + v)
SIMT_VOTE(__reduce_max_sync, unsigned, unsigned, p, 0, r > v ? r : v)
SIMT_VOTE(__reduce_min_sync, unsigned, unsigned, p, ~0u, r < v ? r : v)
SIMT_VOTE(__reduce_max_sync, int, int, p, 0x80000000u, int(r) > int(v) ? r : v)
SIMT_VOTE(__reduce_min_sync, int, int, p, 0x7fffffffu, int(r) < int(v) ? r : v)
SIMT_VOTE(__reduce_and_sync, unsigned, unsigned, p, ~0u, r& v)
SIMT_VOTE(__reduce_or_sync, unsigned, unsigned, p, 0, r | v)
SIMT_VOTE(__reduce_xor_sync, unsigned, unsigned, p, 0, r ^ v)
#undef SIMT_VOTE

template <class T>
SIMT_INL unsigned __match_any_sync(unsigned mask, T v, SIMT_HERE) {
    return simt::match_any(mask, v, SIMT_SITE);
}
template <class T>
SIMT_INL unsigned __match_all_sync(unsigned mask, T v, int* all, SIMT_HERE) {
    const unsigned same = simt::match_any(mask, v, SIMT_SITE);
    *all = same == mask;
    return *all ? mask : 0;
}
