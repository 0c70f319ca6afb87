// Kernels with the faults that the emulation must find, for its own tests.
#pragma once

#include <string>

namespace emulation {

// Runs one kernel on one block of 64 threads and returns a number that a kernel without races computes for every seed.
// sum: none; race: a missing barrier; divergent: lanes at different collectives; left: a collective that names a lane that
// has returned; deadlock: half of the block at a barrier, half at a collective of one warp.
long long run_faulty(const std::string& fault);

}  // namespace emulation
