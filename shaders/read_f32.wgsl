// What a kernel's factors, arguments and terms are kept in.
alias Read = f32;
