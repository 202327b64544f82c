// Names of how products are computed, as Python gives them.
#pragma once

#include <string>

#include <pybind11/pybind11.h>

#include "gemm/gemm.h"

namespace fastnn::cuda::bindings {

inline Precision parse_precision(const char* operation, const std::string& name) {
    if (name == "highest")
        return Precision::highest;
    if (name == "high")
        return Precision::high;
    if (name == "medium")
        return Precision::medium;
    throw pybind11::value_error(std::string(operation) +
                                ": precision must be highest, high or medium, got " + name);
}

inline Tile parse_tile(const char* operation, const std::string& name) {
    if (name == "auto")
        return Tile::automatic;
    if (name == "small")
        return Tile::small;
    if (name == "large")
        return Tile::large;
    throw pybind11::value_error(std::string(operation) +
                                ": tile must be auto, small or large, got " + name);
}

} // namespace fastnn::cuda::bindings
