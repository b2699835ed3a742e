//! What the machine can do at most, measured: the floors of `doctor` and `bench` are bytes and operations over these.
