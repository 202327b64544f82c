#include "conv/conv.h"

#include <algorithm>
#include <array>
#include <optional>

#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

using Shape4 = std::array<int64_t, 4>;

py::array new_image(DType dtype, const Shape4& shape, const py::array& like) {
    return py::reinterpret_steal<py::array>(
        new_image(dtype, shape.data(), is_channels_last(like.ptr())));
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

// Checks the settings against input and weight, fills in the kernel, and gives the shape of the
// output.
Shape4 check(const char* operation, const Shape4& x, const Shape4& weight, ConvShape* shape) {
    shape->kernel_h = weight[2];
    shape->kernel_w = weight[3];
    const ConvShape& s = *shape;
    const std::string name(operation);
    if (s.stride_h < 1 || s.stride_w < 1 || s.dilation_h < 1 || s.dilation_w < 1 || s.groups < 1)
        throw py::value_error(name + ": stride, dilation and groups want positive numbers");
    for (const Shape4& sizes : {x, weight})
        if (std::ranges::any_of(sizes, [](int64_t n) { return n < 0; }))
            throw py::value_error(name + ": a shape wants numbers of 0 or more, got " +
                                  shape_text(sizes));
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

// (..., stride, padding, dilation, groups), beginning at args[0].
bool settings(PyObject* const* args, ConvShape* shape) {
    int64_t stride[2], padding[2], dilation[2];
    if (!pair_argument(args[0], stride) || !pair_argument(args[1], padding) ||
        !pair_argument(args[2], dilation) || !int_argument(args[3], &shape->groups))
        return false;
    shape->stride_h = stride[0];
    shape->stride_w = stride[1];
    shape->padding_h = padding[0];
    shape->padding_w = padding[1];
    shape->dilation_h = dilation[0];
    shape->dilation_w = dilation[1];
    return true;
}

void check_gradient(const char* operation, const Shape4& g, const Shape4& y) {
    if (g != y)
        throw py::value_error(std::string(operation) + ": g wants shape " + shape_text(y) +
                              ", got " + shape_text(g));
}

// Multiplications of the convolution, roughly: whether it is worth releasing the GIL.
int64_t work(const Shape4& y, const Shape4& weight) {
    return y[0] * y[1] * y[2] * y[3] * weight[1] * weight[2] * weight[3];
}

// (x, weight, bias or None, stride, padding, dilation, groups, activation or None)
PyObject* forward(PyObject* const* args, Py_ssize_t count) {
    std::optional<py::array> bias;
    ConvShape shape{};
    bool relu = false;
    if (count < 7 || count > 8 || !is_array(args[0]) || !is_array(args[1]) ||
        !optional_array(args[2], &bias) || !settings(args + 3, &shape) ||
        !activation(count > 7 ? args[7] : Py_None, &relu))
        return nullptr;
    const py::array x = borrow(args[0]), weight = contiguous(borrow(args[1]));
    const DType dtype = bias ? common_float(x, weight, *bias) : common_float(x, weight);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 x_shape = shape_of("conv2d", "x", x);
    const Shape4 weight_shape = shape_of("conv2d", "weight", weight);
    const Shape4 y_shape = check("conv2d", x_shape, weight_shape, &shape);
    if (bias && (bias->ndim() != 1 || bias->shape(0) != weight_shape[0]))
        throw py::value_error("conv2d: bias wants shape (" + std::to_string(weight_shape[0]) +
                              ",), got " + bindings::shape_text(*bias));
    const py::array y = new_image(dtype, y_shape, x);
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(work(y_shape, weight_shape));
        conv2d<T>(image<T>(x), data<T>(weight), bias ? data<T>(*bias) : nullptr, relu, shape,
                  mutable_image<T>(y));
    };
    dtype == DType::float32 ? compute(float{}) : compute(double{});
    return y.inc_ref().ptr();
}

// (g, weight, input_shape, stride, padding, dilation, groups)
PyObject* input_grad(PyObject* const* args, Py_ssize_t count) {
    ConvShape shape{};
    Shape4 input_shape;
    if (count != 7 || !is_array(args[0]) || !is_array(args[1]) ||
        !shape_argument(args[2], 4, input_shape.data()) || !settings(args + 3, &shape))
        return nullptr;
    const py::array g = borrow(args[0]), weight = contiguous(borrow(args[1]));
    const DType dtype = common_float(g, weight);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 weight_shape = shape_of("conv2d_input_grad", "weight", weight);
    const Shape4 g_shape = shape_of("conv2d_input_grad", "g", g);
    check_gradient("conv2d_input_grad", g_shape,
                   check("conv2d_input_grad", input_shape, weight_shape, &shape));
    const py::array gx = new_image(dtype, input_shape, g);
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(work(g_shape, weight_shape));
        conv2d_input_grad<T>(image<T>(g), data<T>(weight), shape, mutable_image<T>(gx));
    };
    dtype == DType::float32 ? compute(float{}) : compute(double{});
    return gx.inc_ref().ptr();
}

// (g, x, weight_shape, stride, padding, dilation, groups)
PyObject* weight_grad(PyObject* const* args, Py_ssize_t count) {
    ConvShape shape{};
    Shape4 weight_shape;
    if (count != 7 || !is_array(args[0]) || !is_array(args[1]) ||
        !shape_argument(args[2], 4, weight_shape.data()) || !settings(args + 3, &shape))
        return nullptr;
    const py::array g = borrow(args[0]), x = borrow(args[1]);
    const DType dtype = common_float(g, x);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 x_shape = shape_of("conv2d_weight_grad", "x", x);
    const Shape4 g_shape = shape_of("conv2d_weight_grad", "g", g);
    check_gradient("conv2d_weight_grad", g_shape,
                   check("conv2d_weight_grad", x_shape, weight_shape, &shape));
    const py::array gweight =
        py::reinterpret_steal<py::array>(new_result(dtype, 4, weight_shape.data()));
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(work(g_shape, weight_shape));
        conv2d_weight_grad<T>(image<T>(g), image<T>(x), shape, mutable_data<T>(gweight));
    };
    dtype == DType::float32 ? compute(float{}) : compute(double{});
    return gweight.inc_ref().ptr();
}

} // namespace

void register_conv() {
    register_fast<forward>("conv2d");
    register_fast<input_grad>("conv2d_input_grad");
    register_fast<weight_grad>("conv2d_weight_grad");
}

} // namespace fastnn::bindings
