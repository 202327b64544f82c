// Random numbers and dropout: arguments as in the protocol.
#include "random/random.h"

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

// (seed, offset, n)
PyObject* philox(PyObject* const* args, Py_ssize_t count) {
    uint64_t seed = 0, offset = 0;
    int64_t n = 0;
    // Whole blocks go to the kernel; the specification cuts off the rest.
    if (count != 3 || !bits_argument(args[0], &seed) || !bits_argument(args[1], &offset) ||
        !int_argument(args[2], &n) || n < 0 || n % 4 != 0)
        return nullptr;
    Ref words(new_result(DType::uint32, 1, &n));
    const MaybeReleaseGil release(n);
    fastnn::philox(seed, offset, n / 4, data_of<uint32_t>(words.get()));
    return words.release();
}

// (seed, offset, shape, dtype); `dtype` is numpy.float32 or numpy.float64, or an array's dtype
PyObject* uniform(PyObject* const* args, Py_ssize_t count) {
    uint64_t seed = 0, offset = 0;
    int64_t shape[32];
    if (count != 4 || !bits_argument(args[0], &seed) || !bits_argument(args[1], &offset) ||
        !PyTuple_CheckExact(args[2]) || PyTuple_GET_SIZE(args[2]) > 32)
        return nullptr;
    const int ndim = static_cast<int>(PyTuple_GET_SIZE(args[2]));
    const DType dtype = dtype_argument(args[3]);
    if (!shape_argument(args[2], ndim, shape) ||
        (dtype != DType::float32 && dtype != DType::float64))
        return nullptr;
    for (int i = 0; i < ndim; ++i)
        if (shape[i] < 0)
            return nullptr;
    Ref u(new_result(dtype, ndim, shape));
    const int64_t n = size_of(u.get());
    const MaybeReleaseGil release(n);
    fastnn::uniform(dtype == DType::float64, seed, offset, n, data_of<void>(u.get()));
    return u.release();
}

// (x, p, seed, offset)
PyObject* dropout(PyObject* const* args, Py_ssize_t count) {
    uint64_t seed = 0, offset = 0;
    double p = 0;
    DType dtype{};
    if (count != 4 || (dtype = float_dtype(args[0])) == DType::other || !is_c_contiguous(args[0]) ||
        !float_argument(args[1], &p) || !(p >= 0 && p <= 1) || !bits_argument(args[2], &seed) ||
        !bits_argument(args[3], &offset))
        return nullptr;
    Ref y(new_result_like(args[0], dtype)), mask(new_result_like(args[0], DType::boolean));
    {
        const int64_t n = size_of(args[0]);
        const MaybeReleaseGil release(n);
        fastnn::dropout(dtype == DType::float64, p, seed, offset, n, data_of<void>(args[0]),
                        data_of<void>(y.get()), data_of<bool>(mask.get()));
    }
    return new_tuple({y.release(), mask.release()});
}

// (g, mask, p)
PyObject* dropout_backward(PyObject* const* args, Py_ssize_t count) {
    double p = 0;
    DType dtype{};
    if (count != 3 || (dtype = float_dtype(args[0])) == DType::other || !is_c_contiguous(args[0]) ||
        array_dtype(args[1]) != DType::boolean || !is_c_contiguous(args[1]) ||
        array_of(args[0])->nd != array_of(args[1])->nd || !float_argument(args[2], &p))
        return nullptr;
    for (int i = 0; i < array_of(args[0])->nd; ++i)
        if (dim(args[0], i) != dim(args[1], i))
            return nullptr;
    Ref gx(new_result_like(args[0], dtype));
    const int64_t n = size_of(args[0]);
    const MaybeReleaseGil release(n);
    fastnn::dropout_backward(dtype == DType::float64, p, n, data_of<void>(args[0]),
                             data_of<bool>(args[1]), data_of<void>(gx.get()));
    return gx.release();
}

} // namespace

void register_random() {
    register_fast<&bindings::philox>("philox");
    register_fast<&bindings::uniform>("uniform");
    register_fast<&bindings::dropout>("dropout");
    register_fast<&bindings::dropout_backward>("dropout_backward");
}

} // namespace fastnn::bindings
