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
                dtype == DType::float64};
        return true;
    }

  private:
    PyObject* lists_[5] = {};
    bool valid_ = false;
};

// Steps the parameters that can be; returns the positions of the others.
template <class Step>
PyObject* run(const Lists& lists, Step step) {
    Ref left(PyList_New(0));
    if (!left.get())
        throw PythonError();
    std::vector<Parameter> parameters;
    parameters.reserve(static_cast<std::size_t>(lists.size()));
    int64_t total = 0;
    for (Py_ssize_t i = 0; i < lists.size(); ++i) {
        Parameter p;
        if (lists.parameter(i, &p)) {
            parameters.push_back(p);
            total += p.size;
        } else {
            const Ref index(PyLong_FromSsize_t(i));
            if (!index.get() || PyList_Append(left.get(), index.get()) < 0)
                throw PythonError();
        }
    }
    const MaybeReleaseGil release(total);
    step(parameters.data(), parameters.size());
    return left.release();
}

// (params, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov, maximize,
// first)
PyObject* sgd_step(PyObject* const* args, Py_ssize_t count) {
    SgdStep step{};
    if (count != 10 || !float_argument(args[3], &step.lr) ||
        !float_argument(args[4], &step.momentum) || !float_argument(args[5], &step.dampening) ||
        !float_argument(args[6], &step.weight_decay) || !bool_argument(args[7], &step.nesterov) ||
        !bool_argument(args[8], &step.maximize) || !bool_argument(args[9], &step.first))
        return nullptr;
    PyObject* const arrays[3] = {args[0], args[1], step.momentum != 0 ? args[2] : Py_None};
    const Lists lists(arrays, 3);
    if (!lists.valid())
        return nullptr;
    return run(lists, [&](const Parameter* parameters, std::size_t n) {
        fastnn::sgd_step(step, parameters, n);
    });
}

// (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, lr, beta1, beta2, eps,
// weight_decay, decoupled, maximize)
PyObject* adam_step(PyObject* const* args, Py_ssize_t count) {
    AdamStep step{};
    double number = 0, lr = 0;
    bool decoupled = false;
    if (count != 13 || !float_argument(args[5], &number) || !float_argument(args[6], &lr) ||
        !float_argument(args[7], &step.beta1) || !float_argument(args[8], &step.beta2) ||
        !float_argument(args[9], &step.eps) || !float_argument(args[10], &step.weight_decay) ||
        !bool_argument(args[11], &decoupled) || !bool_argument(args[12], &step.maximize) ||
        args[2] == Py_None || args[3] == Py_None)
        return nullptr;
    step.step_size = lr / (1 - std::pow(step.beta1, number));
    step.correction = std::sqrt(1 - std::pow(step.beta2, number));
    step.shrink = decoupled ? 1 - lr * step.weight_decay : 1;
    if (decoupled)
        step.weight_decay = 0;
    const Lists lists(args, 5);
    if (!lists.valid())
        return nullptr;
    return run(lists, [&](const Parameter* parameters, std::size_t n) {
        fastnn::adam_step(step, parameters, n);
    });
}

} // namespace

void register_optim() {
    register_fast<&bindings::sgd_step>("sgd_step");
    register_fast<&bindings::adam_step>("adam_step");
}

} // namespace fastnn::bindings
