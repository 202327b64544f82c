#include "optim/optim.h"

#include <map>

#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/bindings.h"

namespace fastnn::cuda::bindings {

namespace {

using Parameters = std::vector<std::vector<py::object>>;
using O = OptimizerOptions;

template <class V>
using Table = std::map<std::string, V>;

template <class V>
V find(const Table<V>& table, const std::string& key, const char* what) {
    const auto found = table.find(key);
    if (found == table.end())
        throw py::value_error("optimizer_step: there is no " + std::string(what) + " " + key);
    return found->second;
}

const Table<Optimizer> optimizers{
    {"sgd", Optimizer::sgd},         {"adam", Optimizer::adam},
    {"adagrad", Optimizer::adagrad}, {"adadelta", Optimizer::adadelta},
    {"adamax", Optimizer::adamax},   {"nadam", Optimizer::nadam},
    {"radam", Optimizer::radam},     {"rmsprop", Optimizer::rmsprop},
    {"rprop", Optimizer::rprop},     {"asgd", Optimizer::asgd}};
const Table<bool O::*> switches{{"maximize", &O::maximize},
                                {"nesterov", &O::nesterov},
                                {"first", &O::first},
                                {"decoupled", &O::decoupled},
                                {"centered", &O::centered}};
const Table<double O::*> numbers{{"lr", &O::lr},
                                 {"weight_decay", &O::weight_decay},
                                 {"eps", &O::eps},
                                 {"step", &O::step},
                                 {"momentum", &O::momentum},
                                 {"dampening", &O::dampening},
                                 {"beta1", &O::beta1},
                                 {"beta2", &O::beta2},
                                 {"lr_decay", &O::lr_decay},
                                 {"rho", &O::rho},
                                 {"alpha", &O::alpha},
                                 {"mu", &O::mu},
                                 {"mu_next", &O::mu_next},
                                 {"mu_product", &O::mu_product},
                                 {"eta_minus", &O::eta_minus},
                                 {"eta_plus", &O::eta_plus},
                                 {"step_size_min", &O::step_size_min},
                                 {"step_size_max", &O::step_size_max},
                                 {"eta", &O::eta},
                                 {"lambd", &O::lambd}};

O parse_options(const py::dict& given) {
    O options;
    for (const auto& [key, value] : given) {
        const auto name = key.cast<std::string>();
        if (const auto found = switches.find(name); found != switches.end())
            options.*found->second = value.cast<bool>();
        else
            options.*find(numbers, name, "option") = value.cast<double>();
    }
    return options;
}

// `parameters` has a list of arrays for each: p, g, state..., all of one dtype.
void step(const std::string& name, const Parameters& parameters, const py::dict& given,
          std::uintptr_t stream) {
    static const char* const arguments[] = {"params", "grads", "state 0", "state 1", "state 2"};
    const Optimizer kind = find(optimizers, name, "optimizer");
    const O options = parse_options(given);
    if (parameters.empty())
        return;
    const size_t count = parameters[0].size();
    const ArrayCount wanted = optimizer_arrays(kind, options);
    if (count < wanted.least || count > wanted.most)
        throw py::value_error("optimizer_step: " + name + " has " + std::to_string(wanted.least) +
                              " to " + std::to_string(wanted.most) + " arrays a parameter, got " +
                              std::to_string(count));
    std::vector<Array> arrays;
    arrays.reserve(parameters.size() * count);
    OptimizerTensors tensors;
    for (const auto& parameter : parameters) {
        if (parameter.size() != count)
            throw py::value_error("optimizer_step: a parameter must have " + std::to_string(count) +
                                  " arrays as the others, got " + std::to_string(parameter.size()));
        OptimizerTensor tensor{};
        for (size_t a = 0; a < count; a++) {
            const Array& array = arrays.emplace_back(parameter[a], "optimizer_step", arguments[a],
                                                     a == 1 ? Access::read : Access::write);
            if (a == 0)
                tensor.size = array.size();
            array.require_contiguous().require_dtype(arrays[0].dtype).require_size(tensor.size);
            tensor.at[a] = array.data;
        }
        tensors.push_back(tensor);
    }
    if (!is_float(arrays[0].dtype))
        throw py::type_error("optimizer_step: params must be of a floating dtype, got " +
                             std::string(name_of(arrays[0].dtype)));
    check(name.c_str(),
          optimizer_step(kind, arrays[0].dtype, count, tensors, options, as_stream(stream)));
}

} // namespace

void init_optim(py::module_& m) {
    m.def("optimizer_step", &step, py::arg("name"), py::arg("parameters"), py::arg("options"),
          py::arg("stream"));
}

} // namespace fastnn::cuda::bindings
