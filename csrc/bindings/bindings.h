// One init function per file of this folder; module.cpp calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace fastnn::bindings {

void init_runtime(pybind11::module_& m);
void init_fast_call(pybind11::module_& m);
void init_roofline(pybind11::module_& m);

} // namespace fastnn::bindings
