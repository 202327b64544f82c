// What the machine can do at best, for benchmarks.
#include "roofline/roofline.h"

#include <string>

#include "bindings/bindings.h"

namespace fastnn::bindings {

namespace py = pybind11;

namespace {

void check_seconds(const char* function, double seconds) {
    if (!(seconds > 0 && seconds <= 60))
        throw py::value_error(std::string(function) +
                              ": seconds must be over 0 and at most 60, got " +
                              std::to_string(seconds));
}

double measure_flops(const std::string& dtype, double seconds) {
    check_seconds("peak_flops", seconds);
    if (dtype != "float32" && dtype != "float64")
        throw py::value_error("peak_flops: dtype must be 'float32' or 'float64', got '" + dtype +
                              "'");
    const py::gil_scoped_release release;
    return dtype == "float32" ? peak_flops<float>(seconds) : peak_flops<double>(seconds);
}

double measure_copy(int64_t bytes, double seconds) {
    check_seconds("copy_bandwidth", seconds);
    if (bytes < 1)
        throw py::value_error("copy_bandwidth: bytes must be at least 1, got " +
                              std::to_string(bytes));
    const py::gil_scoped_release release;
    return copy_bandwidth(bytes, seconds);
}

} // namespace

void init_roofline(py::module_& m) {
    m.def("peak_flops", &measure_flops, py::arg("dtype"), py::arg("seconds") = 0.4,
          "FLOP/s that fused multiply-adds in registers reach on all threads.");
    m.def("copy_bandwidth", &measure_copy, py::arg("bytes"), py::arg("seconds") = 0.4,
          "Bytes read and written a second by copies of `bytes` on all threads.");
}

} // namespace fastnn::bindings
