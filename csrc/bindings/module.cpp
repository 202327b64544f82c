#include "bindings/bindings.h"

PYBIND11_MODULE(_cpu, m) {
    using namespace fastnn::bindings;
    m.doc() = "fastnn's C++ kernels; fastnn.backends.cpu is what uses them.";
    init_runtime(m);
    init_fast_call(m);
    init_roofline(m);
}
