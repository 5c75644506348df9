"""What can be read off a forward pass, and the row-stochastic steps of a rollout; knows no model."""
