//! From files and arrays to a [`Dataset`].
