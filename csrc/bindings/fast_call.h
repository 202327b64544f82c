// Functions with the least call overhead: C functions that carry their fallback.
//
// `_cpu.with_fallback("add", numpy.add)` gives a built-in function. It hands its arguments to the
// kernel registered as "add"; where that does not serve them (dtype, layout, keyword arguments), it
// calls the fallback with the same arguments. No Python frame and no argument conversion lies
// between a caller and the kernel.
//
// Files that include this and not pybind11 compile in a tenth of the time.
#pragma once

#include <Python.h>

#include <cstdint>
#include <initializer_list>

#include "bindings/dtype.h"

namespace fastnn::bindings {

// A Python exception is set.
struct PythonError {};

// A kernel gets borrowed references and returns a new one, or null with no error set: not served.
// It may throw PythonError or a std::exception.
using FastKernel = PyObject* (*)(PyObject* const* args, Py_ssize_t count);

PyObject* fast_call(FastKernel kernel, PyObject* fallback, PyObject* const* args, Py_ssize_t count,
                    PyObject* keywords) noexcept;

template <FastKernel Kernel>
PyObject* fast_entry(PyObject* fallback, PyObject* const* args, Py_ssize_t count,
                     PyObject* keywords) noexcept {
    return fast_call(Kernel, fallback, args, count, keywords);
}

using FastEntry = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);
void register_fast(const char* name, FastEntry entry);
template <FastKernel Kernel>
void register_fast(const char* name) {
    register_fast(name, &fast_entry<Kernel>);
}

// -- arguments: each answers false, or other, for what the kernels do not take ------------------
bool is_array(PyObject* object); // exactly numpy.ndarray, not a subclass
// The head of NumPy's array object, which is part of its ABI.
struct ArrayFields {
    PyObject_HEAD char* data;
    int nd;
    Py_ssize_t* dimensions;
    Py_ssize_t* strides;
    PyObject* base;
    PyObject* descr;
    int flags;
};
inline ArrayFields* array_of(PyObject* object) {
    return reinterpret_cast<ArrayFields*>(object);
}
// The dtype if `object` is an aligned array in native byte order, else `other`.
DType array_dtype(PyObject* object);
// float32 or float64 if `object` is such an array, else `other`.
DType float_dtype(PyObject* object);
// float32 or float64 if `object` is that dtype or NumPy's scalar type of it.
DType dtype_argument(PyObject* object);
bool int_argument(PyObject* object, int64_t* value);
// An integer of any size, modulo 2^64.
bool bits_argument(PyObject* object, uint64_t* value);
bool bool_argument(PyObject* object, bool* value);
bool float_argument(PyObject* object, double* value);
bool pair_argument(PyObject* object, int64_t value[2]);
bool shape_argument(PyObject* object, int ndim, int64_t* shape);
// None, or the name of an activation that kernels apply on the way.
bool activation(PyObject* object, bool* relu);

bool is_c_contiguous(PyObject* array);
// A new reference to the array if it is C-contiguous, else to a copy that is.
PyObject* contiguous_array(PyObject* array);
// 4-d and stored as NHWC; what is C-contiguous too counts as NCHW.
bool is_channels_last(PyObject* array);

inline int64_t dim(PyObject* array, int axis) {
    return array_of(array)->dimensions[axis];
}
inline int64_t size_of(PyObject* array) {
    int64_t n = 1;
    for (int i = 0; i < array_of(array)->nd; ++i)
        n *= array_of(array)->dimensions[i];
    return n;
}
template <class T>
T* data_of(PyObject* array) {
    return reinterpret_cast<T*>(array_of(array)->data);
}

// -- results ------------------------------------------------------------------------------------
// A new uninitialised array; strides in bytes (null: C-contiguous) must be a permutation of
// contiguous ones.
PyObject* new_result(DType dtype, int ndim, const int64_t* shape, const int64_t* strides = nullptr);
// The same shape and the same dense memory order as `like`, which must be C-contiguous or channels
// last.
PyObject* new_result_like(PyObject* like, DType dtype);
// An image (n, c, h, w), stored as NHWC where channels_last.
PyObject* new_image(DType dtype, const int64_t shape[4], bool channels_last);
// (first, second); takes over the references.
PyObject* new_tuple(std::initializer_list<PyObject*> items);

// Owns a reference until release(), so that an exception does not leak a result.
class Ref {
  public:
    explicit Ref(PyObject* object) : object_(object) {}
    ~Ref() { Py_XDECREF(object_); }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    PyObject* get() const { return object_; }
    PyObject* release() {
        PyObject* object = object_;
        object_ = nullptr;
        return object;
    }

  private:
    PyObject* object_;
};

// Releases the GIL for the scope if `work` (elements, roughly) is worth it.
class MaybeReleaseGil {
  public:
    explicit MaybeReleaseGil(int64_t work) : state_(work > 16384 ? PyEval_SaveThread() : nullptr) {}
    ~MaybeReleaseGil() {
        if (state_)
            PyEval_RestoreThread(state_);
    }
    MaybeReleaseGil(const MaybeReleaseGil&) = delete;
    MaybeReleaseGil& operator=(const MaybeReleaseGil&) = delete;

  private:
    PyThreadState* state_;
};

// Calls f(T{}) with the C++ type of a float dtype.
template <class F>
auto with_float(DType dtype, F&& f) {
    return dtype == DType::float32 ? f(float{}) : f(double{});
}

// One per family: registers its kernels.
void register_attention();
void register_gemm();
void register_conv();
void register_conv_pool();
void register_elementwise();
void register_optim();
void register_random();
void register_norm();
void register_embedding();
void register_softmax();
void register_pool();
void register_reduction();
void register_rnn();

} // namespace fastnn::bindings
