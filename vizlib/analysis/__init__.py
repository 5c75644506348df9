"""What can be measured on one forward pass, and what changes when parts of it are switched off."""
