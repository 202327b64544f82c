#include "conv/conv.h"

#include <vector>

#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/bindings.h"
#include "bindings/product.h"

namespace fastnn::cuda::bindings {

namespace {

using Ints = std::vector<int64_t>;

// (N, C, [[D,] H,] W) as a volume.
Volume volume_of(const Array& a) {
    Volume v{};
    v.data = a.data;
    v.n = a.shape[0], v.c = a.shape[1];
    v.stride_n = a.stride[0], v.stride_c = a.stride[1];
    const int missing = 5 - a.ndim;
    for (int i = 0; i < 3; i++) {
        v.size[i] = i < missing ? 1 : a.shape[2 + i - missing];
        v.stride[i] = i < missing ? 0 : a.stride[2 + i - missing];
    }
    return v;
}

Weight weight_of(const Array& a) {
    const Volume v = volume_of(a);
    Weight w{};
    w.data = v.data;
    w.stride_o = v.stride_n, w.stride_c = v.stride_c;
    for (int i = 0; i < 3; i++)
        w.size[i] = v.size[i], w.stride[i] = v.stride[i];
    return w;
}

// The numbers of each axis; 1 (or 0) where there is none.
void set(int (&to)[3], const Ints& from, int spatial, int64_t least, int none, const char* name,
         const char* what) {
    if (int(from.size()) != spatial)
        throw py::value_error(std::string(name) + ": " + what + " must have " +
                              std::to_string(spatial) + " numbers, got " +
                              std::to_string(from.size()));
    for (int i = 0; i < 3; i++) {
        const int missing = 3 - spatial;
        const int64_t value = i < missing ? none : from[size_t(i - missing)];
        if (value < least || value > INT32_MAX)
            throw py::value_error(std::string(name) + ": " + what + " must be at least " +
                                  std::to_string(least) + ", got " + std::to_string(value));
        to[i] = int(value);
    }
}

// Pixels whose offsets are multiples of one stride.
bool evenly_spaced(const Volume& v) {
    int64_t stride = 0;
    for (int i = 2; i >= 0; i--) {
        if (v.size[i] == 1)
            continue;
        if (v.stride[i] < 0 || (stride != 0 && v.stride[i] != stride))
            return false;
        stride = v.stride[i] * v.size[i];
    }
    return v.stride_n >= 0 && v.stride_c >= 0;
}

struct Settings {
    Ints stride, padding, dilation;
    int64_t groups;
    std::string precision, tile, method;
    int splits;
};

ConvMethod parse_method(const char* operation, const std::string& name) {
    if (name == "auto")
        return ConvMethod::automatic;
    if (name == "product")
        return ConvMethod::product;
    if (name == "direct")
        return ConvMethod::direct;
    throw py::value_error(std::string(operation) +
                          ": method must be auto, product or direct, got " + name);
}

// x, weight and y are those of the convolution, one of them the result. `allocate` gives the
// workspace. False: too many elements for the kernels, nothing is done.
bool run(const char* name, ConvKind kind, const Array& x, const Array& weight, const Array& y,
         py::handle bias_object, bool relu, const Settings& s, const py::object& allocate,
         std::uintptr_t stream) {
    if (!is_float(x.dtype))
        throw py::type_error(std::string(name) + ": x must be of a floating dtype, got " +
                             name_of(x.dtype));
    weight.require_dtype(x.dtype);
    y.require_dtype(x.dtype);
    if (x.ndim < 3 || x.ndim > 5)
        throw py::value_error(std::string(name) + ": x must have 3 to 5 dims, got " +
                              shape_text(x));
    weight.require_ndim(x.ndim);
    y.require_ndim(x.ndim);
    const int spatial = x.ndim - 2;
    Convolution call{};
    call.dtype = x.dtype;
    call.x = volume_of(x);
    call.y = volume_of(y);
    call.weight = weight_of(weight);
    call.groups = s.groups;
    set(call.stride, s.stride, spatial, 1, 1, name, "stride");
    set(call.padding, s.padding, spatial, 0, 0, name, "padding");
    set(call.dilation, s.dilation, spatial, 1, 1, name, "dilation");
    if (s.groups < 1 || s.splits < 0)
        throw py::value_error(std::string(name) + ": groups must be positive, splits not negative");
    bool fits = call.y.n == call.x.n && weight.shape[0] == call.y.c &&
                weight.shape[0] % s.groups == 0 && weight.shape[1] * s.groups == call.x.c;
    for (int i = 0; i < 3; i++) {
        const int64_t room = call.x.size[i] + 2 * int64_t(call.padding[i]) -
                             call.dilation[i] * (call.weight.size[i] - 1) - 1;
        fits = fits && call.weight.size[i] >= 1 && room >= 0 &&
               call.y.size[i] == room / call.stride[i] + 1;
    }
    if (!fits)
        throw py::value_error(std::string(name) + ": x " + shape_text(x) + ", weight " +
                              shape_text(weight) + " and y " + shape_text(y) +
                              " do not fit with groups=" + std::to_string(s.groups));
    py::object memory; // outlives the Array of it
    std::vector<Array> optional;
    optional.reserve(2);
    if (!bias_object.is_none()) {
        optional.emplace_back(bias_object, name, "bias");
        optional.back().require_dtype(x.dtype).require_size(call.y.c).require_contiguous();
        call.bias = optional.back().data;
    }
    call.activation = relu ? Activation::relu : Activation::none;
    call.precision = parse_precision(name, s.precision);
    call.tile = parse_tile(name, s.tile);
    call.method = parse_method(name, s.method);
    call.splits = s.splits;
    if (kind == ConvKind::weight_gradient) {
        weight.require_contiguous();
        if (!evenly_spaced(call.y))
            throw py::value_error(std::string(name) + ": g must be dense, got " + shape_text(y) +
                                  " with strides");
    }
    if (!conv_fits(call))
        return false;
    const size_t scratch = conv_workspace(call, kind);
    if (scratch > 0) {
        memory = allocate(scratch);
        optional.emplace_back(memory, name, "workspace", Access::write);
        optional.back()
            .require_dtype(DType::uint8)
            .require_contiguous()
            .require_size(static_cast<int64_t>(scratch));
        call.workspace = optional.back().data;
    }
    check(name, conv(call, kind, as_stream(stream)));
    return true;
}

} // namespace

void init_conv(py::module_& m) {
    py::class_<Settings>(m, "ConvSettings")
        .def(py::init<Ints, Ints, Ints, int64_t, std::string, std::string, std::string, int>(),
             py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
             py::arg("precision"), py::arg("tile") = "auto", py::arg("method") = "auto",
             py::arg("splits") = 0);
    m.def("conv", [](py::handle x, py::handle weight, py::handle bias, py::handle y, bool relu,
                     const Settings& settings, const py::object& allocate, std::uintptr_t stream) {
        const char* const name = "conv";
        return run(name, ConvKind::forward, Array(x, name, "x"), Array(weight, name, "weight"),
                   Array(y, name, "y", Access::write), bias, relu, settings, allocate, stream);
    });
    m.def("conv_input_grad",
          [](py::handle g, py::handle weight, py::handle gx, const Settings& settings,
             const py::object& allocate, std::uintptr_t stream) {
              const char* const name = "conv_input_grad";
              return run(name, ConvKind::input_gradient, Array(gx, name, "gx", Access::write),
                         Array(weight, name, "weight"), Array(g, name, "g"), py::none(), false,
                         settings, allocate, stream);
          });
    m.def("conv_weight_grad",
          [](py::handle g, py::handle x, py::handle gweight, const Settings& settings,
             const py::object& allocate, std::uintptr_t stream) {
              const char* const name = "conv_weight_grad";
              return run(name, ConvKind::weight_gradient, Array(x, name, "x"),
                         Array(gweight, name, "gweight", Access::write), Array(g, name, "g"),
                         py::none(), false, settings, allocate, stream);
          });
}

} // namespace fastnn::cuda::bindings
