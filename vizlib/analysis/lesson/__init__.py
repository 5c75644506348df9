"""The questions of the lesson: what a learner predicts about a picture and models, and what the library finds."""
