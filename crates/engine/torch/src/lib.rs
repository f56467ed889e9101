//! Safe access to what `tch` leaves out of libtorch.
