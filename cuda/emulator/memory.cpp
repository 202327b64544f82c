// Global memory: buffers of exact size in one reserved range of addresses, each with its end at a
// page that faults. Freed regions rest a while, still faulting, before they are used again.
#include <sys/mman.h>

#include <deque>

#include "emulator/state.h"

namespace simt {
namespace {

constexpr size_t quarantine_regions = 256, quarantine_bytes = size_t(256) << 20;

struct Region {
    unsigned char* start;
    size_t bytes; // pages, without the guard page
};
size_t arena_used;
std::map<uintptr_t, Buffer> buffers;                // by base
std::map<size_t, std::vector<Region>> free_regions; // by size
std::deque<Region> quarantine;
size_t quarantined;

// Sizes of regions: few different ones, so that they fit again. At most a quarter is wasted, in
// address space only.
size_t region_size(size_t bytes) {
    const size_t pages = (bytes + page - 1) / page;
    size_t step = 1;
    while (step * 8 <= pages)
        step *= 2;
    return (pages + step - 1) / step * step * page + (pages == 0 ? page : 0);
}

bool take_region(size_t bytes, Region& region) {
    auto& fitting = free_regions[bytes];
    if (!fitting.empty()) {
        region = fitting.back();
        fitting.pop_back();
        return true;
    }
    if (arena_used + bytes + page > arena_bytes)
        return false;
    region = {reinterpret_cast<unsigned char*>(hot.arena) + arena_used, bytes};
    arena_used += bytes + page;
    return true;
}

void release_oldest() {
    const Region r = quarantine.front();
    quarantine.pop_front();
    quarantined -= r.bytes;
    free_regions[r.bytes].push_back(r);
}

PageInfo* page_of(const void* p) {
    return &state.pages[offset_of(p) / page];
}

} // namespace

State state;
unsigned char *dynamic_smem, *shared_memory;

void open_arena() {
    if (hot.arena)
        return;
    constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* arena = mmap(nullptr, arena_bytes, PROT_NONE, flags, -1, 0);
    mprotect(arena, smem_bytes, PROT_READ | PROT_WRITE);
    arena_used = smem_bytes + page;
    // Beyond the arena's pages: those of the module's thread-local block.
    state.pages =
        static_cast<PageInfo*>(mmap(nullptr, (arena_bytes / page + 65536) * sizeof(PageInfo),
                                    PROT_READ | PROT_WRITE, flags, -1, 0));
    hot.arena = reinterpret_cast<uintptr_t>(arena);
    shared_memory = static_cast<unsigned char*>(arena);
    allocate_stacks();
}

const Buffer* buffer_at(Offset offset) {
    return state.pages[offset / page].buffer;
}

const Buffer* nearest_buffer(uintptr_t address) {
    auto it = buffers.upper_bound(address);
    if (it != buffers.begin()) {
        const auto before = std::prev(it);
        const uintptr_t end = before->first + before->second.bytes;
        if (it == buffers.end() || address < end || address - end < it->first - address)
            it = before;
    }
    return it == buffers.end() ? nullptr : &it->second;
}

void begin_block_memory() {
    state.statics.clear();
    state.static_top = 0;
    SIMT_CLOSE(reinterpret_cast<void*>(hot.arena), smem_bytes);
    SIMT_OPEN(dynamic_smem, state.dynamic_bytes);
    std::memset(dynamic_smem, 0xff, state.dynamic_bytes); // NaN in every floating type
}

void* static_smem(const void* key, size_t size, size_t align) {
    auto it = state.statics.find(key);
    if (it == state.statics.end()) {
        const size_t start = (state.static_top + align - 1) / align * align;
        if (start + size > state.dynamic_offset)
            fail("static and dynamic shared memory together exceed %zu bytes", smem_bytes);
        it = state.statics.emplace(key, start).first;
        state.static_top = start + size;
        auto* memory = reinterpret_cast<unsigned char*>(hot.arena) + start;
        SIMT_OPEN(memory, size);
        std::memset(memory, 0xff, size);
        if (with_asan)
            state.static_top += 32;
    }
    return reinterpret_cast<unsigned char*>(hot.arena) + it->second;
}

} // namespace simt

using namespace simt;

cudaError_t cudaMalloc(void** p, size_t bytes) {
    open_arena();
    Region r;
    if (!take_region(region_size(bytes), r))
        return cudaErrorMemoryAllocation;
    const size_t padded = (bytes + 15) / 16 * 16;
    const size_t used = (padded + page - 1) / page * page; // its last pages
    unsigned char* start = r.start + r.bytes - used;
    if (used && mprotect(start, used, PROT_READ | PROT_WRITE))
        return cudaErrorMemoryAllocation;
    unsigned char* base = r.start + r.bytes - padded; // aligned to 16 bytes
    SIMT_OPEN(start, used);
    std::memset(start, 0xff, used);
    SIMT_CLOSE(start, used);
    SIMT_OPEN(base, bytes);
    const Buffer* b = &buffers
                           .insert_or_assign(reinterpret_cast<uintptr_t>(base),
                                             Buffer{reinterpret_cast<uintptr_t>(base), bytes})
                           .first->second;
    for (size_t i = 0; i < used; i += page)
        page_of(start + i)->buffer = b;
    *p = base;
    return cudaSuccess;
}

cudaError_t cudaFree(void* p) {
    if (p == nullptr)
        return cudaSuccess;
    const auto it = buffers.find(reinterpret_cast<uintptr_t>(p));
    if (it == buffers.end())
        return cudaErrorInvalidValue;
    const size_t padded = (it->second.bytes + 15) / 16 * 16;
    const size_t used = (padded + page - 1) / page * page;
    unsigned char* end = static_cast<unsigned char*>(p) + padded;
    unsigned char* start = end - used;
    const size_t bytes = region_size(it->second.bytes);
    SIMT_CLOSE(start, used); // for a report that says more than that the page is protected
    if (used > 64 * page)
        madvise(start, used, MADV_DONTNEED);
    mprotect(start, used, PROT_NONE);
    for (size_t i = 0; i < used; i += page)
        page_of(start + i)->buffer = nullptr;
    buffers.erase(it);
    quarantine.push_back({end - bytes, bytes});
    quarantined += bytes;
    while (quarantine.size() > quarantine_regions || quarantined > quarantine_bytes)
        release_oldest();
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* dst, const void* src, size_t bytes, cudaMemcpyKind) {
    if (bytes)
        std::memmove(dst, src, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemset(void* dst, int value, size_t bytes) {
    if (bytes)
        std::memset(dst, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    const char* arch = std::getenv("SIMT_ARCH");
    const int number = arch ? std::atoi(arch) : 80;
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
        *value = 4;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = number / 10;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = number % 10;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = int(smem_bytes - 1024);
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorNotSupported:
        return "operation not supported";
    default:
        return last_error();
    }
}
