#include "conv/conv.h"

#include <optional>

#include "bindings/bindings.h"
#include "bindings/conv_arguments.h"

namespace fastnn::bindings {
namespace {

// Weights that are contiguous or have their channels last, else a copy.
py::array weights(PyObject* object, ConvShape* shape) {
    shape->weight_last = is_channels_last(object);
    return shape->weight_last ? borrow(object) : contiguous(borrow(object));
}

// (x, weight, bias or None, stride, padding, dilation, groups, activation or None)
PyObject* forward(PyObject* const* args, Py_ssize_t count) {
    std::optional<py::array> bias;
    ConvShape shape{};
    bool relu = false;
    if (count < 7 || count > 8 || !is_array(args[0]) || !is_array(args[1]) ||
        !optional_array(args[2], &bias) || !conv_settings(args + 3, &shape) ||
        !activation(count > 7 ? args[7] : Py_None, &relu))
        return nullptr;
    const py::array x = borrow(args[0]), weight = weights(args[1], &shape);
    const DType dtype = bias ? common_float(x, weight, *bias) : common_float(x, weight);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 x_shape = image_shape("conv2d", "x", x);
    const Shape4 weight_shape = image_shape("conv2d", "weight", weight);
    const Shape4 y_shape = check_conv("conv2d", x_shape, weight_shape, &shape);
    if (bias && (bias->ndim() != 1 || bias->shape(0) != weight_shape[0]))
        throw py::value_error("conv2d: bias wants shape (" + std::to_string(weight_shape[0]) +
                              ",), got " + bindings::shape_text(*bias));
    const py::array y = new_image(dtype, y_shape, x);
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(conv_work(y_shape, weight_shape));
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
        !shape_argument(args[2], 4, input_shape.data()) || !conv_settings(args + 3, &shape))
        return nullptr;
    const py::array g = borrow(args[0]), weight = weights(args[1], &shape);
    const DType dtype = common_float(g, weight);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 weight_shape = image_shape("conv2d_input_grad", "weight", weight);
    const Shape4 g_shape = image_shape("conv2d_input_grad", "g", g);
    check_gradient("conv2d_input_grad", g_shape,
                   check_conv("conv2d_input_grad", input_shape, weight_shape, &shape));
    const py::array gx = new_image(dtype, input_shape, g);
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(conv_work(g_shape, weight_shape));
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
        !shape_argument(args[2], 4, weight_shape.data()) || !conv_settings(args + 3, &shape))
        return nullptr;
    const py::array g = borrow(args[0]), x = borrow(args[1]);
    const DType dtype = common_float(g, x);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 x_shape = image_shape("conv2d_weight_grad", "x", x);
    const Shape4 g_shape = image_shape("conv2d_weight_grad", "g", g);
    check_gradient("conv2d_weight_grad", g_shape,
                   check_conv("conv2d_weight_grad", x_shape, weight_shape, &shape));
    const py::array gweight =
        py::reinterpret_steal<py::array>(new_result(dtype, 4, weight_shape.data()));
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(conv_work(g_shape, weight_shape));
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
