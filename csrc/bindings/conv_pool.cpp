#include "conv/conv_pool.h"

#include <limits>
#include <optional>

#include "bindings/bindings.h"
#include "bindings/conv_arguments.h"

namespace fastnn::bindings {
namespace {

// The pooling of a map (N, O, H, W); false for one whose indices int32 does not hold.
bool set_map(const Shape4& map, bool channels_last, PoolShape* p) {
    p->n = map[0];
    p->c = map[1];
    p->h = map[2];
    p->w = map[3];
    p->channels_last = channels_last;
    p->padding[0] = p->padding[1] = 0;
    return map[0] > 0 && map[1] > 0 && map[2] <= std::numeric_limits<int32_t>::max() / map[3];
}

// (x, weight, bias or None, stride, padding, dilation, groups, activation or None, window, its
// stride, its dilation, indices = True)
PyObject* forward(PyObject* const* args, Py_ssize_t count) {
    std::optional<py::array> bias;
    ConvPool shape{};
    PoolShape& p = shape.pool;
    bool relu = false, wanted = true;
    if (count < 11 || count > 12 || (count > 11 && !bool_argument(args[11], &wanted)) ||
        !is_array(args[0]) || !is_array(args[1]) || !optional_array(args[2], &bias) ||
        !conv_settings(args + 3, &shape.conv) || !activation(args[7], &relu) ||
        !pair_argument(args[8], p.kernel) || !pair_argument(args[9], p.stride) ||
        !pair_argument(args[10], p.dilation))
        return nullptr;
    const py::array x = borrow(args[0]), weight = contiguous(borrow(args[1]));
    const DType dtype = bias ? common_float(x, weight, *bias) : common_float(x, weight);
    if (dtype == DType::other)
        return nullptr;
    const Shape4 weight_shape = image_shape("conv2d_max_pool2d", "weight", weight);
    const Shape4 map = check_conv("conv2d_max_pool2d", image_shape("conv2d_max_pool2d", "x", x),
                                  weight_shape, &shape.conv);
    if (bias && (bias->ndim() != 1 || bias->shape(0) != weight_shape[0]))
        throw py::value_error("conv2d_max_pool2d: bias wants shape (" +
                              std::to_string(weight_shape[0]) + ",), got " + shape_text(*bias));
    if (!set_map(map, is_channels_last(args[0]), &p))
        return nullptr;
    Shape4 pooled = map;
    for (int axis = 0; axis < 2; ++axis) {
        const int64_t size = map[static_cast<size_t>(2 + axis)];
        if (p.kernel[axis] < 1 || p.stride[axis] < 1 || p.dilation[axis] < 1 ||
            p.kernel[axis] > size || p.dilation[axis] > size ||
            (p.kernel[axis] - 1) * p.dilation[axis] >= size)
            throw py::value_error("conv2d_max_pool2d: a window of " + std::to_string(p.kernel[0]) +
                                  " x " + std::to_string(p.kernel[1]) +
                                  " does not fit into the convolution's " + std::to_string(map[2]) +
                                  " x " + std::to_string(map[3]) +
                                  ", or its stride or dilation is below 1");
        const int64_t room = size - (p.kernel[axis] - 1) * p.dilation[axis] - 1;
        pooled[static_cast<size_t>(2 + axis)] = room / p.stride[axis] + 1;
    }
    p.oh = pooled[2];
    p.ow = pooled[3];
    const py::array y = new_image(dtype, pooled, x);
    std::optional<py::array> indices;
    if (wanted)
        indices = new_image(DType::int32, pooled, x);
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(conv_work(map, weight_shape));
        conv2d_max_pool2d<T>(image<T>(x), data<T>(weight), bias ? data<T>(*bias) : nullptr, relu,
                             shape, mutable_data<T>(y),
                             indices ? mutable_data<int32_t>(*indices) : nullptr);
    };
    with_float(dtype, compute);
    return new_tuple({y.inc_ref().ptr(), indices ? indices->inc_ref().ptr() : Py_NewRef(Py_None)});
}

// (g, indices, x or None, weight or None, x_shape, weight_shape, stride, padding, dilation, groups)
PyObject* backward(PyObject* const* args, Py_ssize_t count) {
    ConvPool shape{};
    PoolShape& p = shape.pool;
    Shape4 x_shape, weight_shape;
    if (count != 10 || !is_array(args[0]) || !is_array(args[1]) ||
        (args[2] != Py_None && !is_array(args[2])) || (args[3] != Py_None && !is_array(args[3])) ||
        !shape_argument(args[4], 4, x_shape.data()) ||
        !shape_argument(args[5], 4, weight_shape.data()) || !conv_settings(args + 6, &shape.conv))
        return nullptr;
    const py::array g = borrow(args[0]), indices = borrow(args[1]);
    const bool channels_last = is_channels_last(args[1]);
    const DType dtype = common_float(g);
    const bool same_layout = channels_last ? is_channels_last(args[0])
                                           : is_c_contiguous(args[0]) && is_c_contiguous(args[1]);
    if (dtype == DType::other || array_dtype(args[1]) != DType::int32 || !same_layout)
        return nullptr;
    std::optional<py::array> x, weight, gx, gweight;
    if (args[2] != Py_None)
        x = borrow(args[2]);
    if (args[3] != Py_None)
        weight = contiguous(borrow(args[3]));
    if ((x && dtype_of(*x) != dtype) || (weight && dtype_of(*weight) != dtype))
        return nullptr;
    const char* const name = "conv2d_max_pool2d_backward";
    const Shape4 map = check_conv(name, x_shape, weight_shape, &shape.conv);
    const Shape4 g_shape = image_shape(name, "g", g);
    if (g_shape != image_shape(name, "indices", indices) || g_shape[0] != map[0] ||
        g_shape[1] != map[1] || (x && image_shape(name, "x", *x) != x_shape) ||
        (weight && image_shape(name, "weight", *weight) != weight_shape))
        throw py::value_error(std::string(name) + ": g " + shape_text(g) + ", indices " +
                              shape_text(indices) + ", x and weight do not fit together");
    if (!set_map(map, channels_last, &p) || g_shape[2] < 1 || g_shape[3] < 1)
        return nullptr;
    p.oh = g_shape[2];
    p.ow = g_shape[3];
    if (weight)
        gx = new_image(dtype, x_shape, g);
    if (x)
        gweight = py::reinterpret_steal<py::array>(new_result(dtype, 4, weight_shape.data()));
    const auto compute = [&]<class T>(T) {
        const MaybeReleaseGil release(conv_work(map, weight_shape));
        Image<const T> from{};
        from.n = x_shape[0];
        from.c = x_shape[1];
        if (x)
            from = image<T>(*x);
        Image<T> to{};
        if (gx)
            to = mutable_image<T>(*gx);
        conv2d_max_pool2d_backward<T>(data<T>(g), data<int32_t>(indices), from,
                                      weight ? data<T>(*weight) : nullptr, shape,
                                      gx ? &to : nullptr, x ? mutable_data<T>(*gweight) : nullptr);
    };
    with_float(dtype, compute);
    return new_tuple({gx ? gx->inc_ref().ptr() : Py_NewRef(Py_None),
                      gweight ? gweight->inc_ref().ptr() : Py_NewRef(Py_None)});
}

} // namespace

void register_conv_pool() {
    register_fast<forward>("conv2d_max_pool2d");
    register_fast<backward>("conv2d_max_pool2d_backward");
}

} // namespace fastnn::bindings
