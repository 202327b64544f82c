// Softmax and cross-entropy: arguments as in the protocol.
#include "softmax/softmax.h"

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

// (logits, target, weight, ignore_index, label_smoothing)
PyObject* cross_entropy(PyObject* const* args, Py_ssize_t count) {
    CrossEntropy call{};
    DType dtype{};
    if (count != 5 || !parse_loss(args[0], args[1], args[2], args[3], args[4], &call, &dtype))
        return nullptr;
    const int64_t rows = dim(args[0], 0);
    Ref loss(new_result(dtype, 1, &rows)), lse(new_result(dtype, 1, &rows));
    {
        const MaybeReleaseGil release(size_of(args[0]));
        fastnn::cross_entropy(call, dtype == DType::float64, rows, data_of<void>(loss.get()),
                              data_of<void>(lse.get()));
    }
    return new_tuple({loss.release(), lse.release()});
}

// (g, logits, target, lse, weight, ignore_index, label_smoothing)
PyObject* cross_entropy_backward(PyObject* const* args, Py_ssize_t count) {
    CrossEntropy call{};
    DType dtype{};
    if (count != 7 || !parse_loss(args[1], args[2], args[4], args[5], args[6], &call, &dtype))
        return nullptr;
    const int64_t rows = dim(args[1], 0);
    const bool one = array_dtype(args[0]) == dtype && array_of(args[0])->nd == 0; // for all samples
    if (!(one || is_vector(args[0], dtype, rows)) || !is_vector(args[3], dtype, rows))
        return nullptr;
    Ref gx(new_result_like(args[1], dtype));
    const MaybeReleaseGil release(size_of(args[1]));
    fastnn::cross_entropy_backward(call, dtype == DType::float64, rows, data_of<void>(args[0]),
                                   one ? 0 : 1, data_of<void>(args[3]), data_of<void>(gx.get()));
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
