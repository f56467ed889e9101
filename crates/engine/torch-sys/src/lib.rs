//! C++ shim over libtorch: fused optimizer kernels, memory formats, autocast.
