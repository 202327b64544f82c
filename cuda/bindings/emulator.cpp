// The emulator seen from Python: its counters and its last error. Empty in the build for GPUs.
#include "bindings/bindings.h"

#ifdef FASTNN_CUDA_EMULATED

#include <pybind11/stl.h>

#include "core/runtime.h"
#include "emulator/counters.h"

namespace fastnn::cuda::bindings {

namespace py = pybind11;

void init_emulator(py::module_& m) {
    m.def("emulator_mode", [] { return FASTNN_CUDA_EMULATED_MODE; });
    m.def("emulator_last_error", [] { return std::string(simt::last_error()); });
    m.def("emulator_launches", [] { return simt::launch_count(); });
    m.def("emulator_reset_counters", [] { simt::reset_counts(); });
    // One dict for each kernel, line and kind of access.
    m.def("emulator_counters", [] {
        py::list rows;
        for (const auto& row : simt::line_counts()) {
            py::dict d;
            d["kernel"] = row.kernel;
            d["line"] = row.line;
            d["access"] = row.access;
            d["requests"] = row.count.requests;
            d["cost"] = row.count.cost;
            d["ideal"] = row.count.ideal;
            d["bytes"] = row.count.bytes;
            rows.append(d);
        }
        return rows;
    });
    // By kernel: launches, their blocks and barriers, bytes of global memory moved; the largest
    // block.
    m.def("emulator_kernels", [] {
        py::dict all;
        for (const auto& [name, count] : simt::kernel_counts()) {
            py::dict d;
            d["launches"] = count.launches;
            d["blocks"] = count.blocks;
            d["barriers"] = count.barriers;
            d["threads"] = count.threads;
            d["shared_bytes"] = count.shared_bytes;
            d["global_bytes"] = count.global_bytes;
            all[py::str(name)] = d;
        }
        return all;
    });
}

} // namespace fastnn::cuda::bindings

#else

namespace fastnn::cuda::bindings {
void init_emulator(pybind11::module_&) {}
} // namespace fastnn::cuda::bindings

#endif
