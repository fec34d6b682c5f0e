"""Methods that learn to score every voxel; one file per method."""
