// Copies of operands of narrow products in units of 32 bits: two bfloat16, two int16 or four int8
// that follow each other along k.
//
// A packed operand is a sequence of blocks of 32 lines (rows of A, columns of B) by 16 units:
// blocks along k follow each other, then the next 32 lines. A block of A is stored line by line,
// one of B unit by unit, as both tiles and vectors read them. Lines and units beyond the operand
// are 0.
#pragma once

#include "gemm/narrow.h"
#include "simd/narrow.h"

namespace fastnn::FASTNN_ISA {

inline constexpr int kLines = 32, kUnits = 16, kBlockUnits = kLines * kUnits;
inline constexpr int kMostParts = 3;

using Units = Vec<uint32_t>;
inline constexpr int kUnitLanes = kLanes<uint32_t>;

// lanes[0] of each pair in the lower half of a unit, lanes[1] in the upper one: pairs lie side by
// side in the two vectors.
template <int... I>
FASTNN_INLINE Units join_pairs(Units first, Units second, std::integer_sequence<int, I...>) {
    const Units even = __builtin_shufflevector(first, second, (2 * I)...);
    const Units odd = __builtin_shufflevector(first, second, (2 * I + 1)...);
    return (even & 0xffff) | (odd << 16);
}

// A format says how elements become codes (one in each lane), and how wide a code is.
struct Bf16Format {
    using In = bfloat16;
    static constexpr int kPerUnit = 2, kParts = 1;
    static constexpr bool kScaled = false;
    static FASTNN_INLINE void codes(const In* p, Vec<float>, Units (&code)[1]) {
        code[0] = load_narrow(&p->bits);
    }
};

// float32 as a sum of bfloat16 parts, each the rounded rest of those before. A value of 24 bits is
// the sum of three.
template <int Parts>
struct SplitFormat {
    using In = float;
    static constexpr int kPerUnit = 2, kParts = Parts;
    static constexpr bool kScaled = Parts > 1;
    static FASTNN_INLINE void codes(const In* p, Vec<float> scale, Units (&code)[Parts]) {
        Vec<float> rest = load(p);
        if constexpr (kScaled)
            rest *= scale;
#pragma GCC unroll 4
        for (int part = 0; part < Parts; ++part) {
            code[part] = float_to_bf16(rest);
            rest -= bf16_to_float(code[part]);
        }
    }
};

struct Int16Format { // of int8
    using In = int8_t;
    static constexpr int kPerUnit = 2, kParts = 1;
    static constexpr bool kScaled = false;
    static FASTNN_INLINE void codes(const In* p, Vec<float>, Units (&code)[1]) {
        code[0] = (Units)load_narrow(p);
    }
};

struct Int8Format {
    using In = int8_t;
    static constexpr int kPerUnit = 4, kParts = 1;
    static constexpr bool kScaled = false;
    static FASTNN_INLINE void codes(const In* p, Vec<float>, Units (&code)[1]) {
        code[0] = (Units)load_narrow(p);
    }
};

// Units of one line whose elements are contiguous.
template <class Format>
FASTNN_INLINE void units_along(const typename Format::In* p, Vec<float> scale,
                               Units (&units)[Format::kParts]) {
    if constexpr (sizeof(typename Format::In) * Format::kPerUnit == 4) {
        __builtin_memcpy(&units[0], p, sizeof units[0]);
    } else {
        static_assert(Format::kPerUnit == 2);
        Units first[Format::kParts], second[Format::kParts];
        Format::codes(p, scale, first);
        Format::codes(p + kUnitLanes, scale, second);
#pragma GCC unroll 4
        for (int part = 0; part < Format::kParts; ++part)
            units[part] = join_pairs(first[part], second[part],
                                     std::make_integer_sequence<int, kUnitLanes>());
    }
}

// One unit of each of several lines, whose elements of the same k are contiguous.
template <class Format>
FASTNN_INLINE void units_across(const typename Format::In* p, int64_t k_stride, Vec<float> scale,
                                Units (&units)[Format::kParts]) {
    constexpr int bits = 32 / Format::kPerUnit;
#pragma GCC unroll 4
    for (int i = 0; i < Format::kPerUnit; ++i) {
        Units code[Format::kParts];
        Format::codes(p + i * k_stride, scale, code);
#pragma GCC unroll 4
        for (int part = 0; part < Format::kParts; ++part) {
            const Units shifted = (code[part] & ((1u << bits) - 1)) << (i * bits);
            units[part] = i == 0 ? shifted : units[part] | shifted;
        }
    }
}

// A whole block. `by_line`: the block is stored line by line; one of the two strides is 1. Blocks
// of the parts lie part_step units apart.
template <class Format, bool by_line>
FASTNN_INLINE void pack_whole_block(const typename Format::In* from, int64_t line_stride,
                                    int64_t k_stride, const float* scales, uint32_t* to,
                                    int64_t part_step) {
    constexpr int lanes = kUnitLanes;
    const bool along = k_stride == 1;
    for (int line = 0; line < kLines; line += lanes)
        for (int unit = 0; unit < kUnits; unit += lanes) {
            Units square[Format::kParts][lanes]; // lines of units, or units of lines
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i) {
                Units units[Format::kParts];
                if (along)
                    units_along<Format>(
                        from + (line + i) * line_stride + unit * Format::kPerUnit,
                        Format::kScaled ? broadcast(scales[line + i]) : Vec<float>{}, units);
                else
                    units_across<Format>(
                        from + (unit + i) * Format::kPerUnit * k_stride + line, k_stride,
                        Format::kScaled ? load(scales + line) : Vec<float>{}, units);
                for (int part = 0; part < Format::kParts; ++part)
                    square[part][i] = units[part];
            }
            for (int part = 0; part < Format::kParts; ++part) {
                if (along != by_line)
                    transpose(square[part]);
                uint32_t* corner =
                    to + part * part_step + (by_line ? line * kUnits + unit : unit * kLines + line);
                for (int i = 0; i < lanes; ++i)
                    store(corner + i * (by_line ? kUnits : kLines), square[part][i]);
            }
        }
}

// A block of which `lines` lines and `elements` elements of each exist; any strides.
template <class Format, bool by_line>
void pack_block(const typename Format::In* from, int64_t line_stride, int64_t k_stride,
                int64_t lines, int64_t elements, const float* scales, uint32_t* to,
                int64_t part_step) {
    using In = typename Format::In;
    constexpr int64_t width = kUnits * Format::kPerUnit;
    if (lines >= kLines && elements >= width && (k_stride == 1 || line_stride == 1)) {
        pack_whole_block<Format, by_line>(from, line_stride, k_stride, scales, to, part_step);
        return;
    }
    In copy[kLines * width] = {};
    const int64_t some = elements < width ? elements : width;
    for (int64_t line = 0; line < kLines && line < lines; ++line)
        for (int64_t p = 0; p < some; ++p)
            copy[line * width + p] = from[line * line_stride + p * k_stride];
    pack_whole_block<Format, by_line>(copy, width, 1, scales, to, part_step);
}

} // namespace fastnn::FASTNN_ISA
