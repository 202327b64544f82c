// What host code needs of CUDA: streams, errors, memory. Under nvcc (or a host compiler with CUDA's
// headers) CUDA's own; in the emulated build its stand-in.
#pragma once

#ifdef FASTNN_CUDA_EMULATED
#include "emulator/emulator.h"
#else
#include <cuda_runtime_api.h>
#endif
