// bfloat16: the upper half of a float.
#pragma once

#include <cstdint>

namespace fastnn {

struct bfloat16 {
    uint16_t bits;
};

} // namespace fastnn
