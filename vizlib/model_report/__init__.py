"""What the report on the bundled models is made of: accuracy, calibration, localisation, cost."""
