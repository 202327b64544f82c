// Optimizer steps. They update what the kernels serve and return the positions of the parameters
// that are left.
#include "optim/optim.h"

#include <cmath>
#include <vector>

#include "bindings/fast_call.h"

namespace fastnn::bindings {
namespace {

constexpr int kWriteable = 0x0400; // NPY_ARRAY_WRITEABLE

// Lists of equal length: parameters, gradients, states (None: no such state).
class Lists {
  public:
    Lists(PyObject* const* lists, int count) {
        for (int i = 0; i < count; ++i) {
            if (lists[i] != Py_None && !PyList_CheckExact(lists[i]) &&
                !PyTuple_CheckExact(lists[i]))
                return;
            lists_[i] = lists[i] == Py_None ? nullptr : lists[i];
            if (i > 0 && lists_[i] && size(i) != size(0))
                return;
        }
        valid_ = lists_[0] && lists_[1];
    }

    bool valid() const { return valid_; }
    Py_ssize_t size(int list = 0) const { return PySequence_Fast_GET_SIZE(lists_[list]); }

    // False: this parameter's arrays are not such that the kernel can walk them side by side.
    bool parameter(Py_ssize_t at, Parameter* out) const {
        PyObject* data = PySequence_Fast_GET_ITEM(lists_[0], at);
        const DType dtype = float_dtype(data);
        if (dtype == DType::other || !(array_of(data)->flags & kWriteable))
            return false;
        const bool channels_last = is_channels_last(data);
        void* pointers[5] = {};
        for (int i = 0; i < 5; ++i) {
            if (!lists_[i])
                continue;
            PyObject* array = PySequence_Fast_GET_ITEM(lists_[i], at);
            if (float_dtype(array) != dtype || array_of(array)->nd != array_of(data)->nd ||
                !(channels_last ? is_channels_last(array) : is_c_contiguous(array)) ||
                (i != 1 && !(array_of(array)->flags & kWriteable)))
                return false;
            for (int axis = 0; axis < array_of(data)->nd; ++axis)
                if (dim(array, axis) != dim(data, axis))
                    return false;
            pointers[i] = data_of<void>(array);
        }
        *out = {pointers[0],
                pointers[1],
                {pointers[2], pointers[3], pointers[4]},
                size_of(data),
                dtype == DType::float64,
                {}};
        return true;
    }

  private:
    PyObject* lists_[5] = {};
    bool valid_ = false;
};

// Steps the parameters that can be; returns the positions of the others. `own` sets the numbers of
// parameter i alone.
template <class Own>
PyObject* run(Optimizer optimizer, const OptimStep& step, PyObject* const* arrays, int count,
              Own own) {
    const Lists lists(arrays, count);
    if (!lists.valid())
        return nullptr;
    Ref left(PyList_New(0));
    if (!left.get())
        throw PythonError();
    std::vector<Parameter> parameters;
    parameters.reserve(static_cast<std::size_t>(lists.size()));
    int64_t total = 0;
    for (Py_ssize_t i = 0; i < lists.size(); ++i) {
        Parameter p;
        if (lists.parameter(i, &p)) {
            own(i, p);
            parameters.push_back(p);
            total += p.size;
        } else {
            const Ref index(PyLong_FromSsize_t(i));
            if (!index.get() || PyList_Append(left.get(), index.get()) < 0)
                throw PythonError();
        }
    }
    const MaybeReleaseGil release(total);
    optimizer_step(optimizer, step, parameters.data(), parameters.size());
    return left.release();
}

PyObject* run(Optimizer optimizer, const OptimStep& step, PyObject* const* arrays, int count) {
    return run(optimizer, step, arrays, count, [](Py_ssize_t, Parameter&) {});
}

bool argument(PyObject* object, double* value) {
    return float_argument(object, value);
}
bool argument(PyObject* object, bool* value) {
    return bool_argument(object, value);
}
// Arguments in their order.
template <class... Values>
bool read(PyObject* const* args, Values*... values) {
    return (argument(*args++, values) && ...);
}
bool present(PyObject* const* args, int count) {
    for (int i = 0; i < count; ++i)
        if (args[i] == Py_None)
            return false;
    return true;
}

// A number for each of the parameters.
bool numbers(PyObject* list, PyObject* parameters, std::vector<double>* values) {
    if (!PyList_CheckExact(list) || !PyList_CheckExact(parameters) ||
        PyList_GET_SIZE(list) != PyList_GET_SIZE(parameters))
        return false;
    values->resize(static_cast<std::size_t>(PyList_GET_SIZE(list)));
    for (std::size_t i = 0; i < values->size(); ++i)
        if (!float_argument(PyList_GET_ITEM(list, static_cast<Py_ssize_t>(i)), &(*values)[i]))
            return false;
    return true;
}

OptimStep plain() {
    OptimStep step{};
    step.shrink = 1;
    return step;
}
void decouple(bool decoupled, double lr, OptimStep* step) {
    if (!decoupled)
        return;
    step->shrink = 1 - lr * step->weight_decay;
    step->weight_decay = 0;
}

// -- the arguments are those of the specification, keywords in their order ------------------------
PyObject* sgd_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    double dampening = 0;
    if (count != 10 || !read(args + 3, &s.rate, &s.beta1, &dampening, &s.weight_decay, &s.nesterov,
                             &s.maximize, &s.first))
        return nullptr;
    s.take = 1 - dampening;
    PyObject* const arrays[3] = {args[0], args[1], s.beta1 != 0 ? args[2] : Py_None};
    return run(Optimizer::sgd, s, arrays, 3);
}

PyObject* adam_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    double step = 0, lr = 0;
    bool decoupled = false;
    if (count != 13 || !present(args, 4) ||
        !read(args + 5, &step, &lr, &s.beta1, &s.beta2, &s.eps, &s.weight_decay, &decoupled,
              &s.maximize))
        return nullptr;
    s.rate = lr / (1 - std::pow(s.beta1, step));
    s.correction = 1 / std::sqrt(1 - std::pow(s.beta2, step));
    decouple(decoupled, lr, &s);
    return run(Optimizer::adam, s, args, 5);
}

PyObject* adagrad_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    double step = 0, lr = 0, lr_decay = 0;
    if (count != 9 || !present(args, 3) ||
        !read(args + 3, &step, &lr, &lr_decay, &s.eps, &s.weight_decay, &s.maximize))
        return nullptr;
    s.rate = lr / (1 + (step - 1) * lr_decay);
    return run(Optimizer::adagrad, s, args, 3);
}

PyObject* adadelta_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    if (count != 9 || !present(args, 4) ||
        !read(args + 4, &s.rate, &s.beta2, &s.eps, &s.weight_decay, &s.maximize))
        return nullptr;
    return run(Optimizer::adadelta, s, args, 4);
}

PyObject* adamax_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    double step = 0, lr = 0;
    if (count != 11 || !present(args, 4) ||
        !read(args + 4, &step, &lr, &s.beta1, &s.beta2, &s.eps, &s.weight_decay, &s.maximize))
        return nullptr;
    s.rate = lr / (1 - std::pow(s.beta1, step));
    return run(Optimizer::adamax, s, args, 4);
}

PyObject* nadam_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    std::vector<double> products;
    double mu = 0, mu_next = 0, step = 0, lr = 0;
    bool decoupled = false;
    if (count != 15 || !present(args, 4) || !numbers(args[4], args[0], &products) ||
        !read(args + 5, &mu, &mu_next, &step, &lr, &s.beta1, &s.beta2, &s.eps, &s.weight_decay,
              &decoupled, &s.maximize))
        return nullptr;
    s.correction = 1 / (1 - std::pow(s.beta2, step));
    decouple(decoupled, lr, &s);
    return run(Optimizer::nadam, s, args, 4, [&](Py_ssize_t i, Parameter& p) {
        const double product = products[static_cast<std::size_t>(i)];
        p.own[0] = lr * (1 - mu) / (1 - product);
        p.own[1] = lr * mu_next / (1 - product * mu_next);
    });
}

PyObject* radam_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    double step = 0, lr = 0;
    bool decoupled = false;
    if (count != 12 || !present(args, 4) ||
        !read(args + 4, &step, &lr, &s.beta1, &s.beta2, &s.eps, &s.weight_decay, &decoupled,
              &s.maximize))
        return nullptr;
    const double power = std::pow(s.beta2, step), left = 1 - power;
    const double rho_inf = 2 / (1 - s.beta2) - 1, rho = rho_inf - 2 * step * power / left;
    s.rate = lr / (1 - std::pow(s.beta1, step));
    s.rectified = rho > 5;
    if (s.rectified)
        s.rate *= std::sqrt((rho - 4) * (rho - 2) * rho_inf /
                            ((rho_inf - 4) * (rho_inf - 2) * rho) * left);
    decouple(decoupled, lr, &s);
    return run(Optimizer::radam, s, args, 4);
}

PyObject* rmsprop_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    if (count != 11 || !present(args, 3) ||
        !read(args + 5, &s.rate, &s.beta2, &s.eps, &s.weight_decay, &s.take, &s.maximize))
        return nullptr;
    return run(Optimizer::rmsprop, s, args, 5);
}

PyObject* rprop_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    if (count != 9 || !present(args, 4) ||
        !read(args + 4, &s.beta1, &s.beta2, &s.low, &s.high, &s.maximize))
        return nullptr;
    return run(Optimizer::rprop, s, args, 4);
}

PyObject* asgd_step(PyObject* const* args, Py_ssize_t count) {
    OptimStep s = plain();
    std::vector<double> etas, weights;
    if (count != 8 || !present(args, 3) || !numbers(args[3], args[0], &etas) ||
        !numbers(args[4], args[0], &weights) ||
        !read(args + 5, &s.rate, &s.weight_decay, &s.maximize))
        return nullptr;
    return run(Optimizer::asgd, s, args, 3, [&](Py_ssize_t i, Parameter& p) {
        p.own[0] = etas[static_cast<std::size_t>(i)];
        p.own[1] = weights[static_cast<std::size_t>(i)];
    });
}

} // namespace

void register_optim() {
    register_fast<&bindings::sgd_step>("sgd_step");
    register_fast<&bindings::adam_step>("adam_step");
    register_fast<&bindings::adagrad_step>("adagrad_step");
    register_fast<&bindings::adadelta_step>("adadelta_step");
    register_fast<&bindings::adamax_step>("adamax_step");
    register_fast<&bindings::nadam_step>("nadam_step");
    register_fast<&bindings::radam_step>("radam_step");
    register_fast<&bindings::rmsprop_step>("rmsprop_step");
    register_fast<&bindings::rprop_step>("rprop_step");
    register_fast<&bindings::asgd_step>("asgd_step");
}

} // namespace fastnn::bindings
