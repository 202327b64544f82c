#include "bindings/conv_arguments.h"

#include <algorithm>

namespace fastnn::bindings {
namespace {

std::string shape_text(const Shape4& shape) {
    return "(" + std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + ", " +
           std::to_string(shape[2]) + ", " + std::to_string(shape[3]) + ")";
}

} // namespace

py::array new_image(DType dtype, const Shape4& shape, const py::array& like) {
    return py::reinterpret_steal<py::array>(
        new_image(dtype, shape.data(), is_channels_last(like.ptr())));
}

Shape4 image_shape(const char* operation, const char* argument, const py::array& x) {
    if (x.ndim() != 4)
        throw py::value_error(std::string(operation) + ": " + argument +
                              " wants 4 axes, got shape " + bindings::shape_text(x));
    return {x.shape(0), x.shape(1), x.shape(2), x.shape(3)};
}

Shape4 check_conv(const char* operation, const Shape4& x, const Shape4& weight, ConvShape* shape) {
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

bool conv_settings(PyObject* const* args, ConvShape* shape) {
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

int64_t conv_work(const Shape4& y, const Shape4& weight) {
    return y[0] * y[1] * y[2] * y[3] * weight[1] * weight[2] * weight[3];
}

} // namespace fastnn::bindings
