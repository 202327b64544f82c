#include "bindings/fast_call.h"

#include <map>
#include <new>
#include <stdexcept>
#include <string>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::bindings {

int bfloat16_number = -1;

namespace {

// Below this NumPy's own allocation is quicker than the buffer pool and its owner object.
constexpr int64_t kSmallBytes = 4096;

// Looked up once, in init_fast_call: the types and descriptors of NumPy.
struct NumpyObjects {
    py::detail::npy_api* api = nullptr;
    PyObject* float32 = nullptr;
    PyObject* float64 = nullptr;
    PyObject* float32_type = nullptr;
    PyObject* float64_type = nullptr;
    PyObject* int32 = nullptr;
    PyObject* int64 = nullptr;
    PyObject* uint32 = nullptr;
    PyObject* boolean = nullptr;
    PyObject* bfloat16 = nullptr;
    PyObject* int8 = nullptr;
} numpy;

PyObject* descriptor(DType dtype) {
    switch (dtype) {
    case DType::float32:
        return numpy.float32;
    case DType::float64:
        return numpy.float64;
    case DType::int32:
        return numpy.int32;
    case DType::int64:
        return numpy.int64;
    case DType::uint32:
        return numpy.uint32;
    case DType::boolean:
        return numpy.boolean;
    case DType::bfloat16:
        return numpy.bfloat16;
    case DType::int8:
        return numpy.int8;
    case DType::other:
        break;
    }
    throw std::logic_error("new_result: no such dtype");
}

int64_t item_size(DType dtype) {
    switch (dtype) {
    case DType::boolean:
    case DType::int8:
        return 1;
    case DType::bfloat16:
        return 2;
    case DType::float64:
    case DType::int64:
        return 8;
    default:
        return 4;
    }
}

std::map<std::string, PyMethodDef>& registry() {
    static std::map<std::string, PyMethodDef> methods;
    return methods;
}

py::object with_fallback(const std::string& name, const py::object& fallback) {
    const auto found = registry().find(name);
    if (found == registry().end())
        throw py::key_error("no kernel is called " + name);
    return py::reinterpret_steal<py::object>(
        PyCFunction_NewEx(&found->second, fallback.ptr(), nullptr));
}

} // namespace

PyObject* fast_call(FastKernel kernel, PyObject* fallback, PyObject* const* args, Py_ssize_t count,
                    PyObject* keywords) noexcept {
    try {
        if (!keywords || PyTuple_GET_SIZE(keywords) == 0) {
            if (PyObject* result = kernel(args, count))
                return result;
            if (PyErr_Occurred())
                return nullptr;
        }
        return PyObject_Vectorcall(fallback, args, static_cast<std::size_t>(count), keywords);
    } catch (const PythonError&) {
        // It is set.
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::out_of_range& error) {
        PyErr_SetString(PyExc_IndexError, error.what());
    } catch (const std::invalid_argument& error) {
        PyErr_SetString(PyExc_ValueError, error.what());
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

void register_fast(const char* name, FastEntry entry) {
    registry()[name] = {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(entry)),
                        METH_FASTCALL | METH_KEYWORDS, nullptr};
}

bool is_array(PyObject* object) {
    return Py_TYPE(object) == numpy.api->PyArray_Type_;
}

DType array_dtype(PyObject* object) {
    if (!is_array(object))
        return DType::other;
    const auto* array = array_of(object);
    if (!(array->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
        return DType::other;
    if (array->descr == numpy.float32)
        return DType::float32;
    if (array->descr == numpy.float64)
        return DType::float64;
    return dtype_of(py::reinterpret_borrow<py::array>(object));
}

DType float_dtype(PyObject* object) {
    const DType dtype = array_dtype(object);
    return dtype == DType::float32 || dtype == DType::float64 ? dtype : DType::other;
}

DType dtype_argument(PyObject* object) {
    if (object == numpy.float32 || object == numpy.float32_type)
        return DType::float32;
    if (object == numpy.float64 || object == numpy.float64_type)
        return DType::float64;
    return DType::other;
}

bool int_argument(PyObject* object, int64_t* value) {
    if (!PyLong_CheckExact(object))
        return false;
    int overflow = 0;
    *value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0;
}

bool bits_argument(PyObject* object, uint64_t* value) {
    if (!PyLong_CheckExact(object))
        return false;
    *value = PyLong_AsUnsignedLongLongMask(object);
    return true;
}

bool bool_argument(PyObject* object, bool* value) {
    *value = object == Py_True;
    return PyBool_Check(object);
}

bool float_argument(PyObject* object, double* value) {
    if (PyFloat_CheckExact(object)) {
        *value = PyFloat_AS_DOUBLE(object);
        return true;
    }
    int64_t integer = 0;
    if (!int_argument(object, &integer))
        return false;
    *value = static_cast<double>(integer);
    return true;
}

bool pair_argument(PyObject* object, int64_t value[2]) {
    return shape_argument(object, 2, value);
}

bool shape_argument(PyObject* object, int ndim, int64_t* shape) {
    if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) != ndim)
        return false;
    for (int i = 0; i < ndim; ++i)
        if (!int_argument(PyTuple_GET_ITEM(object, i), &shape[i]))
            return false;
    return true;
}

bool activation(PyObject* object, bool* relu) {
    *relu = PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, "relu") == 0;
    return *relu || object == Py_None;
}

bool is_c_contiguous(PyObject* array) {
    return (array_of(array)->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) != 0;
}

PyObject* contiguous_array(PyObject* array) {
    py::array result = contiguous(borrow(array));
    if (!result)
        throw std::bad_alloc();
    return result.release().ptr();
}

bool is_channels_last(PyObject* object) {
    const auto* array = array_of(object);
    if (array->nd != 4 || is_c_contiguous(object))
        return false;
    ssize_t step = static_cast<ssize_t>(item_size(array_dtype(object)));
    for (int axis : {1, 3, 2, 0}) { // innermost first
        if (array->dimensions[axis] != 1 && array->strides[axis] != step)
            return false;
        step *= array->dimensions[axis];
    }
    return true;
}

PyObject* new_result(DType dtype, int ndim, const int64_t* shape, const int64_t* strides) {
    PyObject* descr = descriptor(dtype);
    const int64_t item = item_size(dtype);
    int64_t bytes = item;
    for (int i = 0; i < ndim; ++i)
        if (__builtin_mul_overflow(bytes, shape[i], &bytes))
            throw std::bad_alloc();
    if (bytes <= kSmallBytes) {
        Py_INCREF(descr); // stolen
        PyObject* array = numpy.api->PyArray_NewFromDescr_(
            numpy.api->PyArray_Type_, descr, ndim, reinterpret_cast<const Py_intptr_t*>(shape),
            reinterpret_cast<const Py_intptr_t*>(strides), nullptr, 0, nullptr);
        if (!array)
            throw PythonError();
        return array;
    }
    const auto type = py::reinterpret_borrow<py::dtype>(descr);
    const std::span<const ssize_t> extent(reinterpret_cast<const ssize_t*>(shape),
                                          static_cast<std::size_t>(ndim));
    if (!strides)
        return new_array(type, extent).release().ptr();
    return new_array(type, extent,
                     std::span<const ssize_t>(reinterpret_cast<const ssize_t*>(strides),
                                              static_cast<std::size_t>(ndim)))
        .release()
        .ptr();
}

PyObject* new_result_like(PyObject* like, DType dtype) {
    const auto* array = array_of(like);
    if (is_channels_last(like))
        return new_image(dtype, reinterpret_cast<const int64_t*>(array->dimensions), true);
    return new_result(dtype, array->nd, reinterpret_cast<const int64_t*>(array->dimensions));
}

PyObject* new_image(DType dtype, const int64_t shape[4], bool channels_last) {
    if (!channels_last)
        return new_result(dtype, 4, shape);
    const int64_t item = item_size(dtype);
    const int64_t strides[4] = {item * shape[1] * shape[2] * shape[3], item,
                                item * shape[1] * shape[3], item * shape[1]};
    return new_result(dtype, 4, shape, strides);
}

PyObject* new_tuple(std::initializer_list<PyObject*> items) {
    PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(items.size()));
    if (!tuple) {
        for (PyObject* item : items)
            Py_DECREF(item);
        throw PythonError();
    }
    Py_ssize_t i = 0;
    for (PyObject* item : items)
        PyTuple_SET_ITEM(tuple, i++, item);
    return tuple;
}

void init_fast_call(py::module_& m) {
    numpy.api = &py::detail::npy_api::get();
    numpy.float32 = py::dtype::of<float>().release().ptr();
    numpy.float64 = py::dtype::of<double>().release().ptr();
    const py::module_ module = py::module_::import("numpy");
    numpy.float32_type = py::object(module.attr("float32")).release().ptr();
    numpy.float64_type = py::object(module.attr("float64")).release().ptr();
    numpy.int32 = py::dtype::of<int32_t>().release().ptr();
    numpy.int64 = py::dtype::of<int64_t>().release().ptr();
    numpy.uint32 = py::dtype::of<uint32_t>().release().ptr();
    numpy.boolean = py::dtype::of<bool>().release().ptr();
    numpy.int8 = py::dtype::of<int8_t>().release().ptr();
    const py::dtype bfloat16 =
        py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
    bfloat16_number = bfloat16.num();
    numpy.bfloat16 = py::object(bfloat16).release().ptr();
    register_attention();
    register_gemm();
    register_conv();
    register_conv_pool();
    register_elementwise();
    register_optim();
    register_random();
    register_norm();
    register_embedding();
    register_softmax();
    register_pool();
    register_reduction();
    register_rnn();
    m.def("with_fallback", &with_fallback, py::arg("name"), py::arg("fallback"),
          "The kernel called name, as a function that calls fallback where the kernel does not "
          "serve.");
}

} // namespace fastnn::bindings
