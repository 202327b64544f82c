// NumPy arrays in and out of the bindings.
//
// For bindings that use pybind11; fast_call.h has what the others need, and says how a kernel
// leaves a call to the NumPy specification. Shapes that make no sense are a ValueError.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "bindings/dtype.h"
#include "core/buffer_pool.h"

namespace fastnn::bindings {

namespace py = pybind11;

inline const py::detail::PyArray_Proxy* proxy(const py::array& a) {
    return py::detail::array_proxy(a.ptr());
}

// `other` for a dtype without kernels, and for arrays with foreign byte order or unaligned
// elements.
inline DType dtype_of(const py::array& a) {
    using api = py::detail::npy_api;
    const auto* descr = reinterpret_cast<const py::detail::PyArrayDescr_Proxy*>(proxy(a)->descr);
    const bool native = descr->byteorder != '>'; // NumPy writes '=' or '|' for native order
    if (!native || !(proxy(a)->flags & api::NPY_ARRAY_ALIGNED_))
        return DType::other;
    switch (descr->type_num) {
    case api::NPY_FLOAT_:
        return DType::float32;
    case api::NPY_DOUBLE_:
        return DType::float64;
    case api::NPY_BOOL_:
        return DType::boolean;
    default:
        if (descr->type_num == bfloat16_number)
            return DType::bfloat16;
        break;
    }
    const ssize_t size = a.itemsize();
    if (descr->kind == 'i')
        return size == 4   ? DType::int32
               : size == 8 ? DType::int64
               : size == 1 ? DType::int8
                           : DType::other;
    if (descr->kind == 'u' && size == 4)
        return DType::uint32;
    return DType::other;
}

// The float type that all arrays share, or `other`.
template <class... Arrays>
DType common_float(const py::array& first, const Arrays&... rest) {
    const DType dtype = dtype_of(first);
    const bool is_float = dtype == DType::float32 || dtype == DType::float64;
    return is_float && ((dtype_of(rest) == dtype) && ...) ? dtype : DType::other;
}

inline py::array borrow(PyObject* array) {
    return py::reinterpret_borrow<py::array>(array);
}

// None, or an array.
bool optional_array(PyObject* object, std::optional<py::array>* array);

template <class T>
const T* data(const py::array& a) {
    return static_cast<const T*>(static_cast<const void*>(proxy(a)->data));
}

// Strides are counted in elements everywhere in the kernels.
template <class T>
int64_t stride(const py::array& a, int axis) {
    return static_cast<int64_t>(proxy(a)->strides[axis] / static_cast<ssize_t>(sizeof(T)));
}

inline bool is_contiguous(const py::array& a) {
    return (proxy(a)->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
}

// The array itself if it is C-contiguous, else a copy that is.
py::array contiguous(const py::array& a);

// A new array on memory of the buffer pool (on NumPy's own where it is small), C-contiguous,
// uninitialised.
py::array new_array(const py::dtype& dtype, std::span<const ssize_t> shape);
// The same with strides in bytes, which contiguous_strides has made.
py::array new_array(const py::dtype& dtype, std::span<const ssize_t> shape,
                    std::span<const ssize_t> strides);
// The strides of contiguous memory whose fastest axis is order[0]. ValueError where it cannot be so
// big.
void contiguous_strides(ssize_t item_size, std::span<const ssize_t> shape,
                        std::span<const size_t> order, std::span<ssize_t> strides);

template <class T>
T* mutable_data(const py::array& a) {
    return static_cast<T*>(static_cast<void*>(proxy(a)->data));
}

// "(2, 3)", for error messages.
std::string shape_text(const py::array& a);

} // namespace fastnn::bindings
