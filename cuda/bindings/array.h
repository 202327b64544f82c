// Arrays in and out of the bindings: anything with `__cuda_array_interface__`.
//
// In the emulated build a host array stands in for a device array: `Array` copies what the host
// array spans into emulated global memory, whose exact bounds are checked, and (where it is
// written) back when the call ends.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda::bindings {

namespace py = pybind11;

enum class Access { read, write };
constexpr int max_dims = 12;

class Array {
  public:
    // Raises TypeError for what is no array on the device, or of a dtype that no kernel knows.
    Array(py::handle object, const char* operation, const char* argument,
          Access access = Access::read);
    ~Array();
    Array(const Array&) = delete;
    Array(Array&& other) noexcept;
    Array& operator=(const Array&) = delete;
    Array& operator=(Array&&) = delete;

    void* data = nullptr;
    DType dtype = DType::float32;
    int ndim = 0;
    std::array<int64_t, max_dims> shape{};
    std::array<int64_t, max_dims> stride{}; // in elements

    int64_t size() const;
    bool is_contiguous() const;
    template <class T>
    T* as() const {
        return static_cast<T*>(data);
    }

    // Each raises ValueError or TypeError, naming operation and argument.
    const Array& require_contiguous() const;
    const Array& require_dtype(DType wanted) const;
    const Array& require_ndim(int wanted) const;
    const Array& require_size(int64_t wanted) const;

  private:
    const char* operation_;
    const char* argument_;
    void* mirror_ = nullptr; // the emulated build's copy
};

std::string shape_text(const Array& a);
const char* name_of(DType dtype);

// Raises RuntimeError: the operation's name and what CUDA (or the emulator) says. Out of memory is
// a MemoryError.
void check(const char* operation, cudaError_t error);

inline cudaStream_t as_stream(std::uintptr_t stream) {
    return reinterpret_cast<cudaStream_t>(stream);
}

} // namespace fastnn::cuda::bindings
