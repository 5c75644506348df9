"""What is known before anything is loaded: method cards, and what each family lacks and why. No torch."""
