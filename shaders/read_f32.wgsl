// Storage type of a kernel's factors, arguments and terms.
alias Read = f32;
