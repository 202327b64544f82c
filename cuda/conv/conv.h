// Convolution (cross-correlation) of images and volumes, and its two gradients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"
#include "gemm/gemm.h"

namespace fastnn::cuda {

// (n, c, depth, height, width) by strides in elements; an image has depth 1.
struct Volume {
    void* data;
    int64_t n, c;
    int64_t size[3];
    int64_t stride_n, stride_c, stride[3];
};

// (o, c / groups, depth, height, width) by strides.
struct Weight {
    void* data;
    int64_t size[3];
    int64_t stride_o, stride_c, stride[3];
};

enum class ConvKind { forward, input_gradient, weight_gradient };
// As a matrix product over tiles, or a thread for some results; chosen by the channels.
enum class ConvMethod { automatic, product, direct };

// x and y are input and output, or their gradients; the kind says which is the result. All of one
// dtype. The weight's gradient is C-contiguous; the pixels of y, for it, are evenly spaced.
struct Convolution {
    DType dtype;
    Volume x, y;
    Weight weight;
    int64_t groups;
    int stride[3], padding[3], dilation[3];
    const void* bias = nullptr; // of the forward pass: o dense elements
    Activation activation = Activation::none;
    Precision precision = Precision::highest;
    Tile tile = Tile::automatic;
    ConvMethod method = ConvMethod::automatic;
    int splits = 0;            // parts of the sum side by side; 0: chosen by the shape
    void* workspace = nullptr; // of conv_workspace() bytes, aligned to 16
};

// Pixels are counted, and placed within one sample, by 32 bits.
bool conv_fits(const Convolution& call);
size_t conv_workspace(const Convolution& call, ConvKind kind);
cudaError_t conv(const Convolution& call, ConvKind kind, cudaStream_t stream);

} // namespace fastnn::cuda
