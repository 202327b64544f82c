#include "optim/optim.h"

#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

// The tensors of a call, one list of arrays a parameter, all of one dtype; `arrays` keeps them.
struct Tensors {
    std::vector<Array> arrays;
    OptimizerTensors table;
    DType dtype = DType::float32;

    Tensors(const std::vector<std::vector<py::object>>& parameters, const char* name,
            size_t count) {
        static const char* const arguments[] = {"params", "grads", "state 0", "state 1", "state 2"};
        arrays.reserve(parameters.size() * count);
        for (const auto& parameter : parameters) {
            if (parameter.size() != count)
                throw py::value_error(std::string(name) + ": a parameter must have " +
                                      std::to_string(count) + " arrays, got " +
                                      std::to_string(parameter.size()));
            OptimizerTensor tensor{};
            for (size_t a = 0; a < count; a++) {
                arrays.emplace_back(parameter[a], name, arguments[a],
                                    a == 1 ? Access::read : Access::write);
                const Array& array = arrays.back();
                if (a == 0)
                    tensor.size = array.size();
                dtype = arrays.front().dtype;
                array.require_contiguous().require_dtype(dtype).require_size(tensor.size);
                tensor.at[a] = array.data;
            }
            table.push_back(tensor);
        }
    }
};

using Parameters = std::vector<std::vector<py::object>>;

} // namespace

void init_optim(py::module_& m) {
    m.def("sgd_step",
          [](const Parameters& parameters, double lr, double momentum, double dampening,
             double weight_decay, bool nesterov, bool maximize, bool first, std::uintptr_t stream) {
              const Tensors t(parameters, "sgd_step", momentum != 0 ? 3 : 2);
              check("sgd_step",
                    sgd_step(t.dtype, t.table,
                             {lr, momentum, dampening, weight_decay, nesterov, maximize, first},
                             as_stream(stream)));
          });
    m.def("adam_step", [](const Parameters& parameters, double step_size, double correction,
                          double lr, double beta1, double beta2, double eps, double weight_decay,
                          bool decoupled, bool maximize, bool amsgrad, std::uintptr_t stream) {
        const Tensors t(parameters, "adam_step", amsgrad ? 5 : 4);
        check("adam_step", adam_step(t.dtype, t.table,
                                     {step_size, correction, lr, beta1, beta2, eps, weight_decay,
                                      decoupled, maximize, amsgrad},
                                     as_stream(stream)));
    });
    m.def("adagrad_step", [](const Parameters& parameters, double rate, double eps,
                             double weight_decay, bool maximize, std::uintptr_t stream) {
        const Tensors t(parameters, "adagrad_step", 3);
        check("adagrad_step", adagrad_step(t.dtype, t.table, {rate, eps, weight_decay, maximize},
                                           as_stream(stream)));
    });
    m.def("rmsprop_step", [](const Parameters& parameters, double lr, double alpha, double eps,
                             double weight_decay, double momentum, bool maximize, bool centered,
                             bool buffered, std::uintptr_t stream) {
        const Tensors t(parameters, "rmsprop_step", size_t(3 + centered + buffered));
        check("rmsprop_step",
              rmsprop_step(t.dtype, t.table,
                           {lr, alpha, eps, weight_decay, momentum, maximize, centered, buffered},
                           as_stream(stream)));
    });
}

} // namespace fastnn::cuda::bindings
