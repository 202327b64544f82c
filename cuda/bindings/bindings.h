// The families of the module, one file each.
#pragma once

#include <pybind11/pybind11.h>

namespace fastnn::cuda::bindings {

void init_runtime(pybind11::module_& m);
void init_emulator(pybind11::module_& m);
void init_conv(pybind11::module_& m);
void init_elementwise(pybind11::module_& m);
void init_embedding(pybind11::module_& m);
void init_norm(pybind11::module_& m);
void init_optim(pybind11::module_& m);
void init_pool(pybind11::module_& m);
void init_random(pybind11::module_& m);
void init_reduction(pybind11::module_& m);
void init_rnn(pybind11::module_& m);
void init_softmax(pybind11::module_& m);
void init_gemm(pybind11::module_& m);
void init_attention(pybind11::module_& m);

} // namespace fastnn::cuda::bindings
