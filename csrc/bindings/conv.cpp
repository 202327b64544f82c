#include "conv/conv.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::bindings {
namespace {

using Pair = std::pair<int64_t, int64_t>;
using Shape4 = std::array<int64_t, 4>;

// Stored as NHWC, and not as NCHW too.
bool is_channels_last(const py::array& x) {
    if (is_contiguous(x))
        return false;
    ssize_t step = x.itemsize();
    for (const int axis : {1, 3, 2, 0}) {
        if (x.shape(axis) != 1 && x.strides(axis) != step)
            return false;
        step *= x.shape(axis);
    }
    return true;
}

py::array new_image(const py::dtype& dtype, const Shape4& shape, bool channels_last) {
    const std::array<size_t, 4> order =
        channels_last ? std::array<size_t, 4>{1, 3, 2, 0} : std::array<size_t, 4>{3, 2, 1, 0};
    const std::array<ssize_t, 4> lengths = {shape[0], shape[1], shape[2], shape[3]};
    std::array<ssize_t, 4> strides;
    contiguous_strides(dtype.itemsize(), lengths, order, strides);
    return new_array(dtype, lengths, strides);
}

template <class T>
Image<const T> image(const py::array& x) {
    return {data<T>(x),      x.shape(0),      x.shape(1),      x.shape(2),     x.shape(3),
            stride<T>(x, 0), stride<T>(x, 1), stride<T>(x, 2), stride<T>(x, 3)};
}

template <class T>
Image<T> mutable_image(const py::array& x) {
    const Image<const T> i = image<T>(x);
    return {mutable_data<T>(x), i.n, i.c, i.h, i.w, i.n_stride, i.c_stride, i.h_stride, i.w_stride};
}

std::string shape_text(const Shape4& shape) {
    return "(" + std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + ", " +
           std::to_string(shape[2]) + ", " + std::to_string(shape[3]) + ")";
}

Shape4 shape_of(const char* operation, const char* argument, const py::array& x) {
    if (x.ndim() != 4)
        throw py::value_error(std::string(operation) + ": " + argument +
                              " wants 4 axes, got shape " + bindings::shape_text(x));
    return {x.shape(0), x.shape(1), x.shape(2), x.shape(3)};
}

// Checks the settings against input and weight and gives the shape of the output.
Shape4 check(const char* operation, const Shape4& x, const Shape4& weight, const ConvShape& s) {
    const std::string name(operation);
    if (s.stride_h < 1 || s.stride_w < 1 || s.dilation_h < 1 || s.dilation_w < 1 || s.groups < 1)
        throw py::value_error(name + ": stride, dilation and groups want positive numbers");
    for (const Shape4& shape : {x, weight})
        if (std::ranges::any_of(shape, [](int64_t n) { return n < 0; }))
            throw py::value_error(name + ": a shape wants numbers of 0 or more, got " +
                                  shape_text(shape));
    for (const int64_t n : {s.stride_h, s.stride_w, s.padding_h, s.padding_w, s.dilation_h,
                            s.dilation_w, s.groups, s.kernel_h, s.kernel_w})
        if (n > INT32_MAX)
            throw py::value_error(name + ": " + std::to_string(n) +
                                  " is too big for stride, padding, dilation, groups or a kernel");
    if (s.padding_h < 0 || s.padding_w < 0)
        throw py::value_error(name + ": padding wants numbers of 0 or more");
    if (s.kernel_h < 1 || s.kernel_w < 1)
        throw py::value_error(name + ": weight wants a kernel of at least 1 x 1, got shape " +
                              shape_text(weight));
    if (x[1] != weight[1] * s.groups || weight[0] % s.groups != 0)
        throw py::value_error(name + ": input " + shape_text(x) + " and weight " +
                              shape_text(weight) +
                              " do not fit with groups=" + std::to_string(s.groups) +
                              ": want (N, C, H, W) and (O, C / groups, KH, KW)");
    const auto length = [](int64_t n, int64_t kernel, int64_t stride, int64_t padding,
                           int64_t dilation) {
        const int64_t room = n + 2 * padding - dilation * (kernel - 1) - 1;
        return room < 0 ? int64_t{0} : room / stride + 1;
    };
    const Shape4 y = {x[0], weight[0],
                      length(x[2], s.kernel_h, s.stride_h, s.padding_h, s.dilation_h),
                      length(x[3], s.kernel_w, s.stride_w, s.padding_w, s.dilation_w)};
    if (y[2] < 1 || y[3] < 1)
        throw py::value_error(name + ": a kernel of " + std::to_string(s.kernel_h) + " x " +
                              std::to_string(s.kernel_w) + " (dilation " +
                              std::to_string(s.dilation_h) + ", " + std::to_string(s.dilation_w) +
                              ") is larger than the padded input " + shape_text(x));
    return y;
}

ConvShape settings(const Shape4& weight, Pair stride, Pair padding, Pair dilation, int64_t groups) {
    return {weight[2],      weight[3],      stride.first,    stride.second, padding.first,
            padding.second, dilation.first, dilation.second, groups};
}

void check_gradient(const char* operation, const Shape4& g, const Shape4& y) {
    if (g != y)
        throw py::value_error(std::string(operation) + ": g wants shape " + shape_text(y) +
                              ", got " + shape_text(g));
}

py::object conv2d_forward(const py::array& x, const py::array& weight,
                          const std::optional<py::array>& bias, Pair stride, Pair padding,
                          Pair dilation, int64_t groups,
                          const std::optional<std::string_view>& activation) {
    const DType dtype = bias ? common_float(x, weight, *bias) : common_float(x, weight);
    if (dtype == DType::other || !is_contiguous(weight) || (bias && !is_contiguous(*bias)))
        return not_implemented();
    const Shape4 x_shape = shape_of("conv2d", "x", x);
    const Shape4 weight_shape = shape_of("conv2d", "weight", weight);
    const ConvShape shape = settings(weight_shape, stride, padding, dilation, groups);
    const Shape4 y_shape = check("conv2d", x_shape, weight_shape, shape);
    if (bias && (bias->ndim() != 1 || bias->shape(0) != weight_shape[0]))
        throw py::value_error("conv2d: bias wants shape (" + std::to_string(weight_shape[0]) +
                              ",), got " + bindings::shape_text(*bias));
    if (activation && *activation != "relu")
        throw py::value_error("conv2d: activation wants None or 'relu', got '" +
                              std::string(*activation) + "'");
    const py::array y = new_image(x.dtype(), y_shape, is_channels_last(x));
    const auto compute = [&]<class T>(T) {
        const py::gil_scoped_release release;
        conv2d<T>(image<T>(x), data<T>(weight), bias ? data<T>(*bias) : nullptr,
                  activation.has_value(), shape, mutable_image<T>(y));
    };
    dtype == DType::float32 ? compute(float{}) : compute(double{});
    return y;
}

py::object conv2d_input_grad_(const py::array& g, const py::array& weight,
                              const Shape4& input_shape, Pair stride, Pair padding, Pair dilation,
                              int64_t groups) {
    const DType dtype = common_float(g, weight);
    if (dtype == DType::other || !is_contiguous(weight))
        return not_implemented();
    const Shape4 weight_shape = shape_of("conv2d_input_grad", "weight", weight);
    const ConvShape shape = settings(weight_shape, stride, padding, dilation, groups);
    check_gradient("conv2d_input_grad", shape_of("conv2d_input_grad", "g", g),
                   check("conv2d_input_grad", input_shape, weight_shape, shape));
    const py::array gx = new_image(g.dtype(), input_shape, is_channels_last(g));
    const auto compute = [&]<class T>(T) {
        const py::gil_scoped_release release;
        conv2d_input_grad<T>(image<T>(g), data<T>(weight), shape, mutable_image<T>(gx));
    };
    dtype == DType::float32 ? compute(float{}) : compute(double{});
    return gx;
}

py::object conv2d_weight_grad_(const py::array& g, const py::array& x, const Shape4& weight_shape,
                               Pair stride, Pair padding, Pair dilation, int64_t groups) {
    const DType dtype = common_float(g, x);
    if (dtype == DType::other)
        return not_implemented();
    const ConvShape shape = settings(weight_shape, stride, padding, dilation, groups);
    check_gradient(
        "conv2d_weight_grad", shape_of("conv2d_weight_grad", "g", g),
        check("conv2d_weight_grad", shape_of("conv2d_weight_grad", "x", x), weight_shape, shape));
    const py::array gweight = new_image(g.dtype(), weight_shape, false);
    const auto compute = [&]<class T>(T) {
        const py::gil_scoped_release release;
        conv2d_weight_grad<T>(image<T>(g), image<T>(x), shape, mutable_data<T>(gweight));
    };
    dtype == DType::float32 ? compute(float{}) : compute(double{});
    return gweight;
}

} // namespace

void init_conv(py::module_& m) {
    m.def("conv2d", &conv2d_forward, py::arg("x").noconvert(), py::arg("weight").noconvert(),
          py::arg("bias").noconvert(), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
          py::arg("groups"), py::arg("activation"));
    m.def("conv2d_input_grad", &conv2d_input_grad_, py::arg("g").noconvert(),
          py::arg("weight").noconvert(), py::arg("input_shape"), py::arg("stride"),
          py::arg("padding"), py::arg("dilation"), py::arg("groups"));
    m.def("conv2d_weight_grad", &conv2d_weight_grad_, py::arg("g").noconvert(),
          py::arg("x").noconvert(), py::arg("weight_shape"), py::arg("stride"), py::arg("padding"),
          py::arg("dilation"), py::arg("groups"));
}

} // namespace fastnn::bindings
