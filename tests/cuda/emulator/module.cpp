// `_cuda_emulator_tests`: runs one of the kernels on copies of bytes.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "emulator/counters.h"
#include "kernels.h"

namespace py = pybind11;
using emulator_tests::kernels;

namespace {

struct DeviceBytes {
    void* data = nullptr;
    explicit DeviceBytes(size_t bytes) { cudaMalloc(&data, bytes); }
    ~DeviceBytes() { cudaFree(data); }
    DeviceBytes(const DeviceBytes&) = delete;
    DeviceBytes& operator=(const DeviceBytes&) = delete;
};

// (error message or "", what the kernel wrote)
py::tuple run(const std::string& name, const std::string& input, const std::string& initial, int n,
              unsigned blocks, unsigned threads, size_t smem) {
    const DeviceBytes in(input.size()), out(initial.size());
    cudaMemcpy(in.data, input.data(), input.size(), cudaMemcpyHostToDevice);
    cudaMemcpy(out.data, initial.data(), initial.size(), cudaMemcpyHostToDevice);
    const cudaError_t error = simt::launch(kernels().at(name), dim3(blocks), dim3(threads), smem,
                                           nullptr, static_cast<const void*>(in.data), out.data, n);
    std::string result(initial.size(), '\0');
    cudaMemcpy(result.data(), out.data, result.size(), cudaMemcpyDeviceToHost);
    return py::make_tuple(error == cudaSuccess ? "" : cudaGetErrorString(error), py::bytes(result));
}

// A kernel that gets the address of memory already freed.
std::string run_freed(const std::string& name, size_t bytes) {
    void* gone = nullptr;
    cudaMalloc(&gone, bytes);
    cudaFree(gone);
    const DeviceBytes out(4096);
    const cudaError_t error = simt::launch(kernels().at(name), dim3(1), dim3(32), 0, nullptr,
                                           static_cast<const void*>(gone), out.data, 0);
    return error == cudaSuccess ? "" : cudaGetErrorString(error);
}

// Addresses of n buffers, allocated and freed one after another.
std::vector<uintptr_t> allocate_and_free(int n, size_t bytes) {
    std::vector<uintptr_t> addresses;
    for (int i = 0; i < n; i++)
        addresses.push_back(reinterpret_cast<uintptr_t>(DeviceBytes(bytes).data));
    return addresses;
}

py::list counters() {
    py::list rows;
    for (const auto& row : simt::line_counts())
        rows.append(py::make_tuple(row.kernel, row.line, row.access, row.count.requests,
                                   row.count.cost, row.count.ideal));
    return rows;
}

} // namespace

PYBIND11_MODULE(_cuda_emulator_tests, m) {
    m.attr("mode") = FASTNN_CUDA_EMULATED_MODE;
    m.def("run", run);
    m.def("run_freed", run_freed);
    m.def("allocate_and_free", allocate_and_free);
    m.def("counters", counters);
    m.def("reset_counters", simt::reset_counts);
    m.def("kernels", [] {
        std::vector<std::string> names;
        for (const auto& [name, kernel] : kernels())
            names.push_back(name);
        return names;
    });
}
