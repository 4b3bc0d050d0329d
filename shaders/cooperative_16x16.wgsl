// Matrices of 16 x 16 that a subgroup multiplies together. WGSL wants the first line before all others.
enable wgpu_cooperative_matrix;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;
