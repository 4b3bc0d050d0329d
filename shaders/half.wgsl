// Half precision, which an adapter need not have. WGSL wants this line before all others.
enable f16;
