"""An audit as one HTML file that needs nothing else."""
