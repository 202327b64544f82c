// Reductions: axes are ordered as in memory, neighbours of one kind (reduced or kept) are joined.
#include "reduction/reduction.h"

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

struct Axis {
    int64_t size;
    int64_t stride; // in elements
    bool reduced;
};

// Marks the reduced axes; false if `axis` is none that the kernels take (NumPy words the error).
bool parse_axes(PyObject* axis, int ndim, bool* reduced) {
    for (int i = 0; i < ndim; ++i)
        reduced[i] = axis == Py_None;
    if (axis == Py_None)
        return true;
    const bool several = PyTuple_CheckExact(axis);
    const Py_ssize_t count = several ? PyTuple_GET_SIZE(axis) : 1;
    for (Py_ssize_t i = 0; i < count; ++i) {
        int64_t a = 0;
        if (!int_argument(several ? PyTuple_GET_ITEM(axis, i) : axis, &a) || a < -ndim || a >= ndim)
            return false;
        a = a < 0 ? a + ndim : a;
        if (reduced[a])
            return false;
        reduced[a] = true;
    }
    return true;
}

struct Plan {
    int count = 0; // joined axes, outermost first
    Axis axes[64];
    int result_ndim = 0;
    int64_t result_shape[64];
    int64_t result_strides[64]; // in bytes
};

// False: strides that the kernels do not take.
bool make_plan(PyObject* x, const bool* reduced, bool keepdims, int64_t item, int64_t result_item,
               Plan* plan) {
    const auto* array = array_of(x);
    const int ndim = array->nd;
    int order[64];
    for (int i = 0; i < ndim; ++i) {
        int at = i;
        for (; at > 0 && array->strides[i] > array->strides[order[at - 1]]; --at)
            order[at] = order[at - 1];
        order[at] = i;
    }
    int64_t kept_strides[64];
    int64_t step = result_item;
    int first = 64;
    for (int i = ndim; i-- > 0;) {
        const int axis = order[i];
        const int64_t size = array->dimensions[axis];
        kept_strides[axis] = step;
        if (!reduced[axis])
            step *= size;
        if (size == 1)
            continue;
        if (array->strides[axis] <= 0 || array->strides[axis] % item != 0)
            return false;
        const int64_t stride = array->strides[axis] / item;
        if (first < 64 && plan->axes[first].reduced == reduced[axis] &&
            stride == plan->axes[first].stride * plan->axes[first].size) {
            plan->axes[first].size *= size;
        } else {
            plan->axes[--first] = {size, stride, reduced[axis]};
        }
    }
    plan->count = 64 - first;
    for (int i = 0; i < plan->count; ++i)
        plan->axes[i] = plan->axes[first + i];
    for (int i = 0; i < ndim; ++i) {
        if (reduced[i] && !keepdims)
            continue;
        plan->result_shape[plan->result_ndim] = reduced[i] ? 1 : array->dimensions[i];
        plan->result_strides[plan->result_ndim++] = reduced[i] ? result_item : kept_strides[i];
    }
    return plan->count == 0 || plan->axes[plan->count - 1].stride == 1;
}

// Arguments (x, axis=None, keepdims=False).
bool parse_arguments(PyObject* const* args, Py_ssize_t count, DType* dtype, bool* reduced,
                     bool* keepdims) {
    *keepdims = false;
    if (count < 1 || count > 3 || (*dtype = float_dtype(args[0])) == DType::other)
        return false;
    if (count == 3 && !bool_argument(args[2], keepdims))
        return false;
    return parse_axes(count > 1 ? args[1] : Py_None, array_of(args[0])->nd, reduced);
}

template <Reduction Function>
PyObject* reduction(PyObject* const* args, Py_ssize_t count) {
    DType dtype{};
    bool reduced[64], keepdims = false;
    if (!parse_arguments(args, count, &dtype, reduced, &keepdims))
        return nullptr;
    PyObject* x = args[0];
    const int64_t size = size_of(x);
    const int64_t item = dtype == DType::float64 ? 8 : 4;
    Plan plan;
    if (size == 0 || !make_plan(x, reduced, keepdims, item, item, &plan))
        return nullptr;
    ReductionCall call{Function, dtype == DType::float64, false,  1, 1, 1, 0,
                       0,        data_of<void>(x),        nullptr};
    const Axis* a = plan.axes;
    if (plan.count == 1 && a[0].reduced) {
        call.inner = a[0].size;
    } else if (plan.count == 2 && !a[0].reduced && a[1].reduced) {
        call.middle = a[0].size;
        call.middle_stride = a[0].stride;
        call.inner = a[1].size;
    } else if (plan.count == 2 && a[0].reduced && a[1].reduced) {
        call.outer = a[0].size;
        call.outer_stride = a[0].stride;
        call.inner = a[1].size;
    } else if (plan.count == 3 && a[0].reduced && !a[1].reduced && a[2].reduced) {
        call.outer = a[0].size;
        call.outer_stride = a[0].stride;
        call.middle = a[1].size;
        call.middle_stride = a[1].stride;
        call.inner = a[2].size;
    } else if (plan.count == 2 && a[0].reduced && !a[1].reduced) {
        call.columns = true;
        call.middle = a[0].size;
        call.middle_stride = a[0].stride;
        call.inner = a[1].size;
    } else if (plan.count == 3 && !a[0].reduced && a[1].reduced && !a[2].reduced) {
        call.columns = true;
        call.outer = a[0].size;
        call.outer_stride = a[0].stride;
        call.middle = a[1].size;
        call.middle_stride = a[1].stride;
        call.inner = a[2].size;
    } else if (plan.count == 0 || (plan.count == 1 && !a[0].reduced)) { // only axes of length 1
        call.columns = true;
        call.inner = size;
    } else {
        return nullptr;
    }
    Ref result(new_result(dtype, plan.result_ndim, plan.result_shape, plan.result_strides));
    call.y = data_of<void>(result.get());
    const MaybeReleaseGil release(size);
    reduce(call);
    return result.release();
}

// Over the last axis in memory, or over all of a C-contiguous array.
template <bool Minimum>
PyObject* arg_reduction(PyObject* const* args, Py_ssize_t count) {
    DType dtype{};
    bool reduced[64], keepdims = false;
    if (!parse_arguments(args, count, &dtype, reduced, &keepdims) ||
        (count > 1 && PyTuple_CheckExact(args[1])))
        return nullptr;
    PyObject* x = args[0];
    const int64_t size = size_of(x);
    const bool all = count < 2 || args[1] == Py_None;
    Plan plan;
    if (size == 0 || (all && !is_c_contiguous(x)) ||
        !make_plan(x, reduced, keepdims, dtype == DType::float64 ? 8 : 4, 8, &plan))
        return nullptr;
    int64_t rows = 1, row_stride = 0, n = 1;
    const Axis* a = plan.axes;
    if (plan.count == 1 && a[0].reduced) {
        n = a[0].size;
    } else if (plan.count == 2 && !a[0].reduced && a[1].reduced) {
        rows = a[0].size;
        row_stride = a[0].stride;
        n = a[1].size;
    } else if (plan.count == 0 || (plan.count == 1 && !a[0].reduced)) { // only axes of length 1
        rows = size;
        row_stride = 1;
    } else {
        return nullptr;
    }
    Ref result(new_result(DType::int64, plan.result_ndim, plan.result_shape, plan.result_strides));
    const MaybeReleaseGil release(size);
    arg_reduce(dtype == DType::float64, Minimum, data_of<void>(x), rows, row_stride, n,
               data_of<int64_t>(result.get()));
    return result.release();
}

} // namespace

void register_reduction() {
    register_fast<&reduction<Reduction::sum>>("sum");
    register_fast<&reduction<Reduction::mean>>("mean");
    register_fast<&reduction<Reduction::amax>>("amax");
    register_fast<&reduction<Reduction::amin>>("amin");
    register_fast<&arg_reduction<false>>("argmax");
    register_fast<&arg_reduction<true>>("argmin");
}

} // namespace fastnn::bindings
