// The row of this step, picked by a dynamic offset.

@group(0) @binding(0) var<uniform> step: Step;
