// Storage type of a kernel's factors, arguments and terms. They are computed with in f32.
alias Read = f16;
