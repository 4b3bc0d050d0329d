//! Every kernel and variant against the reference.
