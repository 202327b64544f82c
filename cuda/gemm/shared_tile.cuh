// From global to shared memory: the tiles of a matrix product's operands.
//
// An operand gives the addresses of its elements. `outer` is its index into the rows of the result
// (A) or into the columns (B), `inner` the one that is summed over; both are worked out once and
// combined for each element:
//   Outer outer(int64_t index, int batch)     Inner inner(int64_t index)     const T* at(Outer,
//   Inner, bool& valid)
// An address must be legal to form even where `valid` comes back false; those elements are zeros.
// An operand may have advance(Outer&, int) and advance(Inner&, int), from one index to another:
// less work than a new one, and no registers for each of the indices that a thread meets in every
// tile.
#pragma once

#include <cstdint>

#include "core/device.cuh"

namespace fastnn::cuda {

// Which index of an operand is contiguous in memory, or in a tile.
enum class Major { inner, outer };

// A matrix by strides. Vectors are only taken from it where sizes, strides and pointer allow whole
// ones.
template <class T>
struct Strided {
    using Element = T;
    const T* data;
    int64_t outer_stride, inner_stride, batch_stride;
    int64_t outer_size, inner_size;

    // `left`: how many lines (elements of the sum) there are from this one on, as far as 32 bits
    // tell.
    struct Outer {
        const T* row;
        int left;
    };
    struct Inner {
        int64_t offset;
        int left;
    };
    __device__ __forceinline__ Outer outer(int64_t i, int batch) const {
        const int left = left_of(outer_size - i);
        return {data + batch * batch_stride + (left > 0 ? i * outer_stride : 0), left};
    }
    __device__ __forceinline__ Inner inner(int64_t k) const {
        const int left = left_of(inner_size - k);
        return {left > 0 ? k * inner_stride : 0, left};
    }
    // To the index `steps` further.
    __device__ __forceinline__ void advance(Outer& o, int steps) const {
        o.row += steps * outer_stride;
        o.left -= steps;
    }
    __device__ __forceinline__ void advance(Inner& i, int steps) const {
        i.offset += steps * inner_stride;
        i.left -= steps;
    }
    __device__ __forceinline__ const T* at(const Outer& o, const Inner& i, bool& valid) const {
        valid = o.left > 0 && i.left > 0;
        return o.row + i.offset;
    }

  private:
    static __device__ __forceinline__ int left_of(int64_t n) {
        return int(n < INT32_MAX ? n : INT32_MAX);
    }
};

// Layouts of a tile in shared memory: offset(outer, inner) in elements.

// Rows of 64 bytes along the inner index. The four chunks of 16 bytes are permuted so that the
// eight rows of an ldmatrix, two of which share 128 bytes, lie on different banks.
template <class T, int outer_size, int inner_size>
struct InnerTile {
    static constexpr Major major = Major::inner;
    static constexpr int outers = outer_size, inners = inner_size, size = outers * inners;
    static_assert(inner_size * sizeof(T) == 64);
    static __device__ __forceinline__ int offset(int outer, int inner) {
        constexpr int chunk = 16 / int(sizeof(T));
        return outer * inners + ((inner / chunk) ^ (outer >> 1 & 3)) * chunk + inner % chunk;
    }
};

// Rows along the outer index, whose chunks are permuted for ldmatrix.trans: eight rows, one chunk
// of each.
template <class T, int outer_size, int inner_size>
struct OuterTile {
    static constexpr Major major = Major::outer;
    static constexpr int outers = outer_size, inners = inner_size, size = outers * inners;
    static_assert(outer_size * sizeof(T) % 128 == 0);
    static __device__ __forceinline__ int offset(int outer, int inner) {
        constexpr int chunk = 16 / int(sizeof(T));
        return inner * outers + ((outer / chunk) ^ (inner & 7)) * chunk + outer % chunk;
    }
};

// Rows along the outer index, `pad` elements apart, for reads of single elements or vectors.
template <class T, int outer_size, int inner_size, int pad>
struct PaddedTile {
    static constexpr Major major = Major::outer;
    static constexpr int outers = outer_size, inners = inner_size, size = (outers + pad) * inners;
    static __device__ __forceinline__ int offset(int outer, int inner) {
        return inner * (outers + pad) + outer;
    }
};

// How an operand is read: along which index neighbouring threads walk, and whether 16 bytes at a
// time.
template <Major m, bool v>
struct Access {
    static constexpr Major major = m;
    static constexpr bool vectors = v;
};

// What one thread copies of an operand's tiles. Neighbouring threads walk along `walk`; `vectors`:
// 16 bytes at a time, else element by element. All copies are asynchronous but those of single
// 16-bit elements, which cp.async does not know: they wait in registers between start() and
// finish(), while the tensor cores work.
template <class Operand, class Tile, Major walk, bool vectors, int threads>
class TileLoader {
    using T = typename Operand::Element;
    static constexpr bool along_inner = walk == Major::inner;
    static constexpr int step = vectors ? 16 / int(sizeof(T)) : 1;
    static constexpr int per_row = (along_inner ? Tile::inners : Tile::outers) / step;
    static constexpr int rows = along_inner ? Tile::outers : Tile::inners;
    static constexpr int row_step = threads / per_row;
    static constexpr int count = rows / row_step;
    static constexpr bool through_registers = !vectors && sizeof(T) == 2;
    static_assert(!vectors || walk == Tile::major, "a vector lies in one row of the tile");
    static_assert(threads % per_row == 0 && rows % row_step == 0);
    static constexpr bool advances =
        requires(const Operand& x, typename Operand::Outer o, typename Operand::Inner i) {
            x.advance(o, 1);
            x.advance(i, 1);
        };
    // The outer indices stay the same from tile to tile; many of them are rather worked out again
    // than kept.
    static constexpr bool kept = !along_inner || count <= 4;
    static constexpr int outers = !kept ? 1 : along_inner ? count : 1;

    const Operand& operand_;
    int64_t first_;
    int batch_, row_, column_;
    typename Operand::Outer outer_[outers];
    T waiting_[through_registers ? count : 1];

  public:
    // `thread` is the number of this one among the `threads` that copy together.
    __device__ __forceinline__ TileLoader(const Operand& operand, int64_t first, int batch,
                                          int thread = int(threadIdx.x))
        : operand_(operand), first_(first), batch_(batch), row_(thread / per_row),
          column_(thread % per_row * step) {
        if constexpr (kept) {
#pragma unroll
            for (int i = 0; i < outers; i++)
                outer_[i] =
                    operand.outer(first + (along_inner ? row_ + i * row_step : column_), batch);
        }
    }

    // Starts to copy the tile whose inner indices begin at k.
    __device__ __forceinline__ void start(T* tile, int64_t k) {
        typename Operand::Inner inner = operand_.inner(k + (along_inner ? column_ : row_));
        typename Operand::Outer outer = kept ? outer_[0] : operand_.outer(first_ + row_, batch_);
#pragma unroll
        for (int i = 0; i < count; i++) {
            if (i > 0) {
                if constexpr (along_inner && kept)
                    outer = outer_[i];
                else if constexpr (along_inner && advances)
                    operand_.advance(outer, row_step);
                else if constexpr (along_inner)
                    outer = operand_.outer(first_ + row_ + i * row_step, batch_);
                else if constexpr (advances)
                    operand_.advance(inner, row_step);
                else
                    inner = operand_.inner(k + row_ + i * row_step);
            }
            bool valid;
            const T* source = operand_.at(outer, inner, valid);
            if constexpr (through_registers)
                waiting_[i] = valid ? *source : T(0.f);
            else
                ptx::cp_async<step* int(sizeof(T))>(tile + place(row_ + i * row_step), source,
                                                    valid);
        }
    }

    __device__ __forceinline__ void finish(T* tile) {
        if constexpr (through_registers) {
#pragma unroll
            for (int i = 0; i < count; i++)
                tile[place(row_ + i * row_step)] = waiting_[i];
        }
    }

  private:
    __device__ __forceinline__ int place(int row) const {
        return along_inner ? Tile::offset(row, column_) : Tile::offset(column_, row);
    }
};

} // namespace fastnn::cuda
