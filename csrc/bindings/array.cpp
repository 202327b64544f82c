#include "bindings/array.h"

namespace fastnn::bindings {

namespace {

// Below this NumPy's own allocation is quicker than an owner object.
constexpr std::size_t kSmall = 4096;

struct Owner {
    void* buffer;
    std::size_t bytes;
};

void destroy(void* pointer) {
    Owner* owner = static_cast<Owner*>(pointer);
    pool_free(owner->buffer, owner->bytes);
    delete owner;
}

} // namespace

py::array new_array(const py::dtype& dtype, std::span<const ssize_t> shape,
                    std::span<const ssize_t> strides) {
    std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
    for (ssize_t n : shape) {
        if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(n), &bytes) ||
            bytes > static_cast<std::size_t>(PTRDIFF_MAX))
            throw py::value_error("result is too big for memory");
    }
    py::array::ShapeContainer shape_copy(shape.begin(), shape.end());
    py::array::StridesContainer strides_copy(strides.begin(), strides.end());
    if (bytes <= kSmall)
        return py::array(dtype, std::move(shape_copy), std::move(strides_copy));
    Owner* owner = new Owner{pool_allocate(bytes), bytes};
    const py::capsule base(owner, destroy);
    return py::array(dtype, std::move(shape_copy), std::move(strides_copy), owner->buffer, base);
}

py::array new_array(const py::dtype& dtype, std::span<const ssize_t> shape) {
    ssize_t strides[64];
    ssize_t step = dtype.itemsize();
    for (std::size_t i = shape.size(); i-- > 0;) {
        strides[i] = step;
        step *= shape[i];
    }
    return new_array(dtype, shape, std::span<const ssize_t>(strides, shape.size()));
}

std::string shape_text(const py::array& a) {
    std::string text = "(";
    for (ssize_t i = 0; i < a.ndim(); ++i)
        text += (i ? ", " : "") + std::to_string(a.shape(i));
    return text + (a.ndim() == 1 ? ",)" : ")");
}

} // namespace fastnn::bindings
