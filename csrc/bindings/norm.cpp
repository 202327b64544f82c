// Normalisation: arguments as in the protocol. Batch norm takes C-contiguous and channels-last
// arrays, group norm C-contiguous ones, layer and RMS norm C-contiguous rows.
#include "norm/norm.h"

#include "norm/group_norm.h"
#include "norm/row_norm.h"

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

bool parse_input(PyObject* x, DType* dtype, NormShape* shape) {
    *dtype = float_dtype(x);
    if (*dtype == DType::other || array_of(x)->nd < 2 || size_of(x) == 0)
        return false;
    const int64_t all = size_of(x);
    shape->channels = dim(x, 1);
    if (is_channels_last(x)) {
        shape->rows = all / shape->channels;
        shape->run = 1;
        return true;
    }
    shape->rows = dim(x, 0);
    shape->run = all / (shape->rows * shape->channels);
    return is_c_contiguous(x);
}

// A (channels,) array, or None, which gives null.
bool parse_channels(PyObject* object, DType dtype, int64_t channels, bool optional, void** data) {
    *data = nullptr;
    if (optional && object == Py_None)
        return true;
    if (array_dtype(object) != dtype || array_of(object)->nd != 1 || dim(object, 0) != channels ||
        !is_c_contiguous(object))
        return false;
    *data = data_of<void>(object);
    return true;
}

// (x, weight, bias, eps)
PyObject* batch_norm(PyObject* const* args, Py_ssize_t count) {
    DType dtype{};
    NormShape shape{};
    void *weight = nullptr, *bias = nullptr;
    double eps = 0;
    if (count != 4 || !parse_input(args[0], &dtype, &shape) ||
        !parse_channels(args[1], dtype, shape.channels, true, &weight) ||
        !parse_channels(args[2], dtype, shape.channels, true, &bias) ||
        !float_argument(args[3], &eps))
        return nullptr;
    Ref y(new_result_like(args[0], dtype)), mean(new_result(dtype, 1, &shape.channels)),
        var(new_result(dtype, 1, &shape.channels));
    {
        const MaybeReleaseGil release(size_of(args[0]));
        fastnn::batch_norm(shape, dtype == DType::float64, data_of<void>(args[0]), weight, bias,
                           eps, data_of<void>(y.get()), data_of<void>(mean.get()),
                           data_of<void>(var.get()));
    }
    return new_tuple({y.release(), mean.release(), var.release()});
}

// (x, weight, bias, mean, var, eps, activation or None)
PyObject* batch_norm_inference(PyObject* const* args, Py_ssize_t count) {
    DType dtype{};
    NormShape shape{};
    void *weight = nullptr, *bias = nullptr, *mean = nullptr, *var = nullptr;
    double eps = 0;
    bool relu = false;
    if (count < 6 || count > 7 || !parse_input(args[0], &dtype, &shape) ||
        !parse_channels(args[1], dtype, shape.channels, true, &weight) ||
        !parse_channels(args[2], dtype, shape.channels, true, &bias) ||
        !parse_channels(args[3], dtype, shape.channels, false, &mean) ||
        !parse_channels(args[4], dtype, shape.channels, false, &var) ||
        !float_argument(args[5], &eps) || !activation(count > 6 ? args[6] : Py_None, &relu))
        return nullptr;
    Ref y(new_result_like(args[0], dtype));
    {
        const MaybeReleaseGil release(size_of(args[0]));
        fastnn::batch_norm_inference(shape, dtype == DType::float64, data_of<void>(args[0]), weight,
                                     bias, mean, var, eps, relu, data_of<void>(y.get()));
    }
    return y.release();
}

// (g, x, weight, mean, var, eps)
PyObject* batch_norm_backward(PyObject* const* args, Py_ssize_t count) {
    DType dtype{}, g_dtype{};
    NormShape shape{}, g_shape{};
    void *weight = nullptr, *mean = nullptr, *var = nullptr;
    double eps = 0;
    if (count != 6 || !parse_input(args[0], &g_dtype, &g_shape) ||
        !parse_input(args[1], &dtype, &shape) || g_dtype != dtype || g_shape.rows != shape.rows ||
        g_shape.channels != shape.channels || g_shape.run != shape.run ||
        !parse_channels(args[2], dtype, shape.channels, true, &weight) ||
        !parse_channels(args[3], dtype, shape.channels, false, &mean) ||
        !parse_channels(args[4], dtype, shape.channels, false, &var) ||
        !float_argument(args[5], &eps))
        return nullptr;
    Ref gx(new_result_like(args[1], dtype)), gweight(new_result(dtype, 1, &shape.channels)),
        gbias(new_result(dtype, 1, &shape.channels));
    {
        const MaybeReleaseGil release(size_of(args[1]));
        fastnn::batch_norm_backward(shape, dtype == DType::float64, data_of<void>(args[0]),
                                    data_of<void>(args[1]), weight, mean, var, eps,
                                    data_of<void>(gx.get()), data_of<void>(gweight.get()),
                                    data_of<void>(gbias.get()));
    }
    return new_tuple({gx.release(), gweight.release(), gbias.release()});
}

bool parse_rows(PyObject* x, DType* dtype, int64_t* rows, int64_t* n) {
    *dtype = float_dtype(x);
    if (*dtype == DType::other || array_of(x)->nd != 2 || !is_c_contiguous(x) || size_of(x) == 0)
        return false;
    *rows = dim(x, 0);
    *n = dim(x, 1);
    return true;
}

// layer_norm(x, weight, bias, eps) and rms_norm(x, weight, eps)
template <bool Centered>
PyObject* row_norm(PyObject* const* args, Py_ssize_t count) {
    constexpr int last = Centered ? 3 : 2;
    RowNorm call{};
    DType dtype{};
    void *weight = nullptr, *bias = nullptr;
    if (count != last + 1 || !parse_rows(args[0], &dtype, &call.rows, &call.n) ||
        !parse_channels(args[1], dtype, call.n, true, &weight) ||
        (Centered && !parse_channels(args[2], dtype, call.n, true, &bias)) ||
        !float_argument(args[last], &call.eps))
        return nullptr;
    Ref y(new_result_like(args[0], dtype)), scale(new_result(dtype, 1, &call.rows));
    Ref mean(Centered ? new_result(dtype, 1, &call.rows) : nullptr);
    call.is_double = dtype == DType::float64;
    call.x = data_of<void>(args[0]);
    call.weight = weight;
    call.bias = bias;
    call.mean = Centered ? data_of<void>(mean.get()) : nullptr;
    call.scale = data_of<void>(scale.get());
    call.y = data_of<void>(y.get());
    {
        const MaybeReleaseGil release(size_of(args[0]));
        fastnn::row_norm(call);
    }
    if constexpr (Centered)
        return new_tuple({y.release(), mean.release(), scale.release()});
    else
        return new_tuple({y.release(), scale.release()});
}

// layer_norm_backward(g, x, weight, mean, invstd) and rms_norm_backward(g, x, weight, scale)
template <bool Centered>
PyObject* row_norm_backward(PyObject* const* args, Py_ssize_t count) {
    constexpr int last = Centered ? 4 : 3;
    RowNormBackward call{};
    DType dtype{}, g_dtype{};
    int64_t g_rows = 0, g_n = 0;
    void *weight = nullptr, *mean = nullptr, *scale = nullptr;
    if (count != last + 1 || !parse_rows(args[0], &g_dtype, &g_rows, &g_n) ||
        !parse_rows(args[1], &dtype, &call.rows, &call.n) || g_dtype != dtype ||
        g_rows != call.rows || g_n != call.n ||
        !parse_channels(args[2], dtype, call.n, true, &weight) ||
        (Centered && !parse_channels(args[3], dtype, call.rows, false, &mean)) ||
        !parse_channels(args[last], dtype, call.rows, false, &scale))
        return nullptr;
    Ref gx(new_result_like(args[1], dtype)), gweight(new_result(dtype, 1, &call.n));
    Ref gbias(Centered ? new_result(dtype, 1, &call.n) : nullptr);
    call.is_double = dtype == DType::float64;
    call.g = data_of<void>(args[0]);
    call.x = data_of<void>(args[1]);
    call.weight = weight;
    call.mean = mean;
    call.scale = scale;
    call.gx = data_of<void>(gx.get());
    call.gweight = data_of<void>(gweight.get());
    call.gbias = Centered ? data_of<void>(gbias.get()) : nullptr;
    {
        const MaybeReleaseGil release(size_of(args[1]));
        fastnn::row_norm_backward(call);
    }
    if constexpr (Centered)
        return new_tuple({gx.release(), gweight.release(), gbias.release()});
    else
        return new_tuple({gx.release(), gweight.release()});
}

bool parse_groups(PyObject* x, PyObject* groups, DType* dtype, GroupShape* shape) {
    *dtype = float_dtype(x);
    if (*dtype == DType::other || array_of(x)->nd < 2 || !is_c_contiguous(x) || size_of(x) == 0 ||
        !int_argument(groups, &shape->groups) || shape->groups < 1 ||
        dim(x, 1) % shape->groups != 0)
        return false;
    shape->samples = dim(x, 0);
    shape->channels = dim(x, 1) / shape->groups;
    shape->inner = size_of(x) / (dim(x, 0) * dim(x, 1));
    return true;
}

// (x, groups, weight, bias, eps)
PyObject* group_norm(PyObject* const* args, Py_ssize_t count) {
    GroupNorm call{};
    DType dtype{};
    void *weight = nullptr, *bias = nullptr;
    if (count != 5 || !parse_groups(args[0], args[1], &dtype, &call.shape) ||
        !parse_channels(args[2], dtype, dim(args[0], 1), true, &weight) ||
        !parse_channels(args[3], dtype, dim(args[0], 1), true, &bias) ||
        !float_argument(args[4], &call.eps))
        return nullptr;
    const int64_t rows = call.shape.samples * call.shape.groups;
    Ref y(new_result_like(args[0], dtype)), mean(new_result(dtype, 1, &rows)),
        scale(new_result(dtype, 1, &rows));
    call.x = data_of<void>(args[0]);
    call.weight = weight;
    call.bias = bias;
    call.mean = data_of<void>(mean.get());
    call.scale = data_of<void>(scale.get());
    call.y = data_of<void>(y.get());
    {
        const MaybeReleaseGil release(size_of(args[0]));
        fastnn::group_norm(call, dtype == DType::float64);
    }
    return new_tuple({y.release(), mean.release(), scale.release()});
}

// (g, x, groups, weight, mean, invstd)
PyObject* group_norm_backward(PyObject* const* args, Py_ssize_t count) {
    GroupNormBackward call{};
    GroupShape g_shape{};
    DType dtype{}, g_dtype{};
    void *weight = nullptr, *mean = nullptr, *scale = nullptr;
    if (count != 6 || !parse_groups(args[0], args[2], &g_dtype, &g_shape) ||
        !parse_groups(args[1], args[2], &dtype, &call.shape) || g_dtype != dtype ||
        g_shape.samples != call.shape.samples || g_shape.channels != call.shape.channels ||
        g_shape.inner != call.shape.inner)
        return nullptr;
    const int64_t rows = call.shape.samples * call.shape.groups, channels = dim(args[1], 1);
    if (!parse_channels(args[3], dtype, channels, true, &weight) ||
        !parse_channels(args[4], dtype, rows, false, &mean) ||
        !parse_channels(args[5], dtype, rows, false, &scale))
        return nullptr;
    Ref gx(new_result_like(args[1], dtype)), gweight(new_result(dtype, 1, &channels)),
        gbias(new_result(dtype, 1, &channels));
    call.g = data_of<void>(args[0]);
    call.x = data_of<void>(args[1]);
    call.weight = weight;
    call.mean = mean;
    call.scale = scale;
    call.gx = data_of<void>(gx.get());
    {
        const MaybeReleaseGil release(size_of(args[1]));
        fastnn::group_norm_backward(call, dtype == DType::float64, data_of<void>(gweight.get()),
                                    data_of<void>(gbias.get()));
    }
    return new_tuple({gx.release(), gweight.release(), gbias.release()});
}

} // namespace

void register_norm() {
    register_fast<&bindings::batch_norm>("batch_norm");
    register_fast<&bindings::batch_norm_inference>("batch_norm_inference");
    register_fast<&bindings::batch_norm_backward>("batch_norm_backward");
    register_fast<&bindings::group_norm>("group_norm");
    register_fast<&bindings::group_norm_backward>("group_norm_backward");
    register_fast<&bindings::row_norm<true>>("layer_norm");
    register_fast<&bindings::row_norm_backward<true>>("layer_norm_backward");
    register_fast<&bindings::row_norm<false>>("rms_norm");
    register_fast<&bindings::row_norm_backward<false>>("rms_norm_backward");
}

} // namespace fastnn::bindings
