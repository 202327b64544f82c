#include "random/random.h"

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

void init_random(py::module_& m) {
    m.def("philox", [](uint64_t seed, uint64_t offset, py::handle words, std::uintptr_t stream) {
        const Array out(words, "philox", "words", Access::write);
        out.require_contiguous().require_dtype(DType::uint32);
        check("philox", philox(seed, offset, out.size(), out.data, as_stream(stream)));
    });
    m.def("uniform", [](uint64_t seed, uint64_t offset, py::handle u, std::uintptr_t stream) {
        const Array out(u, "uniform", "u", Access::write);
        out.require_contiguous();
        check("uniform", uniform(out.dtype, seed, offset, out.size(), out.data, as_stream(stream)));
    });
    m.def("dropout", [](py::handle x, double p, double scale, uint64_t seed, uint64_t offset,
                        py::handle y, py::handle mask, std::uintptr_t stream) {
        const Array in(x, "dropout", "x");
        const Array out(y, "dropout", "y", Access::write);
        const Array kept(mask, "dropout", "mask", Access::write);
        in.require_contiguous();
        out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
        kept.require_contiguous().require_dtype(DType::boolean).require_size(in.size());
        check("dropout", dropout(in.dtype, in.data, in.size(), p, scale, seed, offset, out.data,
                                 kept.data, as_stream(stream)));
    });
    m.def("dropout_backward",
          [](py::handle g, py::handle mask, double scale, py::handle gx, std::uintptr_t stream) {
              const Array in(g, "dropout_backward", "g");
              const Array kept(mask, "dropout_backward", "mask");
              const Array out(gx, "dropout_backward", "gx", Access::write);
              in.require_contiguous();
              kept.require_contiguous().require_dtype(DType::boolean).require_size(in.size());
              out.require_contiguous().require_dtype(in.dtype).require_size(in.size());
              check("dropout_backward", dropout_backward(in.dtype, in.data, kept.data, in.size(),
                                                         scale, out.data, as_stream(stream)));
          });
}

} // namespace fastnn::cuda::bindings
