// Kernels with the faults that the emulation must find, for its own tests.
#pragma once

#include <string>

namespace emulation {

// Runs one kernel on blocks of 64 threads and returns a number that a kernel without races computes for every seed.
// sum: none; race: a missing barrier; divergent: lanes at different collectives; left: a collective that names a lane that
// has returned; deadlock: half of the block at a barrier, half at a collective of one warp. With races that only a
// build with SPLAT_RACES is sure to find, and, without "race" in the name, free of them: "lanes race": only a ballot
// between one lane's write and another's read; "warps race": only __syncwarp between two warps; "blocks race": two blocks
// write one number; "atomics race": a number is read beside others' atomics.
long long run_faulty(const std::string& fault);

}  // namespace emulation
