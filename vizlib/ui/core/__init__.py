"""What every page stands on: state in the address, jobs and their slots, the model service, pictures, navigation."""
