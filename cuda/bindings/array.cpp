#include "bindings/array.h"

#include <cstring>
#include <map>

#include "bindings/mirror.h"

namespace fastnn::cuda::bindings {

namespace {

// The kinds and sizes of NumPy's array interface. bfloat16 is ml_dtypes', which the interface shows
// as void of two bytes.
DType parse_dtype(const std::string& typestr, const char* operation, const char* argument) {
    const std::string code = typestr.substr(1);
    static const std::map<std::string, DType> known{
        {"f4", DType::float32},  {"f8", DType::float64}, {"f2", DType::float16},
        {"V2", DType::bfloat16}, {"i4", DType::int32},   {"i8", DType::int64},
        {"u4", DType::uint32},   {"u1", DType::uint8},   {"b1", DType::boolean}};
    const auto found = known.find(code);
    if (typestr[0] == '>' || found == known.end())
        throw py::type_error(std::string(operation) + ": " + argument + " has dtype " + typestr +
                             ", which no CUDA kernel takes");
    return found->second;
}

py::object interface_of(py::handle object, const char* operation, const char* argument) {
    if (py::hasattr(object, "__cuda_array_interface__"))
        return object.attr("__cuda_array_interface__");
#ifdef FASTNN_CUDA_EMULATED
    if (py::hasattr(object, "__array_interface__"))
        return object.attr("__array_interface__");
#endif
    throw py::type_error(std::string(operation) + ": " + argument +
                         " must be an array on the GPU, got " +
                         std::string(py::str(py::type::of(object).attr("__name__"))));
}

} // namespace

Array::Array(py::handle object, const char* operation, const char* argument, Access access)
    : operation_(operation), argument_(argument) {
    const py::dict interface = interface_of(object, operation, argument);
    dtype = parse_dtype(interface["typestr"].cast<std::string>(), operation, argument);
    const py::tuple sizes = interface["shape"];
    if (sizes.size() > max_dims)
        throw py::value_error(std::string(operation) + ": " + argument + " has " +
                              std::to_string(sizes.size()) + " dims, kernels take at most " +
                              std::to_string(max_dims));
    ndim = static_cast<int>(sizes.size());
    const py::object strides =
        interface.contains("strides") ? py::object(interface["strides"]) : py::object(py::none());
    const auto item = static_cast<int64_t>(size_of(dtype));
    int64_t dense = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        shape[i] = sizes[i].cast<int64_t>();
        stride[i] = dense;
        dense *= shape[i];
    }
    if (!strides.is_none())
        for (int i = 0; i < ndim; i++) {
            const auto bytes = strides.cast<py::tuple>()[i].cast<int64_t>();
            if (bytes % item != 0)
                throw py::value_error(std::string(operation) + ": " + argument +
                                      " has elements that are not aligned");
            stride[i] = bytes / item;
        }
    const py::tuple address = interface["data"];
    if (access == Access::write && address[1].cast<bool>())
        throw py::value_error(std::string(operation) + ": " + argument + " is read-only");
    data = reinterpret_cast<void*>(address[0].cast<std::uintptr_t>());
    if (size() == 0)
        return;
    data = open_mirror(*this, access, &mirror_);
}

Array::Array(Array&& other) noexcept
    : data(other.data), dtype(other.dtype), ndim(other.ndim), shape(other.shape),
      stride(other.stride), operation_(other.operation_), argument_(other.argument_),
      mirror_(other.mirror_) {
    other.mirror_ = nullptr;
}

Array::~Array() {
    close_mirror(mirror_);
}

int64_t Array::size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++)
        n *= shape[i];
    return n;
}

bool Array::is_contiguous() const {
    int64_t dense = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        if (shape[i] != 1 && stride[i] != dense)
            return size() == 0;
        dense *= shape[i];
    }
    return true;
}

std::string shape_text(const Array& a) {
    std::string text = "(";
    for (int i = 0; i < a.ndim; i++)
        text += (i ? ", " : "") + std::to_string(a.shape[i]);
    return text + (a.ndim == 1 ? ",)" : ")");
}

const char* name_of(DType dtype) {
    static const char* const names[] = {"float32", "float64", "float16", "bfloat16", "int32",
                                        "int64",   "uint32",  "uint8",   "bool"};
    return names[static_cast<int>(dtype)];
}

const Array& Array::require_contiguous() const {
    if (!is_contiguous())
        throw py::value_error(std::string(operation_) + ": " + argument_ +
                              " must be contiguous, got " + shape_text(*this) + " with strides");
    return *this;
}

const Array& Array::require_dtype(DType wanted) const {
    if (dtype != wanted)
        throw py::type_error(std::string(operation_) + ": " + argument_ + " must be " +
                             name_of(wanted) + ", got " + name_of(dtype));
    return *this;
}

const Array& Array::require_ndim(int wanted) const {
    if (ndim != wanted)
        throw py::value_error(std::string(operation_) + ": " + argument_ + " must have " +
                              std::to_string(wanted) + " dims, got " + shape_text(*this));
    return *this;
}

const Array& Array::require_size(int64_t wanted) const {
    if (size() != wanted)
        throw py::value_error(std::string(operation_) + ": " + argument_ + " must have " +
                              std::to_string(wanted) + " elements, got " + shape_text(*this));
    return *this;
}

void check(const char* operation, cudaError_t error) {
    if (error == cudaSuccess)
        return;
    const std::string text = std::string(operation) + ": " + cudaGetErrorString(error);
    if (error == cudaErrorMemoryAllocation) {
        PyErr_SetString(PyExc_MemoryError, text.c_str());
        throw py::error_already_set();
    }
    throw std::runtime_error(text);
}

} // namespace fastnn::cuda::bindings
