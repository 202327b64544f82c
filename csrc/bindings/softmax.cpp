// Softmax and cross-entropy: arguments as in the protocol.
#include "softmax/softmax.h"

#include <utility>

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

// The axis of an array seen as [outer][n][inner]. Arrays are C-contiguous, or channels last with
// the softmax over the channels, which then are the last axis in memory.
bool split_axis(PyObject* x, PyObject* axis_argument, int64_t* outer, int64_t* n, int64_t* inner) {
    const auto* array = array_of(x);
    int64_t axis = 0;
    if (!int_argument(axis_argument, &axis) || axis < -array->nd || axis >= array->nd)
        return false;
    axis = axis < 0 ? axis + array->nd : axis;
    *outer = *inner = 1;
    *n = array->dimensions[axis];
    if (!is_c_contiguous(x)) {
        if (axis != 1 || !is_channels_last(x))
            return false;
        *outer = array->dimensions[0] * array->dimensions[2] * array->dimensions[3];
        return true;
    }
    for (int i = 0; i < array->nd; ++i)
        (i < axis ? *outer : *inner) *= i == axis ? 1 : array->dimensions[i];
    return true;
}

bool same_layout(PyObject* a, PyObject* b) {
    const auto *aa = array_of(a), *bb = array_of(b);
    if (aa->nd != bb->nd)
        return false;
    for (int i = 0; i < aa->nd; ++i)
        if (aa->dimensions[i] != bb->dimensions[i] ||
            (aa->dimensions[i] != 1 && aa->strides[i] != bb->strides[i]))
            return false;
    return true;
}

template <Softmax Function>
PyObject* forward(PyObject* const* args, Py_ssize_t count) {
    int64_t outer = 0, n = 0, inner = 0;
    DType dtype{};
    if (count != 2 || (dtype = float_dtype(args[0])) == DType::other || size_of(args[0]) == 0 ||
        !split_axis(args[0], args[1], &outer, &n, &inner))
        return nullptr;
    Ref y(new_result_like(args[0], dtype));
    const MaybeReleaseGil release(size_of(args[0]));
    softmax(Function, dtype == DType::float64, data_of<void>(args[0]), nullptr, outer, n, inner,
            data_of<void>(y.get()));
    return y.release();
}

// (g, y, axis)
template <Softmax Function>
PyObject* backward(PyObject* const* args, Py_ssize_t count) {
    int64_t outer = 0, n = 0, inner = 0;
    DType dtype{};
    if (count != 3 || (dtype = float_dtype(args[0])) == DType::other ||
        float_dtype(args[1]) != dtype || size_of(args[0]) == 0 || !same_layout(args[0], args[1]) ||
        !split_axis(args[0], args[2], &outer, &n, &inner))
        return nullptr;
    Ref gx(new_result_like(args[0], dtype));
    const MaybeReleaseGil release(size_of(args[0]));
    softmax(Function, dtype == DType::float64, data_of<void>(args[0]), data_of<void>(args[1]),
            outer, n, inner, data_of<void>(gx.get()));
    return gx.release();
}

bool is_vector(PyObject* object, DType dtype, int64_t n) {
    return array_dtype(object) == dtype && array_of(object)->nd == 1 && dim(object, 0) == n &&
           is_c_contiguous(object);
}

bool parse_loss(PyObject* logits, PyObject* target, PyObject* weight, PyObject* ignore_index,
                PyObject* smoothing, CrossEntropy* call, DType* dtype) {
    *dtype = float_dtype(logits);
    if (*dtype == DType::other || array_of(logits)->nd != 2 || size_of(logits) == 0 ||
        !is_c_contiguous(logits) || !is_vector(target, DType::int64, dim(logits, 0)) ||
        (weight != Py_None && !is_vector(weight, *dtype, dim(logits, 1))) ||
        !int_argument(ignore_index, &call->ignore_index) ||
        !float_argument(smoothing, &call->smoothing))
        return false;
    call->classes = dim(logits, 1);
    call->logits = data_of<void>(logits);
    call->target = data_of<int64_t>(target);
    call->weight = weight == Py_None ? nullptr : data_of<void>(weight);
    return true;
}

bool reduction_argument(PyObject* object, LossReduction* reduction) {
    if (!PyUnicode_Check(object))
        return false;
    for (const auto& [name, value] : {std::pair{"mean", LossReduction::mean},
                                      {"sum", LossReduction::sum},
                                      {"none", LossReduction::none}})
        if (PyUnicode_CompareWithASCIIString(object, name) == 0) {
            *reduction = value;
            return true;
        }
    return false;
}

// (logits, target, weight, ignore_index, label_smoothing, reduction)
PyObject* cross_entropy(PyObject* const* args, Py_ssize_t count) {
    CrossEntropy call{};
    DType dtype{};
    LossReduction reduction{};
    if (count != 6 || !parse_loss(args[0], args[1], args[2], args[3], args[4], &call, &dtype) ||
        !reduction_argument(args[5], &reduction))
        return nullptr;
    const int64_t rows = dim(args[0], 0);
    const bool is_double = dtype == DType::float64;
    Ref loss(new_result(dtype, reduction == LossReduction::none ? 1 : 0, &rows));
    Ref lse(new_result(dtype, 1, &rows)), scale(new_result(dtype, 0, nullptr));
    double factor = 0;
    {
        const MaybeReleaseGil release(size_of(args[0]));
        factor = fastnn::cross_entropy(call, is_double, rows, reduction, data_of<void>(loss.get()),
                                       data_of<void>(lse.get()));
    }
    if (is_double)
        *data_of<double>(scale.get()) = factor;
    else
        *data_of<float>(scale.get()) = static_cast<float>(factor);
    return new_tuple({loss.release(), lse.release(), scale.release()});
}

// (g, scale, logits, target, lse, weight, ignore_index, label_smoothing)
PyObject* cross_entropy_backward(PyObject* const* args, Py_ssize_t count) {
    CrossEntropy call{};
    DType dtype{};
    if (count != 8 || !parse_loss(args[2], args[3], args[5], args[6], args[7], &call, &dtype))
        return nullptr;
    const int64_t rows = dim(args[2], 0);
    const auto is_one = [&](PyObject* array) {
        return array_dtype(array) == dtype && array_of(array)->nd == 0;
    };
    const bool one = is_one(args[0]); // for all samples
    if (!(one || is_vector(args[0], dtype, rows)) || !is_one(args[1]) ||
        !is_vector(args[4], dtype, rows))
        return nullptr;
    const bool is_double = dtype == DType::float64;
    const double scale = is_double ? *data_of<double>(args[1]) : *data_of<float>(args[1]);
    Ref gx(new_result_like(args[2], dtype));
    const MaybeReleaseGil release(size_of(args[2]));
    fastnn::cross_entropy_backward(call, is_double, rows, data_of<void>(args[0]), one ? 0 : 1,
                                   scale, data_of<void>(args[4]), data_of<void>(gx.get()));
    return gx.release();
}

} // namespace

void register_softmax() {
    register_fast<&forward<Softmax::forward>>("softmax");
    register_fast<&backward<Softmax::backward>>("softmax_backward");
    register_fast<&forward<Softmax::log_forward>>("log_softmax");
    register_fast<&backward<Softmax::log_backward>>("log_softmax_backward");
    register_fast<&bindings::cross_entropy>("cross_entropy");
    register_fast<&bindings::cross_entropy_backward>("cross_entropy_backward");
}

} // namespace fastnn::bindings
