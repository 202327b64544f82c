// What the machine has.
#include <string>

#include "bindings/array.h"
#include "bindings/bindings.h"
#include "core/runtime.h"

namespace fastnn::cuda::bindings {

void init_runtime(py::module_& m) {
#ifdef FASTNN_CUDA_EMULATED
    m.attr("emulated") = true;
#else
    m.attr("emulated") = false;
#endif
    m.def("device_count", [] {
        int count = 0;
        const cudaError_t error = cudaGetDeviceCount(&count);
        cudaGetLastError(); // a machine with no driver is no error for the next call
        return error == cudaSuccess ? count : 0;
    });
    // Why there is no device: "" where there is one.
    m.def("device_error", []() -> std::string {
        int count = 0;
        const cudaError_t error = cudaGetDeviceCount(&count);
        cudaGetLastError();
        if (error != cudaSuccess) {
            int driver = 0; // stays 0 where there is no driver at all
            cudaDriverGetVersion(&driver);
            return driver ? cudaGetErrorString(error) : "no NVIDIA driver was found";
        }
        return count ? "" : "no CUDA device was found";
    });
}

} // namespace fastnn::cuda::bindings
