#include "reduction/reduction.h"

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

Reduce parse_op(const std::string& name) {
    if (name == "sum")
        return Reduce::sum;
    if (name == "max")
        return Reduce::max;
    if (name == "min")
        return Reduce::min;
    if (name == "argmax")
        return Reduce::argmax;
    if (name == "argmin")
        return Reduce::argmin;
    throw py::value_error("reduce: op must be sum, max, min, argmax or argmin, got " + name);
}

// x (outer, reduced, inner), y and y_positions (outer, parts, inner).
void reduce_axis(const std::string& op, py::handle x_object, py::handle y_object,
                 py::handle positions_object, py::handle y_positions_object, double divisor,
                 std::uintptr_t stream) {
    const char* const name = "reduce";
    Reduction call{};
    call.op = parse_op(op);
    const bool wants_positions = call.op == Reduce::argmax || call.op == Reduce::argmin;
    const Array x(x_object, name, "x");
    x.require_ndim(3);
    if (!is_float(x.dtype))
        throw py::type_error("reduce: x must be of a floating dtype, got " +
                             std::string(name_of(x.dtype)));
    call.x_dtype = x.dtype;
    call.outer = x.shape[0], call.reduced = x.shape[1], call.inner = x.shape[2];
    call.outer_stride = x.stride[0], call.reduced_stride = x.stride[1];
    call.inner_stride = x.stride[2];
    call.x = x.data;
    call.divisor = divisor;

    std::optional<Array> y, positions, y_positions;
    const auto result = [&](std::optional<Array>& array, py::handle object, const char* argument) {
        array.emplace(object, name, argument, Access::write);
        array->require_ndim(3).require_contiguous();
        if (array->shape[0] != call.outer || array->shape[1] < 1 || array->shape[2] != call.inner)
            throw py::value_error("reduce: " + std::string(argument) + " " + shape_text(*array) +
                                  " does not fit x " + shape_text(x));
        call.parts = array->shape[1];
    };
    if (wants_positions) {
        result(y_positions, y_positions_object, "y_positions");
        call.y_positions = y_positions->require_dtype(DType::int64).as<int64_t>();
        if (!positions_object.is_none()) {
            positions.emplace(positions_object, name, "positions");
            positions->require_dtype(DType::int64).require_contiguous().require_size(x.size());
            call.positions = positions->as<int64_t>();
        }
    }
    if (!wants_positions || !y_object.is_none()) {
        const int64_t parts = call.parts;
        result(y, y_object, "y");
        if (!is_float(y->dtype))
            throw py::type_error("reduce: y must be of a floating dtype, got " +
                                 std::string(name_of(y->dtype)));
        if (wants_positions && call.parts != parts)
            throw py::value_error("reduce: y " + shape_text(*y) + " and y_positions " +
                                  shape_text(*y_positions) + " differ");
        call.y = y->data;
        call.y_dtype = y->dtype;
    }
    check(name, reduce(call, as_stream(stream)));
}

} // namespace

void init_reduction(py::module_& m) {
    m.def("reduce", &reduce_axis, py::arg("op"), py::arg("x"), py::arg("y"), py::arg("positions"),
          py::arg("y_positions"), py::arg("divisor"), py::arg("stream"));
    m.def("reduction_parts", &reduction_parts, py::arg("outer"), py::arg("reduced"),
          py::arg("inner"));
}

} // namespace fastnn::cuda::bindings
