#![no_main]

wgrad_fuzz::target!(wgrad_fuzz::targets::xlsx);
