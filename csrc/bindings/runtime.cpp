// Threads, ISA level and buffer pool, as functions of the module.
#include "bindings/bindings.h"

#include "core/buffer_pool.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "gemm/narrow.h"

namespace fastnn::bindings {

namespace py = pybind11;

void init_runtime(py::module_& m) {
    init_isa();
    // In this order: fork() locks the thread pool before the buffer pool, as a running kernel does.
    init_buffer_pool();
    init_threads();

    m.def("isa", [] { return isa_name(active_isa()); }, "The ISA level that the kernels run on.");
    m.def(
        "isa_levels",
        [] {
            py::list names;
            for (Isa isa : available_isas())
                names.append(isa_name(isa));
            return names;
        },
        "The ISA levels that this machine can run, lowest first.");
    m.def(
        "vector_levels",
        [] {
            py::list names;
            for (Isa isa : available_isas())
                if (isa <= Isa::avx512)
                    names.append(isa_name(isa));
            return names;
        },
        "Those of isa_levels() with vectors of their own; the others add to the last for narrow "
        "products.");
    m.def("set_isa", &set_isa, py::arg("name"),
          "Switch the kernels to a level of isa_levels(); ValueError for another name.");
    m.def("set_float32_matmul_precision", &set_float32_matmul_precision, py::arg("precision"),
          "Multiply float32 matrices as highest, high, medium or bfloat16_x6 says; ValueError for "
          "another name.");
    m.def("get_num_threads", &num_threads, "The most threads that one kernel uses.");
    m.def("set_num_threads", &set_num_threads, py::arg("n"),
          py::call_guard<py::gil_scoped_release>(),
          "Let one kernel use up to n threads; ValueError for n < 1. Results do not depend on n.");
    m.def(
        "pool_stats",
        [] {
            const PoolStats stats = pool_stats();
            py::dict result;
            result["in_use"] = stats.in_use;
            result["cached"] = stats.cached;
            result["allocated"] = stats.allocated;
            result["reused"] = stats.reused;
            return result;
        },
        "Bytes in use and cached by the buffer pool, allocations made and reused.");
    m.def("pool_trim", &pool_trim, "Give the buffer pool's unused memory back to the system.");
    m.def("pool_set_limit", &pool_set_limit, py::arg("bytes"),
          "Keep at most this many unused bytes in the buffer pool.");
}

} // namespace fastnn::bindings
