// What a kernel's factors, arguments and terms are kept in. They are computed with in f32.
alias Read = f16;
