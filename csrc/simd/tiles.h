// AMX: eight tile registers of 16 rows of 64 bytes, and products of tiles.
//
// A tile of A holds 16 rows of 16 units (32 bits: two bfloat16 or four int8), a tile of B 16 rows
// of units side by side, one row for each unit of k, a tile of C 16 x 16 floats or int32. The
// compiler's intrinsics want the numbers of tiles as literals. FASTNN_EMULATED_AMX puts stand-ins
// in their place, which do what the manual says of the instructions.
#pragma once

#include "simd/narrow.h"

namespace fastnn::FASTNN_ISA {

#if defined(FASTNN_EMULATED_AMX)

#define FASTNN_HAS_TILES 1

struct EmulatedTiles {
    uint32_t of[8][16][16];

    void load(int tile, const void* from, int64_t stride) {
        for (int row = 0; row < 16; ++row)
            __builtin_memcpy(of[tile][row], static_cast<const char*>(from) + row * stride, 64);
    }
    void store(int tile, void* to, int64_t stride) const {
        for (int row = 0; row < 16; ++row)
            __builtin_memcpy(static_cast<char*>(to) + row * stride, of[tile][row], 64);
    }
    // The even and the odd products have sums of their own; C is added last.
    void dot_bf16(int c, int a, int b) {
        for (int row = 0; row < 16; ++row)
            for (int column = 0; column < 16; ++column) {
                float low = 0, high = 0, sum;
                for (int unit = 0; unit < 16; ++unit) {
                    low = bf16_step(low, of[a][row][unit] << 16, of[b][unit][column] << 16);
                    high = bf16_step(high, of[a][row][unit], of[b][unit][column]);
                }
                __builtin_memcpy(&sum, &of[c][row][column], sizeof sum);
                sum = flushed(flushed(sum) + flushed(low + high));
                __builtin_memcpy(&of[c][row][column], &sum, sizeof sum);
            }
    }
    void dot_int8(int c, int a, int b) {
        for (int row = 0; row < 16; ++row)
            for (int column = 0; column < 16; ++column)
                for (int unit = 0; unit < 16; ++unit)
                    for (int shift = 0; shift < 32; shift += 8)
                        of[c][row][column] += static_cast<uint32_t>(
                            static_cast<int8_t>(of[a][row][unit] >> shift) *
                            static_cast<int8_t>(of[b][unit][column] >> shift));
    }
};
inline thread_local EmulatedTiles emulated_tiles;

// (GCC defines them for every target.)
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_loadd(tile, from, stride) emulated_tiles.load(tile, from, stride)
#define _tile_stored(tile, to, stride) emulated_tiles.store(tile, to, stride)
#define _tile_zero(tile)                                                                           \
    __builtin_memset(emulated_tiles.of[tile], 0, sizeof emulated_tiles.of[tile])
#define _tile_dpbf16ps(c, a, b) emulated_tiles.dot_bf16(c, a, b)
#define _tile_dpbssd(c, a, b) emulated_tiles.dot_int8(c, a, b)

// For a scope: a thread's tiles are configured; afterwards it has none to save.
struct Tiles {
    Tiles() {}
    ~Tiles() {}
};

#elif defined(__AMX_BF16__) && defined(__AMX_INT8__)

#define FASTNN_HAS_TILES 1

struct Tiles {
    FASTNN_INLINE Tiles() {
        struct alignas(64) {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } const configuration;
        _tile_loadconfig(&configuration);
    }
    FASTNN_INLINE ~Tiles() { _tile_release(); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;
};

#else

#define FASTNN_HAS_TILES 0
struct Tiles {
    Tiles() {}
    ~Tiles() {}
};

#endif

} // namespace fastnn::FASTNN_ISA
