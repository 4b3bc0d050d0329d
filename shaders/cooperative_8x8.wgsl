// Matrices of 8 x 8 that a subgroup multiplies together. WGSL wants the first line before all others.
enable wgpu_cooperative_matrix;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sums = coop_mat8x8<f32, C>;
