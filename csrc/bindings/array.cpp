#include "bindings/array.h"

#include <algorithm>
#include <array>
#include <memory>

#include "bindings/fast_call.h"

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

void contiguous_strides(ssize_t item_size, std::span<const ssize_t> shape,
                        std::span<const size_t> order, std::span<ssize_t> strides) {
    ssize_t step = item_size;
    for (const size_t axis : order) {
        strides[axis] = step;
        // (An axis of length 0 is counted as 1, as NumPy does.)
        if (__builtin_mul_overflow(step, std::max<ssize_t>(shape[axis], 1), &step))
            throw py::value_error("a result is too big for memory");
    }
}

py::array new_array(const py::dtype& dtype, std::span<const ssize_t> shape,
                    std::span<const ssize_t> strides) {
    size_t bytes = static_cast<size_t>(dtype.itemsize());
    for (const ssize_t n : shape)
        bytes *= static_cast<size_t>(n); // strides say that it fits
    py::array::ShapeContainer shape_copy(shape.begin(), shape.end());
    py::array::StridesContainer strides_copy(strides.begin(), strides.end());
    if (bytes <= kSmall)
        return py::array(dtype, std::move(shape_copy), std::move(strides_copy));
    std::unique_ptr<Owner> holder(new Owner{pool_allocate(bytes), bytes});
    const py::capsule base(holder.get(), destroy);
    const Owner* owner = holder.release();
    return py::array(dtype, std::move(shape_copy), std::move(strides_copy), owner->buffer, base);
}

py::array new_array(const py::dtype& dtype, std::span<const ssize_t> shape) {
    std::array<ssize_t, 64> strides;
    std::array<size_t, 64> order;
    for (size_t i = 0; i < shape.size(); ++i)
        order[i] = shape.size() - 1 - i;
    contiguous_strides(dtype.itemsize(), shape, std::span(order).first(shape.size()), strides);
    return new_array(dtype, shape, std::span(strides).first(shape.size()));
}

bool optional_array(PyObject* object, std::optional<py::array>* array) {
    if (object == Py_None)
        return true;
    if (!is_array(object))
        return false;
    *array = contiguous(borrow(object));
    return true;
}

py::array contiguous(const py::array& a) {
    return is_contiguous(a) ? a : py::array::ensure(a, py::array::c_style);
}

std::string shape_text(const py::array& a) {
    std::string text = "(";
    for (ssize_t i = 0; i < a.ndim(); ++i)
        text += (i ? ", " : "") + std::to_string(a.shape(i));
    return text + (a.ndim() == 1 ? ",)" : ")");
}

} // namespace fastnn::bindings
