#include "elementwise/elementwise.h"

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

void unary(Elementwise function, const char* name, py::handle x, py::handle y, double parameter,
           std::uintptr_t stream) {
    const Array in(x, name, "x");
    const Array out(y, name, "y", Access::write);
    in.require_contiguous();
    out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
    check(name, elementwise(function, in.dtype, in.data, nullptr, out.data, in.size(), parameter,
                            as_stream(stream)));
}

void binary(Elementwise function, const char* name, py::handle g, py::handle x, py::handle y,
            double parameter, std::uintptr_t stream) {
    const Array gradient(g, name, "g");
    const Array in(x, name, "x");
    const Array out(y, name, "y", Access::write);
    gradient.require_contiguous();
    in.require_contiguous().require_dtype(gradient.dtype).require_size(gradient.size());
    out.require_contiguous().require_dtype(gradient.dtype).require_size(gradient.size());
    check(name, elementwise(function, in.dtype, gradient.data, in.data, out.data, in.size(),
                            parameter, as_stream(stream)));
}

} // namespace

void init_elementwise(py::module_& m) {
    const auto def_unary = [&m](const char* name, Elementwise function) {
        m.def(
            name,
            [=](py::handle x, py::handle y, double parameter, std::uintptr_t stream) {
                unary(function, name, x, y, parameter, stream);
            },
            py::arg("x"), py::arg("y"), py::arg("parameter"), py::arg("stream"));
    };
    const auto def_binary = [&m](const char* name, Elementwise function) {
        m.def(
            name,
            [=](py::handle g, py::handle x, py::handle y, double parameter, std::uintptr_t stream) {
                binary(function, name, g, x, y, parameter, stream);
            },
            py::arg("g"), py::arg("x"), py::arg("y"), py::arg("parameter"), py::arg("stream"));
    };
    def_unary("relu", Elementwise::relu);
    def_unary("leaky_relu", Elementwise::leaky_relu);
    def_unary("sigmoid", Elementwise::sigmoid);
    def_unary("silu", Elementwise::silu);
    def_unary("gelu", Elementwise::gelu);
    def_unary("gelu_tanh", Elementwise::gelu_tanh);
    def_binary("relu_backward", Elementwise::relu_backward);
    def_binary("leaky_relu_backward", Elementwise::leaky_relu_backward);
    def_binary("sigmoid_backward", Elementwise::sigmoid_backward);
    def_binary("tanh_backward", Elementwise::tanh_backward);
    def_binary("silu_backward", Elementwise::silu_backward);
    def_binary("gelu_backward", Elementwise::gelu_backward);
    def_binary("gelu_tanh_backward", Elementwise::gelu_tanh_backward);
}

} // namespace fastnn::cuda::bindings
