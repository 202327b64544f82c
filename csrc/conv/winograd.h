// 3 x 3 convolutions by Winograd's algorithm, where it is exact enough and quicker.
#pragma once

#include "conv/conv.h"

namespace fastnn {

struct WinogradKernels {
    void (*convolve)(const TapConv<float>&);
    void (*weight_gradient)(const WeightGrad<float>&);
};
FASTNN_KERNEL_TABLE(WinogradKernels, winograd_kernels)
FASTNN_KERNEL_TABLE(WinogradKernels, winograd_strided_kernels) // of stride 2

// Below this many channels on either side the transforms cost more than they save.
inline constexpr int64_t kWinogradChannels = 8;
inline constexpr int64_t kStridedChannels = 16; // stride 2
// Transformed weights are four times the weights: beyond this they are better not read so often.
inline constexpr int64_t kWinogradWeights = 512 * 512;

// The terms of a weight gradient's sums, at least.
inline constexpr int64_t kWinogradTerms = 144;

// Whether 4 x 4 tiles over a result of h x w pixels take at most two thirds of the multiplications.
inline bool winograd_suits(int64_t in, int64_t out, int64_t h, int64_t w) {
    const int64_t tiles = ((h + 3) / 4) * ((w + 3) / 4);
    return in >= kWinogradChannels && out >= kWinogradChannels && in * out <= kWinogradWeights &&
           36 * tiles * 3 <= 9 * h * w * 2;
}

// The same for stride 2, whose tiles are 2 x 2 and whose terms are 25 of 36.
inline bool winograd_strided_suits(int64_t in, int64_t out, int64_t h, int64_t w) {
    const int64_t tiles = ((h + 1) / 2) * ((w + 1) / 2);
    return in >= kStridedChannels && out >= kStridedChannels && in * out <= kWinogradWeights &&
           25 * tiles * 5 <= 9 * h * w * 4;
}

} // namespace fastnn
