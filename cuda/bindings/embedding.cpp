#include "embedding/embedding.h"

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

void init_embedding(py::module_& m) {
    // table (rows, width), out (n, width)
    m.def("embedding", [](py::handle table_, py::handle indices_, py::handle out_,
                          py::handle first_wrong_, std::uintptr_t stream) {
        const char* const name = "embedding";
        const Array table(table_, name, "table");
        const Array indices(indices_, name, "indices");
        const Array out(out_, name, "out", Access::write);
        const Array first_wrong(first_wrong_, name, "first_wrong", Access::write);
        table.require_ndim(2).require_contiguous();
        indices.require_dtype(DType::int64).require_contiguous();
        out.require_dtype(table.dtype).require_contiguous();
        out.require_size(indices.size() * table.shape[1]);
        first_wrong.require_dtype(DType::int32).require_size(1);
        if (out.size() == 0 && table.shape[1] > 0)
            return;
        const auto row_bytes = table.shape[1] * static_cast<int64_t>(size_of(table.dtype));
        check(name,
              embedding(table.data, table.shape[0], row_bytes, indices.as<int64_t>(),
                        indices.size(), out.data, first_wrong.as<int32_t>(), as_stream(stream)));
    });
    // g (n, width), sorted and order (n,), partial (2, embedding_tiles(n), width), out (rows,
    // width)
    m.def("embedding_backward",
          [](py::handle g_, py::handle sorted_, py::handle order_, py::handle partial_,
             py::handle out_, int64_t padding, bool by_frequency, std::uintptr_t stream) {
              const char* const name = "embedding_backward";
              const Array g(g_, name, "g");
              const Array sorted(sorted_, name, "sorted");
              const Array order(order_, name, "order");
              const Array partial(partial_, name, "partial", Access::write);
              const Array out(out_, name, "out", Access::write);
              g.require_ndim(2).require_contiguous();
              if (!is_float(g.dtype))
                  throw py::type_error("embedding_backward: g must be of a floating dtype, got " +
                                       std::string(name_of(g.dtype)));
              out.require_ndim(2).require_dtype(g.dtype).require_contiguous();
              const int64_t n = g.shape[0], width = out.shape[1];
              g.require_size(n * width);
              for (const Array* a : {&sorted, &order})
                  a->require_dtype(DType::int64).require_contiguous().require_size(n);
              partial.require_dtype(accumulator_of(g.dtype)).require_contiguous();
              partial.require_size(2 * embedding_tiles(n) * width);
              check(name, embedding_backward({g.dtype, n, width, out.shape[0], padding,
                                              by_frequency, sorted.as<int64_t>(),
                                              order.as<int64_t>(), g.data, partial.data, out.data},
                                             as_stream(stream)));
          });
    m.def("embedding_tiles", &embedding_tiles, py::arg("n"));
}

} // namespace fastnn::cuda::bindings
