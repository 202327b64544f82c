// CUDA C++ on the CPU: kernels run as they stand, one fiber for each CUDA thread, block after
// block. Included by core/device.cuh wherever the compiler is not nvcc. docs/cuda-emulator.md
// describes it.
#pragma once

#include "emulator/language.h"

#include "emulator/interface.h"

#include "emulator/half.h"
#include "emulator/intrinsics.h"

#include "emulator/atomics.h"
#include "emulator/memory.h"
#include "emulator/warp.h"

#include "emulator/ptx.h"
#include "emulator/ptx_sm90.h"

#include "emulator/host.h"
