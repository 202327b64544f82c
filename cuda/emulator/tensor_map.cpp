// Tensor maps and the copies that they describe: boxes of up to five dims, zeros where a box leaves
// the tensor, in shared memory row after row, swizzled by 128 bytes or as they are.
#include <algorithm>

#include "emulator/state.h"

namespace simt {
namespace {

// Whether CUDA's demands on a tensor map are met.
bool is_tensor(unsigned item, cuuint32_t rank, const void* base, const cuuint64_t* sizes,
               const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* element_strides,
               bool swizzled) {
    if (rank < 1 || rank > 5 || reinterpret_cast<uintptr_t>(base) % 16 || box[0] * item % 16 ||
        (swizzled && box[0] * item > 128))
        return false;
    for (unsigned i = 0; i < rank; i++) {
        const bool dim = sizes[i] > 0 && sizes[i] <= uint64_t(1) << 32 && box[i] > 0 &&
                         box[i] <= 256 && element_strides[i] == 1;
        const bool stride =
            i == 0 || (strides[i - 1] % 16 == 0 && strides[i - 1] < uint64_t(1) << 40);
        if (!dim || !stride)
            return false;
    }
    return true;
}

// Where a byte of a tile lies with the swizzle of 128 bytes: the 16-byte chunks of each row of 128
// bytes are permuted by the row's number, of eight.
Offset swizzle_128(Offset byte) {
    return byte ^ (byte >> 7 & 7) << 4;
}

} // namespace

void tensor_load(void* dst, const CUtensorMap* map, const int* at, unsigned dims, void* barrier,
                 Site site, const void* pc) {
    if (reinterpret_cast<uintptr_t>(map) % 64 || map->mark != CUtensorMap::made)
        fail("tensor load at %s: this is no tensor map", place(site).c_str());
    if (map->rank != dims)
        fail("tensor load at %s: the map has %u dims", place(site).c_str(), map->rank);
    const unsigned item = map->item, row_bytes = map->box[0] * item;
    unsigned rows = 1;
    for (unsigned i = 1; i < dims; i++)
        rows *= map->box[i];
    if (map->swizzled && row_bytes != 128)
        fail("tensor load at %s: swizzled rows are of 128 bytes here", place(site).c_str());
    if (reinterpret_cast<uintptr_t>(dst) % (map->swizzled ? 1024 : 128))
        fail("tensor load at %s: the destination is not aligned to %u bytes", place(site).c_str(),
             map->swizzled ? 1024u : 128u);
    std::vector<unsigned char> image(size_t(rows) * row_bytes);
    const int64_t first = std::clamp<int64_t>(-int64_t(at[0]), 0, map->box[0]);
    const int64_t last = std::clamp<int64_t>(int64_t(map->sizes[0]) - at[0], first, map->box[0]);
    size_t bytes = 0, sectors = 0;
    for (unsigned r = 0; r < rows && first < last; r++) {
        uint64_t source = map->base + uint64_t(at[0] + first) * item;
        bool inside = true;
        for (unsigned i = 1, rest = r; i < dims; rest /= map->box[i], i++) {
            const int64_t index = at[i] + int64_t(rest % map->box[i]);
            inside &= index >= 0 && index < int64_t(map->sizes[i]);
            source += uint64_t(index) * map->strides[i - 1];
        }
        if (!inside)
            continue;
        const auto n = unsigned(last - first) * item;
        const auto* from = reinterpret_cast<const unsigned char*>(source);
        if (hooked)
            check_access(from, n, Access::read, relative_pc(pc));
        else
            check_bounds(offset_of(from), from, n, Access::read, relative_pc(pc));
        bytes += n;
        sectors += (source + n - 1) / 32 - source / 32 + 1;
        const Offset to = Offset(r) * row_bytes + Offset(first) * item;
        for (unsigned b = 0; b < n; b++)
            image[map->swizzled ? swizzle_128(to + b) : to + b] = from[b];
    }
    count_bulk("tensor load", relative_pc(pc), bytes, sectors);
    start_bulk_copy(dst, std::move(image), barrier, site, pc);
}

void bulk_load(void* dst, const void* src, unsigned bytes, void* barrier, Site site,
               const void* pc) {
    if (bytes % 16 || reinterpret_cast<uintptr_t>(dst) % 16 ||
        reinterpret_cast<uintptr_t>(src) % 16)
        fail("bulk load at %s: not aligned to 16 bytes (%u bytes to %p, from %p)",
             place(site).c_str(), bytes, dst, src);
    if (hooked)
        check_access(src, bytes, Access::read, relative_pc(pc));
    else
        check_bounds(offset_of(src), src, bytes, Access::read, relative_pc(pc));
    const auto* from = static_cast<const unsigned char*>(src);
    count_bulk("bulk load", relative_pc(pc), bytes, (bytes + 31) / 32);
    start_bulk_copy(dst, std::vector<unsigned char>(from, from + bytes), barrier, site, pc);
}

} // namespace simt

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                                void* base, const cuuint64_t* sizes, const cuuint64_t* strides,
                                const cuuint32_t* box, const cuuint32_t* element_strides,
                                CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
    static constexpr uint8_t items[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
    const bool swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
    if (!simt::is_tensor(items[type], rank, base, sizes, strides, box, element_strides, swizzled))
        return CUDA_ERROR_INVALID_VALUE;
    *map = {};
    map->mark = CUtensorMap::made;
    map->rank = uint8_t(rank);
    map->item = items[type];
    map->swizzled = swizzled;
    map->base = reinterpret_cast<uintptr_t>(base);
    for (unsigned i = 0; i < rank; i++) {
        map->sizes[i] = uint32_t(std::min<uint64_t>(sizes[i], ~0u));
        map->box[i] = uint16_t(box[i]);
        if (i > 0)
            map->strides[i - 1] = strides[i - 1];
    }
    return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
    if (std::strcmp(symbol, "cuTensorMapEncodeTiled"))
        return cudaErrorNotSupported;
    *function = reinterpret_cast<void*>(&cuTensorMapEncodeTiled);
    *result = cudaDriverEntryPointSuccess;
    return cudaSuccess;
}
