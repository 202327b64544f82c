#include "bindings/mirror.h"

#include <cstring>
#include <list>

#include "bindings/array.h"

namespace fastnn::cuda::bindings {

#ifndef FASTNN_CUDA_EMULATED

void* open_mirror(const Array& array, Access, void** mirror) {
    *mirror = nullptr;
    return array.data;
}

void close_mirror(void*) {}

#else

namespace {

struct Mirror {
    char* host;
    size_t bytes;
    void* device;
    bool written;
    int users;
};

// Arguments that lie within another share its mirror. Those that overlap in part (the slices of a
// packed projection, say) have one each, and so must not be written.
std::list<Mirror>& mirrors() {
    static std::list<Mirror> all;
    return all;
}

} // namespace

void* open_mirror(const Array& array, Access access, void** mirror) {
    const auto item = static_cast<int64_t>(size_of(array.dtype));
    int64_t first = 0;
    int64_t last = item;
    for (int i = 0; i < array.ndim; i++) {
        const int64_t reach = (array.shape[i] - 1) * array.stride[i] * item;
        (reach < 0 ? first : last) += reach;
    }
    char* host = static_cast<char*>(array.data) + first;
    const auto bytes = static_cast<size_t>(last - first);
    const bool writes = access == Access::write;
    Mirror* shared = nullptr;
    int overlaps = 0;
    bool written = writes;
    for (Mirror& m : mirrors()) {
        if (host >= m.host + m.bytes || m.host >= host + bytes)
            continue;
        overlaps++;
        written |= m.written;
        if (host >= m.host && host + bytes <= m.host + m.bytes)
            shared = &m;
    }
    if (written && overlaps > (shared != nullptr))
        throw py::value_error("emulator: an argument that is written overlaps another in part");
    if (shared == nullptr) {
        Mirror m{host, bytes, nullptr, false, 0};
        check("emulator", cudaMalloc(&m.device, bytes));
        cudaMemcpy(m.device, host, bytes, cudaMemcpyHostToDevice);
        shared = &mirrors().emplace_back(m);
    }
    shared->users++;
    shared->written |= writes;
    *mirror = shared;
    return static_cast<char*>(shared->device) + (static_cast<char*>(array.data) - shared->host);
}

void close_mirror(void* mirror) {
    if (mirror == nullptr)
        return;
    auto* m = static_cast<Mirror*>(mirror);
    if (--m->users > 0)
        return;
    if (m->written)
        cudaMemcpy(m->host, m->device, m->bytes, cudaMemcpyDeviceToHost);
    cudaFree(m->device);
    mirrors().remove_if([m](const Mirror& x) { return &x == m; });
}

#endif

} // namespace fastnn::cuda::bindings
