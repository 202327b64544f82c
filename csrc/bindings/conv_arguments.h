// The arguments that the convolutions of images share.
#pragma once

#include <array>
#include <string>

#include "bindings/array.h"
#include "bindings/fast_call.h"
#include "conv/conv.h"

namespace fastnn::bindings {

using Shape4 = std::array<int64_t, 4>;

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

// A new image with the channels last where those of `like` are.
py::array new_image(DType dtype, const Shape4& shape, const py::array& like);

// ValueError for another number of axes.
Shape4 image_shape(const char* operation, const char* argument, const py::array& x);

// Checks the settings against input and weight (ValueError), fills in the kernel, and gives the
// shape of the output.
Shape4 check_conv(const char* operation, const Shape4& x, const Shape4& weight, ConvShape* shape);

// (stride, padding, dilation, groups), beginning at args[0]; false for others.
bool conv_settings(PyObject* const* args, ConvShape* shape);

// ValueError where g has not the shape of the output.
void check_gradient(const char* operation, const Shape4& g, const Shape4& y);

// Multiplications of the convolution, roughly: whether it is worth releasing the GIL.
int64_t conv_work(const Shape4& y, const Shape4& weight);

} // namespace fastnn::bindings
