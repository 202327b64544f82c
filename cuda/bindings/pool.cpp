#include "pool/pool.h"

#include <tuple>
#include <utility>

#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

using Ints = std::pair<int, int>;

// `image` is the input or its gradient, `pooled` the output or its gradient: dense, (N, C, H, W) or
// with channels_last (N, H, W, C).
Pooling sizes_of(const Array& image, const Array& pooled, bool channels_last) {
    image.require_contiguous().require_ndim(4);
    pooled.require_contiguous().require_ndim(4);
    pooled.require_dtype(image.dtype);
    Pooling call{};
    call.dtype = image.dtype;
    call.n = image.shape[0];
    call.c = image.shape[channels_last ? 3 : 1];
    call.h = image.shape[channels_last ? 1 : 2];
    call.w = image.shape[channels_last ? 2 : 3];
    call.oh = pooled.shape[channels_last ? 1 : 2];
    call.ow = pooled.shape[channels_last ? 2 : 3];
    call.channels_last = channels_last;
    pooled.require_size(call.n * call.c * call.oh * call.ow);
    return call;
}

void set_window(Pooling& call, Ints kernel, Ints stride, Ints padding, Ints dilation) {
    std::tie(call.kernel_h, call.kernel_w) = kernel;
    std::tie(call.stride_h, call.stride_w) = stride;
    std::tie(call.padding_h, call.padding_w) = padding;
    std::tie(call.dilation_h, call.dilation_w) = dilation;
}

void set_average(Pooling& call, Ints kernel, Ints stride, Ints padding, bool count_include_pad,
                 int divisor_override) {
    set_window(call, kernel, stride, padding, {1, 1});
    call.count_include_pad = count_include_pad;
    call.divisor_override = divisor_override;
}

} // namespace

void init_pool(py::module_& m) {
    m.def("max_pool2d",
          [](py::handle x, py::handle y, py::handle indices, bool channels_last, Ints kernel,
             Ints stride, Ints padding, Ints dilation, std::uintptr_t stream_) {
              const Array in(x, "max_pool2d", "x");
              const Array out(y, "max_pool2d", "y", Access::write);
              const Array at(indices, "max_pool2d", "indices", Access::write);
              Pooling call = sizes_of(in, out, channels_last);
              set_window(call, kernel, stride, padding, dilation);
              at.require_contiguous().require_dtype(DType::int32).require_size(out.size());
              check("max_pool2d",
                    max_pool2d(call, in.data, out.data, at.as<int32_t>(), as_stream(stream_)));
          });
    m.def("max_pool2d_backward", [](py::handle g, py::handle indices, py::handle gx,
                                    bool channels_last, std::uintptr_t stream) {
        const char* const name = "max_pool2d_backward";
        const Array gradient(g, name, "g");
        const Array at(indices, name, "indices");
        const Array out(gx, name, "gx", Access::write);
        const Pooling call = sizes_of(out, gradient, channels_last);
        at.require_contiguous().require_dtype(DType::int32).require_size(gradient.size());
        check(name, max_pool2d_backward(call, gradient.data, at.as<int32_t>(), out.data,
                                        as_stream(stream)));
    });
    m.def("avg_pool2d",
          [](py::handle x, py::handle y, bool channels_last, Ints kernel, Ints stride, Ints padding,
             bool count_include_pad, int divisor_override, std::uintptr_t stream_) {
              const Array in(x, "avg_pool2d", "x");
              const Array out(y, "avg_pool2d", "y", Access::write);
              Pooling call = sizes_of(in, out, channels_last);
              set_average(call, kernel, stride, padding, count_include_pad, divisor_override);
              check("avg_pool2d", avg_pool2d(call, in.data, out.data, as_stream(stream_)));
          });
    m.def("avg_pool2d_backward",
          [](py::handle g, py::handle gx, bool channels_last, Ints kernel, Ints stride,
             Ints padding, bool count_include_pad, int divisor_override, std::uintptr_t stream_) {
              const char* const name = "avg_pool2d_backward";
              const Array gradient(g, name, "g");
              const Array out(gx, name, "gx", Access::write);
              Pooling call = sizes_of(out, gradient, channels_last);
              set_average(call, kernel, stride, padding, count_include_pad, divisor_override);
              check(name, avg_pool2d_backward(call, gradient.data, out.data, as_stream(stream_)));
          });
    m.def("adaptive_avg_pool2d",
          [](py::handle x, py::handle y, bool channels_last, std::uintptr_t stream) {
              const Array in(x, "adaptive_avg_pool2d", "x");
              const Array out(y, "adaptive_avg_pool2d", "y", Access::write);
              const Pooling call = sizes_of(in, out, channels_last);
              check("adaptive_avg_pool2d",
                    adaptive_avg_pool2d(call, in.data, out.data, as_stream(stream)));
          });
    m.def("adaptive_avg_pool2d_backward", [](py::handle g, py::handle gx, bool channels_last,
                                             std::uintptr_t stream) {
        const char* const name = "adaptive_avg_pool2d_backward";
        const Array gradient(g, name, "g");
        const Array out(gx, name, "gx", Access::write);
        const Pooling call = sizes_of(out, gradient, channels_last);
        check(name, adaptive_avg_pool2d_backward(call, gradient.data, out.data, as_stream(stream)));
    });
}

} // namespace fastnn::cuda::bindings
