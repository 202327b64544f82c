#include "norm/norm.h"

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

std::optional<Array> optional(py::object array, const char* operation, const char* argument) {
    if (array.is_none())
        return std::nullopt;
    return Array(array, operation, argument);
}

const void* data_of(const std::optional<Array>& array, DType dtype, int64_t size) {
    if (!array)
        return nullptr;
    array->require_contiguous().require_dtype(dtype).require_size(size);
    return array->data;
}

// x is (N, C, inner), or (N, inner, C) with channels_last; both dense.
Channels channels_of(const Array& x, bool channels_last) {
    x.require_contiguous().require_ndim(3);
    return {x.dtype, x.shape[0], x.shape[channels_last ? 2 : 1], x.shape[channels_last ? 1 : 2],
            channels_last};
}

void require_statistics(const Array& a, const Channels& image) {
    a.require_contiguous().require_dtype(accumulator_of(image.dtype)).require_size(image.c);
}

} // namespace

void init_norm(py::module_& m) {
    m.def("batch_norm_workspace", [](py::handle x, bool channels_last) {
        return batch_norm_workspace(channels_of(Array(x, "batch_norm", "x"), channels_last));
    });
    m.def("batch_norm", [](py::handle x, py::object weight, py::object bias, double eps,
                           bool channels_last, py::handle y, py::handle mean, py::handle var,
                           py::handle workspace, std::uintptr_t stream) {
        const char* const name = "batch_norm";
        const Array in(x, name, "x");
        const Channels image = channels_of(in, channels_last);
        const auto w = optional(weight, name, "weight");
        const auto b = optional(bias, name, "bias");
        const Array out(y, name, "y", Access::write);
        out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        const Array mu(mean, name, "mean", Access::write);
        const Array sigma(var, name, "var", Access::write);
        require_statistics(mu, image);
        require_statistics(sigma, image);
        const Array scratch(workspace, name, "workspace", Access::write);
        scratch.require_dtype(DType::uint8).require_size(int64_t(batch_norm_workspace(image)));
        check(name, batch_norm(image, in.data, data_of(w, in.dtype, image.c),
                               data_of(b, in.dtype, image.c), eps, out.data, mu.data, sigma.data,
                               scratch.data, as_stream(stream)));
    });
    m.def("batch_norm_backward", [](py::handle g, py::handle x, py::object weight, py::handle mean,
                                    py::handle var, double eps, bool channels_last, py::handle gx,
                                    py::handle gweight, py::handle gbias, py::handle workspace,
                                    std::uintptr_t stream) {
        const char* const name = "batch_norm_backward";
        const Array in(x, name, "x");
        const Channels image = channels_of(in, channels_last);
        const Array gradient(g, name, "g");
        gradient.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        const auto w = optional(weight, name, "weight");
        const Array mu(mean, name, "mean");
        const Array sigma(var, name, "var");
        const Array out(gx, name, "gx", Access::write);
        out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        const Array of_weight(gweight, name, "gweight", Access::write);
        const Array of_bias(gbias, name, "gbias", Access::write);
        for (const Array* a : {&mu, &sigma, &of_weight, &of_bias})
            require_statistics(*a, image);
        const Array scratch(workspace, name, "workspace", Access::write);
        scratch.require_dtype(DType::uint8).require_size(int64_t(batch_norm_workspace(image)));
        check(name,
              batch_norm_backward(image, gradient.data, in.data, data_of(w, in.dtype, image.c),
                                  mu.data, sigma.data, eps, out.data, of_weight.data, of_bias.data,
                                  scratch.data, as_stream(stream)));
    });
    m.def("row_norm", [](py::handle x, py::object weight, py::object bias, double eps, py::handle y,
                         py::object mean, py::handle scale, std::uintptr_t stream) {
        const char* const name = mean.is_none() ? "rms_norm" : "layer_norm";
        const Array in(x, name, "x");
        in.require_contiguous().require_ndim(2);
        const auto w = optional(weight, name, "weight");
        const auto b = optional(bias, name, "bias");
        const Array out(y, name, "y", Access::write);
        out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        std::optional<Array> mu;
        if (!mean.is_none())
            mu.emplace(mean, name, "mean", Access::write);
        const Array factor(scale, name, "scale", Access::write);
        const DType statistics = accumulator_of(in.dtype);
        factor.require_contiguous().require_dtype(statistics).require_size(in.shape[0]);
        if (mu)
            mu->require_contiguous().require_dtype(statistics).require_size(in.shape[0]);
        const RowNorm call{in.dtype,
                           in.shape[0],
                           in.shape[1],
                           in.data,
                           data_of(w, in.dtype, in.shape[1]),
                           mu ? mu->data : nullptr,
                           factor.data};
        check(name,
              row_norm(call, data_of(b, in.dtype, in.shape[1]), eps, out.data, as_stream(stream)));
    });
    m.def("row_norm_workspace", [](py::handle x) {
        const Array in(x, "layer_norm", "x");
        in.require_ndim(2);
        return row_norm_workspace(
            {in.dtype, in.shape[0], in.shape[1], nullptr, nullptr, nullptr, nullptr});
    });
    m.def("row_norm_backward", [](py::handle g, py::handle x, py::object weight, py::object mean,
                                  py::handle scale, py::handle gx, py::handle gweight,
                                  py::object gbias, py::handle workspace, std::uintptr_t stream) {
        const char* const name = mean.is_none() ? "rms_norm_backward" : "layer_norm_backward";
        const Array in(x, name, "x");
        in.require_contiguous().require_ndim(2);
        const Array gradient(g, name, "g");
        gradient.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        const auto w = optional(weight, name, "weight");
        const auto mu = optional(mean, name, "mean");
        const Array factor(scale, name, "scale");
        const Array out(gx, name, "gx", Access::write);
        out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        const DType statistics = accumulator_of(in.dtype);
        factor.require_contiguous().require_dtype(statistics).require_size(in.shape[0]);
        const Array of_weight(gweight, name, "gweight", Access::write);
        of_weight.require_contiguous().require_dtype(statistics).require_size(in.shape[1]);
        std::optional<Array> of_bias;
        if (!gbias.is_none()) {
            of_bias.emplace(gbias, name, "gbias", Access::write);
            of_bias->require_contiguous().require_dtype(statistics).require_size(in.shape[1]);
        }
        const RowNorm call{in.dtype,
                           in.shape[0],
                           in.shape[1],
                           in.data,
                           data_of(w, in.dtype, in.shape[1]),
                           const_cast<void*>(data_of(mu, statistics, in.shape[0])),
                           factor.data};
        const Array scratch(workspace, name, "workspace", Access::write);
        scratch.require_dtype(DType::uint8).require_size(int64_t(row_norm_workspace(call)));
        check(name, row_norm_backward(call, gradient.data, out.data, of_weight.data,
                                      of_bias ? of_bias->data : nullptr, scratch.data,
                                      as_stream(stream)));
    });
}

} // namespace fastnn::cuda::bindings
