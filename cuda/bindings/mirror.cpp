#include "bindings/mirror.h"

#include <cstring>
#include <map>

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

// By the host address of the first byte; arguments that share memory share a mirror.
std::map<char*, Mirror>& mirrors() {
    static std::map<char*, Mirror> all;
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
    auto& all = mirrors();
    auto found = all.upper_bound(host);
    if (found != all.begin()) {
        --found;
        Mirror& m = found->second;
        if (host < m.host + m.bytes) {
            if (host + bytes > m.host + m.bytes)
                throw py::value_error("emulator: two arguments overlap in part");
            m.users++;
            m.written |= access == Access::write;
            *mirror = &m;
            return static_cast<char*>(m.device) + (static_cast<char*>(array.data) - m.host);
        }
    }
    Mirror m{host, bytes, nullptr, access == Access::write, 1};
    check("emulator", cudaMalloc(&m.device, bytes));
    cudaMemcpy(m.device, host, bytes, cudaMemcpyHostToDevice);
    Mirror& kept = all.emplace(host, m).first->second;
    *mirror = &kept;
    return static_cast<char*>(kept.device) - first;
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
    mirrors().erase(m->host);
}

#endif

} // namespace fastnn::cuda::bindings
